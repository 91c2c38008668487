//! Lines of a message, as edits see them: where they begin, and how long they were.

use std::ops::Range;

use crate::edit::RawRange;
use crate::mime::header::line;

/// RFC 5322 §2.1.1: octets on a line, its break excluded.
pub(super) const MAX_LINE: usize = 998;

/// Finds the line around each of a rising row of places, looking at no byte more than twice.
pub(super) struct LineCursor<'m> {
    message: &'m [u8],
    line: Range<usize>,
    next: usize,
    limit: usize,
}

/// What of the message's lines stands before and behind an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Around<'m> {
    /// From the start of the line that the edit begins on.
    pub(super) before: &'m [u8],
    /// Up to the line break of the line that it ends on.
    pub(super) after: &'m [u8],
    /// One of those lines was longer than RFC 5322 allows before any edit.
    pub(super) too_long: bool,
}

impl<'m> LineCursor<'m> {
    pub(super) fn new(message: &'m [u8], body: &Range<usize>) -> Self {
        Self { message, line: body.start..body.start, next: body.start, limit: body.end }
    }

    /// The lines that an edit stands on.
    pub(super) fn around(&mut self, at: &RawRange) -> Around<'m> {
        if self.next <= at.start.0 && self.next < self.limit {
            // The lines before it are not looked at one by one.
            let between = self.message.get(self.next..at.start.0).unwrap_or_default();
            let start = memchr::memrchr(b'\n', between).map_or(0, |newline| newline + 1);
            self.advance(self.next + start);
        } else if at.start.0 == self.limit && self.line.end < self.limit {
            self.line = self.limit..self.limit;
        }
        let start = self.line.start;
        let mut too_long = self.line.len() > MAX_LINE;
        while self.next <= at.end.0 && self.next < self.limit {
            self.advance(self.next);
            too_long |= self.line.len() > MAX_LINE;
        }
        let bytes = |range: Range<usize>| self.message.get(range).unwrap_or_default();
        Around {
            before: bytes(start..at.start.0),
            after: bytes(at.end.0..self.line.end),
            too_long,
        }
    }

    fn advance(&mut self, from: usize) {
        let line = line(self.message, from, self.limit);
        self.line = from..line.content_end;
        self.next = line.end;
    }
}

/// What of a copy's line stands before an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lead {
    /// So many bytes from the start of the line, as they are in the message.
    Line(usize),
    /// So many bytes from the edit before on.
    Edit(usize),
}

impl Lead {
    /// `last_end`: where the edit before ended, if it is of the same part.
    pub(super) fn of(at: &RawRange, around: Around<'_>, last_end: Option<usize>) -> Self {
        let line = around.before.len();
        match last_end.map(|end| at.start.0.saturating_sub(end)) {
            Some(gap) if gap <= line => Self::Edit(gap),
            _ => Self::Line(line),
        }
    }

    /// Bytes on the line before the edit, if so many are on it behind the edit before.
    pub(super) const fn column(self, behind_last: usize) -> usize {
        match self {
            Self::Line(bytes) => bytes,
            Self::Edit(bytes) => behind_last + bytes,
        }
    }
}

/// Bytes on the line behind `text`, which follows `column` bytes.
pub(super) fn column_behind(text: &[u8], column: usize) -> usize {
    memchr::memrchr(b'\n', text).map_or(column + text.len(), |newline| text.len() - newline - 1)
}

/// CRLF, unless the first line ends otherwise.
pub(super) fn line_break(bytes: &[u8]) -> &'static [u8] {
    match memchr::memchr(b'\n', bytes) {
        Some(at) if at == 0 || bytes.get(at - 1) != Some(&b'\r') => b"\n",
        _ => b"\r\n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edit::RawOffset;

    #[test]
    fn an_edit_knows_its_lines() {
        let message = b"one\r\ntwo three\nfour";
        let mut lines = LineCursor::new(message, &(0..message.len()));
        let mut around = |start, end| lines.around(&(RawOffset(start)..RawOffset(end)));
        assert_eq!((around(1, 2).before, around(1, 2).after), (b"o".as_slice(), b"e".as_slice()));
        assert_eq!(around(5, 5).before, b"");
        let joined = around(9, 17);
        assert_eq!((joined.before, joined.after), (b"two ".as_slice(), b"ur".as_slice()));
        assert_eq!(around(19, 19).before, b"four");
    }
}
