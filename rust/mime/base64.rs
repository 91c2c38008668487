//! Base64 bodies (RFC 2045 §6.8): decoding, and writing again from the first changed group on.

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};

use crate::reason::Reason;

const CONFIG: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// The vector instructions that this machine has.
#[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon")))]
fn engine() -> impl Engine {
    base64::engine::Simd::standard(CONFIG)
}

#[cfg(not(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon"))))]
fn engine() -> impl Engine {
    base64::engine::GeneralPurpose::new(&base64::alphabet::STANDARD, CONFIG)
}

/// RFC 2045 §6.8: encoded lines are no longer.
const MAX_LINE: usize = 76;

/// RFC 5322 §2.1.1, in whole groups.
const MAX_LINE_OF_TEXT: usize = 996;

/// Bytes that are stripped of line breaks or encoded at once; they stay in the nearest cache.
const CHUNK: usize = 4_096;

/// A decoded body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// How its encoded lines look, if all but the last are alike.
    lines: Option<Lines>,
}

/// Encoded lines of one length, in whole groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lines {
    length: usize,
    eol: &'static [u8],
    /// How many there are, the last one excluded.
    count: usize,
}

impl Lines {
    /// The lines of a body that begins with two of them; what they hold is not looked at.
    fn of(raw: &[u8]) -> Option<Self> {
        let newline = memchr::memchr(b'\n', raw)?;
        let line = raw.get(..newline)?;
        let (line, eol): (_, &[u8]) =
            line.strip_suffix(b"\r").map_or((line, b"\n"), |line| (line, b"\r\n"));
        let length = line.len();
        if length == 0 || length > MAX_LINE_OF_TEXT || length % 4 > 0 {
            return None;
        }
        let body = raw.trim_ascii_end();
        let stride = length + eol.len();
        let count = body.len().saturating_sub(1) / stride;
        let ends_alike = |line: &[u8]| line.ends_with(eol);
        let whole = body.get(..count * stride)?;
        let last = body.get(count * stride..)?;
        (count > 0 && last.len() <= length && whole.chunks_exact(stride).all(ends_alike))
            .then_some(Self { length, eol, count })
    }

    const fn stride(self) -> usize {
        self.length + self.eol.len()
    }
}

/// Decodes a body; white space of any kind is passed over.
///
/// # Errors
/// [`Reason::MalformedTransferEncoding`] for any other byte, for data after the padding, and for
/// a group that is cut.
pub fn decode(raw: &[u8]) -> Result<Decoded, Reason> {
    if let Some(lines) = Lines::of(raw)
        && let Some(bytes) = decode_lines(raw, lines)
    {
        return Ok(Decoded { bytes, lines: Some(lines) });
    }
    let mut encoded = Vec::with_capacity(raw.len());
    for line in raw.split(|byte| *byte == b'\n') {
        let line = line.trim_ascii();
        let blank = memchr::memchr3(b' ', b'\t', b'\r', line);
        if blank.or_else(|| memchr::memchr(b'\x0c', line)).is_none() {
            encoded.extend_from_slice(line);
        } else {
            encoded.extend(line.iter().filter(|byte| !byte.is_ascii_whitespace()));
        }
    }
    let bytes = engine().decode(&encoded).map_err(|_| Reason::MalformedTransferEncoding)?;
    Ok(Decoded { bytes, lines: None })
}

/// Decodes lines that are alike; `None` if anything in them is not of the alphabet.
fn decode_lines(raw: &[u8], lines: Lines) -> Option<Vec<u8>> {
    let engine = engine();
    let (whole, last) = raw.trim_ascii_end().split_at_checked(lines.count * lines.stride())?;
    let mut bytes = vec![0; (lines.count + 1) * (lines.length / 4 * 3)];
    let mut decoded = 0;
    let mut chunk = [0; CHUNK];
    for some in whole.chunks(CHUNK / lines.length * lines.stride()) {
        let mut filled = 0;
        for line in some.chunks_exact(lines.stride()) {
            move_line(line, chunk.get_mut(filled..)?, lines.length)?;
            filled += lines.length;
        }
        let out = bytes.get_mut(decoded..)?;
        let written = engine.decode_slice(chunk.get(..filled)?, out).ok()?;
        // Padding ends the data: it can't stand here.
        if written != filled / 4 * 3 {
            return None;
        }
        decoded += written;
    }
    let written = engine.decode_slice(last, bytes.get_mut(decoded..)?).ok()?;
    bytes.truncate(decoded + written);
    Some(bytes)
}

