//! The words of SMTP: the bytes of DATA.

pub mod data;
