//! Header sections: where each field stands, without changing or copying one (RFC 5322 §2.2).

use std::borrow::Cow;
use std::ops::Range;

/// One header field, as ranges of the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name, without the colon.
    pub name: Range<usize>,
    /// From behind the colon to the end of the last line, its line break excluded.
    value: Range<usize>,
    /// The first line and what continues it, line breaks included.
    lines: Range<usize>,
    /// The continuation lines that stand behind lines that are not a field.
    apart: Vec<Range<usize>>,
}

impl Field {
    /// The field's lines, line breaks included; in several ranges where lines that are not a
    /// field stand between them.
    pub fn lines(&self) -> impl Iterator<Item = &Range<usize>> {
        std::iter::once(&self.lines).chain(&self.apart)
    }

    /// What follows the colon, still folded, without the last line break.
    #[must_use]
    pub fn value<'m>(&self, message: &'m [u8]) -> Cow<'m, [u8]> {
        let bytes = |start, end| message.get(start..end).unwrap_or_default();
        let Range { start, end } = self.value;
        if self.apart.is_empty() {
            return Cow::Borrowed(bytes(start, end));
        }
        let mut value = bytes(start, self.lines.end).to_vec();
        for lines in &self.apart {
            value.extend_from_slice(bytes(lines.start, lines.end.min(end)));
        }
        Cow::Owned(value)
    }

    fn continue_with(&mut self, at: usize, line: &Line) {
        let last = self.apart.last_mut().unwrap_or(&mut self.lines);
        if last.end == at {
            last.end = line.end;
        } else {
            self.apart.push(at..line.end);
        }
        self.value.end = line.content_end;
    }
}

/// A header section and where its body starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// The fields in their order.
    pub fields: Vec<Field>,
    /// The end of the last field's lines: the blank line, if there is one.
    pub end: usize,
    /// The first byte of the body; the end of the entity if there is none.
    pub body: usize,
    /// The empty line is there that ends the section; without it there is no body, nor a place
    /// for one.
    pub ended: bool,
    /// A line in the section is neither a field nor the continuation of one.
    pub malformed: bool,
}

/// What Windows programs put before UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl Section {
    /// Reads the header section of a whole message.
    ///
    /// A byte order mark and a line of the mbox format (RFC 4155) may stand before it. MTAs drop
    /// that line or make a field of it, so it hides no field.
    #[must_use]
    pub fn parse_message(message: &[u8]) -> Self {
        let without_mark = |bytes: &mut usize| {
            let rest = message.get(*bytes..).unwrap_or_default();
            *bytes += if rest.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        };
        let mut start = 0;
        without_mark(&mut start);
        let rest = message.get(start..).unwrap_or_default();
        if rest.starts_with(b"From ") || rest.starts_with(b">From ") {
            start = line(message, start, message.len()).end;
            without_mark(&mut start);
        }
        Self::parse(message, &(start..message.len()))
    }

    /// Reads the header section of the entity that `range` of `message` holds.
    #[must_use]
    pub fn parse(message: &[u8], range: &Range<usize>) -> Self {
        let mut section = Self::default();
        let mut at = range.start;
        while at < range.end {
            let line = line(message, at, range.end);
            let content = message.get(at..line.content_end).unwrap_or_default();
            if content.is_empty() {
                (section.end, section.body, section.ended) = (at, line.end, true);
                return section;
            }
            if content.starts_with(b" ") || content.starts_with(b"\t") {
                // It belongs to the last field before it, also if a line that is not a field stands
                // between: readers that drop that line read it so, and no line of a dropped field
                // may stay.
                match section.fields.last_mut() {
                    Some(field) => field.continue_with(at, &line),
                    None => section.malformed = true,
                }
            } else {
                section.start_field(at, content, &line);
            }
            at = line.end;
        }
        (section.end, section.body) = (at, at);
        section
    }

    /// The fields of that name (compared without case).
    pub fn find_fields<'s>(
        &'s self,
        message: &'s [u8],
        name: &'s [u8],
    ) -> impl Iterator<Item = &'s Field> {
        self.fields.iter().filter(move |field| {
            message.get(field.name.clone()).is_some_and(|found| found.eq_ignore_ascii_case(name))
        })
    }

    /// The unfolded value of the first field of that name.
    #[must_use]
    pub fn value<'s>(&'s self, message: &'s [u8], name: &'s [u8]) -> Option<Cow<'s, [u8]>> {
        self.values(message, name).next()
    }

    /// The unfolded values of the fields of that name.
    pub fn values<'s>(
        &'s self,
        message: &'s [u8],
        name: &'s [u8],
    ) -> impl Iterator<Item = Cow<'s, [u8]>> {
        self.find_fields(message, name).map(|field| match field.value(message) {
            Cow::Borrowed(value) => unfold(value),
            Cow::Owned(value) => Cow::Owned(unfold(&value).into_owned()),
        })
    }

    fn start_field(&mut self, at: usize, content: &[u8], line: &Line) {
        // RFC 5322 §2.2: printable ASCII but the colon.
        let is_name = |name: &[u8]| !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
        let colon = memchr::memchr(b':', content);
        let name = colon.and_then(|colon| content.get(..colon)).map(<[u8]>::trim_ascii_end);
        match (colon, name) {
            (Some(colon), Some(name)) if is_name(name) => self.fields.push(Field {
                name: at..at + name.len(),
                value: at + colon + 1..line.content_end,
                lines: at..line.end,
                apart: Vec::new(),
            }),
            _ => self.malformed = true,
        }
    }
}

