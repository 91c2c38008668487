//! Foreign content: `lol_html` says what is HTML's, SVG's and `MathML`'s, from where either begins.
//!
//! Only there does the tree decide how bytes are read: whether `<title>` and others hold text,
//! whether `<![CDATA[` begins a section, and whether a tag closes itself. A rewriter takes over at
//! `<svg>` or `<math>`, gets the tags that the reader comes to, and goes at the end tag of the
//! element that it began with. Text, comments and HTML's elements that hold text change nothing of
//! that, so it gets none.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use lol_html::send::{Element, HtmlRewriter, Settings};
use lol_html::{MemorySettings, element, end_tag};

/// Bytes that the stack of open elements may take.
const MAX_MEMORY: usize = 128 << 10;

/// Bytes of tags that are given to it at once, if nothing depends on one of them before.
const MAX_WAITING: usize = 1 << 10;

/// An element that means nothing anywhere, is never left open, and ends no foreign content.
const PROBE: &[u8] = b"<wbr/>";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Namespace {
    Html,
    Svg,
    MathMl,
}

/// What the handlers saw.
#[derive(Debug, Default)]
struct Seen {
    /// The namespace of the last probe, as one of these numbers.
    namespace: AtomicU8,
    /// The element that it all began with has its end tag.
    is_closed: AtomicBool,
}

const HTML: u8 = 0;
const SVG: u8 = 1;
const MATH_ML: u8 = 2;

type Rewriter = HtmlRewriter<'static, fn(&[u8])>;

/// The tree while foreign content is open.
#[derive(Default)]
pub(super) struct Tree {
    rewriter: Option<Box<Rewriter>>,
    seen: Arc<Seen>,
    /// Tags that it has not got yet.
    waiting: Vec<u8>,
}

impl Tree {
    /// Whether the tree decides how bytes are read.
    pub(super) fn is_open(&self) -> bool {
        self.rewriter.is_some()
    }

    /// Begins with the start tag of a foreign element.
    pub(super) fn begin(&mut self) {
        self.seen = Arc::default();
        let seen = Arc::clone(&self.seen);
        let mut is_first = true;
        let note = move |element: &mut Element<'_, '_>| {
            let namespace = match element.namespace_uri() {
                "http://www.w3.org/2000/svg" => SVG,
                "http://www.w3.org/1998/Math/MathML" => MATH_ML,
                _ => HTML,
            };
            seen.namespace.store(namespace, Ordering::Relaxed);
            if is_first && let Some(handlers) = element.end_tag_handlers() {
                let seen = Arc::clone(&seen);
                handlers.push(end_tag!(move |_| {
                    seen.is_closed.store(true, Ordering::Relaxed);
                    Ok(())
                }));
            }
            is_first = false;
            Ok(())
        };
        let memory = MemorySettings::new()
            .with_preallocated_parsing_buffer_size(0)
            .with_max_allowed_memory_usage(MAX_MEMORY);
        let settings = Settings::new_send()
            .append_element_content_handler(element!("svg, math, wbr", note))
            .with_memory_settings(memory)
            // The Standard leaves no doubt about raw text in a `<select>`.
            .with_strict(false);
        let ignore: fn(&[u8]) = |_| {};
        self.rewriter = Some(Box::new(HtmlRewriter::new(settings, ignore)));
    }

    /// Takes a whole tag.
    pub(super) fn take(&mut self, tag: &[u8]) {
        if self.waiting.len() + tag.len() > MAX_WAITING {
            self.namespace();
        }
        if tag.len() > MAX_WAITING {
            self.write(tag);
        } else {
            self.waiting.extend_from_slice(tag);
        }
    }

    /// The namespace by which the next tag is read.
    pub(super) fn namespace(&mut self) -> Namespace {
        self.waiting.extend_from_slice(PROBE);
        self.write_waiting();
        self.seen_namespace()
    }

    /// Takes a whole end tag of `svg` or `math`, with which foreign content may end.
    pub(super) fn close(&mut self, tag: &[u8]) {
        self.take(tag);
        self.write_waiting();
        if self.seen.is_closed.load(Ordering::Relaxed) {
            self.rewriter = None;
        }
    }

    fn seen_namespace(&self) -> Namespace {
        match self.seen.namespace.load(Ordering::Relaxed) {
            SVG => Namespace::Svg,
            MATH_ML => Namespace::MathMl,
            _ => Namespace::Html,
        }
    }

    fn write_waiting(&mut self) {
        let mut waiting = mem::take(&mut self.waiting);
        self.write(&waiting);
        waiting.clear();
        self.waiting = waiting;
    }

    fn write(&mut self, tags: &[u8]) {
        let Some(rewriter) = &mut self.rewriter else { return };
        if rewriter.write(tags).is_ok() {
            return;
        }
        // Too deep for its memory: it goes on without what is open around.
        let root: &[u8] = match self.seen_namespace() {
            Namespace::Html => {
                self.rewriter = None;
                return;
            }
            Namespace::Svg => b"<svg>",
            Namespace::MathMl => b"<math>",
        };
        self.begin();
        self.write(root);
    }
}
