//! `Content-Type` and its parameters (RFC 2045 §5.1, RFC 2231 §3 and §4).

/// A media type: lower-case type and subtype, and parameters as they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContentType {
    /// `text/html`, lower case.
    pub essence: String,
    parameters: Parameters,
}

impl ContentType {
    /// Reads an unfolded field value; anything that is not a media type is `text/plain`, the
    /// default of RFC 2045 §5.2.
    #[must_use]
    pub fn parse(value: &[u8]) -> Self {
        let (essence, parameters) = split_parameters(value);
        match essence.split_once('/') {
            Some((kind, subtype)) if !kind.is_empty() && !subtype.is_empty() => {
                Self { essence, parameters }
            }
            _ => Self::of("text/plain"),
        }
    }

    /// The media type of that name, without parameters.
    #[must_use]
    pub fn of(essence: &str) -> Self {
        Self { essence: essence.to_owned(), parameters: Parameters::default() }
    }

    /// A parameter's value; continuations are joined, the charset of RFC 2231 is dropped.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.parameters.get(name)
    }

    /// Whether one reader may take another boundary or charset than the next: the parameter is
    /// given twice.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        self.parameters.has_rivals("boundary", |a, b| a == b)
            || self.parameters.has_rivals("charset", str::eq_ignore_ascii_case)
    }
}

/// The parameters of a field, as they stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// A parameter's value, as [`ContentType::parameter`] has it.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        match self.0.iter().find(|(found, _)| found == name) {
            Some((_, value)) => Some(value.clone()),
            None => self.joined(name),
        }
    }

    /// Whether a parameter, plain or by RFC 2231, is given more than once and not alike.
    fn has_rivals(&self, name: &str, same: impl Fn(&str, &str) -> bool) -> bool {
        let differ = |found: &str| {
            let mut values = self.0.iter().filter(|(other, _)| other == found);
            let first = values.next();
            first.is_some_and(|(_, first)| values.any(|(_, value)| !same(first, value)))
        };
        let mut extended = self
            .0
            .iter()
            .filter(|(found, _)| {
                found.strip_prefix(name).is_some_and(|rest| rest.starts_with('*'))
            })
            .peekable();
        if differ(name) {
            return true;
        }
        if extended.peek().is_none() {
            return false;
        }
        let plain = self.0.iter().find(|(found, _)| found == name);
        let joined = self.joined(name);
        let is_other = |(_, plain): &(String, String)| {
            joined.as_ref().is_some_and(|joined| !same(plain, joined))
        };
        plain.is_some_and(is_other) || extended.any(|(found, _)| differ(found))
    }

    /// The value of a parameter in the forms of RFC 2231.
    fn joined(&self, name: &str) -> Option<String> {
        let mut joined: Option<String> = None;
        for section in 0_usize.. {
            let Some(piece) = self.section(name, section) else { break };
            joined.get_or_insert_default().push_str(&piece);
        }
        joined
    }

    fn section(&self, name: &str, section: usize) -> Option<String> {
        self.0.iter().find_map(|(found, value)| {
            let suffix = found.strip_prefix(name)?.strip_prefix('*')?;
            let number = suffix.strip_suffix('*').unwrap_or(suffix);
            let extended = suffix.ends_with('*') || suffix.is_empty();
            let wanted = match number {
                "" => section == 0,
                digits => digits.parse() == Ok(section),
            };
            match (wanted, extended) {
                (false, _) => None,
                (true, false) => Some(value.clone()),
                (true, true) => Some(decode_percent(value, section == 0)),
            }
        })
    }
}

/// What stands before the parameters of an unfolded field value, in lower case, and those.
pub(super) fn split_parameters(value: &[u8]) -> (String, Parameters) {
    let text = without_comments(&String::from_utf8_lossy(value));
    let (first, rest) = text.split_once(';').unwrap_or((&text, ""));
    (first.trim_ascii().to_ascii_lowercase(), Parameters(parameters(rest)))
}

/// Drops comments (RFC 822 §3.1.4), which may nest; not inside quoted strings.
pub(super) fn without_comments(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted || depth > 0 => escaped = true,
            '"' if depth == 0 => quoted = !quoted,
            '(' if !quoted => {
                depth += 1;
                continue;
            }
            ')' if !quoted && depth > 0 => {
                depth -= 1;
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            kept.push(c);
        }
    }
    kept
}

/// How many parameters of a field are read; a field of thousands is an attack.
const MAX_PARAMETERS: usize = 200;

fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while found.len() < MAX_PARAMETERS
        && let Some((name, after)) = rest.split_once('=')
    {
        let name = name.rsplit(';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
        let (value, after) = parameter_value(after.trim_ascii_start());
        if !name.is_empty() {
            found.push((name, value));
        }
        rest = after;
    }
    found
}

fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = text.split_once(';').unwrap_or((text, ""));
        return (value.trim_ascii().to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (value, quoted.get(at + 1..).unwrap_or_default()),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            _ => value.push(c),
        }
    }
    (value, "")
}

fn decode_percent(value: &str, first: bool) -> String {
    let encoded = match (first, value.splitn(3, '\'').nth(2)) {
        (true, Some(after_language)) => after_language,
        _ => value,
    };
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = after.get(..2).filter(|_| byte == b'%').and_then(hex);
        bytes.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The byte that two hexadecimal digits, of either case, stand for.
#[must_use]
pub fn hex(digits: &[u8]) -> Option<u8> {
    let [high, low] = digits else { return None };
    let high = char::from(*high).to_digit(16)?;
    let low = char::from(*low).to_digit(16)?;
    u8::try_from(high * 16 + low).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(value: &str, name: &str) -> Option<String> {
        ContentType::parse(value.as_bytes()).parameter(name)
    }

    #[test]
    fn type_and_parameters_are_read_in_any_case_and_form() {
        let html = ContentType::parse(b" Text/HTML ; Charset = \"UTF-8\" ");
        assert_eq!(html.essence, "text/html");
        assert_eq!(html.parameter("charset").as_deref(), Some("UTF-8"));
        assert_eq!(parameter("text/html;charset=utf-8;", "charset").as_deref(), Some("utf-8"));
        assert_eq!(parameter("a/b; BOUNDARY=\"x;=\\\"y\"", "boundary").as_deref(), Some("x;=\"y"));
        assert_eq!(parameter("a/b (c; d=e); f=g (h)", "f").as_deref(), Some("g"));
        assert_eq!(parameter("a/b; junk; f=g", "f").as_deref(), Some("g"));
        assert_eq!(parameter("a/b; f=\"open", "f").as_deref(), Some("open"));
        assert_eq!(parameter("a/b", "f"), None);
    }

    #[test]
    fn continuations_and_extended_values_are_joined() {
        assert_eq!(parameter("a/b; x*0=one; x*1=\"two\"", "x").as_deref(), Some("onetwo"));
        assert_eq!(parameter("a/b; x*=utf-8'en'caf%C3%A9", "x").as_deref(), Some("café"));
        assert_eq!(parameter("a/b; x*0*=utf-8''%41; x*1=b", "x").as_deref(), Some("Ab"));
    }

    #[test]
    fn a_parameter_that_is_given_twice_and_not_alike_is_ambiguous() {
        for value in [
            "multipart/mixed; boundary=a; boundary=b",
            "multipart/mixed; boundary=a; Boundary=A",
            "multipart/mixed; boundary=a; boundary*=us-ascii''b",
            "multipart/mixed; boundary*0=a; boundary*1=b; boundary=a",
            "multipart/mixed; boundary*0=a; boundary*0=b",
            "text/html; charset=utf-8; x=y; charset=\"utf-16\"",
            "text/html; charset*=''utf-8; charset=latin1",
        ] {
            assert!(ContentType::parse(value.as_bytes()).is_ambiguous(), "{value}");
        }
        for value in [
            "multipart/mixed; boundary=a; boundary=\"a\"; x=1; x=2",
            "multipart/mixed; boundary=ab; boundary*0=a; boundary*1=b",
            "multipart/mixed; boundary=a; boundaryx=b; name=a; name=b",
            "text/html; charset=utf-8; charset=UTF-8; charset*=us-ascii'en'utf%2D8",
            "text/html",
        ] {
            assert!(!ContentType::parse(value.as_bytes()).is_ambiguous(), "{value}");
        }
    }

    #[test]
    fn white_space_is_ascii() {
        for wide in ["\u{a0}", "\u{85}", "\u{2003}"] {
            let html = ContentType::parse(format!("text/html{wide}; a=b{wide}").as_bytes());
            assert_eq!(html.essence, format!("text/html{wide}"));
            assert_eq!(html.parameter("a"), Some(format!("b{wide}")));
        }
    }

    #[test]
    fn what_is_no_media_type_is_plain_text() {
        for value in ["", "text", "/html", "text/", ";charset=utf-8"] {
            assert_eq!(ContentType::parse(value.as_bytes()).essence, "text/plain", "{value}");
        }
    }
}
