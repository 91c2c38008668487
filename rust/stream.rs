//! Streams: an HTML document of any length is tracked while it goes by.
//!
//! The bytes are those that a plan of the whole document gives (`html::reader` reads for both),
//! whatever the pieces that it comes in. What can't be known before the document's end is where the
//! open pixel goes, so what may still get it is held back, and no more than [`MAX_HELD`] of it.

use std::collections::VecDeque;
use std::ops::Range;

use crate::charset::{Charset, WIDE_MARK_BYTES, has_wide_mark};
use crate::edit::{PartOffset, PartRange, RawOffset};
use crate::html::found::HtmlScan;
use crate::html::reader::Reader;
use crate::html::visible;
use crate::link::Link;
use crate::plan::piece::Piece;
use crate::plan::{LeftAlone, Plan, Rules};
use crate::reason::Reason;
use crate::token::{Engagement, KeyRing};
use crate::tracked::{Numbering, Rendered, TrackedPlan, TrackedUrls};

/// Bytes that are held back for the open pixel.
pub const MAX_HELD: usize = 192 << 10;

/// A longer tag or conditional comment is passed over, since it is read as a whole.
pub const MAX_TOKEN: usize = 64 << 10;

/// Longer chunks are read in slices, so that no more than one of them is held.
const SLICE: usize = 16 << 10;

/// Most that stays is listed; all of it is counted.
const MAX_LISTED: usize = 1_000;
const MAX_LISTED_BYTES: usize = 128 << 10;

/// What a document is tracked with.
#[derive(Clone, Copy, Debug)]
pub struct Sealing<'s> {
    /// Seals the links.
    pub keys: &'s KeyRing,
    /// What they say, and what is tracked.
    pub engagement: &'s Engagement,
    /// Where they lead.
    pub urls: &'s TrackedUrls,
}

/// What was done so far.
#[derive(Debug, Default)]
pub struct Progress {
    /// How many links were wrapped.
    pub wrapped_links: usize,
    /// How many pixels were added.
    pub pixels: usize,
    /// How many links and pixels had no room for the metadata.
    pub without_metadata: usize,
    /// How often something was left as it was, by reason, in the order of their first time.
    pub reasons: Vec<(Reason, usize)>,
    /// The first that were left. Offsets are those of the document.
    pub left_alone: Vec<LeftAlone>,
    listed_bytes: usize,
}

/// A document that goes by.
pub struct HtmlStream {
    charset: Charset,
    rules: Rules,
    reader: Reader,
    /// The bytes that came and have not gone, from this offset of the document on.
    held: Vec<u8>,
    start: usize,
    /// Up to where the reader has read; offset of the document.
    read: usize,
    /// What was not complete is read again when that many bytes of it are there.
    retry: usize,
    found: HtmlScan,
    /// Links whose text has not come yet, and those behind them.
    undecided: VecDeque<Link>,
    /// The first of them is looked at again when so much of the document is there.
    look_again: usize,
    pixel: Pixel,
    initial_pixel: Pixel,
    placeholder: Option<Placeholder>,
    eol: Option<&'static [u8]>,
    last_byte: Option<u8>,
    /// Nothing is changed any more.
    passes: bool,
    numbering: Numbering,
    progress: Progress,
}

/// What the pixel is to replace, while it is looked for.
struct Placeholder {
    text: Vec<u8>,
    /// It does not begin before that offset of the document.
    from: usize,
    /// Where something else is changed, or might be.
    others: VecDeque<Range<usize>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pixel {
    /// None is added, or it has gone.
    Done,
    /// Its place is not known.
    Wanted,
    At(Range<usize>),
}

impl HtmlStream {
    /// Begins a document; `engagement` says what is tracked.
    #[must_use]
    pub fn new(charset: Charset, rules: Rules, engagement: &Engagement) -> Self {
        let wanted = |is: bool| if is { Pixel::Wanted } else { Pixel::Done };
        let text = rules.pixel_placeholder.clone().unwrap_or_default().into_bytes();
        let is_wanted = engagement.open_tracking && !text.is_empty();
        let placeholder = Placeholder { text, from: 0, others: VecDeque::new() };
        Self {
            placeholder: is_wanted.then_some(placeholder),
            charset,
            rules,
            reader: Reader::new(charset, MAX_TOKEN),
            held: Vec::new(),
            start: 0,
            read: 0,
            retry: 0,
            found: HtmlScan::default(),
            undecided: VecDeque::new(),
            look_again: 0,
            pixel: wanted(engagement.open_tracking),
            initial_pixel: wanted(engagement.open_tracking && engagement.initial_pixel),
            eol: None,
            last_byte: None,
            passes: !engagement.open_tracking && !engagement.click_tracking,
            numbering: Numbering::default(),
            progress: Progress::default(),
        }
    }

