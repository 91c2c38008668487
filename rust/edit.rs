//! Edits: what changes in a message, as ranges of its bytes.
//!
//! Rewriting never serialises anything. It lists what is replaced, and rendering copies all other
//! bytes. So a byte that no edit names cannot change.

use std::ops::Range;

/// Byte offset into the raw message, as received (before transfer decoding).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RawOffset(pub usize);

/// Byte offset into one part after transfer decoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartOffset(pub usize);

/// Bytes of a raw message: `start..end`.
pub type RawRange = Range<RawOffset>;

/// Bytes of a decoded part: `start..end`.
pub type PartRange = Range<PartOffset>;

/// An edit as it was applied: which bytes went, and where their replacement stands.
///
/// Replaying the list backwards over the rendered message gives the message as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// What was replaced, in the message as received.
    pub source: Range<usize>,
    /// What stands there now, in the rendered message.
    pub rendered: Range<usize>,
}

/// Copies a message and replaces ranges of it, front to back.
#[derive(Debug)]
pub struct Splice<'m> {
    source: &'m [u8],
    copied: usize,
    out: &'m mut Vec<u8>,
    applied: Vec<Applied>,
}

impl<'m> Splice<'m> {
    /// Starts a copy of `source` at the end of `out`, which must be empty.
    pub fn new(source: &'m [u8], out: &'m mut Vec<u8>) -> Self {
        debug_assert!(out.is_empty());
        Self { source, copied: 0, out, applied: Vec::new() }
    }

    /// Replaces `range` by what `write` appends.
    ///
    /// Ranges come in rising order.
    ///
    /// # Errors
    /// What `write` fails with; the bytes of the range stay as they are then.
    pub fn replace<E>(
        &mut self,
        range: &RawRange,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        debug_assert!(self.copied <= range.start.0 && range.start <= range.end);
        self.copy_to(range.start.0);
        let start = self.out.len();
        if let Err(error) = write(self.out) {
            self.out.truncate(start);
            return Err(error);
        }
        self.copied = range.end.0;
        self.applied
            .push(Applied { source: range.start.0..range.end.0, rendered: start..self.out.len() });
        Ok(())
    }

    /// Copies what is left and returns the edits.
    #[must_use]
    pub fn finish(mut self) -> Vec<Applied> {
        self.copy_to(self.source.len());
        self.applied
    }

    fn copy_to(&mut self, end: usize) {
        self.out.extend_from_slice(self.source.get(self.copied..end).unwrap_or_default());
        self.copied = self.copied.max(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: usize, end: usize) -> RawRange {
        RawOffset(start)..RawOffset(end)
    }

    #[test]
    fn bytes_that_no_edit_names_are_copied() {
        let mut out = Vec::new();
        let mut splice = Splice::new(b"one two three", &mut out);
        let put = |text: &'static [u8]| {
            move |out: &mut Vec<u8>| -> Result<(), ()> {
                out.extend_from_slice(text);
                Ok(())
            }
        };
        splice.replace(&at(4, 7), put(b"2")).unwrap();
        splice.replace(&at(13, 13), put(b"!")).unwrap();
        let applied = splice.finish();
        assert_eq!(out, b"one 2 three!");
        assert_eq!(applied[0], Applied { source: 4..7, rendered: 4..5 });
        assert_eq!(applied[1], Applied { source: 13..13, rendered: 11..12 });
    }

    #[test]
    fn an_edit_that_fails_leaves_its_bytes() {
        let mut out = Vec::new();
        let mut splice = Splice::new(b"abc", &mut out);
        let failed = splice.replace(&at(1, 2), |out| {
            out.extend_from_slice(b"half");
            Err("no")
        });
        assert_eq!(failed, Err("no"));
        assert!(splice.finish().is_empty());
        assert_eq!(out, b"abc");
    }
}
