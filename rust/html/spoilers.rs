//! What keeps a pixel from being seen: elements that are open where it would go.
//!
//! A pixel inside of a link is a part of the link; inside of a `<select>`, a `<noscript>`, a
//! `<template>` or what is not displayed, no client loads it. Inside of SVG or `MathML` it would end
//! them, and their links with them. What is open is found without a
//! tree, by rules that need tables (HTML Standard, "The stack of open elements") and no more.

use super::comment::is_blank;
use super::syntax::{Element, NameHash};
use crate::charset::Charset;

/// Entries beyond that many are not kept; browsers stop at a depth of 512 too.
const MAX_ENTRIES: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    /// No look-up goes past it.
    Marker(NameHash),
    Spoiler(Spoiler),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spoiler {
    /// Where its start tag stands in the document.
    at: usize,
    name: NameHash,
    /// Elements of its name that are open, itself one of them; for what is not displayed.
    hidden: Option<u32>,
}

/// The spoilers that are open.
#[derive(Debug, Default)]
pub(super) struct Spoilers {
    entries: Vec<Entry>,
    /// Whether any of them is there for not being displayed; else most tags change nothing.
    hides: bool,
}

/// A start tag, as far as it matters here.
pub(super) struct Opened<'h> {
    /// Where it stands in the document.
    pub(super) at: usize,
    pub(super) name: &'h [u8],
    pub(super) hash: NameHash,
    pub(super) element: Element,
    /// Its `style` says that it is not displayed.
    pub(super) is_hidden: bool,
    /// It closes itself, as what is foreign may.
    pub(super) is_closed: bool,
}

impl Spoilers {
    /// Where the lowest one starts that starts at or behind `from`.
    pub(super) fn lowest(&self, from: usize) -> Option<usize> {
        self.entries.iter().find_map(|entry| match entry {
            Entry::Spoiler(spoiler) if spoiler.at >= from => Some(spoiler.at),
            _ => None,
        })
    }

    /// Whether a start tag may change anything.
    pub(super) fn heed(&self, element: Element, is_hidden: bool) -> bool {
        !matches!(element, Element::Other | Element::Void) || is_hidden || self.hides
    }

    pub(super) fn open(&mut self, tag: &Opened<'_>) {
        let Opened { at, name, hash, element, is_hidden, is_closed } = *tag;
        if !self.heed(element, is_hidden) {
            return;
        }
        match element {
            Element::Cell
            | Element::Caption
            | Element::Row
            | Element::RowGroup
            | Element::Column
            | Element::ColumnGroup => {
                self.leave_cell();
                self.leave_rows(element);
            }
            // It ends the open one, and a pixel right before it would still be inside of that.
            Element::Anchor if self.reach().any(|spoiler| spoiler.name == hash) => return,
            Element::Select if self.reach().any(|spoiler| spoiler.name == hash) => {
                return self.remove(hash);
            }
            Element::Input | Element::Textarea => self.remove(NameHash::of(b"select")),
            _ => {}
        }
        if self.hides {
            if closes_paragraph(name) {
                self.remove(NameHash::of(b"p"));
            }
            if element == Element::Item {
                self.remove(hash);
            }
            if !is_closed {
                for spoiler in self.reach_mut().filter(|spoiler| spoiler.name == hash) {
                    spoiler.hidden = spoiler.hidden.map(|open| open.saturating_add(1));
                }
            }
        }
        if is_closed {
            return;
        }
        match element {
            Element::Anchor
            | Element::Select
            | Element::Noscript
            | Element::Template
            | Element::Foreign => {
                self.push(Entry::Spoiler(Spoiler { at, name: hash, hidden: None }));
                return;
            }
            Element::Table | Element::Cell | Element::Caption => self.push(Entry::Marker(hash)),
            _ => {}
        }
        if is_hidden {
            self.push(Entry::Spoiler(Spoiler { at, name: hash, hidden: Some(1) }));
            self.hides = true;
        }
    }

    pub(super) fn close(&mut self, name: NameHash, element: Element) {
        match element {
            Element::Table => {
                if let Some(table) = self.last_table() {
                    self.truncate(table);
                }
                return;
            }
            Element::Cell | Element::Caption => {
                let marker = self.scope_start().checked_sub(1);
                if let Some(at) =
                    marker.filter(|at| self.entries.get(*at) == Some(&Entry::Marker(name)))
                {
                    self.truncate(at);
                }
                return;
            }
            Element::Row | Element::RowGroup => {
                self.leave_cell();
                return self.leave_rows(element);
            }
            Element::Anchor | Element::Select | Element::Noscript => return self.remove(name),
            Element::Template | Element::Foreign => {
                let start = self.scope_start();
                let inside = self.entries.get(start..).unwrap_or_default();
                let is_it = |entry: &Entry| matches!(entry, Entry::Spoiler(s) if s.name == name);
                if let Some(at) = inside.iter().rposition(is_it) {
                    self.truncate(start + at);
                }
                return;
            }
            _ => {}
        }
        if !self.hides {
            return;
        }
        for spoiler in self.reach_mut().filter(|spoiler| spoiler.name == name) {
            spoiler.hidden = spoiler.hidden.map(|open| open.saturating_sub(1));
        }
        self.retain_in_scope(|spoiler| spoiler.hidden != Some(0));
    }

