//! Rendering: a plan's edits, filled in for one recipient.

use std::convert::Infallible;

use super::content::{Change, Content, Edit, EncodedLine, Fold, Reencoded, Removal, TextLine};
use super::lines::{MAX_LINE, column_behind};
use super::{
    CLIPPED_FROM, Fill, Hole, LeftAlone, Plan, PlannedLink, RenderedBody, Rendering, Tracking,
};
use crate::edit::{RawOffset, RawRange, Splice};
use crate::mime::base64;
use crate::mime::quoted_printable::Writer;
use crate::reason::Reason;

/// Header lines that one copy has of its own: where they go, and what they are.
pub type Insertion<'i> = (usize, &'i [u8]);

/// A place where no header line can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InsertionError {
    /// Behind the header section.
    #[error("offset {offset} is behind the header section, which ends at {end}")]
    BehindHeader {
        /// Where something was to go.
        offset: usize,
        /// The last place where something can go.
        end: usize,
    },
    /// Inside lines that are in no copy.
    #[error("offset {0} is inside header lines that are removed")]
    InDroppedLines(usize),
}

impl<S: AsRef<[u8]>> Plan<S> {
    /// Fills in one recipient's copy.
    ///
    /// # Errors
    /// An insertion has a place where nothing can be put in.
    pub fn render(
        &self,
        fill: &mut impl Fill,
        insertions: &[Insertion<'_>],
    ) -> Result<Rendering, InsertionError> {
        let mut insertions = insertions.to_vec();
        insertions.sort_by_key(|(offset, _)| *offset);
        for (offset, _) in &insertions {
            let (offset, end) = (*offset, self.header_end);
            if offset > end {
                return Err(InsertionError::BehindHeader { offset, end });
            }
            let is_inside = |edit: &Edit| edit.at.start.0 < offset && offset < edit.at.end.0;
            if self.edits.iter().any(is_inside) {
                return Err(InsertionError::InDroppedLines(offset));
            }
        }
        let signed = self.edits.iter().any(|edit| matches!(edit.with, Content::Signature));
        let (rendering, changed) = self.fill(fill, &insertions, true);
        if signed && !changed {
            // A signature over an unchanged body holds.
            return Ok(self.fill(fill, &insertions, false).0);
        }
        Ok(rendering)
    }

    /// Writes a copy into `out`, which is as long as the copy; `None` if it isn't.
    pub fn write(&self, rendering: &Rendering, out: &mut [u8]) -> Option<()> {
        if out.len() != rendering.length {
            return None;
        }
        rendering.splice.write(self.source(), out);
        for body in &rendering.bodies {
            let planned = self.edits.get(body.planned).map(|edit| &edit.with);
            let Some(Content::Base64(planned)) = planned else { return None };
            let at = rendering.applied().get(body.applied)?.rendered.clone();
            let bytes = body.splice.spliced_len(planned.bytes());
            let pieces = body.splice.pieces(planned.bytes()).map(|(_, piece)| piece);
            let (layout, eol) = (&planned.layout, planned.encoded_eol);
            base64::encode(pieces, bytes, layout, eol, out.get_mut(at)?)?;
        }
        Some(())
    }

    /// Tells too whether the body was changed.
    fn fill(
        &self,
        fill: &mut impl Fill,
        insertions: &[Insertion<'_>],
        unsign: bool,
    ) -> (Rendering, bool) {
        let mut copy = Copying::new(fill, &self.links);
        let tracking = copy.tracking;
        let placeless = self.placeless.iter().filter(|(hole, _)| tracking.fills(*hole));
        copy.rendering.left_alone.extend(placeless.map(|(_, left)| left.clone()));
        let mut splice = Splice::with_capacity(self.edits.len() + insertions.len());
        let mut insertions = insertions.iter().peekable();
        let mut documents = self.documents.iter().peekable();
        for (number, edit) in self.edits.iter().enumerate() {
            if splice.text_len() > copy.most_bytes {
                break;
            }
            while let Some((offset, lines)) =
                insertions.next_if(|(offset, _)| *offset <= edit.at.start.0)
            {
                insert_at(&mut splice, &(RawOffset(*offset)..RawOffset(*offset)), lines);
            }
            if documents.peek().is_some_and(|document| document.edits.start == number) {
                copy.added = 0;
                copy.removed = 0;
            }
            match &edit.with {
                Content::Dropped => drop_lines(&mut splice, &edit.at),
                Content::Signature if unsign => drop_lines(&mut splice, &edit.at),
                Content::Signature => {}
                Content::Base64(body) => copy.base64(&mut splice, &edit.at, number, body),
                Content::Unlimited(change, eol) => {
                    copy.edit_unlimited(&mut splice, &edit.at, *change, eol);
                }
                Content::Verbatim(change, line) => {
                    copy.edit_verbatim(&mut splice, &edit.at, *change, line, self.source());
                }
                Content::QuotedPrintable(change, line) => {
                    copy.edit_quoted_printable(
                        &mut splice,
                        &edit.at,
                        *change,
                        line,
                        self.source(),
                    );
                }
            }
            if let Some(document) = documents.next_if(|each| each.edits.end == number + 1) {
                let length = document.length + copy.added - copy.removed;
                let clips = document.length <= CLIPPED_FROM && length > CLIPPED_FROM;
                copy.rendering.clips_html |= clips;
            }
        }
        for (offset, lines) in insertions {
            insert_at(&mut splice, &(RawOffset(*offset)..RawOffset(*offset)), lines);
        }
        copy.rendering.left_alone.sort_by_key(|left| left.at.start);
        copy.rendering.length = splice.spliced_len(self.source());
        copy.rendering.splice = splice;
        (copy.rendering, copy.changed)
    }
}

fn drop_lines(splice: &mut Splice, at: &RawRange) {
    let Ok(_) = splice.replace(at, |_| Ok::<_, Infallible>(()));
}

fn insert_at(splice: &mut Splice, at: &RawRange, bytes: &[u8]) {
    let Ok(_) = splice.replace(at, |out| {
        out.extend_from_slice(bytes);
        Ok::<_, Infallible>(())
    });
}

/// A way to keep the line that a link is wrapped on within its limit.
#[derive(Clone, Copy)]
struct Way {
    /// Bytes that the URL may have.
    room: usize,
    /// Breaks the line before the `href`.
    fold: Option<Fold>,
    /// Breaks the line before the next `href` that has a place for it.
    folds_next: bool,
}

/// The ways to wrap a link, the one that changes least first.
fn ways_to_wrap(line: &TextLine, fold: Option<Fold>, column: usize) -> [Option<Way>; 4] {
    let room = |column: usize, rest: usize| {
        if line.too_long { usize::MAX } else { MAX_LINE.saturating_sub(column + rest) }
    };
    let way = |fold: Option<Fold>, rest, folds_next| {
        let column = fold.map_or(column, |fold| fold.column);
        Way { room: room(column, rest), fold, folds_next }
    };
    [
        Some(way(None, line.tail, false)),
        fold.map(|fold| way(Some(fold), line.tail, false)),
        line.to_next_fold.map(|rest| way(None, rest, true)),
        fold.and_then(|fold| Some(way(Some(fold), line.to_next_fold?, true))),
    ]
}

struct Copying<'f, F> {
    rendering: Rendering,
    fill: &'f mut F,
    links: &'f [PlannedLink],
    tracking: Tracking,
    most_bytes: usize,
    /// Bytes on the copy's line behind the last edit.
    behind_last: usize,
    /// The line is too long unless it is broken at the next place for that.
    must_fold: bool,
    scratch: Vec<u8>,
    changed: bool,
    /// Decoded bytes that were put into the document, and that went.
    added: usize,
    removed: usize,
}

/// Momentum's markup, byte for byte: what looks for it in mail finds it.
const PIXEL: (&[u8], &[u8]) =
    (b"<img border=\"0\" width=\"1\" height=\"1\" alt=\"\" src=\"", b"\">");
const INITIAL_PIXEL: (&[u8], &[u8]) = (
    b"<div style=\"color:transparent;visibility:hidden;opacity:0;font-size:0px;border:0;\
      max-height:1px;width:1px;margin:0px;padding:0px;border-width:0px!important;\
      display:none!important;line-height:0px!important;\">\
      <img border=\"0\" width=\"1\" height=\"1\" src=\"",
    b"\" alt=\"\"/></div>",
);

/// Valid AMP has no `!important`; and AMP loads no image that is not laid out, so nothing hides
/// this one but its size.
const AMP_PIXEL: (&[u8], &[u8]) = (
    b"<div style=\"color:transparent;opacity:0;font-size:0px;border:0;max-height:1px;width:1px;\
      margin:0px;padding:0px;border-width:0px;line-height:0px;\">\
      <amp-img alt=\"\" height=\"1\" width=\"1\" src=\"",
    b"\"></amp-img></div>",
);

impl<'f, F: Fill> Copying<'f, F> {
    fn new(fill: &'f mut F, links: &'f [PlannedLink]) -> Self {
        let (tracking, most_bytes) = (fill.tracking(), fill.most_bytes());
        Self {
            rendering: Rendering::default(),
            fill,
            links,
            tracking,
            most_bytes,
            behind_last: 0,
            must_fold: false,
            scratch: Vec::new(),
            changed: false,
            added: 0,
            removed: 0,
        }
    }

