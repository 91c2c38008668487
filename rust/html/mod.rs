//! HTML: where links and pixels' places are, as ranges of the bytes it was given.

pub mod attribute;
mod masks;
mod plain;
pub mod scan;
mod tag;
