//! Plain documents, read without `lol_html`, which keeps a stack of elements that no link needs.
//!
//! A document is plain if the tokenizer of the HTML Standard ("Tokenization") can read it without
//! a tree: no foreign content, no script with a comment, not truncated. All others give `None`,
//! and `lol_html` reads them. Both find the same in documents that both read.

use std::ops::Range;

use super::comment::{begins_condition, closed_length, ends_name, is_blank};
use super::found::ScanState;
use super::masks;
use super::tag::LinkTag;
use crate::charset::Charset;
use crate::link::Place;

/// Reads a document, if it is plain.
pub(super) fn read_plain(html: &[u8], charset: Charset) -> Option<ScanState> {
    let mut reader = PlainReader { html, charset, at: 0, found: ScanState::default() };
    while let Some(start) = memchr::memchr(b'<', reader.rest()) {
        reader.at += start;
        reader.markup()?;
    }
    reader.found.end_of_document(html.len());
    Some(reader.found)
}

struct PlainReader<'h> {
    html: &'h [u8],
    charset: Charset,
    at: usize,
    found: ScanState,
}

impl<'h> PlainReader<'h> {
    fn rest(&self) -> &'h [u8] {
        self.html.get(self.at..).unwrap_or_default()
    }

    /// Reads what begins with a `<`; `None` if the document is not plain.
    fn markup(&mut self) -> Option<()> {
        let rest = self.rest();
        match rest.get(1..)? {
            [b'!', b'-', b'-', ..] => self.comment(rest),
            [b'!' | b'?', ..] => {
                self.at += memchr::memchr(b'>', rest)? + 1;
                Some(())
            }
            [b'/', name, ..] if name.is_ascii_alphabetic() => self.end_tag(),
            [name, ..] if name.is_ascii_alphabetic() => self.start_tag(),
            // `</` at the end and `</>` are rare enough.
            [b'/', ..] | [] => None,
            [_, ..] => {
                self.at += 1;
                Some(())
            }
        }
    }

    fn comment(&mut self, rest: &[u8]) -> Option<()> {
        let text = rest.get("<!--".len()..)?;
        if text.starts_with(b">") || text.starts_with(b"->") {
            return None;
        }
        let length = "<!--".len() + closed_length(text)?;
        let at = self.at..self.at + length;
        let is_condition = matches!(text, [b'[', b'i', b'f', next, ..] if begins_condition(*next));
        if is_condition && masks::holds_href(rest.get(..length)?) {
            self.found.comments.push(at.clone());
        }
        self.at = at.end;
        Some(())
    }

    fn end_tag(&mut self) -> Option<()> {
        let start = self.at;
        let mut attributes = self.tag(start + "</".len())?;
        let name = attributes.name.clone();
        for _ in attributes.by_ref() {}
        self.at = attributes.end?;
        match self.html.get(name)? {
            name if name.eq_ignore_ascii_case(b"body") => self.found.end_tag(start, true),
            name if name.eq_ignore_ascii_case(b"html") => self.found.end_tag(start, false),
            _ => {}
        }
        Some(())
    }

    fn start_tag(&mut self) -> Option<()> {
        let mut attributes = self.tag(self.at + 1)?;
        let name = self.html.get(attributes.name.clone())?;
        let content = ContentModel::of(name)?;
        let place = match name {
            [b'v', b':', shape @ ..] if shape.iter().all(u8::is_ascii_alphanumeric) => {
                Some(Place::Vml)
            }
            _ if name.eq_ignore_ascii_case(b"a") || name.eq_ignore_ascii_case(b"area") => {
                Some(Place::Html)
            }
            _ => None,
        };
        let link = place.map(|place| {
            (LinkTag::from_attributes(attributes.by_ref(), self.html, self.charset), place)
        });
        for _ in attributes.by_ref() {}
        self.at = attributes.end?;
        if let Some((link, place)) = link {
            link.note(self.html, place, self.charset, &mut self.found.scan);
        }
        match content {
            ContentModel::Markup => Some(()),
            ContentModel::Body => {
                self.found.body(self.at);
                Some(())
            }
            ContentModel::Text => self.raw_text(name),
        }
    }

    /// Passes over text up to the end tag that alone can end it.
    fn raw_text(&mut self, name: &[u8]) -> Option<()> {
        let text = self.rest();
        let end = memchr::memmem::find_iter(text, b"</").find(|end| {
            let tag = text.get(end + "</".len()..).unwrap_or_default();
            tag.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name))
                && tag.get(name.len()).is_some_and(|byte| ends_name(*byte))
        })?;
        let is_script = name.eq_ignore_ascii_case(b"script");
        if is_script && memchr::memmem::find(text.get(..end)?, b"<!--").is_some() {
            return None;
        }
        self.at += end;
        self.end_tag()
    }

    /// The attributes of a tag whose name begins at `start`.
    fn tag(&self, start: usize) -> Option<Attributes<'h>> {
        let length = self.html.get(start..)?.iter().position(|byte| ends_name(*byte))?;
        let name = start..start + length;
        Some(Attributes { html: self.html, at: name.end, name, end: None })
    }
}

/// What a start tag makes of what follows it.
enum ContentModel {
    Markup,
    Body,
    Text,
}

impl ContentModel {
    /// `None` for elements that need more than a tokenizer.
    fn of(name: &[u8]) -> Option<Self> {
        let is_one_of = |names: &[&[u8]]| names.iter().any(|one| name.eq_ignore_ascii_case(one));
        // Length and first letter already rule out nearly every tag.
        match name.first()?.to_ascii_lowercase() {
            b'b' if is_one_of(&[b"body"]) => Some(Self::Body),
            b'i' if is_one_of(&[b"iframe"]) => Some(Self::Text),
            b'm' if is_one_of(&[b"math"]) => None,
            b'n' if is_one_of(&[b"noembed", b"noframes"]) => Some(Self::Text),
            b'n' if is_one_of(&[b"noscript"]) => None,
            b'p' if is_one_of(&[b"plaintext"]) => None,
            b's' if is_one_of(&[b"script", b"style"]) => Some(Self::Text),
            b's' if is_one_of(&[b"svg", b"select"]) => None,
            b't' if is_one_of(&[b"textarea", b"title"]) => Some(Self::Text),
            b't' if is_one_of(&[b"template"]) => None,
            b'f' if is_one_of(&[b"frameset"]) => None,
            b'x' if is_one_of(&[b"xmp"]) => Some(Self::Text),
            _ => Some(Self::Markup),
        }
    }
}

/// Names and values of a tag's attributes; `end` is set once all of them are read.
struct Attributes<'h> {
    html: &'h [u8],
    at: usize,
    name: Range<usize>,
    end: Option<usize>,
}

impl Attributes<'_> {
    fn skip(&mut self, pass: impl Fn(u8) -> bool) -> Option<u8> {
        let rest = self.html.get(self.at..)?;
        let length = rest.iter().position(|byte| !pass(*byte))?;
        self.at += length;
        rest.get(length).copied()
    }

    /// The next attribute; `None` at the tag's end, or if the end is missing.
    fn read_attribute(&mut self) -> Option<(Range<usize>, Option<Range<usize>>)> {
        if self.skip(|byte| is_blank(byte) || byte == b'/')? == b'>' {
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
    type Item = (Range<usize>, Option<Range<usize>>);

    fn next(&mut self) -> Option<Self::Item> {
        let attribute = self.read_attribute();
        if attribute.is_none() && self.end.is_none() {
            // Cut off: there is nothing more to read.
            self.at = self.html.len();
        }
        attribute
    }
}
