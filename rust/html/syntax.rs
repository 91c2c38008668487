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
        let name = start..start + find_in_name(html.get(start..)?, ends_name)?;
        let end = (html.get(name.end) == Some(&b'>')).then_some(name.end + 1);
        Some(Self { html, at: name.end, name, end, self_closing: false })
    }

    /// Reads what is left of the tag; where it ends, if it does.
    #[inline]
    pub(super) fn finish(&mut self) -> Option<usize> {
        if self.end.is_none() {
            while self.next_attribute().is_some() {}
        }
        self.end
    }

    /// Reads the rest of the tag, and returns the value of its first `style`.
    pub(super) fn find_style(&mut self) -> Option<Range<usize>> {
        if self.end.is_some() {
            return None;
        }
        while let Some((name, value)) = self.next_attribute() {
            if is_style(self.html, &name) {
                self.finish();
                return value;
            }
        }
        None
    }

    #[inline]
    fn skip(&mut self, pass: impl Fn(u8) -> bool) -> Option<u8> {
        let rest = self.html.get(self.at..)?;
        let (length, byte) = rest.iter().enumerate().find(|(_, byte)| !pass(**byte))?;
        self.at += length;
        Some(*byte)
    }

    /// The next attribute; `None` at the tag's end, or if the end is missing.
    #[inline]
    fn next_attribute(&mut self) -> Option<Attribute> {
        let attribute = self.read_attribute();
        if attribute.is_none() && self.end.is_none() {
            // Cut off: there is nothing more to read.
            self.at = self.html.len();
        }
        attribute
    }

    #[inline]
    fn read_attribute(&mut self) -> Option<Attribute> {
        let between = self.at;
        if let Some([b' ', b'?'..=u8::MAX, ..]) = self.html.get(between..) {
            // Nearly always.
            self.at += 1;
        } else if self.skip(|byte| is_blank(byte) || byte == b'/')? == b'>' {
            // A slash that ends an unquoted value is the value's.
            self.self_closing = self.html.get(between..self.at).is_some_and(|s| s.ends_with(b"/"));
            self.end = Some(self.at + 1);
            return None;
        }
        let start = self.at;
        // An `=` in the first place is part of the name.
        let rest = self.html.get(start + 1..)?;
        self.at = start + 1 + find_in_name(rest, |byte| ends_name(byte) || byte == b'=')?;
        let name = start..self.at;
        if let Some([b'=', quote @ (b'"' | b'\''), rest @ ..]) = self.html.get(self.at..) {
            return Some((name, Some(self.quoted(*quote, self.at + 2, rest)?)));
        }
        if self.skip(is_blank)? != b'=' {
            return Some((name, None));
        }
        self.at += 1;
        Some((name, self.value()?))
    }

    #[inline]
    fn quoted(&mut self, quote: u8, start: usize, rest: &[u8]) -> Option<Range<usize>> {
        let end = start + memchr::memchr(quote, rest)?;
        self.at = end + 1;
        Some(start..end)
    }

    /// From behind `=`; the inner `None` where no value follows, the outer where it has no end.
    #[expect(clippy::option_option, reason = "the outer one is for `?`")]
    fn value(&mut self) -> Option<Option<Range<usize>>> {
        match self.skip(is_blank)? {
            b'>' => Some(None),
            quote @ (b'"' | b'\'') => {
                let start = self.at + 1;
                Some(Some(self.quoted(quote, start, self.html.get(start..)?)?))
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
        if self.end.is_some() { None } else { self.next_attribute() }
    }
}

/// Finds the first byte that ends a name, eight bytes at a time: all that do are below `?`, and few
/// others in names are.
#[inline]
fn find_in_name(bytes: &[u8], ends: impl Fn(u8) -> bool) -> Option<usize> {
    let mut at = 0;
    while let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let word = u64::from_le_bytes(*word);
        // The lowest bit that is set belongs to the first byte below `?`.
        let below = word.wrapping_sub(ONES * u64::from(b'?')) & !word & (ONES << 7);
        at += usize::try_from(below.trailing_zeros() / 8).unwrap_or_default();
        if below != 0 {
            if bytes.get(at).is_some_and(|byte| ends(*byte)) {
                return Some(at);
            }
            at += 1;
        }
    }
    let rest = bytes.get(at..)?;
    rest.iter().position(|byte| ends(*byte)).map(|length| at + length)
}