/// A line of a message: where its content and where its line break ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// The end of the content, line break excluded.
    pub content_end: usize,
    /// The start of the next line.
    pub end: usize,
}

/// The line that starts at `at`; it ends at CRLF or LF, or at `limit`.
#[must_use]
pub fn line(message: &[u8], at: usize, limit: usize) -> Line {
    let rest = message.get(at..limit).unwrap_or_default();
    let Some(newline) = memchr::memchr(b'\n', rest) else {
        return Line { content_end: limit, end: limit };
    };
    let crlf = newline > 0 && rest.get(newline - 1) == Some(&b'\r');
    Line { content_end: at + newline - usize::from(crlf), end: at + newline + 1 }
}

/// Takes the line breaks out of a folded value (RFC 5322 §2.2.3); the white space stays.
#[must_use]
pub fn unfold(value: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'\r', b'\n', value).is_none() {
        return Cow::Borrowed(value);
    }
    Cow::Owned(value.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n')).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_section(message: &[u8]) -> Section {
        Section::parse(message, &(0..message.len()))
    }

    #[test]
    fn fields_keep_their_bytes() {
        let message = b"Subject: a\r\n b\r\nX:y\n\r\nbody";
        let section = parse_section(message);
        let bytes: Vec<_> = section.fields.iter().map(|f| &message[f.lines.clone()]).collect();
        assert_eq!(bytes, [b"Subject: a\r\n b\r\n".as_slice(), b"X:y\n"]);
        assert_eq!(section.value(message, b"SUBJECT").as_deref(), Some(b" a b".as_slice()));
        assert_eq!(&message[section.body..], b"body");
        assert!(!section.malformed);
    }

    #[test]
    fn a_section_without_a_body_ends_with_the_message() {
        let section = parse_section(b"X: y");
        assert_eq!((section.fields.len(), section.body, section.ended), (1, 4, false));
        assert_eq!(
            (parse_section(b"X: y\r\n").body, parse_section(b"X: y\r\n").ended),
            (6, false)
        );
        assert_eq!((parse_section(b"").body, parse_section(b"").ended), (0, false));
        assert_eq!((parse_section(b"\n").body, parse_section(b"\n").ended), (1, true));
    }

    #[test]
    fn it_ends_at_the_blank_line() {
        for (message, end) in [
            (b"X: y\r\n z\r\n\r\nb".as_slice(), 10),
            (b"X: y\n", 5),
            (b"X: y", 4),
            (b"\n", 0),
            (b"", 0),
        ] {
            assert_eq!(parse_section(message).end, end, "{message:?}");
        }
    }

    #[test]
    fn a_line_that_is_no_field_is_reported() {
        for message in [b"no colon\n\nx".as_slice(), b" continued\n\nx", b"a b: c\n\n", b": c\n\n"]
        {
            assert!(parse_section(message).malformed, "{message:?}");
        }
    }

    #[test]
    fn a_continuation_line_belongs_to_the_last_field_before_it_whatever_stands_between() {
        for (message, lines, value) in [
            (
                b"junk\r\nX: a\r\n b\r\n\r\n".as_slice(),
                vec![b"X: a\r\n b\r\n".as_slice()],
                " a\r\n b",
            ),
            (b"X: a\njunk\n\tb\nY: c\n\n", vec![b"X: a\n", b"\tb\n"], " a\n\tb"),
            (b"X: a\njunk\nY: c\njunk\n d\n", vec![b"X: a\n"], " a"),
            (
                b"X: a\n b\njunk\nFrom jo Mon Jan  1 00:00:00 2024\n c\n\td\n: junk\n e",
                vec![b"X: a\n b\n", b" c\n\td\n", b" e"],
                " a\n b\n c\n\td\n e",
            ),
        ] {
            let section = parse_section(message);
            let field = section.find_fields(message, b"x").next().unwrap();
            let found: Vec<_> = field.lines().map(|lines| &message[lines.clone()]).collect();
            assert_eq!(found, lines);
            assert_eq!(field.value(message), value.as_bytes());
            assert_eq!(section.value(message, b"x").unwrap(), unfold(value.as_bytes()));
            assert!(section.malformed);
        }
    }

    #[test]
    fn a_first_line_that_continues_nothing_is_no_field_s() {
        let section = parse_section(b" a\r\nX: b\r\n c\r\n\r\n");
        assert_eq!(section.fields[0].lines().collect::<Vec<_>>(), [&(4..14)]);
        assert!(section.malformed);
    }

    #[test]
    fn a_bare_cr_is_no_line_break() {
        let section = parse_section(b"X: a\rY: b\n\n");
        assert_eq!(section.fields.len(), 1);
    }
}