    /// What was done so far.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Takes the next bytes, and appends to `out` what can't change any more.
    pub fn write(&mut self, chunk: &[u8], sealing: &Sealing<'_>, out: &mut Vec<u8>) {
        for slice in chunk.chunks(SLICE) {
            if self.passes {
                self.pass(slice, out);
            } else {
                self.take(slice);
                self.advance(false, sealing, out);
            }
        }
    }

    /// Appends what was held back.
    pub fn end(&mut self, sealing: &Sealing<'_>, out: &mut Vec<u8>) {
        if self.passes {
            return;
        }
        self.advance(true, sealing, out);
    }

    /// Lets the rest of the document pass as it is.
    pub fn give_up(&mut self, reason: Reason, out: &mut Vec<u8>) {
        let at = self.start..self.start;
        self.leave(&at, reason, None);
        self.passes = true;
        let held = std::mem::take(&mut self.held);
        self.pass(&held, out);
    }

    fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(bytes);
        self.start += bytes.len();
    }

    fn take(&mut self, slice: &[u8]) {
        if self.eol.is_none()
            && let Some(at) = memchr::memchr(b'\n', slice)
        {
            let before = if at == 0 { self.last_byte } else { slice.get(at - 1).copied() };
            self.eol = Some(if before == Some(b'\r') { b"\r\n" } else { b"\n" });
        }
        self.last_byte = slice.last().copied().or(self.last_byte);
        if self.held.capacity() - self.held.len() < slice.len() {
            // Not twice as much, as a vector would grow by itself.
            self.held.reserve_exact(slice.len());
        }
        self.held.extend_from_slice(slice);
    }

    /// The offset behind the last byte that came.
    fn end_of_held(&self) -> usize {
        self.start + self.held.len()
    }

    /// Reads on, and lets go what no pixel can go to.
    fn advance(&mut self, is_last: bool, sealing: &Sealing<'_>, out: &mut Vec<u8>) {
        if self.read == 0 {
            if self.held.len() < WIDE_MARK_BYTES && !is_last {
                return;
            }
            if has_wide_mark(&self.held) {
                return self.give_up(Reason::UnsupportedCharset, out);
            }
        }
        self.read_on(is_last);
        self.decide_links(is_last);
        self.find_placeholder(is_last);
        self.place_pixels(is_last);
        if is_last {
            return self.flush(self.end_of_held(), true, sealing, out);
        }
        loop {
            let limit = self.limit();
            if self.end_of_held() - limit <= MAX_HELD + MAX_TOKEN || !self.let_go(limit) {
                return self.flush(limit, false, sealing, out);
            }
        }
    }

    fn read_on(&mut self, is_last: bool) {
        let unread = self.held.get(self.read - self.start..).unwrap_or_default();
        if !is_last && unread.len() < self.retry {
            return;
        }
        let read = self.reader.read(unread, is_last);
        // One byte at a time, what is long would be read as often as it has bytes.
        let rest = unread.len() - read;
        self.retry = rest + rest / 4;
        let base = self.read;
        self.read += read;
        let HtmlScan { links, attributes, .. } = std::mem::take(&mut self.reader.found);
        let shift = |at: PartOffset| PartOffset(base + at.0);
        let moved = |range: PartRange| shift(range.start)..shift(range.end);
        for mut link in links {
            link.href = moved(link.href);
            link.content = link.content.map(shift);
            if let Some(placeholder) = &mut self.placeholder {
                placeholder.others.push_back(link.href.start.0..link.href.end.0);
            }
            if self.rules.spare_url_text {
                self.undecided.push_back(link);
            } else {
                self.note_link(link);
            }
        }
        if let Some(placeholder) = &mut self.placeholder {
            let ranges =
                attributes.iter().map(|(range, _)| base + range.start.0..base + range.end.0);
            placeholder.others.extend(ranges);
            placeholder.others.make_contiguous().sort_unstable_by_key(|other| other.start);
        }
        let keeps = self.rules.keep_link_attributes;
        let attributes = attributes
            .into_iter()
            .filter(|(_, place)| !keeps && self.rules.reach(*place))
            .map(|(range, place)| (moved(range), place));
        self.found.attributes.extend(attributes);
        if let Some(at) = self.reader.passed_over.take() {
            let at = base + at;
            self.leave(&(at..at), Reason::HtmlLimit, None);
        }
    }

