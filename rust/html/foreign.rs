//! Foreign content: what of SVG and `MathML` is open, and where HTML's rules hold inside of it.
//!
//! HTML Standard, "The rules for parsing tokens in foreign content". Only elements that are not
//! HTML's are kept, which is enough for well nested documents: an HTML element that was left open
//! inside of them keeps none of their end tags from its work.

use super::syntax::{Attributes, NameHash};

/// Elements deeper than that are not kept; browsers stop at 512 too.
const MAX_DEPTH: usize = 512;

/// A start tag of one of these ends all foreign content that it stands in.
const BREAKS_OUT: [&[u8]; 44] = [
    b"b", b"big", b"blockquote", b"body", b"br", b"center", b"code", b"dd", b"div", b"dl", b"dt",
    b"em", b"embed", b"h1", b"h2", b"h3", b"h4", b"h5", b"h6", b"head", b"hr", b"i", b"img",
    b"li", b"listing", b"menu", b"meta", b"nobr", b"ol", b"p", b"pre", b"ruby", b"s", b"small",
    b"span", b"strong", b"strike", b"sub", b"sup", b"table", b"tt", b"u", b"ul", b"var",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Namespace {
    Svg,
    MathMl,
}

/// Where the content of a foreign element is read by HTML's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Integration {
    None,
    Html,
    /// All start tags but two are HTML's.
    MathMlText,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    name: NameHash,
    namespace: Namespace,
    integration: Integration,
}

/// The foreign elements that are open.
#[derive(Debug, Default)]
pub(super) struct Foreign(Vec<Node>);

impl Foreign {
    /// Whether nothing foreign is open.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether text and end tags are read by the rules of foreign content.
    pub(super) fn is_current(&self) -> bool {
        self.0.last().is_some_and(|node| node.integration == Integration::None)
    }

    fn break_out(&mut self) {
        while self.is_current() {
            self.0.pop();
        }
    }

    /// Opens what a start tag opens, if it is foreign, and returns its namespace; `None` for HTML's.
    pub(super) fn open(&mut self, html: &[u8], tag: &Attributes<'_>) -> Option<Namespace> {
        let name = html.get(tag.name.clone()).unwrap_or_default();
        let is_named = |other: &[u8]| name.eq_ignore_ascii_case(other);
        let namespace = match self.0.last() {
            Some(Node { namespace, integration: Integration::None, .. }) => Some(*namespace),
            Some(Node { namespace, integration: Integration::MathMlText, .. })
                if is_named(b"mglyph") || is_named(b"malignmark") =>
            {
                Some(*namespace)
            }
            _ => None,
        };
        let namespace = if namespace.is_some() && breaks_out(html, tag) {
            self.break_out();
            None
        } else {
            namespace
        };
        let root = || match name {
            _ if is_named(b"svg") => Some(Namespace::Svg),
            _ if is_named(b"math") => Some(Namespace::MathMl),
            _ => None,
        };
        let parent_takes_svg = matches!(namespace, Some(Namespace::MathMl))
            && is_named(b"svg")
            && self.0.last().is_some_and(|node| node.name == NameHash::of(b"annotation-xml"));
        let opened = if parent_takes_svg { root() } else { namespace.or_else(root) };
        let namespace = opened?;
        if !tag.self_closing && self.0.len() < MAX_DEPTH {
            self.0.push(Node {
                name: NameHash::of(name),
                namespace,
                integration: integration(namespace, html, tag),
            });
        }
        Some(namespace)
    }

    /// Closes what an end tag closes.
    pub(super) fn close(&mut self, name: &[u8]) {
        if name.eq_ignore_ascii_case(b"p") || name.eq_ignore_ascii_case(b"br") {
            self.break_out();
        }
        let name = NameHash::of(name);
        if let Some(node) = self.0.iter().rposition(|node| node.name == name) {
            self.0.truncate(node);
        }
    }
}

fn breaks_out(html: &[u8], tag: &Attributes<'_>) -> bool {
    let name = html.get(tag.name.clone()).unwrap_or_default();
    if name.eq_ignore_ascii_case(b"font") {
        let styles: [&[u8]; 3] = [b"color", b"face", b"size"];
        return styles.into_iter().any(|style| attribute(html, tag, style).is_some());
    }
    BREAKS_OUT.into_iter().any(|other| name.eq_ignore_ascii_case(other))
}

fn integration(namespace: Namespace, html: &[u8], tag: &Attributes<'_>) -> Integration {
    let name = html.get(tag.name.clone()).unwrap_or_default();
    let is_one_of = |names: &[&[u8]]| names.iter().any(|one| name.eq_ignore_ascii_case(one));
    match namespace {
        Namespace::Svg if is_one_of(&[b"foreignobject", b"desc", b"title"]) => Integration::Html,
        Namespace::MathMl if is_one_of(&[b"mi", b"mo", b"mn", b"ms", b"mtext"]) => {
            Integration::MathMlText
        }
        Namespace::MathMl if is_one_of(&[b"annotation-xml"]) => {
            let holds_html = attribute(html, tag, b"encoding").is_some_and(|encoding| {
                encoding.eq_ignore_ascii_case(b"text/html")
                    || encoding.eq_ignore_ascii_case(b"application/xhtml+xml")
            });
            if holds_html { Integration::Html } else { Integration::None }
        }
        Namespace::Svg | Namespace::MathMl => Integration::None,
    }
}

/// The value of a tag's attribute as it stands; empty where it has none.
fn attribute<'h>(html: &'h [u8], tag: &Attributes<'_>, name: &[u8]) -> Option<&'h [u8]> {
    let mut attributes = Attributes::of_tag(html, tag.name.start)?;
    let (_, value) = attributes
        .find(|(at, _)| html.get(at.clone()).is_some_and(|own| own.eq_ignore_ascii_case(name)))?;
    Some(value.and_then(|value| html.get(value)).unwrap_or_default())
}
