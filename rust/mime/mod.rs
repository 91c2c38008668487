//! MIME: a message as ranges of its bytes, and which part of it may be changed.

pub mod base64;
pub mod content_type;
pub mod entity;
pub mod header;
pub mod quoted_printable;
