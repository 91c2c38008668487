//! HTML: where links and the pixel's place are, as ranges of the bytes it was given.

pub mod attribute;
pub mod scan;
