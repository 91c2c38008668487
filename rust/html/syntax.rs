//! Tags as the tokenizer of the HTML Standard reads them: where names, attributes and ends stand.

use std::ops::Range;

use super::comment::{ends_name, is_blank};

/// An attribute: its name, and its value without quotes.
pub(super) type Attribute = (Range<usize>, Option<Range<usize>>);

/// Names and values of a tag's attributes; `end` is set once all of them are read.
pub(super) struct Attributes<'h> {
    html: &'h [u8],
    at: usize,
    /// The tag's name.
    pub(super) name: Range<usize>,
    /// Behind the `>`; `None` if it is missing, or not reached.
    pub(super) end: Option<usize>,
    /// A `/` stands right before the `>`.
    pub(super) self_closing: bool,
}

impl<'h> Attributes<'h> {
    /// The attributes of a tag whose name begins at `start`; `None` where the name has no end.
    pub(super) fn of_tag(html: &'h [u8], start: usize) -> Option<Self> {
        let mut end = start;
        while !ends_name(*html.get(end)?) {
            end += 1;
        }
        let name = start..end;
        Some(Self { html, at: name.end, name, end: None, self_closing: false })
    }

    /// Reads what is left of the tag; where it ends, if it does.
    pub(super) fn finish(&mut self) -> Option<usize> {
        while self.next().is_some() {}
        self.end
    }

    fn skip(&mut self, pass: impl Fn(u8) -> bool) -> Option<u8> {
        loop {
            let byte = *self.html.get(self.at)?;
            if !pass(byte) {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    /// The next attribute; `None` at the tag's end, or if the end is missing.
    #[inline]
    fn read_attribute(&mut self) -> Option<Attribute> {
        let between = self.at;
        if self.skip(|byte| is_blank(byte) || byte == b'/')? == b'>' {
            // A slash that ends an unquoted value is the value's.
            self.self_closing = self.html.get(between..self.at).is_some_and(|s| s.ends_with(b"/"));
            self.end = Some(self.at + 1);
            return None;
        }
        let start = self.at;
        // An `=` in the first place is part of the name.
        self.at += 1;
        self.skip(|byte| !ends_name(byte) && byte != b'=')?;
        let name = start..self.at;
        if self.skip(is_blank)? != b'=' {
            return Some((name, None));
        }
        self.at += 1;
        Some((name, self.value()?))
    }

    /// From behind `=`; the inner `None` where no value follows, the outer where it has no end.
    #[expect(clippy::option_option, reason = "the outer one is for `?`")]
    fn value(&mut self) -> Option<Option<Range<usize>>> {
        match self.skip(is_blank)? {
            b'>' => Some(None),
            quote @ (b'"' | b'\'') => {
                let start = self.at + 1;
                let length = memchr::memchr(quote, self.html.get(start..)?)?;
                self.at = start + length + 1;
                Some(Some(start..start + length))
            }
            _ => {
                let start = self.at;
                self.skip(|byte| !is_blank(byte) && byte != b'>')?;
                Some(Some(start..self.at))
            }
        }
    }
}

impl Iterator for Attributes<'_> {
    type Item = Attribute;

    fn next(&mut self) -> Option<Attribute> {
        if self.end.is_some() {
            return None;
        }
        let attribute = self.read_attribute();
        if attribute.is_none() && self.end.is_none() {
            // Cut off: there is nothing more to read.
            self.at = self.html.len();
        }
        attribute
    }
}

/// Whether an attribute is `style`.
pub(super) fn is_style(html: &[u8], name: &Range<usize>) -> bool {
    name.len() == "style".len()
        && html.get(name.clone()).is_some_and(|name| name.eq_ignore_ascii_case(b"style"))
}

/// Finds the end of a tag of any length, byte by byte and without a look at its attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TagState {
    TagName,
    BeforeName,
    Name,
    AfterName,
    BeforeValue,
    Quoted(u8),
    Unquoted,
}

impl TagState {
    /// How many bytes were read, and whether the tag ended with the last of them.
    pub(super) fn read(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut at = 0;
        while let Some(byte) = bytes.get(at).copied() {
            at += 1;
            *self = match *self {
                Self::Quoted(quote) => {
                    let rest = bytes.get(at - 1..).unwrap_or_default();
                    let Some(length) = memchr::memchr(quote, rest) else {
                        return (bytes.len(), false);
                    };
                    at += length;
                    Self::BeforeName
                }
                _ if byte == b'>' => return (at, true),
                Self::TagName if !ends_name(byte) => Self::TagName,
                Self::TagName => Self::BeforeName,
                Self::BeforeName if ends_name(byte) => Self::BeforeName,
                Self::Name | Self::AfterName if byte == b'=' => Self::BeforeValue,
                Self::Name if is_blank(byte) => Self::AfterName,
                Self::AfterName | Self::BeforeValue if is_blank(byte) => continue,
                Self::Name | Self::AfterName if byte == b'/' => Self::BeforeName,
                Self::BeforeValue if matches!(byte, b'"' | b'\'') => Self::Quoted(byte),
                Self::Unquoted if is_blank(byte) => Self::BeforeName,
                Self::BeforeName | Self::Name | Self::AfterName => Self::Name,
                Self::BeforeValue | Self::Unquoted => Self::Unquoted,
            };
        }
        (at, false)
    }
}

/// A name as it is compared with others: without case, and short whatever its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NameHash(u64);

impl NameHash {
    /// FNV-1a: names are few, and one taken for another moves a pixel at the most.
    pub(super) fn of(name: &[u8]) -> Self {
        Self(name.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01B3)
        }))
    }
}

