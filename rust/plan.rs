//! Plans: a message and its edits, found once, rendered for as many recipients as there are.
//!
//! Everything slow happens in [`Plan::new`]. What differs between recipients are holes: the URL
//! of each link and of the pixel. [`Plan::render`] copies, and asks a [`Fill`] for those.

use std::ops::Range;

use crate::edit::{Applied, PartOffset, PartRange, RawOffset, RawRange, Splice};
use crate::html::charset::Charset;
use crate::html::scan::{Scan, scan};
use crate::mime::base64::{self, Layout};
use crate::mime::entity::{self, Leaf};
use crate::mime::header::{Section, line};
use crate::mime::quoted_printable::{Decoded, Writer};
use crate::reason::Reason;

/// RFC 5322 §2.1.1: octets on a line, its break excluded.
const MAX_LINE: usize = 998;

/// What a recipient's copy has of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hole {
    /// The link with that number in [`Plan::links`].
    Link(usize),
    /// The open pixel.
    Pixel,
}

/// Writes what a recipient's copy has of its own.
pub trait Fill {
    /// Appends the URL for a hole, of at most `room` bytes.
    ///
    /// # Errors
    /// Why there is none; [`Reason::TrackingOff`] is not told to anybody.
    fn url(&mut self, hole: Hole, room: usize, out: &mut Vec<u8>) -> Result<(), Reason>;
}

/// A link that copies may wrap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Where its `href` stands in the message; in a base64 part, where the part's body stands.
    pub at: RawRange,
    /// Where it leads.
    pub target: String,
    /// `data-msys-linkname`.
    pub name: Option<String>,
}

/// What stays as it is, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftAlone {
    /// The href, the part's body, or the whole message.
    pub at: RawRange,
    /// Why.
    pub reason: Reason,
}

/// A message and its edits. `S` holds the bytes as received.
#[derive(Clone, Debug)]
pub struct Plan<S> {
    source: S,
    eol: &'static [u8],
    edits: Vec<Edit>,
    /// The links that copies may wrap, in the order of the message.
    pub links: Vec<Link>,
    /// What no copy changes.
    pub left_alone: Vec<LeftAlone>,
    /// Where the pixel goes; in a base64 part, where the part's body stands.
    pub pixel: Option<RawOffset>,
}

#[derive(Clone, Debug)]
struct Edit {
    at: RawRange,
    with: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Nothing,
    Verbatim(Hole, TextLine),
    QuotedPrintable(Hole, EncodedLine),
    Base64(Box<Reencoded>),
}

/// The line that an edit stands on, in a part without transfer encoding.
#[derive(Clone, Copy, Debug)]
struct TextLine {
    start: usize,
    length: usize,
}

/// The quoted-printable line that an edit stands on.
#[derive(Clone, Copy, Debug)]
struct EncodedLine {
    start: usize,
    tail: usize,
    after_blank: bool,
}

/// A base64 body from its first changed group on, decoded.
#[derive(Clone, Debug)]
struct Reencoded {
    bytes: Vec<u8>,
    eol: &'static [u8],
    holes: Vec<(RawRange, Hole)>,
    layout: Layout,
}

/// A copy's edits and what it left.
#[derive(Debug, Default)]
pub struct Rendering {
    /// What was replaced, front to back.
    pub applied: Vec<Applied>,
    /// Links and pixel that this copy could not have.
    pub left_alone: Vec<LeftAlone>,
    /// How many links were wrapped.
    pub links: usize,
    /// How many pixels were added.
    pub pixels: usize,
}

impl<S: AsRef<[u8]>> Plan<S> {
    /// Finds what can be tracked in a message; header fields of the name `drop_header` go.
    ///
    /// There is no failure: what can't be changed stays, with its reason in `left_alone`.
    #[must_use]
    pub fn new(source: S, drop_header: Option<&[u8]>) -> Self {
        let message = source.as_ref();
        let section = Section::read(message, &(0..message.len()));
        let mut planner = Planner::new(message);
        for field in drop_header.iter().flat_map(|name| section.named(message, name)) {
            planner.drop_lines(&field.lines);
        }
        planner.message(&section);
        let Planner { eol, edits, links, left_alone, pixel, .. } = planner;
        Self { source, eol, edits, links, left_alone, pixel }
    }

    /// The message as received.
    #[must_use]
    pub fn source(&self) -> &[u8] {
        self.source.as_ref()
    }