    /// Looks for the placeholder in what was read; other changes are known there.
    fn find_placeholder(&mut self, is_last: bool) {
        let end = if is_last { self.end_of_held() } else { self.read };
        let Some(Placeholder { text, from, others }) = &mut self.placeholder else { return };
        if self.pixel != Pixel::Wanted {
            self.placeholder = None;
            return;
        }
        while let Some(rest) = self.held.get(*from - self.start..end - self.start)
            && let Some(at) = memchr::memmem::find(rest, text)
        {
            let place = *from + at..*from + at + text.len();
            drop_ended(others, place.start);
            let body_end = self.reader.body_end;
            if body_end.is_none_or(|at| at <= place.start || place.end <= at)
                && others.front().is_none_or(|other| place.end <= other.start)
            {
                self.pixel = Pixel::At(place);
                self.placeholder = None;
                return;
            }
            *from = place.end;
        }
        // Its beginning may stand at the end.
        *from = (*from).max((end + 1).saturating_sub(text.len()));
        let from = *from;
        drop_ended(others, from);
    }

    /// Notes links in their order, as far as it is known whether their texts are URLs.
    fn decide_links(&mut self, is_last: bool) {
        let end = self.end_of_held();
        if !is_last && end < self.look_again {
            return;
        }
        while let Some(mut link) = self.undecided.pop_front() {
            if link.reason.is_none()
                && let Some(content) = link.content
            {
                let content = self.held.get(content.0 - self.start..).unwrap_or_default();
                match visible::reads_as_url(content, link.place, self.charset, is_last) {
                    Some(true) => link.reason = Some(Reason::UrlText),
                    Some(false) => {}
                    None => {
                        // One byte at a time, a long text would be read as often as it has bytes.
                        self.look_again = end + content.len() / 4;
                        return self.undecided.push_front(link);
                    }
                }
            }
            self.note_link(link);
        }
    }

    fn note_link(&mut self, link: Link) {
        match self.rules.refuse_link(&link) {
            None => self.found.links.push(link),
            Some(reason) => {
                let Link { href, target, .. } = link;
                self.leave(&(href.start.0..href.end.0), reason, Some(target));
            }
        }
    }

    fn leave(&mut self, at: &Range<usize>, reason: Reason, target: Option<String>) {
        let at = RawOffset(at.start)..RawOffset(at.end);
        self.progress.leave(LeftAlone { at, reason, target });
    }

    fn place_pixels(&mut self, is_last: bool) {
        if self.initial_pixel == Pixel::Wanted
            && let Some(at) = self.reader.body_end
        {
            self.initial_pixel = Pixel::At(at..at);
        }
        if is_last && self.initial_pixel == Pixel::Wanted {
            self.initial_pixel = Pixel::Done;
            self.leave(&(0..0), Reason::NoInitialPixelPlace, None);
        }
        if is_last && self.pixel == Pixel::Wanted {
            let rest = self.held.get(self.read - self.start..).unwrap_or_default();
            if let Some(at) = self.reader.pixel(rest) {
                self.pixel = Pixel::At(at..at);
            } else {
                self.pixel = Pixel::Done;
                self.leave(&(0..0), Reason::NoPixelPlace, None);
            }
        }
    }

    /// Up to where nothing changes any more.
    fn limit(&self) -> usize {
        let pixel = if self.pixel == Pixel::Wanted { self.reader.keep_from() } else { None };
        let initial = match &self.initial_pixel {
            Pixel::At(at) if self.eol.is_none() => Some(at.start),
            _ => None,
        };
        let link = self.undecided.front().map(|link| link.href.start.0);
        let placeholder = self.placeholder.as_ref().map(|placeholder| placeholder.from);
        let places = [pixel, initial, link, placeholder];
        let limit = places.into_iter().flatten().fold(self.read, usize::min);
        // No change is cut in two.
        let HtmlScan { links, attributes, .. } = &self.found;
        let link = links.get(links.partition_point(|link| link.href.end.0 <= limit));
        let attribute = attributes.get(attributes.partition_point(|(at, _)| at.end.0 <= limit));
        let pixel = match &self.pixel {
            Pixel::At(place) if limit < place.end => Some(place.start),
            _ => None,
        };
        [link.map(|link| link.href.start.0), attribute.map(|(at, _)| at.start.0), pixel]
            .into_iter()
            .flatten()
            .fold(limit, usize::min)
    }