/// An element, as far as it decides how the document goes on or where a pixel is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    Anchor,
    Area,
    Body,
    Html,
    Select,
    Input,
    Textarea,
    Noscript,
    Template,
    Table,
    /// `td` and `th`.
    Cell,
    Caption,
    Row,
    /// `tbody`, `thead` and `tfoot`.
    RowGroup,
    Paragraph,
    Item,
    Foreign,
    Script,
    /// `title`, `style` and others that hold text alone.
    Text,
    Plaintext,
    /// An element that has no end tag.
    Void,
    Vml,
    Other,
}

impl Element {
    pub(super) fn of(name: &[u8]) -> Self {
        if let [b'v', b':', shape @ ..] = name {
            // In lower case, as all that Outlook writes.
            let is_vml = shape.iter().all(u8::is_ascii_alphanumeric);
            return if is_vml { Self::Vml } else { Self::Other };
        }
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        let is_one_of = |others: &[&[u8]]| others.iter().any(|other| is(other));
        // Length and first letter already rule out most of the rest.
        let Some(first) = name.first().map(u8::to_ascii_lowercase) else { return Self::Other };
        match (first, name.len()) {
            (b'a', 1) => Self::Anchor,
            (b'p', 1) => Self::Paragraph,
            (b't', 2) if is(b"tr") => Self::Row,
            (b't', 2) if is_one_of(&[b"td", b"th"]) => Self::Cell,
            (b't', 5) if is(b"table") => Self::Table,
            (b't', 5) if is_one_of(&[b"tbody", b"thead", b"tfoot"]) => Self::RowGroup,
            (b't', 5) if is(b"title") => Self::Text,
            (b't', 5) if is(b"track") => Self::Void,
            (b't', 8) if is(b"textarea") => Self::Textarea,
            (b't', 8) if is(b"template") => Self::Template,
            (b'i', 3) if is(b"img") => Self::Void,
            (b'i', 5) if is(b"input") => Self::Input,
            (b'i', 6) if is(b"iframe") => Self::Text,
            (b'b', 2) if is(b"br") => Self::Void,
            (b'b', 4) if is(b"body") => Self::Body,
            (b'b', 4) if is(b"base") => Self::Void,
            (b'b', 7 | 8) if is_one_of(&[b"bgsound", b"basefont"]) => Self::Void,
            (b's', 3) if is(b"svg") => Self::Foreign,
            (b's', 5) if is(b"style") => Self::Text,
            (b's', 6) if is(b"script") => Self::Script,
            (b's', 6) if is(b"select") => Self::Select,
            (b's', 6) if is(b"source") => Self::Void,
            (b'a', 4) if is(b"area") => Self::Area,
            (b'c', 3) if is(b"col") => Self::Void,
            (b'c', 7) if is(b"caption") => Self::Caption,
            (b'e', 5) if is(b"embed") => Self::Void,
            (b'f', 5) if is(b"frame") => Self::Void,
            (b'h', 2) if is(b"hr") => Self::Void,
            (b'h', 4) if is(b"html") => Self::Html,
            (b'k', 6) if is(b"keygen") => Self::Void,
            (b'l', 2) if is(b"li") => Self::Item,
            (b'l', 4) if is(b"link") => Self::Void,
            (b'm', 4) if is(b"math") => Self::Foreign,
            (b'm', 4) if is(b"meta") => Self::Void,
            (b'n', 7 | 8) if is_one_of(&[b"noembed", b"noframes"]) => Self::Text,
            (b'n', 8) if is(b"noscript") => Self::Noscript,
            (b'p', 5) if is(b"param") => Self::Void,
            (b'p', 9) if is(b"plaintext") => Self::Plaintext,
            (b'w', 3) if is(b"wbr") => Self::Void,
            (b'x', 3) if is(b"xmp") => Self::Text,
            _ => Self::Other,
        }
    }
}

/// Elements that hold text up to their own end tag.
const RAW_TEXT: [&[u8]; 8] =
    [b"style", b"title", b"script", b"textarea", b"iframe", b"xmp", b"noembed", b"noframes"];

/// The name of an element that holds text, in lower case.
pub(super) fn raw_text_name(name: &[u8]) -> Option<&'static [u8]> {
    RAW_TEXT.into_iter().find(|raw| raw.eq_ignore_ascii_case(name))
}
