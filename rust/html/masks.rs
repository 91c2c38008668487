//! Masks: a pass reads them in the place of some markup, and so reports where that stands.
//!
//! `lol_html` reports start tags wherever they are markup and nowhere else: not in a comment, an
//! attribute, a script. So all other markup to be found is read as a start tag of equal length. If
//! every mask of a pass is reported, each stood in markup: up to the first mask the pass read the
//! source, and so up to the next, and so all of it.

use std::ops::Range;

use super::comment::{begins_condition, closed_length, ends_name};

/// Something that a pass reads as the start tag of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mask {
    /// Where it starts.
    pub(super) at: usize,
    /// How many bytes it covers.
    length: usize,
    pub(super) of: Masked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Masked {
    BodyEnd,
    HtmlEnd,
    /// A conditional comment with links in it, which ends at that offset.
    Comment(usize),
    /// Mail clients run no scripts, so what is inside is markup.
    Noscript,
    /// A VML element with a link.
    Vml,
}

/// A conditional comment as a start tag and a comment with the same end.
const COMMENT: &[u8; 7] = b"<a><!--";
const CONDITION: &[u8; 7] = b"<!--[if";
/// `<a` and slashes: longer than the name of any element that is masked. A blank would end the
/// unquoted value that it may stand in.
const LINK: &[u8; 34] = b"<a////////////////////////////////";

const BODY_END: &[u8] = b"</body";
const HTML_END: &[u8] = b"</html";
const NOSCRIPT: &[u8] = b"<noscript";
const NOSCRIPT_END: &[u8] = b"</noscript";
const VML: &[u8] = b"<v:";

impl Mask {
    pub(super) fn end(&self) -> usize {
        self.at + self.length
    }

    /// The bytes that are read in its place.
    pub(super) fn bytes(&self) -> &'static [u8] {
        match self.of {
            Masked::Comment(_) => COMMENT,
            _ => LINK.get(..self.length).unwrap_or_default(),
        }
    }
}

/// Conditional comments with links in them, and VML outside of them, by their look alone.
///
/// Condition and VML in lower case, as all that Outlook writes.
pub(super) fn outlook(html: &[u8]) -> Vec<Mask> {
    let mut masks = comments(html);
    let comments = masks.len();
    let mut at_comment = 0;
    for at in memchr::memmem::find_iter(html, VML) {
        let is_before = |mask: &Mask| matches!(mask.of, Masked::Comment(end) if end <= at);
        while at_comment < comments && masks.get(at_comment).is_some_and(is_before) {
            at_comment += 1;
        }
        let is_outside = masks.get(..comments).and_then(|all| all.get(at_comment));
        if is_outside.is_none_or(|comment| at < comment.at) {
            masks.extend(vml(html, at));
        }
    }
    masks.sort_unstable_by_key(|mask| mask.at);
    masks
}

/// Each `href` may stand in the conditional comment that begins last before it.
fn comments(html: &[u8]) -> Vec<Mask> {
    let mut starts = memchr::memmem::find_iter(html, CONDITION).peekable();
    let mut masks: Vec<Mask> = Vec::new();
    if starts.peek().is_none() {
        return masks;
    }
    let (mut start, mut end) = (None, 0);
    for href in hrefs(html) {
        while let Some(next) = starts.next_if(|next| *next < href) {
            // A `<!--` inside a comment does not begin one.
            if next >= end {
                start = Some(next);
                end = 0;
            }
        }
        let Some(at) = start else { continue };
        if end == 0 {
            end = at + comment_length(html.get(at..).unwrap_or_default());
        }
        if href < end && masks.last().is_none_or(|last| last.at != at) {
            masks.extend(comment(html, at, end));
        }
    }
    masks
}

fn hrefs(html: &[u8]) -> Vec<usize> {
    let [lower, upper] =
        [b"href", b"HREF"].map(|name| memchr::memmem::find_iter(html, name).collect::<Vec<_>>());
    if upper.is_empty() {
        return lower;
    }
    let mut all = [lower, upper].concat();
    all.sort_unstable();
    all
}

