//! Plans: a message and its edits, found once, rendered for as many recipients as there are.
//!
//! Everything slow happens in [`Plan::new`]. What differs between recipients are holes: the URL
//! of each link and pixel. [`Plan::render`] asks a [`Fill`] for those, and [`Plan::write`] copies.

mod content;
mod lines;
pub(crate) mod piece;
mod planning;
mod reading;
mod rendering;
mod revising;
mod rules;

use std::ops::Range;

use crate::edit::{Applied, RawOffset, RawRange, Splice};
use crate::link::Link;
use crate::mime::entity::{BodyPart, Role};
use crate::reason::Reason;
use content::Edit;
pub use rendering::{Insertion, InsertionError};
pub use revising::{Revision, RevisionError};
pub use rules::{Pattern, PatternError, Rules, SignedMail};

/// What a recipient's copy has of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hole {
    /// The `href` of the link with that number in [`Plan::links`].
    Href(usize),
    /// The open pixel, at the end.
    Pixel,
    /// The pixel at the top.
    InitialPixel,
    /// The open pixel of an AMP part.
    AmpPixel,
    /// The pixel at the top of an AMP part.
    AmpInitialPixel,
}

impl Hole {
    /// Whether a pixel at the top fills it.
    #[must_use]
    pub const fn is_initial(self) -> bool {
        matches!(self, Self::InitialPixel | Self::AmpInitialPixel)
    }

    /// Whether a pixel fills it.
    #[must_use]
    pub const fn is_pixel(self) -> bool {
        !matches!(self, Self::Href(_))
    }
}

/// What of a recipient's copy is tracked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tracking {
    /// Links are wrapped.
    pub clicks: bool,
    /// The open pixel is added.
    pub opens: bool,
    /// The pixel at the top is added too.
    pub initial_opens: bool,
}

impl Tracking {
    fn fills(self, hole: Hole) -> bool {
        match hole {
            Hole::Href(_) => self.clicks,
            Hole::Pixel | Hole::AmpPixel => self.opens,
            Hole::InitialPixel | Hole::AmpInitialPixel => self.opens && self.initial_opens,
        }
    }
}

/// Writes what a recipient's copy has of its own.
pub trait Fill {
    /// What is tracked.
    fn tracking(&self) -> Tracking;

    /// Whether the links of AMP parts may be wrapped: AMP allows `https` only.
    fn wraps_amp(&self) -> bool {
        true
    }

    /// How many bytes may be put in before the rest is not worth to be filled in: the copy would
    /// be too long whatever goes from it. Such a rendering is for nothing but its length.
    fn most_bytes(&self) -> usize {
        usize::MAX
    }

    /// Appends the URL for a hole that is tracked, of at most `room` bytes.
    ///
    /// # Errors
    /// Why there is none.
    fn url(&mut self, hole: Hole, room: usize, out: &mut Vec<u8>) -> Result<(), Reason>;
}

/// A link that copies may wrap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedLink {
    /// Where its `href` stands in the message; in a base64 part, where the part's body stands.
    pub at: RawRange,
    /// What it says.
    pub link: Link,
}

/// What stays as it is, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftAlone {
    /// The href, the part's body, or the whole message.
    pub at: RawRange,
    /// Why.
    pub reason: Reason,
    /// Where the link leads, if it is one.
    pub target: Option<String>,
}

/// A message and its edits. `S` holds the bytes as received.
#[derive(Clone, Debug)]
pub struct Plan<S> {
    source: S,
    header_end: usize,
    edits: Vec<Edit>,
    /// The HTML that may be changed.
    documents: Vec<Document>,
    /// The links that copies may wrap, in the order of the message.
    pub links: Vec<PlannedLink>,
    /// What no copy changes, in the order of the message.
    pub left_alone: Vec<LeftAlone>,
    /// The message's parts, in its order.
    pub parts: Vec<BodyPart>,
    /// Where pixels go, in the order of the message; in a base64 part, where the part's body
    /// stands.
    pub pixels: Vec<(Hole, RawOffset)>,
    /// Why a pixel has no place; only for copies that it was to be in.
    placeless: Vec<(Hole, LeftAlone)>,
}

/// A copy's edits and what it left; everything that is needed to write the copy.
#[derive(Debug, Default)]
pub struct Rendering {
    splice: Splice,
    bodies: Vec<RenderedBody>,
    length: usize,
    /// Links and pixels that this copy could not have.
    pub left_alone: Vec<LeftAlone>,
    /// How many links were wrapped.
    pub links: usize,
    /// How many pixels were added.
    pub pixels: usize,
    /// An HTML part has grown beyond [`CLIPPED_FROM`].
    pub clips_html: bool,
}

/// Gmail shows no more bytes of a document: it cuts off what follows, and the pixel with it.
pub const CLIPPED_FROM: usize = 102_400;

/// An HTML part.
#[derive(Clone, Debug)]
struct Document {
    /// The numbers of its edits.
    edits: Range<usize>,
    /// Its decoded bytes, before any edit.
    length: usize,
}

/// A base64 body: the number of the edit that it is in the plan and in the copy, and what is put
/// into its decoded form.
#[derive(Debug)]
struct RenderedBody {
    planned: usize,
    applied: usize,
    splice: Splice,
}

impl Rendering {
    /// What was replaced, front to back.
    #[must_use]
    pub fn applied(&self) -> &[Applied] {
        self.splice.applied()
    }

    /// The length of the copy.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.length
    }
}

impl<S: AsRef<[u8]>> Plan<S> {
    /// The message as received.
    #[must_use]
    pub fn source(&self) -> &[u8] {
        self.source.as_ref()
    }

    /// Whether it has an AMP part that may change.
    #[must_use]
    pub fn has_amp(&self) -> bool {
        self.parts.iter().any(|part| part.role == Some(Role::Amp) && part.reason.is_none())
    }
}

#[cfg(test)]
mod charset_tests;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod laws;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;
