//! Base64 bodies (RFC 2045 §6.8): decoding, and writing again from the first changed group on.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::reason::Reason;

const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// RFC 2045 §6.8: encoded lines are no longer.
const MAX_LINE: usize = 76;

/// Decodes a body; line breaks, spaces and tabs are passed over.
///
/// # Errors
/// [`Reason::MalformedTransferEncoding`] for any other byte, for data after the padding, and for
/// a group that is cut.
pub fn decode(raw: &[u8]) -> Result<Vec<u8>, Reason> {
    let mut encoded = Vec::with_capacity(raw.len());
    for line in raw.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii();
        if memchr::memchr2(b' ', b'\t', line).is_none() {
            encoded.extend_from_slice(line);
        } else {
            encoded.extend(line.iter().filter(|byte| !byte.is_ascii_whitespace()));
        }
    }
    ENGINE.decode(&encoded).map_err(|_| Reason::MalformedTransferEncoding)
}

/// Where an encoded body is cut: what stays, and how its lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Offset into the body of the first character of the group.
    pub start: usize,
    /// Characters that precede it on its line.
    pub column: usize,
    /// Characters on a full line.
    pub line_length: usize,
    /// The end of the last character that is not white space.
    pub end: usize,
}

impl Layout {
    /// Finds the group of four characters with that number.
    #[must_use]
    pub fn of_group(raw: &[u8], group: usize) -> Self {
        let mut left = group * 4;
        let mut at = 0;
        let end = raw.trim_ascii_end().len();
        let line_length = line_length(raw);
        for line in raw.split_inclusive(|byte| *byte == b'\n') {
            let characters = line.iter().filter(|byte| !byte.is_ascii_whitespace()).count();
            let is_last = at + line.len() >= end;
            if left < characters || is_last {
                break;
            }
            left -= characters;
            at += line.len();
        }
        let (mut start, mut column) = (at, 0);
        for byte in raw.get(at..end).unwrap_or_default() {
            if column == left && !byte.is_ascii_whitespace() {
                break;
            }
            column += usize::from(!byte.is_ascii_whitespace());
            start += 1;
        }
        Self { start, column, line_length, end }
    }
}

/// The longest of several lines tells how long a full one is; a single one may be short.
fn line_length(raw: &[u8]) -> usize {
    let body = raw.trim_ascii();
    let (mut longest, mut start) = (0, 0);
    for end in memchr::memchr_iter(b'\n', body).chain([body.len()]) {
        let line = body.get(start..end).unwrap_or_default();
        longest = longest.max(line.trim_ascii_end().len());
        start = end + 1;
    }
    if longest == body.len() { MAX_LINE } else { longest.clamp(4, MAX_LINE_OF_TEXT) / 4 * 4 }
}

/// RFC 5322 §2.1.1, in whole groups.
const MAX_LINE_OF_TEXT: usize = 996;

/// Appends `bytes` encoded, in lines; the first goes on at `column`.
pub fn encode(bytes: &[u8], layout: &Layout, eol: &[u8], out: &mut Vec<u8>) {
    let encoded = ENGINE.encode(bytes);
    let mut rest = encoded.as_bytes();
    let mut room = layout.line_length.saturating_sub(layout.column);
    while !rest.is_empty() {
        let (line, later) = rest.split_at_checked(room).unwrap_or((rest, &[]));
        out.extend_from_slice(line);
        if !later.is_empty() {
            out.extend_from_slice(eol);
        }
        rest = later;
        room = layout.line_length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(bytes: &[u8], length: usize) -> Vec<u8> {
        let layout = Layout { start: 0, column: 0, line_length: length, end: 0 };
        let mut out = Vec::new();
        encode(bytes, &layout, b"\r\n", &mut out);
        out
    }

    #[test]
    fn white_space_is_passed_over() {
        assert_eq!(decode(b"aGVs\r\nbG8 =\n").as_deref(), Ok(b"hello".as_slice()));
        assert_eq!(decode(b"aGVsbG8").as_deref(), Ok(b"hello".as_slice()));
        assert_eq!(decode(b"\r\n").as_deref(), Ok(b"".as_slice()));
    }

    #[test]
    fn what_is_no_base64_is_reported() {
        for raw in [b"aGVs!bG8=".as_slice(), b"aGVsbG8=\n-- \nlist", b"aGVsb", b"aG=sbG8="] {
            assert_eq!(decode(raw), Err(Reason::MalformedTransferEncoding), "{raw:?}");
        }
    }

    #[test]
    fn a_group_is_found_in_its_line() {
        let raw = b"AAAABBBB\r\nCCCCDDDD\r\nEEEE\r\n";
        let at = |group| Layout::of_group(raw, group);
        assert_eq!((at(0).start, at(0).column, at(0).line_length), (0, 0, 8));
        assert_eq!((at(1).start, at(1).column), (4, 4));
        assert_eq!((at(2).start, at(2).column), (10, 0));
        assert_eq!((at(3).start, at(3).column), (14, 4));
        assert_eq!((at(4).start, at(4).end), (20, 24));
        assert_eq!(Layout::of_group(b"AAAA", 0).line_length, 76);
    }

    #[test]
    fn what_is_added_at_the_end_goes_on_in_the_last_line() {
        for raw in
            [b"AAAABBBB\r\nEEEE".as_slice(), b"AAAABBBB\r\nEEEE\r\n", b"AAAABBBB\r\nEEEE\r\n\r\n"]
        {
            let layout = Layout::of_group(raw, 3);
            assert_eq!((layout.start, layout.column, layout.end), (14, 4, 14));
        }
        for raw in [b"".as_slice(), b"\r\n"] {
            let layout = Layout::of_group(raw, 0);
            assert_eq!((layout.start, layout.column, layout.end), (0, 0, 0));
        }
    }

    #[test]
    fn the_longest_line_is_a_full_one() {
        let raw = b"AAAA\nAAAABBBBCCCC\nAAAABBB\n";
        assert_eq!(Layout::of_group(raw, 0).line_length, 12);
    }

    proptest! {
        #[test]
        fn from_any_group_on_the_body_is_written_as_it_stood(
            bytes in prop::collection::vec(any::<u8>(), 1..400), length in 1_usize..20, cut in 0_usize..130,
        ) {
            let raw = lines(&bytes, length * 4);
            let group = cut.min(bytes.len() / 3);
            let layout = Layout::of_group(&raw, group);
            let mut out = raw[..layout.start].to_vec();
            encode(&bytes[group * 3..], &layout, b"\r\n", &mut out);
            prop_assert_eq!(&decode(&out).unwrap(), &bytes);
            if raw.len() > length * 4 {
                prop_assert_eq!(out, raw);
            }
        }
    }
}
