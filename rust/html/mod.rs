//! HTML: where links and pixels' places are, as ranges of the bytes it was given.

pub mod attribute;
mod comment;
pub mod found;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod laws;
pub mod reader;
mod spoilers;
mod syntax;
mod tag;
mod tree;
pub(crate) mod visible;

#[cfg(test)]
mod tests;
