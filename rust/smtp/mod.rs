//! The words of SMTP: the bytes of DATA, and the form of them that is signed.

pub mod data;
pub mod relaxed;
