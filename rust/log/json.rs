//! JSON on one line, as Python's `json` writes it without ASCII escapes and spaces.

/// How many bytes of a text are looked at together.
const PIECE: usize = 32;

/// Of ids, too.
pub(super) const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";

/// What stands before the value of a member that is not the first.
macro_rules! member {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}

pub(super) use member;

/// An object under construction, at the end of a buffer. Its members' names are [`member!`]s.
pub(super) struct Object<'b> {
    to: &'b mut Vec<u8>,
}

impl<'b> Object<'b> {
    /// Begins an object with its id, which needs no escapes.
    pub(super) fn begin(to: &'b mut Vec<u8>, id: &[u8; 36]) -> Self {
        to.extend_from_slice(b"{\"id\":\"");
        to.extend_from_slice(id);
        to.push(b'"');
        Self { to }
    }

    /// Adds a text, if there is one.
    pub(super) fn text(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.name(name);
            write_text(self.to, text);
        }
    }

    /// Adds a number.
    pub(super) fn number(&mut self, name: &'static str, number: u64) {
        self.name(name);
        write_number(self.to, number);
    }

    /// Adds a number, unless it is zero.
    pub(super) fn count(&mut self, name: &'static str, number: u64) {
        if number != 0 {
            self.number(name, number);
        }
    }

    /// Adds a list of texts, unless it is empty.
    pub(super) fn texts<'t>(
        &mut self,
        name: &'static str,
        texts: impl IntoIterator<Item = &'t str>,
    ) {
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
    pub(super) fn json(&mut self, name: &'static str, json: Option<&str>) {
        if let Some(json) = json {
            self.name(name);
            self.to.extend_from_slice(json.as_bytes());
        }
    }

    /// Ends the object and its line.
    pub(super) fn end_line(self) {
        self.to.extend_from_slice(b"}\n");
    }

    fn name(&mut self, name: &'static str) {
        self.to.extend_from_slice(name.as_bytes());
    }
}

fn write_text(to: &mut Vec<u8>, text: &str) {
    to.reserve(text.len() + 2);
    to.push(b'"');
    // Most pieces need no escape, and to see that of so many bytes takes a few instructions.
    for piece in text.as_bytes().chunks(PIECE) {
        if piece.iter().fold(false, |found, &byte| found | needs_escape(byte)) {
            for &byte in piece {
                if needs_escape(byte) { write_escape(to, byte) } else { to.push(byte) }
            }
        } else {
            to.extend_from_slice(piece);
        }
    }
    to.push(b'"');
}

const fn needs_escape(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
}

fn write_escape(to: &mut Vec<u8>, byte: u8) {
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
                to.extend(HEX_DIGITS.get(usize::from(half)));
            }
            return;
        }
    };
    to.extend_from_slice(&[b'\\', letter]);
}

fn write_number(to: &mut Vec<u8>, mut number: u64) {
    let mut digits = [b'0'; 20];
    let mut length = 0;
    for place in digits.iter_mut().rev() {
        *place += u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        length += 1;
        if number == 0 {
            break;
        }
    }
    to.extend_from_slice(digits.get(digits.len() - length..).unwrap_or_default());
}
