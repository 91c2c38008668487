//! Edits: what changes in a message, as ranges of its bytes.
//!
//! Rewriting never serialises anything. It lists what is replaced, and rendering copies all other
//! bytes. So a byte that no edit names cannot change.
//!
//! What is put in is collected before anything is copied. So the length of a copy is known when
//! memory is asked for, and each of its bytes is written once.

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

/// Replacements of ranges of a text, collected front to back.
#[derive(Clone, Debug, Default)]
pub struct Splice {
    applied: Vec<Applied>,
    /// What is put in, one behind the other, and where each of them ends.
    texts: Vec<u8>,
    ends: Vec<usize>,
}

impl Splice {
    /// Replaces nothing yet; `edits` are about how many replacements follow.
    #[must_use]
    pub fn with_capacity(edits: usize) -> Self {
        Self {
            applied: Vec::with_capacity(edits),
            texts: Vec::with_capacity(edits * TEXT),
            ends: Vec::with_capacity(edits),
        }
    }

    /// Replaces `range` by what `write` appends, and returns that.
    ///
    /// Ranges come in rising order.
    ///
    /// # Errors
    /// What `write` fails with; the bytes of the range stay as they are then.
    pub fn replace<E>(
        &mut self,
        range: &RawRange,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<&[u8], E> {
        let start = self.texts.len();
        if let Err(error) = write(&mut self.texts) {
            self.texts.truncate(start);
            return Err(error);
        }
        self.push(range, self.texts.len() - start);
        Ok(self.texts.get(start..).unwrap_or_default())
    }

    /// Replaces `range` by `length` bytes that are written later, and returns the number of the
    /// edit.
    pub fn reserve(&mut self, range: &RawRange, length: usize) -> usize {
        self.push(range, length);
        self.applied.len() - 1
    }

    /// What is replaced, front to back.
    #[must_use]
    pub fn applied(&self) -> &[Applied] {
        &self.applied
    }

    /// The length of all that is put in, but for reserved bytes.
    #[must_use]
    pub fn text_len(&self) -> usize {
        self.texts.len()
    }

    /// The length of the result.
    #[must_use]
    pub fn spliced_len(&self, source: &[u8]) -> usize {
        self.applied.last().map_or(source.len(), |last| {
            last.rendered.end + source.len().saturating_sub(last.source.end)
        })
    }

    /// The result in pieces, each with the offset that it goes to; reserved bytes are left out.
    pub fn pieces<'s>(&'s self, source: &'s [u8]) -> impl Iterator<Item = (usize, &'s [u8])> {
        let (mut copied, mut at, mut text) = (0, 0, 0);
        let edits = self.applied.iter().zip(&self.ends).flat_map(move |(applied, &end)| {
            let run = (at, source.get(copied..applied.source.start).unwrap_or_default());
            let inserted = self.texts.get(text..end).unwrap_or_default();
            (copied, at, text) = (applied.source.end, applied.rendered.end, end);
            [run, (applied.rendered.start, inserted)]
        });
        let (copied, at) =
            self.applied.last().map_or((0, 0), |last| (last.source.end, last.rendered.end));
        edits.chain([(at, source.get(copied..).unwrap_or_default())])
    }

    /// Writes the result, all but reserved bytes, into `out`, which is as long.
    pub fn write(&self, source: &[u8], out: &mut [u8]) {
        for (at, piece) in self.pieces(source) {
            if let Some(place) = out.get_mut(at..at + piece.len()) {
                place.copy_from_slice(piece);
            }
        }
    }

    fn push(&mut self, range: &RawRange, length: usize) {
        let (copied, at) =
            self.applied.last().map_or((0, 0), |last| (last.source.end, last.rendered.end));
        debug_assert!(copied <= range.start.0 && range.start <= range.end);
        let start = at + range.start.0.saturating_sub(copied);
        self.applied
            .push(Applied { source: range.start.0..range.end.0, rendered: start..start + length });
        self.ends.push(self.texts.len());
    }
}

/// Most tracked URLs are no longer.
const TEXT: usize = 320;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: usize, end: usize) -> RawRange {
        RawOffset(start)..RawOffset(end)
    }

    fn put(text: &'static [u8]) -> impl FnOnce(&mut Vec<u8>) -> Result<(), ()> {
        move |out| {
            out.extend_from_slice(text);
            Ok(())
        }
    }

    fn result(splice: &Splice, source: &[u8]) -> Vec<u8> {
        let mut out = vec![b'.'; splice.spliced_len(source)];
        splice.write(source, &mut out);
        out
    }

    #[test]
    fn bytes_that_no_edit_names_are_copied() {
        let mut splice = Splice::default();
        assert_eq!(splice.replace(&at(4, 7), put(b"2")), Ok(b"2".as_slice()));
        splice.replace(&at(13, 13), put(b"!")).unwrap();
        assert_eq!(result(&splice, b"one two three"), b"one 2 three!");
        assert_eq!(splice.applied()[0], Applied { source: 4..7, rendered: 4..5 });
        assert_eq!(splice.applied()[1], Applied { source: 13..13, rendered: 11..12 });
    }

    #[test]
    fn an_edit_that_fails_leaves_its_bytes() {
        let mut splice = Splice::default();
        let failed = splice.replace(&at(1, 2), |out| {
            out.extend_from_slice(b"half");
            Err("no")
        });
        assert_eq!(failed, Err("no"));
        assert!(splice.applied().is_empty());
        assert_eq!(result(&splice, b"abc"), b"abc");
    }

    #[test]
    fn reserved_bytes_are_left_to_be_written() {
        let mut splice = Splice::default();
        splice.replace(&at(0, 1), put(b"A")).unwrap();
        assert_eq!(splice.reserve(&at(2, 3), 4), 1);
        splice.replace(&at(3, 4), put(b"D")).unwrap();
        assert_eq!(result(&splice, b"abcde"), b"Ab....De");
    }
}
