//! Laws that hold for any HTML, checked by the tests and by `fuzzing`: `lol_html` is the judge.

use std::cell::RefCell;
use std::ops::Range;

use lol_html::html_content::{Attribute, Element};
use lol_html::{HtmlRewriter, Settings, doc_comments, element};

use super::comment::ends_name;
use super::found::HtmlScan;
use super::reader::scan;
use crate::charset::Charset;
use crate::link::Place;

/// What `lol_html` finds.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    /// Links by place and range.
    pub(crate) links: Vec<(Place, Range<usize>)>,
    pixel: Option<usize>,
    initial_pixel: Option<usize>,
}

/// Stands behind the last byte; `lol_html` reports it if the document ends in markup.
const PROBE: &[u8] = b"<a>";

/// Scans a document, and checks that `lol_html` finds the same in it.
///
/// # Panics
/// A law does not hold.
pub(crate) fn check(html: &[u8], charset: Charset) -> HtmlScan {
    let found = scan(html, charset);
    assert!(found.links.is_sorted_by_key(|link| link.href.start));
    for link in &found.links {
        assert!(link.href.start <= link.href.end && link.href.end.0 <= html.len());
    }
    assert!([found.pixel, found.initial_pixel].into_iter().flatten().all(|at| at.0 <= html.len()));
    let lower = html.to_ascii_lowercase();
    // In badly nested SVG and `MathML`, and in raw text below `<select>`, `lol_html` reads other
    // things than a browser.
    if ["<svg", "<math", "<select"]
        .iter()
        .any(|tag| memchr::memmem::find(&lower, tag.as_bytes()).is_some())
    {
        return found;
    }
    // Behind an attribute without its value, as in `<xmp x=>`, it misses that raw text begins.
    let lacks_value = |at: usize| {
        let rest = html.get(at + 1..).unwrap_or_default().trim_ascii_start();
        rest.starts_with(b">")
    };
    if memchr::memchr_iter(b'=', html).any(lacks_value) {
        return found;
    }
    let judged = judge(html, false);
    let links: Vec<_> =
        found.links.iter().map(|link| (link.place, link.href.start.0..link.href.end.0)).collect();
    assert_eq!(links, judged.links, "{}", html.escape_ascii());
    let initial_pixel = found.initial_pixel.map(|at| at.0);
    assert_eq!(initial_pixel, judged.initial_pixel, "{}", html.escape_ascii());
    match (found.pixel, judged.pixel) {
        (Some(ours), Some(theirs)) if ours.0 != theirs => {
            // Before what would hide it.
            assert!(ours.0 < theirs && html.get(ours.0) == Some(&b'<'), "{}", html.escape_ascii());
        }
        (ours, theirs) => assert_eq!(ours.map(|at| at.0), theirs, "{}", html.escape_ascii()),
    }
    found
}

/// Reads a document by handlers for every element and comment.
pub(crate) fn judge(html: &[u8], in_comment: bool) -> Judged {
    let found = RefCell::new(Judged::default());
    let body_end_seen = RefCell::new(false);
    let note = |element: &Element<'_, '_>| {
        let tag = element.source_location().bytes();
        let mut found = found.borrow_mut();
        if tag.start == html.len() {
            found.pixel.get_or_insert(tag.start);
            return;
        }
        // A tag that only the probe closes.
        if tag.end > html.len() {
            return;
        }
        let source = html.get(tag.start..).unwrap_or_default();
        if source.starts_with(b"</") {
            let is_body = source.get(2).is_some_and(|byte| byte.eq_ignore_ascii_case(&b'b'));
            if is_body || !*body_end_seen.borrow() {
                found.pixel = Some(tag.start);
            }
            *body_end_seen.borrow_mut() |= is_body;
            return;
        }
        let name = element.tag_name();
        if name == "body" {
            found.initial_pixel.get_or_insert(tag.end);
        }
        let is_vml = source.strip_prefix(b"<v:").is_some_and(|shape| {
            let length = shape.iter().position(|byte| ends_name(*byte));
            length.is_some_and(|length| shape.iter().take(length).all(u8::is_ascii_alphanumeric))
        });
        // Its own `name()` drops a byte order mark.
        let is_href = |attribute: &&Attribute<'_>| {
            let name = attribute.name_source_location().and_then(|at| html.get(at.bytes()));
            name.is_some_and(|name| name.eq_ignore_ascii_case(b"href"))
        };
        let href = element.attributes().iter().find(is_href);
        if let Some(value) = href.and_then(Attribute::value_source_location)
            && (is_vml || name == "a" || name == "area")
        {
            let place = match (in_comment, is_vml) {
                (true, _) => Place::Comment,
                (false, true) => Place::Vml,
                (false, false) => Place::Html,
            };
            found.links.push((place, value.bytes()));
        }
    };
    let settings = Settings::new()
        .append_element_content_handler(element!("*", |element| {
            note(element);
            Ok(())
        }))
        .append_document_content_handler(doc_comments!(|comment| {
            let at = comment.source_location().bytes();
            let text = html.get(at.start..at.end.min(html.len())).unwrap_or_default();
            let condition = text.strip_prefix(b"<!--[if").and_then(<[u8]>::first);
            if !in_comment && matches!(condition, Some(b' ' | b'\t' | b'\r' | b'\n' | b'(')) {
                let closed = text.strip_suffix(b"-->").or_else(|| text.strip_suffix(b"--!>"));
                let text = closed.unwrap_or(text);
                let start = text.iter().position(|byte| *byte == b'>').map(|at| at + 1);
                let start = start.unwrap_or(text.len());
                for (place, href) in judge(text.get(start..).unwrap_or_default(), true).links {
                    let offset = at.start + start;
                    found.borrow_mut().links.push((place, href.start + offset..href.end + offset));
                }
            }
            Ok(())
        }))
        .with_strict(false);
    let mut rewriter = HtmlRewriter::new(settings, |_: &[u8]| {});
    let document = [&masked(html), PROBE].concat();
    assert!(rewriter.write(&document).and_then(|()| rewriter.end()).is_ok());
    let mut found = found.into_inner();
    found.links.sort_by_key(|(_, href)| href.start);
    found
}

/// The document with `</body` and `</html` as start tags of that length, which are reported, and
/// `<noscript>` as an element without a meaning, since mail clients run no scripts.
fn masked(html: &[u8]) -> Vec<u8> {
    let mut masked = html.to_vec();
    for at in memchr::memchr_iter(b'<', html) {
        let rest = html.get(at..).unwrap_or_default();
        let masks: [(&[u8], &[u8]); 4] = [
            (b"</body", b"<a////"),
            (b"</html", b"<a////"),
            (b"<noscript", b"<noscripx"),
            (b"</noscript", b"</noscripx"),
        ];
        for (tag, mask) in masks {
            let is_it = rest.get(..tag.len()).is_some_and(|text| text.eq_ignore_ascii_case(tag));
            if is_it && rest.get(tag.len()).is_some_and(|byte| ends_name(*byte)) {
                masked.splice(at..at + mask.len(), mask.iter().copied());
            }
        }
    }
    masked
}