/// Copies the first `length` bytes; a line as most are is copied as one value.
fn move_line(line: &[u8], out: &mut [u8], length: usize) -> Option<()> {
    if length == MAX_LINE {
        *out.first_chunk_mut::<MAX_LINE>()? = *line.first_chunk()?;
    } else {
        out.get_mut(..length)?.copy_from_slice(line.get(..length)?);
    }
    Some(())
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
    /// Finds the group of four characters with that number in a body and its decoded form.
    #[must_use]
    pub fn of_group(raw: &[u8], decoded: &Decoded, group: usize) -> Self {
        let end = raw.trim_ascii_end().len();
        let mut left = group * 4;
        if let Some(lines) = decoded.lines
            && left < lines.count * lines.length
        {
            let column = left % lines.length;
            let start = left / lines.length * lines.stride() + column;
            return Self { start, column, line_length: lines.length, end };
        }
        let mut at = 0;
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

    /// Line breaks in so many characters.
    const fn breaks(&self, characters: usize) -> usize {
        let first = self.line_length.saturating_sub(self.column);
        characters.saturating_sub(first).div_ceil(self.line_length)
    }

    /// The length of so many bytes, encoded in lines of which the first goes on at `column`.
    #[must_use]
    pub const fn encoded_len(&self, bytes: usize, eol: &[u8]) -> usize {
        let characters = bytes.div_ceil(3) * 4;
        characters + self.breaks(characters) * eol.len()
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

/// Encodes pieces, of `bytes` bytes together, in lines of which the first goes on at `column`.
///
/// `out` is as long as [`Layout::encoded_len`] says; `None` if it isn't.
pub fn encode<'p>(
    pieces: impl IntoIterator<Item = &'p [u8]>,
    bytes: usize,
    layout: &Layout,
    eol: &[u8],
    out: &mut [u8],
) -> Option<()> {
    // Encoded first at the end of the place, and from there moved to the front line by line.
    let start = out.len().checked_sub(bytes.div_ceil(3) * 4)?;
    encode_unfolded(pieces, out.get_mut(start..)?)?;
    fold(out, start, layout, eol)
}

fn encode_unfolded<'p>(
    pieces: impl IntoIterator<Item = &'p [u8]>,
    mut out: &mut [u8],
) -> Option<()> {
    let engine = engine();
    let mut push = |bytes: &[u8]| {
        let written = engine.encode_slice(bytes, out).ok()?;
        out = std::mem::take(&mut out).get_mut(written..)?;
        Some(())
    };
    // What of a piece makes no whole group.
    let (mut group, mut filled) = ([0; 3], 0);
    for mut piece in pieces {
        if filled > 0 {
            let (first, rest) = piece.split_at(piece.len().min(3 - filled));
            group.get_mut(filled..filled + first.len())?.copy_from_slice(first);
            filled += first.len();
            if filled < 3 {
                continue;
            }
            push(&group)?;
            piece = rest;
        }
        let (whole, rest) = piece.split_at(piece.len() / 3 * 3);
        push(whole)?;
        filled = rest.len();
        group.get_mut(..filled)?.copy_from_slice(rest);
    }
    push(group.get(..filled)?)?;
    out.is_empty().then_some(())
}

/// Moves the characters from `start` on to the front, in lines.
fn fold(out: &mut [u8], start: usize, layout: &Layout, eol: &[u8]) -> Option<()> {
    let (mut from, mut to) = (start, 0);
    let mut room = layout.line_length.saturating_sub(layout.column);
    while out.len() - from > room {
        if room == MAX_LINE {
            let line: [u8; MAX_LINE] = *out.get(from..)?.first_chunk()?;
            *out.get_mut(to..)?.first_chunk_mut()? = line;
        } else {
            out.copy_within(from..from + room, to);
        }
        from += room;
        to += room;
        out.get_mut(to..to + eol.len())?.copy_from_slice(eol);
        to += eol.len();
        room = layout.line_length;
    }
    // The last line stands where it belongs.
    (to == from).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(bytes: &[u8], length: usize) -> Vec<u8> {
        let layout = Layout { start: 0, column: 0, line_length: length, end: 0 };
        encoded([bytes], &layout, b"\r\n")
    }

    fn encoded<const N: usize>(pieces: [&[u8]; N], layout: &Layout, eol: &[u8]) -> Vec<u8> {
        let bytes = pieces.iter().map(|piece| piece.len()).sum();
        let mut out = vec![0; layout.encoded_len(bytes, eol)];
        encode(pieces, bytes, layout, eol, &mut out).unwrap();
        out
    }

    fn decoded(raw: &[u8]) -> Result<Vec<u8>, Reason> {
        decode(raw).map(|decoded| decoded.bytes)
    }

    fn layout(raw: &[u8], group: usize) -> Layout {
        Layout::of_group(raw, &decode(raw).unwrap(), group)
    }

    #[test]
    fn white_space_is_passed_over() {
        assert_eq!(decoded(b"aGVs\r\nbG8 =\n").as_deref(), Ok(b"hello".as_slice()));
        assert_eq!(decoded(b"aGVsbG8").as_deref(), Ok(b"hello".as_slice()));
        assert_eq!(decoded(b"aG\rVs\r\nbG\x0c8=").as_deref(), Ok(b"hello".as_slice()));
        assert_eq!(decoded(b"\r\n").as_deref(), Ok(b"".as_slice()));
    }

    #[test]
    fn what_is_no_base64_is_reported() {
        for raw in [b"aGVs!bG8=".as_slice(), b"aGVsbG8=\n-- \nlist", b"aGVsb", b"aG=sbG8="] {
            assert_eq!(decoded(raw), Err(Reason::MalformedTransferEncoding), "{raw:?}");
        }
    }

    #[test]
    fn a_group_is_found_in_its_line() {
        let raw = b"AAAABBBB\r\nCCCCDDDD\r\nEEEE\r\n";
        let at = |group| layout(raw, group);
        assert_eq!((at(0).start, at(0).column, at(0).line_length), (0, 0, 8));
        assert_eq!((at(1).start, at(1).column), (4, 4));
        assert_eq!((at(2).start, at(2).column), (10, 0));
        assert_eq!((at(3).start, at(3).column), (14, 4));
        assert_eq!((at(4).start, at(4).end), (20, 24));
        assert_eq!(layout(b"AAAA", 0).line_length, 76);
    }

    #[test]
    fn what_is_added_at_the_end_goes_on_in_the_last_line() {
        for raw in
            [b"AAAABBBB\r\nEEEE".as_slice(), b"AAAABBBB\r\nEEEE\r\n", b"AAAABBBB\r\nEEEE\r\n\r\n"]
        {
            let layout = layout(raw, 3);
            assert_eq!((layout.start, layout.column, layout.end), (14, 4, 14));
        }
        for raw in [b"".as_slice(), b"\r\n"] {
            let layout = layout(raw, 0);
            assert_eq!((layout.start, layout.column, layout.end), (0, 0, 0));
        }
    }

    #[test]
    fn the_longest_line_is_a_full_one() {
        let raw = b"AAAA\nAAAABBBBCCCC\nAAAABBB\n";
        assert_eq!(layout(raw, 0).line_length, 12);
        assert_eq!(layout(b"AAAA\nAAAABBBBCCC\nC", 0).line_length, 8, "whole groups only");
    }

    #[test]
    fn a_long_line_after_short_ones_loses_nothing_where_theirs_would_end() {
        let raw = [b"QUJDREVG\r\n".as_slice(), &b"QUJD".repeat(10)].concat();
        let bytes = [b"ABCDEF".as_slice(), &b"ABC".repeat(10)].concat();
        assert_eq!(decode(&raw), Ok(Decoded { bytes, lines: None }));
    }

    #[test]
    fn lines_that_are_alike_are_found_at_once() {
        let html = [b"<p>".as_slice(), &b"x".repeat(6_000)].concat();
        let raw = lines(&html, 76);
        let whole = decode(&raw).unwrap();
        assert_eq!((whole.lines.unwrap().length, &whole.bytes), (76, &html));
        let mut padded = raw.clone();
        padded[70..76].copy_from_slice(b"YQ==\r\n");
        for other in [
            [b"\r\n".as_slice(), &raw].concat(),
            [&raw[..76], b" ", &raw[76..]].concat(),
            [&raw[..780], b"\r\n", &raw[780..]].concat(),
        ] {
            assert_eq!(decode(&other), Ok(Decoded { bytes: html.clone(), lines: None }));
        }
        assert_eq!(decoded(&padded), Err(Reason::MalformedTransferEncoding));
    }

    proptest! {
        #[test]
        fn from_any_group_on_the_body_is_written_as_it_stood(
            bytes in prop::collection::vec(any::<u8>(), 1..400), length in 1_usize..20, cut in 0_usize..130,
            pieces in prop::array::uniform2(0_usize..400),
        ) {
            let raw = lines(&bytes, length * 4);
            let group = cut.min(bytes.len() / 3);
            let layout = layout(&raw, group);
            let by_trial = Layout::of_group(&raw, &Decoded { bytes: bytes.clone(), lines: None }, group);
            prop_assert_eq!(layout, by_trial);
            let rest = &bytes[group * 3..];
            let (rest, third) = rest.split_at(pieces[0].min(rest.len()));
            let (first, second) = rest.split_at(pieces[1].min(rest.len()));
            let mut out = raw[..layout.start].to_vec();
            out.extend(encoded([first, second, third], &layout, b"\r\n"));
            prop_assert_eq!(&decoded(&out).unwrap(), &bytes);
            if raw.len() > length * 4 {
                prop_assert_eq!(out, raw);
            }
        }

        #[test]
        fn every_body_is_decoded_as_if_its_lines_were_not_alike(
            pieces in prop::collection::vec(prop::sample::select(vec![
                "QUJD", "QUJDREVG\r\n", "QUJDREVG\r\n", "QUJDREVG\r\n", "\r\n", "\n", " ", "=", "YQ==", "+/", "!", "\t",
                "\r", "\x0c",
            ]), 0..40),
        ) {
            let raw = pieces.concat().into_bytes();
            let data: Vec<u8> = raw.iter().copied().filter(|byte| !b" \t\r\n\x0c".contains(byte)).collect();
            prop_assert_eq!(decoded(&raw).ok(), engine().decode(&data).ok());
        }
    }
}
