//! Quoted-printable (RFC 2045 §6.7): decoding with a way back, and writing into what stands.

use std::ops::Range;

use super::content_type::hex;
use crate::edit::{PartRange, RawOffset, RawRange};

/// RFC 2045 §6.7 (5): no encoded line is longer, its soft break included.
const MAX_LINE: usize = 76;

/// From how many encoded bytes on the next place is marked: so many are read again to find a byte,
/// and the marks of a part take a thirtieth of its size.
const MARK_EVERY: usize = 512;

/// A decoded part that knows where each of its bytes came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded<'m> {
    /// The part's bytes.
    pub bytes: Vec<u8>,
    raw: &'m [u8],
    marks: Vec<Mark>,
    body: usize,
}

/// A place in both forms: from there on the encoded bytes are read once more.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mark {
    part: usize,
    raw: usize,
}

impl<'m> Decoded<'m> {
    /// Decodes `raw`, whose first byte stands at `body` of the message.
    ///
    /// Soft breaks vanish. A `=` that starts neither an escape nor a soft break is kept as it
    /// stands (§6.7, note on robust decoding); so is white space at the end of a line.
    #[must_use]
    pub fn decode(raw: &'m [u8], body: usize) -> Self {
        let mut decoded =
            Self { bytes: Vec::with_capacity(raw.len()), raw, marks: Vec::new(), body };
        let mut next_mark = 0;
        for (at, run) in (Runs { raw, at: 0 }) {
            if at >= next_mark {
                decoded.marks.push(Mark { part: decoded.bytes.len(), raw: at });
                next_mark = at + MARK_EVERY;
            }
            match run {
                Run::Literal(bytes) => decoded.bytes.extend_from_slice(bytes),
                Run::Escape(byte) => decoded.bytes.push(byte),
            }
        }
        decoded
    }

    /// The bytes of the message that a range of the part came from. What is inserted goes right
    /// before the byte at its place, or behind the last one.
    #[must_use]
    pub fn raw(&self, range: &PartRange) -> RawRange {
        let end = range.end.0.checked_sub(1).map_or(self.body, |last| self.place(last).end);
        let is_behind_all = range.is_empty() && range.start.0 >= self.bytes.len();
        let start = if is_behind_all { end } else { self.place(range.start.0).start };
        RawOffset(start)..RawOffset(end.max(start))
    }

    /// Where a byte of the part stands in the message.
    fn place(&self, part: usize) -> Range<usize> {
        let after = self.marks.partition_point(|mark| mark.part <= part);
        let Some(mark) = after.checked_sub(1).and_then(|mark| self.marks.get(mark)) else {
            return self.body..self.body;
        };
        let mut left = part - mark.part;
        for (at, run) in (Runs { raw: self.raw, at: mark.raw }) {
            let start = self.body + at + left;
            match run {
                Run::Literal(bytes) if left < bytes.len() => return start..start + 1,
                Run::Literal(bytes) => left -= bytes.len(),
                Run::Escape(_) if left == 0 => return start..start + 3,
                Run::Escape(_) => left -= 1,
            }
        }
        let end = self.body + self.raw.len();
        end..end
    }
}

/// Bytes that follow each other in both forms.
enum Run<'m> {
    Literal(&'m [u8]),
    Escape(u8),
}

/// The runs of encoded text, each with its place; soft breaks are between them.
struct Runs<'m> {
    raw: &'m [u8],
    at: usize,
}

impl<'m> Iterator for Runs<'m> {
    type Item = (usize, Run<'m>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let at = self.at;
            let rest = self.raw.get(at..)?;
            let literal = memchr::memchr(b'=', rest).unwrap_or(rest.len());
            if literal > 0 {
                self.at += literal;
                return Some((at, Run::Literal(rest.get(..literal)?)));
            }
            let after = rest.get(1..)?;
            if let Some(length) = soft_break(after) {
                self.at += 1 + length;
            } else if let Some(byte) = after.get(..2).and_then(hex) {
                self.at += 3;
                return Some((at, Run::Escape(byte)));
            } else {
                self.at += 1;
                return Some((at, Run::Literal(b"=")));
            }
        }
    }
}