    /// Writes one recipient's copy into `out`, which is emptied first.
    pub fn render(&self, fill: &mut impl Fill, out: &mut Vec<u8>) -> Rendering {
        out.clear();
        let mut copy = Copying { rendering: Rendering::default(), fill, eol: self.eol };
        let mut splice = Splice::new(self.source(), out);
        let mut text_line = TextLine { start: usize::MAX, length: 0 };
        let mut column = Column::default();
        for Edit { at, with } in &self.edits {
            let outcome = match with {
                Content::Nothing => splice.replace(at, |_| Ok(())),
                Content::Verbatim(hole, line) => {
                    if text_line.start != line.start {
                        text_line = *line;
                    }
                    splice.replace(at, |out| copy.verbatim(*hole, at, &mut text_line, out))
                }
                Content::QuotedPrintable(hole, line) => {
                    splice.replace(at, |out| copy.encoded(*hole, at, line, &mut column, out))
                }
                Content::Base64(body) => splice.replace(at, |out| copy.base64(at, body, out)),
            };
            if let (Err(reason), Content::Verbatim(..) | Content::QuotedPrintable(..)) =
                (outcome, with)
            {
                copy.leave(at, reason);
            }
        }
        copy.rendering.applied = splice.finish();
        copy.rendering
    }
}

/// How far into an encoded line a place of the message is, after the edits before it.
#[derive(Default)]
struct Column {
    raw: usize,
    column: usize,
}

impl Column {
    fn at(&self, raw: usize, line_start: usize) -> usize {
        if self.raw >= line_start { self.column + (raw - self.raw) } else { raw - line_start }
    }
}

struct Copying<'f, F> {
    rendering: Rendering,
    fill: &'f mut F,
    eol: &'static [u8],
}

const PIXEL: (&[u8], &[u8]) =
    (b"<img border=\"0\" width=\"1\" height=\"1\" alt=\"\" src=\"", b"\">");

impl<F: Fill> Copying<'_, F> {
    fn leave(&mut self, at: &RawRange, reason: Reason) {
        if reason != Reason::TrackingOff {
            self.rendering.left_alone.push(LeftAlone { at: at.clone(), reason });
        }
    }

    fn count(&mut self, hole: Hole) {
        match hole {
            Hole::Link(_) => self.rendering.links += 1,
            Hole::Pixel => self.rendering.pixels += 1,
        }
    }

    /// What fills a hole, line breaks around a pixel excluded.
    fn content(&mut self, hole: Hole, room: usize, out: &mut Vec<u8>) -> Result<(), Reason> {
        match hole {
            Hole::Link(_) => self.fill.url(hole, room, out)?,
            Hole::Pixel => {
                let (before, after) = PIXEL;
                out.extend_from_slice(before);
                let markup = before.len() + after.len();
                self.fill.url(hole, room.saturating_sub(markup), out)?;
                out.extend_from_slice(after);
            }
        }
        self.count(hole);
        Ok(())
    }

    fn verbatim(
        &mut self,
        hole: Hole,
        at: &RawRange,
        line: &mut TextLine,
        out: &mut Vec<u8>,
    ) -> Result<(), Reason> {
        if hole == Hole::Pixel {
            return self.pixel_line(MAX_LINE, self.eol, out);
        }
        let old = at.end.0 - at.start.0;
        // A line that was too long already is nobody's work but the sender's.
        let kept = line.length.saturating_sub(old);
        let room = if line.length > MAX_LINE { usize::MAX } else { MAX_LINE.saturating_sub(kept) };
        let start = out.len();
        self.content(hole, room, out)?;
        line.length = kept + (out.len() - start);
        Ok(())
    }

    fn pixel_line(&mut self, room: usize, eol: &[u8], out: &mut Vec<u8>) -> Result<(), Reason> {
        out.extend_from_slice(eol);
        self.content(Hole::Pixel, room, out)?;
        out.extend_from_slice(eol);
        Ok(())
    }

    fn encoded(
        &mut self,
        hole: Hole,
        at: &RawRange,
        line: &EncodedLine,
        column: &mut Column,
        out: &mut Vec<u8>,
    ) -> Result<(), Reason> {
        let mut content = Vec::with_capacity(512);
        self.content(hole, usize::MAX, &mut content)?;
        let start = column.at(at.start.0, line.start);
        let mut writer = Writer::new(out, start, self.eol);
        if hole == Hole::Pixel {
            writer.line_break(line.after_blank);
        }
        writer.text(&content);
        if hole == Hole::Pixel {
            writer.line_break(false);
        }
        *column = Column { raw: at.end.0, column: writer.before_tail(line.tail) };
        Ok(())
    }

    fn base64(
        &mut self,
        at: &RawRange,
        body: &Reencoded,
        out: &mut Vec<u8>,
    ) -> Result<(), Reason> {
        let mut decoded = Vec::with_capacity(body.bytes.len() + 512 * body.holes.len());
        let mut splice = Splice::new(&body.bytes, &mut decoded);
        for (range, hole) in &body.holes {
            let filled = splice.replace(range, |out| match hole {
                Hole::Pixel => self.pixel_line(usize::MAX, body.eol, out),
                Hole::Link(_) => self.content(*hole, usize::MAX, out),
            });
            if let Err(reason) = filled {
                self.leave(at, reason);
            }
        }
        if splice.finish().is_empty() {
            return Err(Reason::TrackingOff);
        }
        base64::encode(&decoded, &body.layout, self.eol, out);
        Ok(())
    }
}

