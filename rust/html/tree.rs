//! Foreign content: `lol_html` says what is HTML's, SVG's and `MathML`'s, from where either begins.
//!
//! Only there does the tree decide how bytes are read: whether `<title>` and others hold text,
//! whether `<![CDATA[` begins a section, and whether a tag closes itself. A rewriter takes over at
//! `<svg>` or `<math>`, gets each tag as the reader comes to it, and goes at the end tag of the
//! element that it began with. Text, comments and HTML's elements that hold text change nothing of
//! that, so it gets none.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use lol_html::send::{Element, HtmlRewriter, Settings};
use lol_html::{MemorySettings, element, end_tag};

/// Bytes that the stack of open elements may take.
const MAX_MEMORY: usize = 128 << 10;

/// An element that means nothing anywhere, is never left open, and ends no foreign content.
const PROBE: &[u8] = b"<wbr/>";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Namespace {
    Html,
    Svg,
    MathMl,
}

/// What the handlers saw since they were asked last.
#[derive(Debug, Default)]
struct Seen {
    /// The namespace of the last start tag, as one of these numbers.
    namespace: AtomicU8,
    /// The element that it all began with has its end tag.
    is_closed: AtomicBool,
}

const NOTHING: u8 = 0;
const HTML: u8 = 1;
const SVG: u8 = 2;
const MATH_ML: u8 = 3;

type Rewriter = HtmlRewriter<'static, fn(&[u8])>;

/// The tree while foreign content is open.
#[derive(Default)]
pub(super) struct Tree {
    rewriter: Option<Box<Rewriter>>,
    seen: Arc<Seen>,
    /// The namespace in which the last start tag was found.
    last: Option<Namespace>,
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
            .append_element_content_handler(element!("*", note))
            .with_memory_settings(memory)
            // The Standard leaves no doubt about raw text in a `<select>`.
            .with_strict(false);
        let ignore: fn(&[u8]) = |_| {};
        self.rewriter = Some(Box::new(HtmlRewriter::new(settings, ignore)));
    }

    /// Reads a whole start tag, and returns the namespace that its content is read by; `None` if it
    /// is no markup.
    pub(super) fn open(&mut self, tag: &[u8]) -> Option<Namespace> {
        if !self.write(tag) {
            // Too deep for its memory: it goes on without what is open around.
            match self.last? {
                Namespace::Html => return self.last,
                Namespace::Svg => self.begin_with(b"<svg>"),
                Namespace::MathMl => self.begin_with(b"<math>"),
            }
            self.write(tag);
        }
        self.last = match self.seen.namespace.load(Ordering::Relaxed) {
            HTML => Some(Namespace::Html),
            SVG => Some(Namespace::Svg),
            MATH_ML => Some(Namespace::MathMl),
            _ => None,
        };
        self.last
    }

    fn begin_with(&mut self, tag: &[u8]) {
        self.begin();
        self.write(tag);
    }

    /// The namespace by which the next tag is read.
    pub(super) fn namespace(&mut self) -> Option<Namespace> {
        self.open(PROBE)
    }

    /// Reads a whole end tag.
    pub(super) fn close(&mut self, tag: &[u8]) {
        self.write(tag);
        if self.seen.is_closed.load(Ordering::Relaxed) {
            self.rewriter = None;
        }
    }

    /// Whether there was room for it; if not, the tree is gone.
    fn write(&mut self, tag: &[u8]) -> bool {
        self.seen.namespace.store(NOTHING, Ordering::Relaxed);
        let is_written = self.rewriter.as_mut().is_some_and(|tree| tree.write(tag).is_ok());
        if !is_written {
            self.rewriter = None;
        }
        is_written
    }
}