/// `<noscript>` tags of those places that have links in them.
pub(super) fn noscripts(html: &[u8], places: &[usize]) -> Vec<Mask> {
    let of = Masked::Noscript;
    let masks = places.iter().filter(|at| {
        let rest = html.get(**at..).unwrap_or_default();
        holds_href(rest.get(..noscript_length(rest)).unwrap_or_default())
    });
    masks.map(|at| Mask { at: *at, length: NOSCRIPT.len(), of }).collect()
}

/// The last `</body>`.
pub(super) fn last_body_end(html: &[u8]) -> Option<Mask> {
    memchr::memrchr_iter(b'<', html).find_map(|at| end(html, at, BODY_END, Masked::BodyEnd))
}

/// Each `</body>` and `</html>`.
pub(super) fn ends(html: &[u8]) -> Vec<Mask> {
    let ends = memchr::memmem::find_iter(html, b"</").filter_map(|at| {
        end(html, at, BODY_END, Masked::BodyEnd)
            .or_else(|| end(html, at, HTML_END, Masked::HtmlEnd))
    });
    ends.collect()
}

fn end(html: &[u8], at: usize, name: &[u8], of: Masked) -> Option<Mask> {
    is_named(html.get(at..)?, name).then_some(Mask { at, length: name.len(), of })
}

fn comment(html: &[u8], at: usize, end: usize) -> Option<Mask> {
    // With anything else behind `[if`, the masked comment might end where this one does not.
    let goes_on = begins_condition(*html.get(at + CONDITION.len())?);
    goes_on.then_some(Mask { at, length: COMMENT.len(), of: Masked::Comment(end) })
}

/// Other characters in a name may be the end of what the look-alike stands in.
fn vml(html: &[u8], at: usize) -> Option<Mask> {
    let name = html.get(at + VML.len()..)?.iter().take(LINK.len() - VML.len());
    let letters = name.copied().take_while(u8::is_ascii_alphanumeric).count();
    let length = VML.len() + letters;
    ends_name(*html.get(at + length)?).then_some(Mask { at, length, of: Masked::Vml })
}

fn noscript_length(tag: &[u8]) -> usize {
    memchr::memmem::find_iter(tag, b"</")
        .find(|end| tag.get(*end..).is_some_and(|end| is_named(end, NOSCRIPT_END)))
        .unwrap_or(tag.len())
}

/// The length of a comment (HTML Standard, "Comment end state"), or of what is left without one.
fn comment_length(comment: &[u8]) -> usize {
    let opened = b"<!--".len();
    let text = comment.get(opened..).unwrap_or_default();
    if let Some(empty) = [b">".as_slice(), b"->"].iter().find(|end| text.starts_with(end)) {
        return opened + empty.len();
    }
    opened + closed_length(text).unwrap_or(text.len())
}

/// Whether there may be a link, in any case.
pub(super) fn holds_href(html: &[u8]) -> bool {
    memchr::memchr2_iter(b'h', b'H', html)
        .any(|at| html.get(at..at + 4).is_some_and(|word| word.eq_ignore_ascii_case(b"href")))
}

/// The document with its masks in it, in pieces.
pub(super) fn chunks<'h>(html: &'h [u8], masks: &[Mask]) -> Vec<&'h [u8]> {
    let mut chunks = Vec::with_capacity(2 * masks.len() + 2);
    let mut copied = 0;
    for mask in masks {
        chunks.push(html.get(copied..mask.at).unwrap_or_default());
        chunks.push(mask.bytes());
        copied = mask.end();
    }
    chunks.push(html.get(copied..).unwrap_or_default());
    chunks
}

/// The text of a conditional comment, condition and closing dashes excluded.
pub(super) fn interior(html: &[u8], at: Range<usize>) -> Range<usize> {
    let start_of_comment = at.start;
    let comment = html.get(at).unwrap_or_default();
    let closed = comment.strip_suffix(b"-->").or_else(|| comment.strip_suffix(b"--!>"));
    let text = closed.unwrap_or(comment);
    let start = memchr::memchr(b'>', text).map_or(text.len(), |close| close + 1);
    start_of_comment + start..start_of_comment + text.len()
}

/// Whether markup begins with a tag of that name, in any case.
fn is_named(html: &[u8], tag: &[u8]) -> bool {
    html.get(tag.len()).is_some_and(|byte| ends_name(*byte))
        && html.get(..tag.len()).is_some_and(|found| found.eq_ignore_ascii_case(tag))
}