    fn push(&mut self, entry: Entry) {
        if self.entries.len() < MAX_ENTRIES {
            self.entries.push(entry);
        }
    }

    /// Behind the topmost marker.
    fn scope_start(&self) -> usize {
        let marker = self.entries.iter().rposition(|entry| matches!(entry, Entry::Marker(_)));
        marker.map_or(0, |at| at + 1)
    }

    fn reach(&self) -> impl Iterator<Item = &Spoiler> {
        let scope = self.entries.get(self.scope_start()..).unwrap_or_default();
        scope.iter().filter_map(|entry| match entry {
            Entry::Spoiler(spoiler) => Some(spoiler),
            Entry::Marker(_) => None,
        })
    }

    fn reach_mut(&mut self) -> impl Iterator<Item = &mut Spoiler> {
        let start = self.scope_start();
        self.entries.get_mut(start..).unwrap_or_default().iter_mut().filter_map(
            |entry| match entry {
                Entry::Spoiler(spoiler) => Some(spoiler),
                Entry::Marker(_) => None,
            },
        )
    }

    fn remove(&mut self, name: NameHash) {
        self.retain_in_scope(|spoiler| spoiler.name != name);
    }

    fn retain_in_scope(&mut self, keep: impl Fn(&Spoiler) -> bool) {
        let start = self.scope_start();
        let mut at = 0;
        self.entries.retain(|entry| {
            at += 1;
            at <= start || !matches!(entry, Entry::Spoiler(spoiler) if !keep(spoiler))
        });
        self.look_for_hidden();
    }

    fn truncate(&mut self, length: usize) {
        self.entries.truncate(length);
        self.look_for_hidden();
    }

    fn look_for_hidden(&mut self) {
        self.hides = self.hides
            && self
                .entries
                .iter()
                .any(|entry| matches!(entry, Entry::Spoiler(spoiler) if spoiler.hidden.is_some()));
    }

    fn last_table(&self) -> Option<usize> {
        let table = Entry::Marker(NameHash::of(b"table"));
        self.entries.iter().rposition(|entry| *entry == table)
    }

    /// A cell, a caption, a row, a column or a group of either ends the cell or caption that is open
    /// in the same table.
    fn leave_cell(&mut self) {
        let table = self.last_table().map_or(0, |at| at + 1);
        let inside = self.entries.get(table..).unwrap_or_default();
        if let Some(at) = inside.iter().position(|entry| matches!(entry, Entry::Marker(_))) {
            self.truncate(table + at);
        }
    }

    /// Rows that are not displayed end where the next begins, or the group of rows ends.
    fn leave_rows(&mut self, element: Element) {
        if !self.hides || element == Element::Cell {
            return;
        }
        self.remove(NameHash::of(b"tr"));
        if element != Element::Row {
            for group in [b"tbody", b"thead", b"tfoot"] {
                self.remove(NameHash::of(group));
            }
        }
    }
}

/// Whether a start tag ends a paragraph that is open.
fn closes_paragraph(name: &[u8]) -> bool {
    let blocks: [&[u8]; 35] = [
        b"address", b"article", b"aside", b"blockquote", b"center", b"details", b"dialog", b"dir",
        b"div", b"dl", b"fieldset", b"figcaption", b"figure", b"footer", b"form", b"h1", b"h2",
        b"h3", b"h4", b"h5", b"h6", b"header", b"hgroup", b"hr", b"listing", b"main", b"menu",
        b"nav", b"ol", b"p", b"pre", b"section", b"summary", b"table", b"ul",
    ];
    blocks.into_iter().any(|block| name.eq_ignore_ascii_case(block))
}

/// Whether an element is a spoiler if it is not displayed.
pub(super) fn may_hide(element: Element) -> bool {
    !matches!(
        element,
        Element::Anchor
            | Element::Area
            | Element::Body
            | Element::Html
            | Element::Input
            | Element::Select
            | Element::Noscript
            | Element::Template
            | Element::Column
            | Element::Void
    )
}

/// Whether the value of a `style` attribute says that an element is not displayed.
pub(super) fn hides(style: &[u8], charset: Charset) -> bool {
    let mut marks = memchr::memchr3_iter(b'y', b'Y', b'&', style);
    let may_hide = marks.any(|at| {
        let mut next = style.get(at + 1..).unwrap_or_default().iter().filter(|b| !is_blank(**b));
        style.get(at) == Some(&b'&')
            || next.next() == Some(&b':') && matches!(next.next(), Some(b'n' | b'N' | b'&'))
    });
    may_hide && {
        let mut style = super::attribute::value(style, charset);
        style.retain(|c| !c.is_ascii_whitespace());
        style.make_ascii_lowercase();
        style.contains("display:none")
    }
}