    fn edit_verbatim(
        &mut self,
        splice: &mut Splice,
        at: &RawRange,
        change: Change,
        line: &TextLine,
        source: &[u8],
    ) {
        let column = line.lead.column(self.behind_last);
        if let Change::Fill(hole @ Hole::Href(_)) = change {
            return self.wrap(splice, at, (hole, line), column, source);
        }
        let done = splice.replace(at, |out| self.verbatim(change, line, column, out));
        if let Ok(text) = done {
            self.count(at, text);
        }
        self.end_edit(at, change, column, done, source);
    }

    fn edit_quoted_printable(
        &mut self,
        splice: &mut Splice,
        at: &RawRange,
        change: Change,
        line: &EncodedLine,
        source: &[u8],
    ) {
        let column = line.lead.column(self.behind_last);
        let done =
            splice.replace(at, |out| self.write_quoted_printable(change, line, column, out));
        self.end_edit(at, change, column, done, source);
    }

    /// Notes what stands where an edit was to be made, `column` bytes into its line: the text that
    /// was put in, or the source's own and why.
    fn end_edit(
        &mut self,
        at: &RawRange,
        change: Change,
        column: usize,
        done: Result<&[u8], Reason>,
        source: &[u8],
    ) {
        match done {
            Ok(text) => {
                self.changed = true;
                self.behind_last = column_behind(text, column);
            }
            Err(reason) => {
                let kept = source.get(at.start.0..at.end.0).unwrap_or_default();
                self.behind_last = column_behind(kept, column);
                self.leave(at, change, reason);
            }
        }
    }