/// The length of a soft break's white space and line end, behind its `=`.
fn soft_break(after: &[u8]) -> Option<usize> {
    let blank = after.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    match after.get(blank..)? {
        [] => Some(blank),
        [b'\n', ..] => Some(blank + 1),
        [b'\r', b'\n', ..] => Some(blank + 2),
        _ => None,
    }
}

/// Writes encoded text into a line that is already there.
#[derive(Debug)]
pub struct Writer<'o> {
    out: &'o mut Vec<u8>,
    column: usize,
    eol: &'static [u8],
}

impl<'o> Writer<'o> {
    /// Writes at the end of `out`, `column` bytes into the current encoded line.
    pub fn new(out: &'o mut Vec<u8>, column: usize, eol: &'static [u8]) -> Self {
        Self { out, column, eol }
    }

    /// Encodes text without line breaks.
    pub fn text(&mut self, text: &[u8]) {
        let mut rest = text;
        while !rest.is_empty() {
            let literal = rest
                .iter()
                .take_while(|byte| matches!(byte, b' '..=b'~') && **byte != b'=')
                .count();
            let (plain, after) = rest.split_at_checked(literal).unwrap_or((rest, &[]));
            self.literal(plain);
            rest = after;
            if let Some((byte, after)) = after.split_first() {
                self.make_room(3);
                self.push_escaped(*byte);
                rest = after;
            }
        }
    }

    fn literal(&mut self, mut text: &[u8]) {
        while !text.is_empty() {
            self.make_room(1);
            if let (0, Some((b'-', rest))) = (self.column, text.split_first()) {
                // Literal, it might begin a boundary line.
                self.push_escaped(b'-');
                text = rest;
                continue;
            }
            let fits = text.len().min(MAX_LINE - 1 - self.column);
            let (now, later) = text.split_at_checked(fits).unwrap_or((text, &[]));
            self.out.extend_from_slice(now);
            self.column += now.len();
            text = later;
        }
    }

    fn push_escaped(&mut self, byte: u8) {
        self.out.extend_from_slice(&escape(byte));
        self.column += 3;
    }

    /// A line break of the text itself. Where what stands before it would be lost, as white space
    /// is, a soft break goes between them.
    pub fn line_break(&mut self, needs_soft_break: bool) {
        if needs_soft_break {
            self.soft_break();
        }
        self.out.extend_from_slice(self.eol);
        self.column = 0;
    }

    /// Makes sure that the `tail` bytes which follow on this line fit.
    pub fn before_tail(mut self, tail: usize) {
        if tail > 0 && self.column > 0 && self.column + tail > MAX_LINE {
            self.soft_break();
        }
    }

    fn make_room(&mut self, length: usize) {
        if self.column + length >= MAX_LINE {
            self.soft_break();
        }
    }

    fn soft_break(&mut self) {
        self.out.push(b'=');
        self.out.extend_from_slice(self.eol);
        self.column = 0;
    }
}

