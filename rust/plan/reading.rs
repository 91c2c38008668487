//! Reading a part: its text in a charset that the scanners know, and what they find, in the part.

use super::content::{Body, Writing};
use super::lines::line_break;
use crate::charset::transcoding::Transcoded;
use crate::charset::{Charset, Coding, has_wide_mark};
use crate::edit::{PartOffset, PartRange};
use crate::html::found::HtmlScan;
use crate::html::{reader, visible};
use crate::link::Link;
use crate::reason::Reason;
use crate::text::{self, Flow, TextScan};

/// A part's body, and its text.
pub(super) struct PartText<'m> {
    pub(super) body: Body<'m>,
    charset: Charset,
    transcoded: Option<Transcoded>,
}

impl<'m> PartText<'m> {
    /// Reads a body whose `charset` parameter is `label`.
    pub(super) fn read(
        label: Option<&str>,
        decode: impl FnOnce() -> Result<Body<'m>, Reason>,
    ) -> Result<Self, Reason> {
        let coding = Coding::for_label(label)?;
        let body = decode()?;
        Ok(match coding {
            // A browser believes the mark, other readers the header section.
            Coding::Ascii(_) if has_wide_mark(body.bytes()) => {
                return Err(Reason::UnsupportedCharset);
            }
            Coding::Ascii(charset) => Self { body, charset, transcoded: None },
            Coding::Transcoded(scheme) => {
                let transcoded = Some(Transcoded::read(body.bytes(), scheme)?);
                Self { body, charset: Charset::of_transcoded(scheme), transcoded }
            }
        })
    }

    fn text(&self) -> &[u8] {
        self.transcoded.as_ref().map_or(self.body.bytes(), |read| read.text.as_bytes())
    }

    pub(super) fn scan_html(&self, spares_url_text: bool) -> HtmlScan {
        let mut scan = reader::scan(self.text(), self.charset);
        if spares_url_text {
            visible::spare_url_text(&mut scan.links, self.text(), self.charset);
        }
        self.leave_unread(&mut scan.links);
        let Some(transcoded) = &self.transcoded else { return scan };
        place_links(transcoded, &mut scan.links);
        scan.attributes = place_all(transcoded, scan.attributes);
        let insertion = |at: PartOffset| transcoded.insertion(at.0).map(PartOffset);
        scan.pixel = scan.pixel.and_then(insertion);
        scan.initial_pixel = scan.initial_pixel.and_then(insertion);
        scan
    }

    pub(super) fn scan_text(&self, flow: Flow) -> Result<TextScan, Reason> {
        let mut scan = text::scan(self.text(), self.charset, flow)?;
        let Some(transcoded) = &self.transcoded else { return Ok(scan) };
        place_links(transcoded, &mut scan.links);
        let options = scan.options.into_iter().map(|range| (range, ()));
        scan.options =
            place_all(transcoded, options).into_iter().map(|(range, ())| range).collect();
        Ok(scan)
    }

    /// Where a text stands in the part, in UTF-8 or its charset.
    pub(super) fn find(&self, wanted: &[u8]) -> impl Iterator<Item = PartRange> {
        memchr::memmem::find_iter(self.text(), wanted).filter_map(|at| {
            let range = PartOffset(at)..PartOffset(at + wanted.len());
            self.transcoded.as_ref().map_or(Some(range.clone()), |read| place(read, &range))
        })
    }

    /// How text is written into the part.
    pub(super) fn writing(&self) -> Writing {
        let Some(transcoded) = &self.transcoded else { return Writing::default() };
        let script = transcoded.script;
        Writing { script, eol: script.is_wide().then(|| line_break(self.text())) }
    }

    /// Nobody knows where a link leads of which a byte can't be read. In plain text none has such
    /// a byte, since URLs end there.
    fn leave_unread(&self, links: &mut [Link]) {
        let has_unread = self.transcoded.as_ref().is_some_and(|read| read.has_unread);
        if !self.charset.is_opaque() && !has_unread {
            return;
        }
        for link in
            links.iter_mut().filter(|link| link.target.contains(char::REPLACEMENT_CHARACTER))
        {
            link.reason.get_or_insert(Reason::UnsupportedCharset);
        }
    }
}

/// Takes links to where they stand in the part; one that ends inside a shift is left.
fn place_links(transcoded: &Transcoded, links: &mut [Link]) {
    let mut last = PartOffset(0);
    for link in links {
        // In units of two or four bytes a white-space byte is no character.
        let fold = link.fold.filter(|_| !transcoded.script.is_wide());
        let fold = fold.and_then(|at| place(transcoded, &(at..PartOffset(at.0 + 1))));
        link.fold = fold.map(|fold| fold.start);
        if let Some(range) = place(transcoded, &link.href) {
            last = range.end;
            link.href = range;
        } else {
            link.href = last..last;
            link.reason.get_or_insert(Reason::UnsupportedCharset);
        }
    }
}

fn place_all<T>(
    transcoded: &Transcoded,
    ranges: impl IntoIterator<Item = (PartRange, T)>,
) -> Vec<(PartRange, T)> {
    let ranges = ranges.into_iter();
    ranges.filter_map(|(range, what)| Some((place(transcoded, &range)?, what))).collect()
}

fn place(transcoded: &Transcoded, range: &PartRange) -> Option<PartRange> {
    let (start, end) = transcoded.range(range.start.0, range.end.0)?;
    Some(PartOffset(start)..PartOffset(end))
}
