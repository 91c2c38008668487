//! One pass of `lol_html` over a part: where its links are, and where a pixel may stand.
//!
//! The pass writes nothing. `lol_html` tells ranges, and nobody serialises what it parsed: its
//! own `set_attribute` would normalise the whole tag.

use lol_html::html_content::{Attribute, Element};
use lol_html::{HtmlRewriter, MemorySettings, Settings, element};
use std::cell::RefCell;
use std::ops::Range;

use super::attribute;
use crate::charset::Charset;
use crate::edit::{PartOffset, PartRange};
use crate::link::options::Options;
use crate::link::{Link, Place, Unwrapped, target};
use crate::reason::Reason;

/// What a scan may allocate; a mail of 30 MB with a tag every ten bytes stays below.
const MAX_MEMORY_BYTES: usize = 256 << 20;

/// What a pass found, in the order of the document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Links to wrap.
    pub links: Vec<Link>,
    /// Links to leave.
    pub unwrapped: Vec<Unwrapped>,
    /// Where an open pixel goes; `None` where it could not be seen.
    pub pixel: Option<PartOffset>,
}

/// Scans an HTML document or fragment, as it stands after transfer decoding.
///
/// # Errors
/// [`Reason::HtmlLimit`] if `lol_html` wants more memory than a scan may have.
pub fn scan(html: &[u8], charset: Charset) -> Result<Scan, Reason> {
    if let Some(at) = last_body_end(html) {
        let (before, rest) = html.split_at_checked(at).unwrap_or((html, &[]));
        let after = rest.get(MARK.len()..).unwrap_or_default();
        let found = pass(&[before, MARK, after], html, charset)?;
        if found.scan.pixel == Some(PartOffset(at)) {
            return Ok(found.scan);
        }
    }
    Ok(pass(&[&mask_end_tags(html)], html, charset)?.scan)
}

/// `lol_html` reports a body's end tag only where it closes an element that was opened, and only
/// the first. So a pass reads `<a    ` where the source has `</body` or `</html`: a start tag of
/// equal length, reported wherever it is markup and nowhere else.
const MARK: &[u8; 6] = b"<a    ";

/// Behind the last byte: it is reported if the document ends in markup.
const PROBE: &[u8; 3] = b"<a>";

const BODY_END: &[u8] = b"</body";
const HTML_END: &[u8] = b"</html";

/// Where the last `</body` is; nearly always it is markup, and then no other counts.
fn last_body_end(html: &[u8]) -> Option<usize> {
    memchr::memrchr_iter(b'<', html).find(|at| is_tag(html, *at, BODY_END))
}

fn is_tag(html: &[u8], at: usize, tag: &[u8]) -> bool {
    let name_ends = matches!(
        html.get(at + tag.len()),
        Some(b'\t' | b'\n' | b'\x0c' | b'\r' | b' ' | b'/' | b'>')
    );
    name_ends && html.get(at..at + tag.len()).is_some_and(|found| found.eq_ignore_ascii_case(tag))
}

/// A copy of equal length with every end tag masked that may be a pixel's place, and the probe.
fn mask_end_tags(html: &[u8]) -> Vec<u8> {
    let mut masked = Vec::with_capacity(html.len() + PROBE.len());
    masked.extend_from_slice(html);
    for at in memchr::memmem::find_iter(html, b"</") {
        if (is_tag(html, at, BODY_END) || is_tag(html, at, HTML_END))
            && let Some(tag) = masked.get_mut(at..at + MARK.len())
        {
            tag.copy_from_slice(MARK);
        }
    }
    masked.extend_from_slice(PROBE);
    masked
}

fn pass(masked: &[&[u8]], html: &[u8], charset: Charset) -> Result<Found, Reason> {
    let found = RefCell::new(Found::default());
    let settings = Settings::new()
        .append_element_content_handler(element!("a, area", |element| {
            found.borrow_mut().element(element, html, charset);
            Ok(())
        }))
        .with_encoding(charset.encoding())
        .with_adjust_charset_on_meta_tag(false)
        .with_strict(false)
        .with_memory_settings(
            MemorySettings::new().with_max_allowed_memory_usage(MAX_MEMORY_BYTES),
        );
    let mut rewriter = HtmlRewriter::new(settings, |_: &[u8]| {});
    let written = masked.iter().try_for_each(|chunk| rewriter.write(chunk));
    written.and_then(|()| rewriter.end()).map_err(|_| Reason::HtmlLimit)?;
    Ok(found.into_inner())
}

#[derive(Default)]
struct Found {
    scan: Scan,
    body_end_seen: bool,
}

impl Found {
    fn element(&mut self, element: &Element<'_, '_>, html: &[u8], charset: Charset) {
        let tag = element.source_location().bytes();
        let start = tag.start;
        match html.get(start..start + MARK.len()) {
            Some(end) if end.starts_with(b"</") => self.end_tag(end, start),
            _ if start == html.len() => self.end_of_document(start),
            // A tag that only the probe closes is none: the document ends inside it.
            _ if tag.end > html.len() => {}
            _ => self.link(element.attributes(), html, charset),
        }
    }

    fn end_tag(&mut self, tag: &[u8], start: usize) {
        let is_body = tag.eq_ignore_ascii_case(BODY_END);
        if is_body || !self.body_end_seen {
            self.scan.pixel = Some(PartOffset(start));
        }
        self.body_end_seen |= is_body;
    }

    /// The probe was read as a tag.
    fn end_of_document(&mut self, end: usize) {
        self.scan.pixel.get_or_insert(PartOffset(end));
    }

    fn link(&mut self, attributes: &[Attribute<'_>], html: &[u8], charset: Charset) {
        let LinkAttributes { href, options } = LinkAttributes::read(attributes, html, charset);
        let Some(href) = href else { return };
        let raw = html.get(href.clone()).unwrap_or_default();
        let target = target::target(&attribute::value(raw, charset));
        let href: PartRange = PartOffset(href.start)..PartOffset(href.end);
        let unwrapped = if options.opted_out() {
            Some(Reason::OptedOut)
        } else {
            target::check(&target).err()
        };
        match unwrapped {
            Some(reason) => self.scan.unwrapped.push(Unwrapped { href, target, reason }),
            None => self.scan.links.push(Link {
                href,
                target,
                name: options.name(),
                unsubscribes: options.unsubscribes(),
                sublink: options.sublink(),
                place: Place::Html,
            }),
        }
    }
}

/// The attributes of a link that mean something to us; of duplicates the first, as in HTML.
#[derive(Default)]
struct LinkAttributes {
    href: Option<Range<usize>>,
    options: Options,
}

impl LinkAttributes {
    fn read(attributes: &[Attribute<'_>], html: &[u8], charset: Charset) -> Self {
        let mut read = Self::default();
        let mut href_seen = false;
        for attribute in attributes {
            let Some(name) = attribute.name_source_location() else { continue };
            let name = html.get(name.bytes()).unwrap_or_default();
            let value = attribute.value_source_location().map(|value| value.bytes());
            if name.eq_ignore_ascii_case(b"href") {
                if !href_seen {
                    read.href = value;
                }
                href_seen = true;
            } else if let Some(option) = read.options.attribute(name) {
                let bytes = value.and_then(|value| html.get(value)).unwrap_or_default();
                option.get_or_insert_with(|| attribute::value(bytes, charset));
            }
        }
        read
    }
}

#[cfg(test)]
#[path = "scan_tests.rs"]
mod tests;
