//! HTML: where links and pixels' places are, as ranges of the bytes it was given.

pub mod attribute;
mod comment;
mod fast;
pub mod found;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod laws;
pub mod lol;
mod masks;
mod tag;