fn escape(byte: u8) -> [u8; 3] {
    let digit = |value: u8| if value < 10 { b'0' + value } else { b'A' + value - 10 };
    [b'=', digit(byte >> 4), digit(byte & 15)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edit::PartOffset;
    use proptest::prelude::*;

    fn write(column: usize, text: &[u8], tail: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = Writer::new(&mut out, column, b"\n");
        writer.text(text);
        writer.before_tail(tail);
        out
    }

    fn decode(raw: &[u8]) -> Decoded<'_> {
        Decoded::decode(raw, 0)
    }

    fn raw(decoded: &Decoded<'_>, start: usize, end: usize) -> Range<usize> {
        let range = decoded.raw(&(PartOffset(start)..PartOffset(end)));
        range.start.0..range.end.0
    }

    #[test]
    fn what_follows_gets_a_line_of_its_own_only_if_it_has_no_room() {
        assert_eq!(write(10, b"xy", 64), b"xy");
        assert_eq!(write(10, b"xy", 65), b"xy=\n");
        assert_eq!(write(70, b"xy", 0), b"xy", "nothing follows");
        assert_eq!(write(75, b"", 2), b"=\n");
        assert_eq!(write(0, b"", 100), b"", "a new line would have no more room");
        assert_eq!(write(80, b"", 0), b"", "a line that was too long stays");
    }

    #[test]
    fn escapes_and_soft_breaks_are_decoded() {
        assert_eq!(decode(b"a=3Db=\r\nc= \t\nd=e9=").bytes, b"a=bcd\xe9");
        assert_eq!(decode(b"x=zz =4").bytes, b"x=zz =4");
        assert_eq!(decode(b"").bytes, b"");
    }

    #[test]
    fn a_range_of_the_part_is_found_in_the_message() {
        let source = b"href=3D\"http=\r\n://e\"";
        let decoded = Decoded::decode(source, 100);
        assert_eq!(decoded.bytes, b"href=\"http://e\"");
        assert_eq!(raw(&decoded, 6, 14), 108..119);
        assert_eq!(raw(&decoded, 4, 5), 104..107);
        assert_eq!(raw(&decoded, 10, 10), 115..115);
        assert_eq!(raw(&decoded, 15, 15), 120..120);
        assert_eq!(raw(&decoded, 20, 21), 120..120, "behind the part's end");
        assert_eq!(raw(&decode(b""), 0, 0), 0..0);
    }

    #[test]
    fn written_lines_stay_within_76() {
        let mut out = b"0123456789".to_vec();
        let mut writer = Writer::new(&mut out, 10, b"\r\n");
        writer.text(&[b'=', 0xe9].repeat(100));
        writer.before_tail(70);
        assert!(out.ends_with(b"=\r\n"));
        assert!(out.split(|byte| *byte == b'\n').all(|line| line.len() <= 77));
        assert_eq!(
            decode(&out).bytes,
            [b"0123456789".to_vec(), [b'=', 0xe9].repeat(100)].concat()
        );
    }

    #[test]
    fn no_written_line_begins_like_a_boundary() {
        let mut out = Vec::new();
        Writer::new(&mut out, 0, b"\n").text(&[b'-'; 200]);
        assert!(out.split(|byte| *byte == b'\n').all(|line| line.starts_with(b"=2D-")));
        assert_eq!(decode(&out).bytes, [b'-'; 200]);
    }

    #[test]
    fn white_space_before_a_line_break_survives() {
        let mut out = b"x ".to_vec();
        Writer::new(&mut out, 2, b"\r\n").line_break(true);
        assert_eq!(out, b"x =\r\n\r\n");
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_back(text in prop::collection::vec(any::<u8>(), 0..400), column in 0_usize..76) {
            let mut out = vec![b'x'; column];
            Writer::new(&mut out, column, b"\r\n").text(&text);
            prop_assert!(out.split(|byte| *byte == b'\n').all(|line| line.len() <= 77));
            prop_assert_eq!(&decode(&out).bytes[column..], text);
        }

        #[test]
        fn every_byte_knows_where_it_came_from(source in prop::collection::vec(prop::sample::select(b"=3D \r\nab".to_vec()), 0..3 * MARK_EVERY)) {
            let decoded = decode(&source);
            for at in 0..decoded.bytes.len() {
                let range = raw(&decoded, at, at + 1);
                let came_from = &source[range];
                let kept = came_from == b"=" && decoded.bytes[at] == b'=';
                prop_assert!(kept || decode(came_from).bytes == decoded.bytes[at..=at]);
            }
        }
    }
}
