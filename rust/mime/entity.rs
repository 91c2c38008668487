//! Entities: a message's parts, nested, and what each is to its reader (RFC 2045, RFC 2046 §5.1,
//! RFC 2183, RFC 2387).
//!
//! What is signed, encrypted, attached or somebody else's mail is never entered: a changed byte
//! there breaks more than a missing click is worth.

use std::ops::Range;

use super::content_type::{self, ContentType, Parameters};
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
    /// HTML that is shown below other HTML, as one body with it: it has no pixel of its own.
    pub is_later_piece: bool,
    /// Why it is not changed.
    pub reason: Option<Reason>,
    /// The boundaries of the multiparts around it, the outermost first.
    pub boundaries: Vec<String>,
}

/// What a part is to its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A text/html that is shown, alone or as an alternative.
    Html,
    /// A text/plain that is shown.
    Text,
    /// A text/x-amp-html that is an alternative to other text.
    Amp,
}

/// Lists the parts of a message whose header section is known, in their order.
#[must_use]
pub fn parts(message: &[u8], section: &Section) -> Vec<BodyPart> {
    let mut walk = Walk {
        message,
        parts: Vec::new(),
        boundaries: Vec::new(),
        named: Vec::new(),
        has_body: false,
        has_amp: false,
        overflown: false,
    };
    let entity =
        Entity { section, end: message.len(), default: "text/plain", standing: Standing::Body };
    let tree = walk.visit(&entity, 0);
    walk.leave_files();
    walk.mark_later_pieces(&tree, false);
    if walk.has_amp {
        walk.leave_amp_alone(&tree, false);
    }
    walk.parts
}

/// How an entity stands to what its reader sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// One of the message's texts.
    Body,
    /// A rendition of the body (RFC 2046 §5.1.4), so it is no file, whatever its name.
    Alternative,
    /// What the start part of a multipart/related refers to (RFC 2387).
    Aside,
}

struct Entity<'s> {
    section: &'s Section,
    end: usize,
    default: &'static str,
    standing: Standing,
}

/// The parts by their numbers, as multiparts hold them.
enum Tree {
    Leaf(usize),
    Multipart { is_alternative: bool, children: Vec<Tree> },
}

struct Walk<'m> {
    message: &'m [u8],
    parts: Vec<BodyPart>,
    /// Of the multiparts that are entered now.
    boundaries: Vec<String>,
    /// The texts that have a name, as files do.
    named: Vec<usize>,
    /// There is a text that has none.
    has_body: bool,
    has_amp: bool,
    overflown: bool,
}