/// Collects a plan's edits in the order of the message.
struct Planner<'m> {
    message: &'m [u8],
    eol: &'static [u8],
    edits: Vec<Edit>,
    links: Vec<Link>,
    left_alone: Vec<LeftAlone>,
    pixel: Option<RawOffset>,
}

impl<'m> Planner<'m> {
    fn new(message: &'m [u8]) -> Self {
        Self {
            message,
            eol: line_break(message),
            edits: Vec::new(),
            links: Vec::new(),
            left_alone: Vec::new(),
            pixel: None,
        }
    }

    fn drop_lines(&mut self, lines: &Range<usize>) {
        let at = RawOffset(lines.start)..RawOffset(lines.end);
        self.edits.push(Edit { at, with: Content::Nothing });
    }

    fn leave(&mut self, range: &Range<usize>, reason: Reason) {
        let at = RawOffset(range.start)..RawOffset(range.end);
        self.left_alone.push(LeftAlone { at, reason });
    }

    fn message(&mut self, section: &Section) {
        let whole = 0..self.message.len();
        if section.malformed {
            return self.leave(&whole, Reason::MalformedMessage);
        }
        let signatures = [b"dkim-signature".as_slice(), b"arc-seal"];
        if signatures.iter().any(|name| section.named(self.message, name).next().is_some()) {
            return self.leave(&whole, Reason::SignedMessage);
        }
        let search = entity::find_html(self.message, section);
        for skipped in &search.skipped {
            self.leave(&skipped.body, skipped.reason);
        }
        match search.html {
            None => self.leave(&whole, Reason::NoHtmlPart),
            Some(leaf) => {
                if let Err(reason) = self.html(&leaf) {
                    self.leave(&leaf.body, reason);
                }
            }
        }
    }

    fn html(&mut self, leaf: &Leaf) -> Result<(), Reason> {
        let charset = Charset::for_label(leaf.content_type.parameter("charset").as_deref())?;
        let raw = self.message.get(leaf.body.clone()).unwrap_or_default();
        if memchr::memchr(b'\n', raw).is_some() {
            self.eol = line_break(raw);
        }
        match leaf.transfer_encoding.as_str() {
            "7bit" | "8bit" | "binary" => self.verbatim(leaf, &scan(raw, charset)?),
            "quoted-printable" => {
                let decoded = Decoded::decode(raw, leaf.body.start);
                self.quoted_printable(leaf, &decoded, &scan(&decoded.bytes, charset)?);
            }
            "base64" => {
                let decoded = base64::decode(raw)?;
                let found = scan(&decoded, charset)?;
                self.base64(leaf, &decoded, &found);
            }
            _ => return Err(Reason::UnknownTransferEncoding),
        }
        Ok(())
    }

    fn verbatim(&mut self, leaf: &Leaf, found: &Scan) {
        let body = leaf.body.clone();
        let raw = |range: &PartRange| {
            RawOffset(body.start + range.start.0)..RawOffset(body.start + range.end.0)
        };
        self.note(found, &raw);
        let mut lines = Lines::new(self.message, &body);
        for (range, hole) in holes(found) {
            let at = raw(&range);
            let line = lines.around(&at);
            if self.would_end_part(hole, &at, &line) {
                continue;
            }
            let line = TextLine { start: line.start, length: line.end - line.start };
            self.edits.push(Edit { at, with: Content::Verbatim(hole, line) });
        }
    }

    fn quoted_printable(&mut self, leaf: &Leaf, decoded: &Decoded, found: &Scan) {
        self.note(found, &|range| decoded.raw(range));
        let mut lines = Lines::new(self.message, &leaf.body);
        for (range, hole) in holes(found) {
            let at = decoded.raw(&range);
            let line = lines.around(&at);
            if self.would_end_part(hole, &at, &line) {
                continue;
            }
            let before = at.start.0.checked_sub(1).filter(|before| *before >= line.start);
            let before = before.and_then(|before| self.message.get(before));
            let line = EncodedLine {
                start: line.start,
                tail: line.end.saturating_sub(at.end.0),
                after_blank: matches!(before, Some(b' ' | b'\t')),
            };
            self.edits.push(Edit { at, with: Content::QuotedPrintable(hole, line) });
        }
    }

