//! JSON on one line, as Python's `json` writes it without ASCII escapes and spaces.

/// An object under construction, at the end of a buffer.
pub(super) struct Object<'b> {
    to: &'b mut Vec<u8>,
}

impl<'b> Object<'b> {
    /// Begins with a member that is always there; its text must need no escapes.
    pub(super) fn begin(to: &'b mut Vec<u8>, name: &str, plain: &[u8]) -> Self {
        to.extend_from_slice(b"{\"");
        to.extend_from_slice(name.as_bytes());
        to.extend_from_slice(b"\":\"");
        to.extend_from_slice(plain);
        to.push(b'"');
        Self { to }
    }

    /// Adds a text, if there is one.
    pub(super) fn text(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.name(name);
            write_text(self.to, text);
        }
    }

    /// Adds a number.
    pub(super) fn number(&mut self, name: &str, number: u64) {
        self.name(name);
        write_number(self.to, number);
    }

    /// Adds a number, unless it is zero.
    pub(super) fn count(&mut self, name: &str, number: u64) {
        if number != 0 {
            self.number(name, number);
        }
    }

    /// Adds a list of texts, unless it is empty.
    pub(super) fn texts<'t>(&mut self, name: &str, texts: impl IntoIterator<Item = &'t str>) {
        let mut texts = texts.into_iter();
        let Some(first) = texts.next() else { return };
        self.name(name);
        self.to.push(b'[');
        write_text(self.to, first);
        for text in texts {
            self.to.push(b',');
            write_text(self.to, text);
        }
        self.to.push(b']');
    }

    /// Adds a value that is JSON already.
    pub(super) fn json(&mut self, name: &str, json: Option<&str>) {
        if let Some(json) = json {
            self.name(name);
            self.to.extend_from_slice(json.as_bytes());
        }
    }

    /// Ends the object and its line.
    pub(super) fn end_line(self) {
        self.to.extend_from_slice(b"}\n");
    }

    fn name(&mut self, name: &str) {
        self.to.extend_from_slice(b",\"");
        self.to.extend_from_slice(name.as_bytes());
        self.to.extend_from_slice(b"\":");
    }
}

fn write_text(to: &mut Vec<u8>, text: &str) {
    to.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|&byte| byte < b' ' || byte == b'"' || byte == b'\\')
    {
        let (plain, after) = rest.split_at(at);
        to.extend_from_slice(plain);
        let Some((&byte, after)) = after.split_first() else { break };
        write_escape(to, byte);
        rest = after;
    }
    to.extend_from_slice(rest);
    to.push(b'"');
}

fn write_escape(to: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let letter = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            to.extend_from_slice(b"\\u00");
            for half in [byte >> 4, byte & 0x0f] {
                to.extend(DIGITS.get(usize::from(half)));
            }
            return;
        }
    };
    to.extend_from_slice(&[b'\\', letter]);
}

fn write_number(to: &mut Vec<u8>, mut number: u64) {
    let start = to.len();
    loop {
        let digit = u8::try_from(number % 10).unwrap_or_default();
        to.push(b'0' + digit);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    if let Some(digits) = to.get_mut(start..) {
        digits.reverse();
    }
}
