//! Entities: a message's parts, nested, and which of them is its HTML (RFC 2045, RFC 2046 §5.1).
//!
//! What is signed, encrypted, attached or somebody else's mail is never entered: a changed byte
//! there breaks more than a missing click is worth.

use std::ops::Range;

use super::content_type::{self, ContentType};
use super::header::{Section, line};
use crate::reason::Reason;

/// How deep multiparts may stand inside each other.
const MAX_DEPTH: usize = 32;

/// A part that may be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The body, still transfer encoded, without the line break before a boundary.
    pub body: Range<usize>,
    /// Its media type.
    pub content_type: ContentType,
    /// `Content-Transfer-Encoding`, lower case; `7bit` where there is none.
    pub transfer_encoding: String,
}

/// What was not entered, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The entity's body.
    pub body: Range<usize>,
    /// Why.
    pub reason: Reason,
    /// Its media type.
    pub essence: String,
}

/// The message's top HTML part, if it has one that may be changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// The first text/html, depth first.
    pub html: Option<Leaf>,
    /// What was passed over before it.
    pub skipped: Vec<Skipped>,
}

/// Looks for the top HTML part of a message whose header section is known.
#[must_use]
pub fn find_html(message: &[u8], section: &Section) -> Search {
    let mut search = Search::default();
    let root = Entity { section, end: message.len(), default: "text/plain" };
    search.visit(message, &root, 0);
    search
}

struct Entity<'s> {
    section: &'s Section,
    end: usize,
    default: &'static str,
}

impl Search {
    fn visit(&mut self, message: &[u8], entity: &Entity<'_>, depth: usize) {
        let section = entity.section;
        let content_type = section
            .value(message, b"content-type")
            .map_or_else(|| ContentType::of(entity.default), |value| ContentType::parse(&value));
        let body = section.body..entity.end;
        if let Some(reason) = never_entered(&content_type.essence) {
            self.skipped.push(Skipped { body, reason, essence: content_type.essence });
        } else if content_type.essence.starts_with("multipart/") {
            self.visit_parts(message, &body, &content_type, depth);
        } else if content_type.essence == "text/html" {
            self.visit_html(message, section, body, content_type);
        }
    }

    fn visit_html(
        &mut self,
        message: &[u8],
        section: &Section,
        body: Range<usize>,
        content_type: ContentType,
    ) {
        let disposition = section.value(message, b"content-disposition").unwrap_or_default();
        let disposition = without_comments(&disposition);
        let kind = disposition.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("attachment") {
            let essence = content_type.essence;
            self.skipped.push(Skipped { body, reason: Reason::AttachedPart, essence });
            return;
        }
        let encoding = section.value(message, b"content-transfer-encoding").unwrap_or_default();
        // Readers disagree about `base64;`, so it is no name we know.
        let transfer_encoding = match without_comments(&encoding).to_ascii_lowercase() {
            none if none.is_empty() => "7bit".to_owned(),
            named => named,
        };
        self.html = Some(Leaf { body, content_type, transfer_encoding });
    }

    fn visit_parts(
        &mut self,
        message: &[u8],
        body: &Range<usize>,
        content_type: &ContentType,
        depth: usize,
    ) {
        if depth >= MAX_DEPTH {
            let essence = content_type.essence.clone();
            let reason = Reason::NestedTooDeep;
            self.skipped.push(Skipped { body: body.clone(), reason, essence });
            return;
        }
        let Some(boundary) = content_type.parameter("boundary").filter(|b| !b.is_empty()) else {
            return;
        };
        let digest = content_type.essence == "multipart/digest";
        let default = if digest { "message/rfc822" } else { "text/plain" };
        for part in Parts::new(message, body.clone(), boundary.trim_end()) {
            let section = Section::read(message, &part);
            if section.malformed {
                continue;
            }
            self.visit(message, &Entity { section: &section, end: part.end, default }, depth + 1);
            if self.html.is_some() {
                return;
            }
        }
    }
}

fn never_entered(essence: &str) -> Option<Reason> {
    match essence {
        "multipart/signed" => Some(Reason::SignedPart),
        "multipart/encrypted" | "application/pkcs7-mime" | "application/x-pkcs7-mime" => {
            Some(Reason::EncryptedPart)
        }
        "multipart/report" => Some(Reason::ReportPart),
        embedded if embedded.starts_with("message/") => Some(Reason::EmbeddedMessage),
        _ => None,
    }
}

fn without_comments(value: &[u8]) -> String {
    content_type::without_comments(&String::from_utf8_lossy(value)).trim().to_owned()
}

/// The parts of a multipart body: what stands between its boundary lines.
///
/// A multipart that is not closed ends with what encloses it.
struct Parts<'m> {
    message: &'m [u8],
    range: Range<usize>,
    delimiter: Vec<u8>,
    part_start: Option<usize>,
    closed: bool,
}

impl<'m> Parts<'m> {
    fn new(message: &'m [u8], body: Range<usize>, boundary: &str) -> Self {
        let delimiter = [b"--", boundary.as_bytes()].concat();
        Self { message, range: body, delimiter, part_start: None, closed: false }
    }

    /// The next boundary line: where the part before it ends, where the next line starts, and
    /// whether it closes the multipart.
    fn next_boundary(&mut self) -> Option<(usize, usize, bool)> {
        let body_start = self.range.start;
        let mut from = body_start;
        loop {
            let haystack = self.message.get(from..self.range.end)?;
            let at = from + memchr::memmem::find(haystack, &self.delimiter)?;
            let line = line(self.message, at, self.range.end);
            let starts_line = at == 0 || self.message.get(at - 1) == Some(&b'\n');
            let rest = self.message.get(at + self.delimiter.len()..line.content_end)?;
            let (closes, rest) = match rest.strip_prefix(b"--") {
                Some(rest) => (true, rest),
                None => (false, rest),
            };
            if starts_line && rest.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
                return Some((at, line.end, closes));
            }
            from = at + self.delimiter.len();
        }
    }

    /// The line break before a boundary belongs to the boundary (RFC 2046 §5.1.1).
    fn part(&self, start: usize, boundary: usize) -> Range<usize> {
        let content = self.message.get(start..boundary).unwrap_or_default();
        let content = content.strip_suffix(b"\n").unwrap_or(content);
        let content = content.strip_suffix(b"\r").unwrap_or(content);
        start..start + content.len()
    }
}

impl Iterator for Parts<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        loop {
            if self.closed {
                return None;
            }
            let Some((boundary, next_line, closes)) = self.next_boundary() else {
                self.closed = true;
                return self.part_start.map(|start| start..self.range.end);
            };
            let part = self.part_start.map(|start| self.part(start, boundary));
            self.closed = closes;
            self.part_start = Some(next_line);
            self.range.start = next_line;
            if part.is_some() {
                return part;
            }
        }
    }
}

#[cfg(test)]
#[path = "entity_tests.rs"]
mod tests;