    /// Counts what an edit without a transfer encoding does to the document's length.
    fn count(&mut self, at: &RawRange, text: &[u8]) {
        self.added += text.len();
        self.removed += at.end.0 - at.start.0;
    }

    /// Wraps a link whose line has no transfer encoding, and breaks the line before its `href` if
    /// it would be too long otherwise. White space in a tag may be a line break, so that the
    /// document stays the same.
    fn wrap(
        &mut self,
        splice: &mut Splice,
        at: &RawRange,
        (hole, line): (Hole, &TextLine),
        mut column: usize,
        source: &[u8],
    ) {
        let mut fold = line.fold;
        if self.must_fold
            && let Some(fold) = fold.take()
        {
            self.break_line(splice, fold, line.eol);
            column = fold.column;
        }
        let ways = ways_to_wrap(line, fold, column);
        let room = ways.iter().flatten().map(|way| way.room).max().unwrap_or_default();
        let mut url = std::mem::take(&mut self.scratch);
        url.clear();
        let done = self.content(hole, room, &mut url);
        if done.is_ok() {
            line.script.rewrite(&mut url, 0);
            let way = ways.into_iter().flatten().find(|way| url.len() <= way.room);
            if let Some(fold) = way.and_then(|way| way.fold) {
                self.break_line(splice, fold, line.eol);
                column = fold.column;
            }
            self.must_fold |= way.is_some_and(|way| way.folds_next);
            insert_at(splice, at, &url);
            self.count(at, &url);
        }
        self.end_edit(at, Change::Fill(hole), column, done.map(|()| url.as_slice()), source);
        self.scratch = url;
    }

    fn break_line(&mut self, splice: &mut Splice, fold: Fold, eol: &[u8]) {
        insert_at(splice, &(fold.at..RawOffset(fold.at.0 + 1)), eol);
        self.must_fold = false;
        self.changed = true;
        self.added += eol.len();
        self.removed += 1;
    }

    /// With tracking off nothing is reported.
    fn leave(&mut self, at: &RawRange, change: Change, reason: Reason) {
        if reason == Reason::TrackingOff {
            return;
        }
        let target = match change {
            Change::Fill(Hole::Href(number)) => {
                self.links.get(number).map(|planned| planned.link.target.clone())
            }
            _ => None,
        };
        self.rendering.left_alone.push(LeftAlone { at: at.clone(), reason, target });
    }

    fn removes(&self, removal: Removal) -> Result<(), Reason> {
        let removes = match removal {
            Removal::LinkAttribute => self.tracking.clicks,
            Removal::AmpAttribute => self.tracking.clicks && self.fill.wraps_amp(),
            Removal::TextOptions => self.tracking.clicks || self.tracking.opens,
            Removal::TextOptionsAlways => true,
        };
        if removes { Ok(()) } else { Err(Reason::TrackingOff) }
    }

    /// What fills a hole, line breaks around a pixel excluded.
    fn content(&mut self, hole: Hole, room: usize, out: &mut Vec<u8>) -> Result<(), Reason> {
        if !self.tracking.fills(hole) {
            return Err(Reason::TrackingOff);
        }
        let (before, after): (&[u8], &[u8]) = match hole {
            Hole::Href(_) => (b"", b""),
            Hole::Pixel => PIXEL,
            Hole::InitialPixel => INITIAL_PIXEL,
            Hole::AmpPixel | Hole::AmpInitialPixel => AMP_PIXEL,
        };
        out.extend_from_slice(before);
        self.fill.url(hole, room.saturating_sub(before.len() + after.len()), out)?;
        out.extend_from_slice(after);
        match hole {
            Hole::Href(_) => self.rendering.links += 1,
            _ => self.rendering.pixels += 1,
        }
        Ok(())
    }

