//! Logs of hits: what faces write down without waiting, for a recorder to make events of.
//!
//! Putting a [`Hit`] takes a lock for as long as it takes to write it as a line of JSON. A thread
//! hands the lines to the disk in batches, so that a slow one delays no reader, and a full one costs
//! bounded memory. `docs/event-log.md` has the layout of the files, which Python reads and writes too.

mod hit;
mod id;
mod json;
mod platform;
mod queue;
mod segments;
mod writer;

pub use hit::{Client, Hit};
pub use queue::Figures;
pub use segments::OpenError;
pub use writer::{HitLog, Limits, LineError};

#[cfg(test)]
mod tests;
