//! The click path: whole, plain GETs of tracked links, answered in one call a read.
//!
//! "Plain" is what nearly every reader's browser sends. Whatever is not (another method, a body, a
//! purpose, a target that needs encoding, a token that does not open) is left to the tracker in
//! Python, which decides all rules: a [`ClickPath`] answers as that does, byte for byte, or not at
//! all. It answers a read as a whole, and nothing is counted or recorded of one that it leaves.

mod click;
mod client;
mod date;
mod hosts;
mod request;

pub use click::{Answer, ClickPath, Counts, Exceptions, Hits, Replies};
pub use client::{Network, NotANetwork};
pub use hosts::Rings;
pub use request::Limits;

#[cfg(test)]
mod tests;
