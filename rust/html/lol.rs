//! A pass over a part: where its links are, and where pixels may stand.
//!
//! The pass writes nothing. `lol_html` reports ranges, and what it parsed is never serialised: its
//! own `set_attribute` would normalise the whole tag.

use lol_html::html_content::Element;
use lol_html::{HtmlRewriter, MemorySettings, Settings, element};
use std::cell::RefCell;
use std::ops::Range;

use super::fast;
use super::found::{HtmlScan, ScanState};
use super::masks::{self, Mask, Masked};
use super::tag::LinkTag;
use crate::charset::Charset;
use crate::edit::{PartOffset, PartRange};
use crate::link::{Link, Place};
use crate::reason::Reason;

/// Bytes that a scan may allocate; a mail of 30 MB with a tag every ten bytes stays below.
const MAX_MEMORY_BYTES: usize = 256 << 20;

/// Scans an HTML document or fragment, as it stands after transfer decoding.
///
/// # Errors
/// [`Reason::HtmlLimit`] if `lol_html` wants more memory than a scan may have.
pub fn scan(html: &[u8], charset: Charset) -> Result<HtmlScan, Reason> {
    let found = match fast::read_plain(html, charset) {
        Some(found) => found,
        None => by_lol_html(html, charset)?,
    };
    with_comments(found, html, charset)
}

pub(super) fn with_comments(
    found: ScanState,
    html: &[u8],
    charset: Charset,
) -> Result<HtmlScan, Reason> {
    let ScanState { mut scan, comments, .. } = found;
    for comment in &comments {
        read_comment(html, charset, comment.clone(), &mut scan)?;
    }
    if !comments.is_empty() {
        scan.links.sort_by_key(|link| link.href.start);
    }
    Ok(scan)
}

pub(super) fn by_lol_html(html: &[u8], charset: Charset) -> Result<ScanState, Reason> {
    let links = masks::outlook(html);
    let found = document(html, charset, &links)?;
    let noscripts = masks::noscripts(html, &found.noscripts);
    if noscripts.is_empty() {
        return Ok(found);
    }
    document(html, charset, &merge(&links, &noscripts))
}

/// Scans a conditional comment's text, which Outlook takes for markup.
fn read_comment(
    html: &[u8],
    charset: Charset,
    at: Range<usize>,
    scan: &mut HtmlScan,
) -> Result<(), Reason> {
    let text = masks::interior(html, at);
    let inner = html.get(text.clone()).unwrap_or_default();
    let mut masks = masks::outlook(inner);
    masks.retain(|mask| mask.of == Masked::Vml);
    let mut found = settle(inner, charset, masks.clone(), Source::Chunks)?;
    let noscripts = masks::noscripts(inner, &found.noscripts);
    if !noscripts.is_empty() {
        found = settle(inner, charset, merge(&masks, &noscripts), Source::Chunks)?;
    }
    let HtmlScan { links, attributes, .. } = found.scan;
    let moved = |range: PartRange| {
        PartOffset(text.start + range.start.0)..PartOffset(text.start + range.end.0)
    };
    let place = Place::Comment;
    scan.links.extend(links.into_iter().map(|link| Link {
        href: moved(link.href.clone()),
        fold: link.fold.map(|at| PartOffset(text.start + at.0)),
        place,
        ..link
    }));
    scan.attributes.extend(attributes.into_iter().map(|(range, _)| (moved(range), place)));
    Ok(())
}

/// One pass, if the last `</body` is markup, as nearly always; then no other end counts.
fn document(html: &[u8], charset: Charset, links: &[Mask]) -> Result<ScanState, Reason> {
    if let Some(last) = masks::last_body_end(html) {
        let masks = merge(links, &[last]);
        let found = pass(html, charset, &masks, Source::Chunks)?;
        if found.masks.len() == masks.len() && found.masks.contains(&last) {
            return Ok(found);
        }
    }
    settle(html, charset, merge(links, &masks::ends(html)), Source::Probed)
}

/// Most passes over one document; nearly all need one.
const MAX_PASSES: usize = 8;

