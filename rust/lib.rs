//! The core of msys-track: everything that touches the bytes of a message or of a token.
//!
//! A message is scanned once into a [`plan::Plan`]: its bytes and a sorted list of edits, with
//! holes for what differs between recipients. Rendering fills the holes and copies the rest, so
//! that no byte changes which no edit names. The holes of a [`tracked::TrackedPlan`] are URLs that
//! a [`token::KeyRing`] seals.
//!
//! A module knows only those below it; `docs/architecture.md` shows their layers.

pub mod charset;
pub mod edit;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod html;
pub mod http;
pub mod link;
pub mod log;
pub mod mime;
pub mod names;
pub mod pcre;
pub mod plan;
pub mod reason;
pub mod recipe;
pub mod smtp;
pub mod stream;
pub mod text;
pub mod token;
pub mod toml;
pub mod tracked;

#[cfg(feature = "python")]
mod python;