    /// Gives up what holds the most back; whether that helped.
    fn let_go(&mut self, limit: usize) -> bool {
        if self.eol.is_none() && self.initial_pixel == Pixel::At(limit..limit) {
            self.eol = Some(b"\r\n");
        } else if self.pixel != Pixel::Wanted || limit == self.read {
            return false;
        } else if self.reader.end_tag_place == Some(limit) {
            self.pixel = Pixel::At(limit..limit);
        } else {
            self.reader.kept_from = limit + 1;
        }
        true
    }

    /// Lets go what stands before `limit`, with all that is done to it.
    fn flush(&mut self, limit: usize, is_last: bool, sealing: &Sealing<'_>, out: &mut Vec<u8>) {
        let length = limit - self.start;
        let has_pixel = matches!(&self.pixel, Pixel::At(at) if at.end <= limit);
        let has_initial = (self.eol.is_some() || is_last)
            && matches!(&self.initial_pixel, Pixel::At(at) if at.end <= limit);
        let links = self.found.links.partition_point(|link| link.href.end.0 <= limit);
        let attributes = self.found.attributes.partition_point(|(at, _)| at.end.0 <= limit);
        let source = self.held.get(..length).unwrap_or_default();
        if links + attributes == 0 && !has_pixel && !has_initial {
            out.extend_from_slice(source);
        } else {
            let start = self.start;
            let shift = |at: PartOffset| PartOffset(at.0 - start);
            let moved = |range: PartRange| shift(range.start)..shift(range.end);
            let take = |pixel: &mut Pixel, is_there: bool| {
                if !is_there {
                    return None;
                }
                let Pixel::At(at) = std::mem::replace(pixel, Pixel::Done) else { return None };
                Some(moved(PartOffset(at.start)..PartOffset(at.end)))
            };
            let piece = Piece {
                pixel: take(&mut self.pixel, has_pixel),
                initial_pixel: take(&mut self.initial_pixel, has_initial).map(|at| at.start),
                links: self
                    .found
                    .links
                    .drain(..links)
                    .map(|link| Link { href: moved(link.href.clone()), fold: None, ..link })
                    .collect(),
                attributes: self
                    .found
                    .attributes
                    .drain(..attributes)
                    .map(|(range, _)| moved(range))
                    .collect(),
                eol: self.eol.unwrap_or(b"\r\n"),
            };
            let plan = TrackedPlan::go_on(Plan::of_piece(source, piece), &mut self.numbering);
            let Sealing { keys, engagement, urls } = *sealing;
            let start_of_copy = out.len();
            let rendered = plan.render(keys, engagement, urls, &[]).ok().filter(|rendered| {
                out.resize(start_of_copy + rendered.rendering.length(), 0);
                let copy = out.get_mut(start_of_copy..).unwrap_or_default();
                plan.plan().write(&rendered.rendering, copy).is_some()
            });
            if let Some(rendered) = rendered {
                self.progress.add(rendered, start);
            } else {
                // Insertions alone can fail, and there are none.
                out.truncate(start_of_copy);
                out.extend_from_slice(source);
            }
        }
        self.held.drain(..length);
        self.start = limit;
    }
}

/// Drops the ranges that end at or before an offset.
fn drop_ended(ranges: &mut VecDeque<Range<usize>>, at: usize) {
    while ranges.front().is_some_and(|range| range.end <= at) {
        ranges.pop_front();
    }
}

impl Progress {
    fn add(&mut self, rendered: Rendered, start: usize) {
        let Rendered { rendering, without_metadata } = rendered;
        self.wrapped_links += rendering.links;
        self.pixels += rendering.pixels;
        self.without_metadata += without_metadata.len();
        for left in rendering.left_alone {
            let at = RawOffset(left.at.start.0 + start)..RawOffset(left.at.end.0 + start);
            self.leave(LeftAlone { at, ..left });
        }
    }

    fn leave(&mut self, left: LeftAlone) {
        match self.reasons.iter_mut().find(|(reason, _)| *reason == left.reason) {
            Some((_, count)) => *count += 1,
            None => self.reasons.push((left.reason, 1)),
        }
        let bytes = left.target.as_ref().map_or(0, String::len);
        if self.left_alone.len() < MAX_LISTED && self.listed_bytes + bytes <= MAX_LISTED_BYTES {
            self.listed_bytes += bytes;
            self.left_alone.push(left);
        }
    }
}

#[cfg(any(test, feature = "fuzzing"))]
#[path = "stream_laws.rs"]
pub(crate) mod laws;

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
