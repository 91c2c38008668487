//! Entities: a message's parts, nested, and which of them are its HTML and its text (RFC 2045,
//! RFC 2046 §5.1).
//!
//! What is signed, encrypted, attached or somebody else's mail is never entered: a changed byte
//! there breaks more than a missing click is worth.

use std::ops::Range;

use super::content_type::{self, ContentType};
use super::header::{Section, line};
use crate::reason::Reason;

/// How deep multiparts may stand inside each other.
const MAX_DEPTH: usize = 32;

/// How many parts of one message are listed; a message of millions of empty ones is an attack.
const MAX_PARTS: usize = 1_000;

/// A body part (RFC 2045 §2.4) that holds no other, or that is not entered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyPart {
    /// The body, still transfer encoded, without the line break before a boundary.
    pub body: Range<usize>,
    /// Its media type.
    pub content_type: ContentType,
    /// `Content-Transfer-Encoding`, lower case; `7bit` where there is none.
    pub transfer_encoding: String,
    /// What it is to its reader, if it may be changed.
    pub role: Option<Role>,
    /// Why it is not changed.
    pub reason: Option<Reason>,
    /// The boundaries of the multiparts around it, the outermost first.
    pub boundaries: Vec<String>,
}

/// What a part is to its reader; a message has at most one of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The first text/html, depth first, that is not attached.
    Html,
    /// The first text/plain.
    Text,
}

/// Lists the parts of a message whose header section is known, in their order.
#[must_use]
pub fn parts(message: &[u8], section: &Section) -> Vec<BodyPart> {
    let mut walk = Walk { message, parts: Vec::new(), boundaries: Vec::new(), overflown: false };
    walk.visit(&Entity { section, end: message.len(), default: "text/plain" }, 0);
    walk.parts
}

struct Entity<'s> {
    section: &'s Section,
    end: usize,
    default: &'static str,
}

struct Walk<'m> {
    message: &'m [u8],
    parts: Vec<BodyPart>,
    /// Of the multiparts that are entered now.
    boundaries: Vec<String>,
    overflown: bool,
}

impl Walk<'_> {
    fn visit(&mut self, entity: &Entity<'_>, depth: usize) {
        let section = entity.section;
        let content_type = section
            .value(self.message, b"content-type")
            .map_or_else(|| ContentType::of(entity.default), |value| ContentType::parse(&value));
        let reason = never_entered(&content_type.essence);
        if reason.is_some() || !content_type.essence.starts_with("multipart/") {
            return self.leaf(entity, content_type, reason);
        }
        let boundary = content_type.parameter("boundary").filter(|b| !b.is_empty());
        match boundary {
            _ if depth >= MAX_DEPTH => {
                self.leaf(entity, content_type, Some(Reason::NestedTooDeep));
            }
            None => self.leaf(entity, content_type, Some(Reason::MalformedPart)),
            Some(boundary) => self.enter(entity, &content_type, boundary.trim_ascii_end(), depth),
        }
    }

    fn enter(
        &mut self,
        entity: &Entity<'_>,
        content_type: &ContentType,
        boundary: &str,
        depth: usize,
    ) {
        let digest = content_type.essence == "multipart/digest";
        let default = if digest { "message/rfc822" } else { "text/plain" };
        let body = entity.section.body..entity.end;
        self.boundaries.push(boundary.to_owned());
        for part in Parts::new(self.message, body, boundary) {
            let section = Section::parse(self.message, &part);
            let part = Entity { section: &section, end: part.end, default };
            if section.malformed {
                self.leaf(&part, ContentType::of(default), Some(Reason::MalformedPart));
            } else {
                self.visit(&part, depth + 1);
            }
            if self.overflown {
                return;
            }
        }
        self.boundaries.pop();
    }

    fn leaf(&mut self, entity: &Entity<'_>, content_type: ContentType, reason: Option<Reason>) {
        self.overflown = self.parts.len() >= MAX_PARTS;
        let (body, reason) = if self.overflown {
            (entity.section.body..self.message.len(), Some(Reason::TooManyParts))
        } else {
            (entity.section.body..entity.end, reason)
        };
        let (role, reason) = match reason {
            Some(_) => (None, reason),
            None => self.role(entity.section, &content_type.essence),
        };
        let transfer_encoding = transfer_encoding(self.message, entity.section);
        self.parts.push(BodyPart {
            body,
            content_type,
            transfer_encoding,
            role,
            reason,
            boundaries: self.boundaries.clone(),
        });
    }

    fn role(&self, section: &Section, essence: &str) -> (Option<Role>, Option<Reason>) {
        let role = match essence {
            "text/html" => Role::Html,
            "text/plain" => Role::Text,
            "text/x-amp-html" => return (None, Some(Reason::AmpPart)),
            _ => return (None, Some(Reason::OtherMediaType)),
        };
        if !section.ended {
            return (None, Some(Reason::MalformedPart));
        }
        let disposition = section.value(self.message, b"content-disposition").unwrap_or_default();
        let disposition = without_comments(&disposition);
        let kind = disposition.split(';').next().unwrap_or_default().trim_ascii();
        if kind.eq_ignore_ascii_case("attachment") {
            (None, Some(Reason::AttachedPart))
        } else if self.parts.iter().any(|part| part.role == Some(role)) {
            (None, Some(Reason::NotTopPart))
        } else {
            (Some(role), None)
        }
    }
}

/// Readers disagree about `base64;`, so we treat it as unknown.
fn transfer_encoding(message: &[u8], section: &Section) -> String {
    let encoding = section.value(message, b"content-transfer-encoding").unwrap_or_default();
    match without_comments(&encoding).to_ascii_lowercase() {
        none if none.is_empty() => "7bit".to_owned(),
        named => named,
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
    content_type::without_comments(&String::from_utf8_lossy(value)).trim_ascii().to_owned()
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