    /// A line break behind `--boundary` would make a boundary line of what was none.
    fn would_end_part(&mut self, hole: Hole, at: &RawRange, line: &Range<usize>) -> bool {
        let text = self.message.get(line.clone()).unwrap_or_default();
        let ends_part = hole == Hole::Pixel && text.starts_with(b"--");
        if ends_part {
            self.pixel = None;
            self.left_alone.push(LeftAlone { at: at.clone(), reason: Reason::NoPixelPlace });
        }
        ends_part
    }

    fn base64(&mut self, leaf: &Leaf, decoded: &[u8], found: &Scan) {
        let body = RawOffset(leaf.body.start)..RawOffset(leaf.body.end);
        self.note(found, &|_| body.clone());
        let holes = holes(found);
        let Some((first, _)) = holes.first() else { return };
        let group = first.start.0 / 3;
        let raw = self.message.get(leaf.body.clone()).unwrap_or_default();
        let layout = Layout::of_group(raw, group);
        let kept = group * 3;
        let holes = holes
            .iter()
            .map(|(range, hole)| {
                let at = RawOffset(range.start.0 - kept)..RawOffset(range.end.0 - kept);
                (at, *hole)
            })
            .collect();
        let bytes = decoded.get(kept..).unwrap_or_default().to_vec();
        let start = leaf.body.start;
        self.edits.push(Edit {
            at: RawOffset(start + layout.start)..RawOffset(start + layout.end.max(layout.start)),
            with: Content::Base64(Box::new(Reencoded {
                bytes,
                eol: line_break(decoded),
                holes,
                layout,
            })),
        });
    }

    fn note(&mut self, found: &Scan, raw: &dyn Fn(&PartRange) -> RawRange) {
        self.links = found
            .links
            .iter()
            .map(|link| Link {
                at: raw(&link.href),
                target: link.target.clone(),
                name: link.name.clone(),
            })
            .collect();
        for link in &found.unwrapped {
            self.left_alone.push(LeftAlone { at: raw(&link.href), reason: link.reason });
        }
        if let Some(at) = found.pixel {
            self.pixel = Some(raw(&(at..at)).start);
        } else {
            let at = raw(&(PartOffset(0)..PartOffset(0)));
            self.left_alone.push(LeftAlone { at, reason: Reason::NoPixelPlace });
        }
    }
}

/// What can be filled, in the order of the part.
fn holes(found: &Scan) -> Vec<(PartRange, Hole)> {
    let links = found.links.iter().enumerate();
    let mut holes: Vec<_> =
        links.map(|(number, link)| (link.href.clone(), Hole::Link(number))).collect();
    if let Some(at) = found.pixel {
        let before = holes.partition_point(|(href, _)| href.start < at);
        holes.insert(before, (at..at, Hole::Pixel));
    }
    holes
}

/// Finds the line around each of a rising row of places, looking at each byte once.
struct Lines<'m> {
    message: &'m [u8],
    line: Range<usize>,
    next: usize,
    limit: usize,
}

impl<'m> Lines<'m> {
    fn new(message: &'m [u8], body: &Range<usize>) -> Self {
        Self { message, line: body.start..body.start, next: body.start, limit: body.end }
    }

    /// The line that `at` starts on; it reaches to the end of the line that `at` ends on.
    fn around(&mut self, at: &RawRange) -> Range<usize> {
        while self.next <= at.start.0 && self.next < self.limit {
            self.advance(self.next);
        }
        if at.start.0 == self.limit && self.line.end < self.limit {
            self.line = self.limit..self.limit;
        }
        let start = self.line.start;
        while self.next <= at.end.0 && self.next < self.limit {
            self.advance(self.next);
        }
        start..self.line.end
    }

    fn advance(&mut self, from: usize) {
        let line = line(self.message, from, self.limit);
        self.line = from..line.content_end;
        self.next = line.end;
    }
}

/// CRLF, unless the first line ends otherwise.
fn line_break(bytes: &[u8]) -> &'static [u8] {
    match memchr::memchr(b'\n', bytes) {
        Some(at) if at == 0 || bytes.get(at - 1) != Some(&b'\r') => b"\n",
        _ => b"\r\n",
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
