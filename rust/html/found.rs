//! What a pass over HTML found: the value that both readers fill.

use std::ops::Range;

use super::masks::Mask;
use crate::edit::{PartOffset, PartRange};
use crate::link::{Link, Place};

/// What a pass found, in the order of the document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HtmlScan {
    /// Links, those to leave among them.
    pub links: Vec<Link>,
    /// `data-msys-*` attributes, each with the white space before it.
    pub attributes: Vec<(PartRange, Place)>,
    /// Where the open pixel goes; `None` where it could not be seen.
    pub pixel: Option<PartOffset>,
    /// Behind the first `<body>` tag.
    pub initial_pixel: Option<PartOffset>,
}

/// What one pass found.
#[derive(Default)]
pub(super) struct ScanState {
    pub(super) scan: HtmlScan,
    /// The masks that stood in markup.
    pub(super) masks: Vec<Mask>,
    /// Conditional comments with links in them.
    pub(super) comments: Vec<Range<usize>>,
    /// Where a `<noscript>` was skipped.
    pub(super) noscripts: Vec<usize>,
    body_end_seen: bool,
}

impl ScanState {
    pub(super) fn body(&mut self, tag_end: usize) {
        self.scan.initial_pixel.get_or_insert(PartOffset(tag_end));
    }

    pub(super) fn end_tag(&mut self, start: usize, is_body: bool) {
        if is_body || !self.body_end_seen {
            self.scan.pixel = Some(PartOffset(start));
        }
        self.body_end_seen |= is_body;
    }

    /// The document ends in markup.
    pub(super) fn end_of_document(&mut self, end: usize) {
        self.scan.pixel.get_or_insert(PartOffset(end));
    }
}
