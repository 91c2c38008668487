//! Pieces: plans of a run of an HTML document, which is no message and has no line length.

use super::content::{Change, Content, Edit, Removal};
use super::{Hole, Plan, PlannedLink};
use crate::edit::{PartOffset, PartRange, RawOffset, RawRange};
use crate::link::Link;

/// What is done to a run of an HTML document. Offsets are in that run.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    /// The links that copies may wrap.
    pub(crate) links: Vec<Link>,
    /// What goes where clicks are tracked.
    pub(crate) attributes: Vec<PartRange>,
    /// Where the pixel goes, or what it replaces.
    pub(crate) pixel: Option<PartRange>,
    pub(crate) initial_pixel: Option<PartOffset>,
    /// The document's line break.
    pub(crate) eol: &'static [u8],
}

impl<S: AsRef<[u8]>> Plan<S> {
    /// The plan of a run of an HTML document.
    pub(crate) fn of_piece(source: S, piece: Piece) -> Self {
        let Piece { links, attributes, pixel, initial_pixel, eol } = piece;
        let initial = initial_pixel.map(|at| (at..at, Change::Fill(Hole::InitialPixel)));
        let pixel = pixel.map(|at| {
            let change =
                if at.is_empty() { Change::Fill(Hole::Pixel) } else { Change::Placeholder };
            (at, change)
        });
        let removed =
            attributes.into_iter().map(|range| (range, Change::Remove(Removal::LinkAttribute)));
        let hrefs = links
            .iter()
            .enumerate()
            .map(|(number, link)| (link.href.clone(), Change::Fill(Hole::Href(number))));
        let mut changes: Vec<_> =
            initial.into_iter().chain(pixel).chain(removed).chain(hrefs).collect();
        // At one place a pixel stands before what follows it.
        changes.sort_by_key(|(range, _)| (range.start, range.end));
        let edits = changes.into_iter().map(|(range, change)| Edit {
            at: raw(&range),
            with: Content::Unlimited(change, eol),
        });
        Self {
            edits: edits.collect(),
            links: links
                .into_iter()
                .map(|link| PlannedLink { at: raw(&link.href), link })
                .collect(),
            source,
            header_end: 0,
            documents: Vec::new(),
            left_alone: Vec::new(),
            parts: Vec::new(),
            pixels: Vec::new(),
            placeless: Vec::new(),
        }
    }
}

fn raw(range: &PartRange) -> RawRange {
    RawOffset(range.start.0)..RawOffset(range.end.0)
}
