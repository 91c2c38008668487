//! Start tags of links: what their attributes say, and where those stand.

use std::ops::Range;

use super::attribute;
use super::comment::is_blank;
use super::found::HtmlScan;
use crate::charset::Charset;
use crate::edit::{PartOffset, PartRange};
use crate::link::options::Options;
use crate::link::{Link, Place, target};
use crate::reason::Reason;

/// An attribute that leads somewhere.
struct Href {
    value: Option<Range<usize>>,
    /// The white-space byte right before its name.
    fold: Option<usize>,
}

/// The attributes of a link that mean something to us; of duplicates the first, as in HTML.
#[derive(Default)]
pub(super) struct LinkTag {
    href: Option<Href>,
    /// What leads somewhere in SVG, where no `href` stands.
    xlink_href: Option<Href>,
    options: Options,
    /// `data-msys-*`, each with the white space before it.
    ours: Vec<Range<usize>>,
}

impl LinkTag {
    /// Reads attributes by the places of their names and values.
    pub(super) fn from_attributes(
        attributes: impl Iterator<Item = (Range<usize>, Option<Range<usize>>)>,
        html: &[u8],
        charset: Charset,
    ) -> Self {
        let mut read = Self::default();
        for (at, value) in attributes {
            let name = html.get(at.clone()).unwrap_or_default();
            let bytes = || value.clone().and_then(|value| html.get(value)).unwrap_or_default();
            if name.eq_ignore_ascii_case(b"href") {
                read.href.get_or_insert_with(|| Href::new(html, at.start, value));
            } else if name.eq_ignore_ascii_case(b"xlink:href") {
                read.xlink_href.get_or_insert_with(|| Href::new(html, at.start, value));
            } else if let Some(option) = read.options.attribute(name) {
                option.get_or_insert_with(|| attribute::value(bytes(), charset));
                read.ours.push(removable(html, at, value));
            } else {
                read.options.note_foreign(name, || attribute::value(bytes(), charset));
            }
        }
        read
    }

    /// The same tag in SVG, where `xlink:href` leads somewhere too (SVG 2, "Linking").
    pub(super) fn in_svg(self) -> Self {
        Self { href: self.href.or(self.xlink_href), xlink_href: None, ..self }
    }

    /// Notes the link, or why it stays.
    ///
    /// `content` is where that of an `a` begins.
    pub(super) fn note(
        self,
        html: &[u8],
        place: Place,
        charset: Charset,
        content: Option<usize>,
        scan: &mut HtmlScan,
    ) {
        let part =
            |range: Range<usize>| -> PartRange { PartOffset(range.start)..PartOffset(range.end) };
        let Self { href, options, ours, .. } = self;
        scan.attributes.extend(ours.into_iter().map(|attribute| (part(attribute), place)));
        let Some(Href { value: Some(href), fold }) = href else { return };
        let raw = html.get(href.clone()).unwrap_or_default();
        let target = target::target(&attribute::value(raw, charset));
        let reason = if options.opted_out() {
            Some(Reason::OptedOut)
        } else {
            target::check(&target).err()
        };
        scan.links.push(Link {
            href: part(href),
            fold: fold.map(PartOffset),
            target,
            name: options.name(),
            unsubscribes: options.unsubscribes(),
            sublink: options.sublink(),
            place,
            content: content.map(PartOffset),
            foreign_opt_out: options.foreign_opted_out(),
            reason,
        });
    }
}

impl Href {
    fn new(html: &[u8], name_start: usize, value: Option<Range<usize>>) -> Self {
        let before = name_start.checked_sub(1);
        let fold = before.filter(|at| html.get(*at).is_some_and(|byte| is_blank(*byte)));
        Self { value, fold }
    }
}

/// What goes when an attribute does: with the white space before it, unless it keeps others apart.
fn removable(html: &[u8], name: Range<usize>, value: Option<Range<usize>>) -> Range<usize> {
    let end = if let Some(value) = value {
        // The byte before an unquoted value is `=` or white space.
        let before = value.start.checked_sub(1).and_then(|before| html.get(before));
        value.end + usize::from(matches!(before, Some(b'"' | b'\'')))
    } else {
        // An `=` that no value follows would, without its name, be taken for another's.
        let after = html.get(name.end..).unwrap_or_default();
        let blank = after.len() - after.trim_ascii_start().len();
        if after.get(blank) == Some(&b'=') { name.end + blank + 1 } else { name.end }
    };
    let separated = matches!(html.get(end), Some(b'\t' | b'\n' | b'\x0c' | b'\r' | b' ' | b'>'));
    let before = html.get(..name.start).unwrap_or_default();
    let start = if separated { before.trim_ascii_end().len() } else { name.start };
    start..end
}