    fn verbatim(
        &mut self,
        change: Change,
        line: &TextLine,
        column: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Reason> {
        let start = out.len();
        let kept = column + line.tail;
        match change {
            Change::Keep => return Err(Reason::TrackingOff),
            Change::Placeholder => {
                let room = if line.too_long { usize::MAX } else { MAX_LINE.saturating_sub(kept) };
                self.content(Hole::Pixel, room, out)?;
            }
            Change::Fill(pixel) => {
                // A line of its own, but in units of two or four bytes.
                let room = if line.script.is_wide() { usize::MAX } else { MAX_LINE };
                self.pixel_line(pixel, room, line.eol, out)?;
            }
            Change::Remove(removal) => {
                self.removes(removal)?;
                if line.joins && kept > MAX_LINE && !line.too_long {
                    out.extend_from_slice(line.eol);
                }
            }
        }
        line.script.rewrite(out, start);
        Ok(())
    }

    fn pixel_line(
        &mut self,
        pixel: Hole,
        room: usize,
        eol: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Reason> {
        out.extend_from_slice(eol);
        self.content(pixel, room, out)?;
        out.extend_from_slice(eol);
        Ok(())
    }

    fn write_quoted_printable(
        &mut self,
        change: Change,
        line: &EncodedLine,
        column: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Reason> {
        let mut content = std::mem::take(&mut self.scratch);
        content.clear();
        match change {
            Change::Fill(hole) => self.content(hole, usize::MAX, &mut content)?,
            Change::Placeholder => self.content(Hole::Pixel, usize::MAX, &mut content)?,
            Change::Keep => return Err(Reason::TrackingOff),
            Change::Remove(removal) => self.removes(removal)?,
        }
        let mut is_pixel = matches!(change, Change::Fill(hole) if hole.is_pixel());
        if let (true, Some(eol)) = (is_pixel, line.writing.eol) {
            // A line break of the text is not one of the encoded lines.
            content.splice(..0, eol.iter().copied());
            content.extend_from_slice(eol);
            is_pixel = false;
        }
        line.writing.script.rewrite(&mut content, 0);
        self.added += content.len() + if is_pixel { 2 * line.eol.len() } else { 0 };
        self.removed += line.replaced;
        let mut writer = Writer::new(out, column, line.eol);
        if is_pixel {
            writer.line_break(line.needs_soft_break);
        }
        writer.text(&content);
        if is_pixel {
            writer.line_break(false);
        }
        writer.before_tail(line.tail);
        self.scratch = content;
        Ok(())
    }

    /// What a change puts in where no line has a length.
    fn unlimited(&mut self, change: Change, eol: &[u8], out: &mut Vec<u8>) -> Result<(), Reason> {
        match change {
            Change::Fill(hole @ Hole::Href(_)) => self.content(hole, usize::MAX, out),
            Change::Fill(pixel) => self.pixel_line(pixel, usize::MAX, eol, out),
            Change::Placeholder => self.content(Hole::Pixel, usize::MAX, out),
            Change::Keep => Err(Reason::TrackingOff),
            Change::Remove(removal) => self.removes(removal),
        }
    }

    fn edit_unlimited(&mut self, splice: &mut Splice, at: &RawRange, change: Change, eol: &[u8]) {
        match splice.replace(at, |out| self.unlimited(change, eol, out)) {
            Ok(_) => self.changed = true,
            Err(reason) => self.leave(at, change, reason),
        }
    }

    fn base64(&mut self, splice: &mut Splice, at: &RawRange, number: usize, body: &Reencoded) {
        let mut inner = Splice::with_capacity(body.changes.len());
        for (range, change) in &body.changes {
            if inner.text_len() > self.most_bytes {
                break;
            }
            let done = inner.replace(range, |out| {
                let start = out.len();
                self.unlimited(*change, body.eol, out)?;
                body.script.rewrite(out, start);
                Ok(())
            });
            if let Err(reason) = done {
                self.leave(at, *change, reason);
            }
        }
        if inner.applied().is_empty() {
            return;
        }
        let bytes = inner.spliced_len(body.bytes());
        self.added += bytes;
        self.removed += body.bytes().len();
        let length = body.layout.encoded_len(bytes, body.encoded_eol);
        let applied = splice.reserve(at, length);
        self.rendering.bodies.push(RenderedBody { planned: number, applied, splice: inner });
        self.changed = true;
    }
}