impl Walk<'_> {
    fn visit(&mut self, entity: &Entity<'_>, depth: usize) -> Tree {
        let mut types = entity.section.values(self.message, b"content-type");
        let Some(first) = types.next() else {
            return self.enter(entity, ContentType::of(entity.default), depth);
        };
        let content_type = ContentType::parse(&first);
        // A boundary's case counts.
        let is_rival = |other: &[u8]| {
            differ(&first, other)
                || content_type.parameter("boundary")
                    != ContentType::parse(other).parameter("boundary")
        };
        if types.any(|other| is_rival(&other)) {
            return self.leaf(entity, content_type, Some(Reason::AmbiguousHeader));
        }
        self.enter(entity, content_type, depth)
    }

    fn enter(&mut self, entity: &Entity<'_>, content_type: ContentType, depth: usize) -> Tree {
        let reason = never_entered(&content_type.essence);
        if reason.is_some() || !content_type.essence.starts_with("multipart/") {
            return self.leaf(entity, content_type, reason);
        }
        let boundary = content_type.parameter("boundary").filter(|b| !b.is_empty());
        let reason = match boundary {
            _ if self.is_ambiguous(entity.section, &content_type) => Reason::AmbiguousHeader,
            _ if depth >= MAX_DEPTH => Reason::NestedTooDeep,
            None => Reason::MalformedPart,
            Some(boundary) => {
                return self.multipart(entity, &content_type, boundary.trim_ascii_end(), depth);
            }
        };
        self.leaf(entity, content_type, Some(reason))
    }

    fn multipart(
        &mut self,
        entity: &Entity<'_>,
        content_type: &ContentType,
        boundary: &str,
        depth: usize,
    ) -> Tree {
        let kind = content_type.essence.as_str();
        let default = if kind == "multipart/digest" { "message/rfc822" } else { "text/plain" };
        let is_alternative = kind == "multipart/alternative";
        let bodies = Parts::new(self.message, entity.section.body..entity.end, boundary);
        let start = (kind == "multipart/related").then(|| {
            let start = content_type.parameter("start");
            start.and_then(|start| self.find_start(bodies.clone(), &start)).unwrap_or(0)
        });
        let mut children = Vec::new();
        self.boundaries.push(boundary.to_owned());
        for (number, body) in bodies.enumerate() {
            let section = Section::parse(self.message, &body);
            let standing = match start {
                _ if entity.standing == Standing::Aside => Standing::Aside,
                Some(start) if start == number => entity.standing,
                Some(_) => Standing::Aside,
                None if is_alternative => Standing::Alternative,
                None => Standing::Body,
            };
            let part = Entity { section: &section, end: body.end, default, standing };
            children.push(if section.malformed {
                self.leaf(&part, ContentType::of(default), Some(Reason::MalformedPart))
            } else {
                self.visit(&part, depth + 1)
            });
            if self.overflown {
                break;
            }
        }
        self.boundaries.pop();
        Tree::Multipart { is_alternative, children }
    }

    /// The number of the part that a multipart/related names as its start.
    fn find_start(&self, parts: Parts<'_>, start: &str) -> Option<usize> {
        let wanted = without_brackets(start.as_bytes());
        parts.take(MAX_PARTS).position(|part| {
            let section = Section::parse(self.message, &part);
            let id = section.value(self.message, b"content-id");
            id.is_some_and(|id| without_brackets(&id) == wanted)
        })
    }

    fn leaf(
        &mut self,
        entity: &Entity<'_>,
        content_type: ContentType,
        reason: Option<Reason>,
    ) -> Tree {
        self.overflown = self.parts.len() >= MAX_PARTS;
        let (body, reason) = if self.overflown {
            (entity.section.body..self.message.len(), Some(Reason::TooManyParts))
        } else {
            (entity.section.body..entity.end, reason)
        };
        let role = reason.map_or_else(|| self.role(entity, &content_type), Err);
        let number = self.parts.len();
        self.parts.push(BodyPart {
            body,
            content_type,
            transfer_encoding: transfer_encoding(self.message, entity.section),
            role: role.ok(),
            is_later_piece: false,
            reason: role.err(),
            boundaries: self.boundaries.clone(),
        });
        Tree::Leaf(number)
    }

    fn role(&mut self, entity: &Entity<'_>, content_type: &ContentType) -> Result<Role, Reason> {
        let role = match content_type.essence.as_str() {
            "text/html" => Role::Html,
            "text/plain" => Role::Text,
            "text/x-amp-html" => Role::Amp,
            _ => return Err(Reason::OtherMediaType),
        };
        let section = entity.section;
        if self.is_ambiguous(section, content_type) {
            return Err(Reason::AmbiguousHeader);
        }
        if !section.ended {
            return Err(Reason::MalformedPart);
        }
        let disposition = section
            .value(self.message, b"content-disposition")
            .map(|value| content_type::split_parameters(&value));
        if disposition.as_ref().is_some_and(|(kind, _)| kind != "inline") {
            // RFC 2183 §2.8: what is not known is an attachment.
            return Err(Reason::AttachedPart);
        }
        if entity.standing == Standing::Aside {
            return Err(Reason::NotTopPart);
        }
        let has = |name: Option<String>| name.is_some_and(|name| !name.trim_ascii().is_empty());
        let is_named = has(content_type.parameter("name"))
            || disposition.is_some_and(|(_, of): (_, Parameters)| has(of.get("filename")));
        match role {
            Role::Amp => self.has_amp = true,
            _ if is_named && entity.standing == Standing::Body => {
                self.named.push(self.parts.len());
            }
            _ => self.has_body = true,
        }
        Ok(role)
    }

    /// Whether readers may go by other fields or parameters than we do. The media type is known.
    fn is_ambiguous(&self, section: &Section, content_type: &ContentType) -> bool {
        let has_rivals = |name: &[u8]| {
            let mut values = section.values(self.message, name);
            values.next().is_some_and(|first| values.any(|other| differ(&first, &other)))
        };
        content_type.is_ambiguous()
            || has_rivals(b"content-transfer-encoding")
            || has_rivals(b"content-disposition")
    }

    /// Beside a text without a name, one with a name is a file; where all have one, they are the
    /// body.
    fn leave_files(&mut self) {
        for number in self.named.drain(..).filter(|_| self.has_body) {
            if let Some(part) = self.parts.get_mut(number) {
                (part.role, part.reason) = (None, Some(Reason::NamedFile));
            }
        }
    }

    /// Marks HTML that follows other HTML of the same body, and tells whether the body has any.
    fn mark_later_pieces(&mut self, tree: &Tree, has_html: bool) -> bool {
        match tree {
            Tree::Leaf(number) => match self.parts.get_mut(*number) {
                Some(part) if part.role == Some(Role::Html) => {
                    part.is_later_piece = has_html;
                    true
                }
                _ => has_html,
            },
            Tree::Multipart { is_alternative: true, children } => children
                .iter()
                .fold(has_html, |found, child| self.mark_later_pieces(child, has_html) || found),
            Tree::Multipart { children, .. } => {
                children.iter().fold(has_html, |found, child| self.mark_later_pieces(child, found))
            }
        }
    }

    /// Leaves AMP parts that are no alternative to other text: no reader shows them.
    fn leave_amp_alone(&mut self, tree: &Tree, is_beside_text: bool) {
        match tree {
            Tree::Leaf(number) => {
                let part = self.parts.get_mut(*number);
                if let Some(part) = part.filter(|part| part.role == Some(Role::Amp))
                    && !is_beside_text
                {
                    (part.role, part.reason) = (None, Some(Reason::NotAlternative));
                }
            }
            Tree::Multipart { is_alternative, children } => {
                let has_text: Vec<_> =
                    children.iter().map(|child| *is_alternative && self.has_text(child)).collect();
                let texts = has_text.iter().filter(|has_text| **has_text).count();
                for (child, has_text) in children.iter().zip(has_text) {
                    self.leave_amp_alone(child, is_beside_text || texts > usize::from(has_text));
                }
            }
        }
    }

    fn has_text(&self, tree: &Tree) -> bool {
        match tree {
            Tree::Leaf(number) => self
                .parts
                .get(*number)
                .is_some_and(|part| matches!(part.role, Some(Role::Html | Role::Text))),
            Tree::Multipart { children, .. } => children.iter().any(|child| self.has_text(child)),
        }
    }
}

/// Whether two values of a field may mean different things: white space around them and case
/// mean nothing.
fn differ(first: &[u8], other: &[u8]) -> bool {
    !first.trim_ascii().eq_ignore_ascii_case(other.trim_ascii())
}

/// A message id without what is around it.
fn without_brackets(id: &[u8]) -> &[u8] {
    let id = id.trim_ascii();
    id.strip_prefix(b"<").and_then(|id| id.strip_suffix(b">")).unwrap_or(id)
}

/// Readers disagree about `base64;`, so we treat it as unknown.
fn transfer_encoding(message: &[u8], section: &Section) -> String {
    let encoding = section.value(message, b"content-transfer-encoding").unwrap_or_default();
    match content_type::without_comments(&String::from_utf8_lossy(&encoding))
        .trim_ascii()
        .to_ascii_lowercase()
    {
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

/// The parts of a multipart body: what stands between its boundary lines.
///
/// A multipart that is not closed ends with what encloses it.
#[derive(Clone)]
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