/// Whether an attribute is `style`.
fn is_style(html: &[u8], name: &Range<usize>) -> bool {
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
    /// Up to eight bytes stand for themselves. FNV-1a of more: names are few, and one taken for
    /// another moves a pixel at the most.
    pub(super) const fn of(name: &[u8]) -> Self {
        let (mut rest, mut hash, mut shift) = (name, 0, 0);
        if name.len() > 8 {
            hash = 0xCBF2_9CE4_8422_2325;
            while let [byte, tail @ ..] = rest {
                hash = (hash ^ widen(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01B3);
                rest = tail;
            }
        }
        while let [byte, tail @ ..] = rest {
            hash |= widen(byte.to_ascii_lowercase()) << shift;
            shift += 8;
            rest = tail;
        }
        Self(hash)
    }

    /// The same of a name that stands in a document, which is not read byte by byte.
    #[inline]
    pub(super) fn read(html: &[u8], name: &Range<usize>) -> Self {
        let word = html.get(name.start..).and_then(<[u8]>::first_chunk);
        match (word, name.len()) {
            (Some(word), length @ 1..=8) => {
                let word = u64::from_le_bytes(*word) & (u64::MAX >> (64 - 8 * length));
                let low_bits = word & (ONES * 0x7F);
                let from_a = low_bits + ONES * u64::from(0x80 - b'A');
                let above_z = low_bits + ONES * u64::from(0x7F - b'Z');
                let upper = (from_a ^ above_z) & !word & (ONES << 7);
                Self(word | upper >> 2)
            }
            _ => Self::of(html.get(name.clone()).unwrap_or_default()),
        }
    }
}

/// A one in each byte.
const ONES: u64 = u64::from_le_bytes([1; 8]);

const fn widen(byte: u8) -> u64 {
    u64::from_le_bytes([byte, 0, 0, 0, 0, 0, 0, 0])
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
    /// `col`, which has no end tag.
    Column,
    ColumnGroup,
    Paragraph,
    Item,
    Foreign,
    Script,
    /// `title`, `style` and others that hold text alone, as `textarea` does.
    Text,
    Plaintext,
    /// An element that has no end tag.
    Void,
    Vml,
    Other,
}

/// All but `plaintext`, which is longer.
const NAMES: [(&[u8], Element); 45] = [
    (b"a", Element::Anchor),
    (b"area", Element::Area),
    (b"body", Element::Body),
    (b"html", Element::Html),
    (b"select", Element::Select),
    (b"input", Element::Input),
    (b"textarea", Element::Textarea),
    (b"noscript", Element::Noscript),
    (b"template", Element::Template),
    (b"table", Element::Table),
    (b"td", Element::Cell),
    (b"th", Element::Cell),
    (b"caption", Element::Caption),
    (b"tr", Element::Row),
    (b"tbody", Element::RowGroup),
    (b"tfoot", Element::RowGroup),
    (b"thead", Element::RowGroup),
    (b"col", Element::Column),
    (b"colgroup", Element::ColumnGroup),
    (b"p", Element::Paragraph),
    (b"li", Element::Item),
    (b"math", Element::Foreign),
    (b"svg", Element::Foreign),
    (b"script", Element::Script),
    (b"iframe", Element::Text),
    (b"noembed", Element::Text),
    (b"noframes", Element::Text),
    (b"style", Element::Text),
    (b"title", Element::Text),
    (b"xmp", Element::Text),
    (b"base", Element::Void),
    (b"basefont", Element::Void),
    (b"bgsound", Element::Void),
    (b"br", Element::Void),
    (b"embed", Element::Void),
    (b"frame", Element::Void),
    (b"hr", Element::Void),
    (b"img", Element::Void),
    (b"keygen", Element::Void),
    (b"link", Element::Void),
    (b"meta", Element::Void),
    (b"param", Element::Void),
    (b"source", Element::Void),
    (b"track", Element::Void),
    (b"wbr", Element::Void),
];

/// [`NAMES`] by their hashes; a name whose place is taken stands behind it. A look-up is the same
/// steps for all names, so that none of them is a surprise to the processor.
#[expect(clippy::indexing_slicing, reason = "the compiler runs it")]
static ELEMENTS: [(NameHash, usize, Element); SLOTS] = {
    let mut table = [(NameHash(0), 0, Element::Other); SLOTS];
    let mut names: &[(&[u8], Element)] = &NAMES;
    while let [(name, element), rest @ ..] = names {
        let hash = NameHash::of(name);
        let mut slot = slot_of(hash);
        while table[slot].1 != 0 {
            slot = (slot + 1) % SLOTS;
        }
        table[slot] = (hash, name.len(), *element);
        names = rest;
    }
    table
};

const SLOTS: usize = 128;

#[expect(clippy::as_conversions, reason = "seven bits are left, and a constant needs them")]
const fn slot_of(NameHash(hash): NameHash) -> usize {
    (hash.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 57) as usize
}

impl Element {
    /// The element of that name, whose hash is `hash`.
    #[inline]
    pub(super) fn of(name: &[u8], hash: NameHash) -> Self {
        let mut slot = slot_of(hash);
        while let Some((other, length @ 1.., element)) = ELEMENTS.get(slot) {
            if *other == hash && *length == name.len() {
                return *element;
            }
            slot = (slot + 1) % SLOTS;
        }
        match name {
            // In lower case, as all that Outlook writes.
            [b'v', b':', shape @ ..] if shape.iter().all(u8::is_ascii_alphanumeric) => Self::Vml,
            _ if name.eq_ignore_ascii_case(b"plaintext") => Self::Plaintext,
            _ => Self::Other,
        }
    }
}

/// The name of an element that holds text up to its own end tag, in lower case; scripts end in
/// their own way.
pub(super) fn raw_text_name(name: &[u8]) -> Option<&'static [u8]> {
    NAMES.iter().find_map(|(raw, element)| {
        let holds_text = matches!(element, Element::Text | Element::Textarea);
        (holds_text && raw.eq_ignore_ascii_case(name)).then_some(*raw)
    })
}
