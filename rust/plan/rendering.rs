//! Rendering: a plan's edits, filled in for one recipient.

use super::content::{Change, Content, Edit, EncodedLine, Reencoded, Removal, TextLine};
use super::lines::{Column, MAX_LINE};
use super::{Fill, Hole, LeftAlone, Plan, PlannedLink, Rendering, Tracking};
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
    /// Writes one recipient's copy into `out`, which is emptied first.
    ///
    /// # Errors
    /// An insertion has a place where nothing can be put in.
    pub fn render(
        &self,
        fill: &mut impl Fill,
        insertions: &[Insertion<'_>],
        out: &mut Vec<u8>,
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
        let (rendering, changed) = self.copy(fill, &insertions, true, out);
        if signed && !changed {
            // A signature over an unchanged body holds.
            return Ok(self.copy(fill, &insertions, false, out).0);
        }
        Ok(rendering)
    }

    /// Tells too whether the body was changed.
    fn copy(
        &self,
        fill: &mut impl Fill,
        insertions: &[Insertion<'_>],
        unsign: bool,
        out: &mut Vec<u8>,
    ) -> (Rendering, bool) {
        out.clear();
        let mut copy = Copying::new(fill, &self.links);
        if let Some(at) = self.without_initial_pixel.clone()
            && copy.tracking.fills(Hole::InitialPixel)
        {
            let reason = Reason::NoInitialPixelPlace;
            copy.rendering.left_alone.push(LeftAlone { at, reason, target: None });
        }
        let unsign = unsign && (copy.tracking.clicks || copy.tracking.opens);
        let mut splice = Splice::new(self.source(), out);
        let mut insertions = insertions.iter().peekable();
        for edit in &self.edits {
            while let Some((offset, lines)) =
                insertions.next_if(|(offset, _)| *offset <= edit.at.start.0)
            {
                insert(&mut splice, *offset, lines);
            }
            match edit.with {
                Content::Dropped => drop_lines(&mut splice, &edit.at),
                Content::Signature if unsign => drop_lines(&mut splice, &edit.at),
                Content::Signature => {}
                _ => copy.body_edit(&mut splice, &edit.at, &edit.with),
            }
        }
        for (offset, lines) in insertions {
            insert(&mut splice, *offset, lines);
        }
        copy.rendering.applied = splice.finish();
        (copy.rendering, copy.changed)
    }
}

fn drop_lines(splice: &mut Splice<'_>, at: &RawRange) {
    let Ok(()) = splice.replace(at, |_| Ok::<_, std::convert::Infallible>(()));
}

fn insert(splice: &mut Splice<'_>, offset: usize, lines: &[u8]) {
    let at = RawOffset(offset)..RawOffset(offset);
    let Ok(()) = splice.replace(&at, |out| {
        out.extend_from_slice(lines);
        Ok::<_, std::convert::Infallible>(())
    });
}

struct Copying<'f, F> {
    rendering: Rendering,
    fill: &'f mut F,
    links: &'f [PlannedLink],
    tracking: Tracking,
    column: Column,
    scratch: Vec<u8>,
    changed: bool,
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

impl<'f, F: Fill> Copying<'f, F> {
    fn new(fill: &'f mut F, links: &'f [PlannedLink]) -> Self {
        let tracking = fill.tracking();
        Self {
            rendering: Rendering::default(),
            fill,
            links,
            tracking,
            column: Column::default(),
            scratch: Vec::new(),
            changed: false,
        }
    }

    fn body_edit(&mut self, splice: &mut Splice<'_>, at: &RawRange, with: &Content) {
        let done = splice.replace(at, |out| match with {
            Content::Verbatim(change, line) => {
                self.verbatim(*change, line, out).map_err(|reason| (Some(*change), reason))
            }
            Content::QuotedPrintable(change, line) => self
                .write_quoted_printable(*change, line, out)
                .map_err(|reason| (Some(*change), reason)),
            Content::Base64(body) => self.base64(at, body, out).map_err(|reason| (None, reason)),
            Content::Dropped | Content::Signature => Ok(()),
        });
        match done {
            Ok(()) => self.changed = true,
            Err((Some(change), reason)) => self.leave(at, change, reason),
            // Each change in it has left its own reason.
            Err((None, _)) => {}
        }
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
            Removal::TextOptions => self.tracking.clicks || self.tracking.opens,
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
        };
        out.extend_from_slice(before);
        self.fill.url(hole, room.saturating_sub(before.len() + after.len()), out)?;
        out.extend_from_slice(after);
        match hole {
            Hole::Href(_) => self.rendering.links += 1,
            Hole::Pixel | Hole::InitialPixel => self.rendering.pixels += 1,
        }
        Ok(())
    }

    fn verbatim(
        &mut self,
        change: Change,
        line: &TextLine,
        out: &mut Vec<u8>,
    ) -> Result<(), Reason> {
        let start = out.len();
        let kept = self.column.of_end(out) + line.tail;
        match change {
            Change::Fill(hole @ Hole::Href(_)) => {
                let room = if line.too_long { usize::MAX } else { MAX_LINE.saturating_sub(kept) };
                self.content(hole, room, out)?;
            }
            Change::Fill(pixel) => self.pixel_line(pixel, MAX_LINE, line.eol, out)?,
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
        out: &mut Vec<u8>,
    ) -> Result<(), Reason> {
        let mut content = std::mem::take(&mut self.scratch);
        content.clear();
        match change {
            Change::Fill(hole) => self.content(hole, usize::MAX, &mut content)?,
            Change::Remove(removal) => self.removes(removal)?,
        }
        let mut is_pixel = matches!(change, Change::Fill(Hole::Pixel | Hole::InitialPixel));
        if let (true, Some(eol)) = (is_pixel, line.writing.eol) {
            // A line break of the text is not one of the encoded lines.
            content.splice(..0, eol.iter().copied());
            content.extend_from_slice(eol);
            is_pixel = false;
        }
        line.writing.script.rewrite(&mut content, 0);
        let column = self.column.of_end(out);
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

    fn base64(
        &mut self,
        at: &RawRange,
        body: &Reencoded,
        out: &mut Vec<u8>,
    ) -> Result<(), Reason> {
        let mut decoded = Vec::with_capacity(body.bytes.len() + 512 * body.changes.len());
        let mut splice = Splice::new(&body.bytes, &mut decoded);
        for (range, change) in &body.changes {
            let done = splice.replace(range, |out| {
                let start = out.len();
                match *change {
                    Change::Fill(hole @ Hole::Href(_)) => self.content(hole, usize::MAX, out),
                    Change::Fill(pixel) => self.pixel_line(pixel, usize::MAX, body.eol, out),
                    Change::Remove(removal) => self.removes(removal),
                }?;
                body.script.rewrite(out, start);
                Ok(())
            });
            if let Err(reason) = done {
                self.leave(at, *change, reason);
            }
        }
        if splice.finish().is_empty() {
            return Err(Reason::TrackingOff);
        }
        base64::encode(&decoded, &body.layout, body.encoded_eol, out);
        Ok(())
    }
}