/// Passes until each mask stood in markup; the last pass has no masks.
fn settle(
    html: &[u8],
    charset: Charset,
    mut masks: Vec<Mask>,
    source: Source,
) -> Result<ScanState, Reason> {
    for pass_number in 1..MAX_PASSES {
        let found = pass(html, charset, &masks, source)?;
        let met = masks.iter().zip(&found.masks).take_while(|(mask, met)| mask == met).count();
        if met == masks.len() {
            return Ok(found);
        }
        if pass_number < MAX_PASSES / 2 {
            // The first that stood in no markup may have hidden the others.
            masks.remove(met);
        } else {
            masks = found.masks;
        }
    }
    pass(html, charset, &[], source)
}

fn merge(links: &[Mask], ends: &[Mask]) -> Vec<Mask> {
    let mut masks = [links, ends].concat();
    masks.sort_unstable_by_key(|mask| mask.at);
    // A tag's name may end in a `<`, which begins what looks like another.
    let mut end = 0;
    masks.retain(|mask| {
        let is_behind = mask.at >= end;
        end = end.max(mask.end());
        is_behind
    });
    masks
}

/// How a document is handed to a pass.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// As it stands, masks in between: without a copy of it.
    Chunks,
    /// In one piece, with a probe at its end.
    Probed,
}

/// Stands behind the last byte; the pass reports it if the document ends in markup.
const PROBE: &[u8; 3] = b"<a>";

/// More masks than that are copied, with all that is between them.
const MAX_CHUNKS: usize = 64;

fn pass(
    html: &[u8],
    charset: Charset,
    masks: &[Mask],
    source: Source,
) -> Result<ScanState, Reason> {
    let found = RefCell::new(ScanState::default());
    let mut next = masks.iter().copied().peekable();
    let settings = Settings::new()
        .append_element_content_handler(element!("a, area, body, noscript", |element| {
            let start = element.source_location().bytes().start;
            while next.next_if(|mask| mask.at < start).is_some() {}
            let mask = next.next_if(|mask| mask.at == start);
            note_element(&mut found.borrow_mut(), element, html, charset, mask);
            Ok(())
        }))
        .with_encoding(charset.encoding())
        .with_adjust_charset_on_meta_tag(false)
        .with_strict(false)
        .with_memory_settings(
            MemorySettings::new().with_max_allowed_memory_usage(MAX_MEMORY_BYTES),
        );
    let mut rewriter = HtmlRewriter::new(settings, |_: &[u8]| {});
    let mut chunks = masks::chunks(html, masks);
    let copied;
    if source == Source::Probed || masks.len() > MAX_CHUNKS {
        if source == Source::Probed {
            chunks.push(PROBE);
        }
        copied = chunks.concat();
        chunks = vec![&copied];
    }
    let written = chunks.iter().try_for_each(|chunk| rewriter.write(chunk));
    written.and_then(|()| rewriter.end()).map_err(|_| Reason::HtmlLimit)?;
    Ok(found.into_inner())
}

/// Notes a start tag, or the mask that stands for something else.
fn note_element(
    found: &mut ScanState,
    element: &Element<'_, '_>,
    html: &[u8],
    charset: Charset,
    mask: Option<Mask>,
) {
    let tag = element.source_location().bytes();
    if tag.start == html.len() {
        return found.end_of_document(tag.start);
    }
    // A tag that only the probe closes does not count: the document ends inside it.
    if tag.end > html.len() {
        return;
    }
    found.masks.extend(mask);
    let link = |place, scan: &mut HtmlScan| {
        let attributes = element.attributes().iter().filter_map(|attribute| {
            let value = attribute.value_source_location().map(|value| value.bytes());
            Some((attribute.name_source_location()?.bytes(), value))
        });
        LinkTag::from_attributes(attributes, html, charset).note(html, place, charset, scan);
    };
    match mask.map(|mask| mask.of) {
        Some(Masked::BodyEnd) => found.end_tag(tag.start, true),
        Some(Masked::HtmlEnd) => found.end_tag(tag.start, false),
        Some(Masked::Comment(end)) => found.comments.push(tag.start..end),
        Some(Masked::Noscript) => {}
        Some(Masked::Vml) => link(Place::Vml, &mut found.scan),
        None => match html.get(tag.start + 1) {
            Some(b'a' | b'A') => link(Place::Html, &mut found.scan),
            Some(b'n' | b'N') => found.noscripts.push(tag.start),
            _ => found.body(tag.end),
        },
    }
}

#[cfg(test)]
#[path = "lol_tests.rs"]
mod tests;
