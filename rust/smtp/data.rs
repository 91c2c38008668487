//! The bytes of SMTP's DATA: where they end, and the dots in front of lines (RFC 5321 §4.5.2).
//!
//! Here and not in Python, as these three scans would cost more than everything else that the
//! proxy does to a large message. Only CRLF ends a line: a server that takes a bare CR or LF for
//! one can be made to see a second message inside the first (SMTP smuggling).

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr2_iter, memmem};

/// The line that ends the data.
pub const END: &[u8] = b".\r\n";
const END_AFTER_LINE: &[u8] = b"\r\n.\r\n";
const DOT_AFTER_LINE: &[u8] = b"\r\n.";

/// A CR without its LF or an LF without its CR, at that offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bare CR or LF at offset {0}")]
pub struct BareNewline(pub usize);

/// Finds the line that ends the data: the offset of its dot.
///
/// With the answer `end`, `buffer[..end]` is for [`unstuff`], and what the client sent after the
/// data begins at `end + 3`. The data is empty if the buffer begins with the line. Only the end
/// line whose last byte is at or after `start` is searched for: give the length of what an
/// earlier call has seen, or 0.
#[must_use]
pub fn find_end(buffer: &[u8], start: usize) -> Option<usize> {
    if start < END.len() && buffer.starts_with(END) {
        return Some(0);
    }
    let from = start.saturating_sub(END_AFTER_LINE.len() - 1);
    let found = memmem::find(buffer.get(from..)?, END_AFTER_LINE)?;
    Some(from + found + 2)
}

/// Takes the stuffed dots off: wire bytes without the end line → message.
///
/// Borrowed if no line began with a dot.
///
/// # Errors
/// [`BareNewline`] with the offset of the first one.
pub fn unstuff(wire: &[u8]) -> Result<Cow<'_, [u8]>, BareNewline> {
    if let Some(at) = find_bare_newline(wire) {
        return Err(BareNewline(at));
    }
    let mut copied = usize::from(wire.first() == Some(&b'.'));
    let mut message = Vec::new();
    for at in memmem::find_iter(wire, DOT_AFTER_LINE) {
        if message.is_empty() {
            message.reserve_exact(wire.len());
        }
        message.extend_from_slice(wire.get(copied..at + 2).unwrap_or_default());
        copied = at + DOT_AFTER_LINE.len();
    }
    if copied == 0 {
        return Ok(Cow::Borrowed(wire));
    }
    message.extend_from_slice(wire.get(copied..).unwrap_or_default());
    Ok(Cow::Owned(message))
}

/// Finds the first CR without its LF or LF without its CR.
fn find_bare_newline(wire: &[u8]) -> Option<usize> {
    let (Some(first), Some(last)) = (wire.first(), wire.last()) else { return None };
    // Every CR has an LF behind it if and only if their places, moved by one, are the same. This
    // loop has no branch, so that the compiler compares many bytes at a time.
    let (before, behind) = (wire.get(..wire.len() - 1)?, wire.get(1..)?);
    let halves = before.iter().zip(behind).map(|(a, b)| (*a == b'\r') ^ (*b == b'\n'));
    let is_whole = !halves.fold(false, std::ops::BitOr::bitor);
    if is_whole && *first != b'\n' && *last != b'\r' {
        return None;
    }
    memchr2_iter(b'\r', b'\n', wire).find(|&at| {
        let is_lf_due = wire.get(at) == Some(&b'\r');
        let other = if is_lf_due { Some(at + 1) } else { at.checked_sub(1) };
        let wanted = if is_lf_due { b'\n' } else { b'\r' };
        other.and_then(|other| wire.get(other)) != Some(&wanted)
    })
}

/// Makes CRLF of every line's end, and spaces of other CRs; for wire bytes that [`unstuff`] refuses.
///
/// A line ends at its LF, with all CRs before it, as servers that take bare LF read it. So nothing
/// that such a server would take for the end of the data stays: [`unstuff`] and [`stuff`] put a dot
/// in front of it.
#[must_use]
pub fn normalize(wire: &[u8]) -> Vec<u8> {
    let mut normal = Vec::with_capacity(wire.len() + wire.len() / 32);
    let mut copied = 0;
    let mut carriage_returns = 0..0;
    for at in memchr2_iter(b'\r', b'\n', wire) {
        if carriage_returns.end != at {
            replace_by_spaces(wire, &mut normal, &mut copied, &carriage_returns);
            carriage_returns = at..at;
        }
        if wire.get(at) == Some(&b'\r') {
            carriage_returns.end = at + 1;
            continue;
        }
        normal.extend_from_slice(wire.get(copied..carriage_returns.start).unwrap_or_default());
        normal.extend_from_slice(b"\r\n");
        copied = at + 1;
        carriage_returns = copied..copied;
    }
    replace_by_spaces(wire, &mut normal, &mut copied, &carriage_returns);
    normal.extend_from_slice(wire.get(copied..).unwrap_or_default());
    normal
}

/// Appends what comes before some CRs, and spaces for them.
fn replace_by_spaces(
    wire: &[u8],
    normal: &mut Vec<u8>,
    copied: &mut usize,
    carriage_returns: &Range<usize>,
) {
    if !carriage_returns.is_empty() {
        normal.extend_from_slice(wire.get(*copied..carriage_returns.start).unwrap_or_default());
        normal.resize(normal.len() + carriage_returns.len(), b' ');
        *copied = carriage_returns.end;
    }
}

/// Makes wire bytes of a message: dots before lines that begin with one, and the end line.
///
/// A message that does not end with CRLF gets one; an empty message stays empty. Bare CR and LF
/// pass as they are: they start no line.
#[must_use]
pub fn stuff(message: &[u8]) -> Vec<u8> {
    let mut wire = Vec::with_capacity(message.len() + stuffing(message));
    stuff_pieces(message, |piece| wire.extend_from_slice(piece));
    wire
}

/// How many bytes longer a message's wire bytes are; [`END`] alone has the fewest.
#[must_use]
pub fn stuffing(message: &[u8]) -> usize {
    let mut length = 0;
    stuff_pieces(message, |piece| length += piece.len());
    length - message.len()
}

/// Writes what [`stuff`] makes into `out`, which is as long.
pub fn stuff_into(message: &[u8], out: &mut [u8]) {
    let mut at = 0;
    stuff_pieces(message, |piece| {
        if let Some(place) = out.get_mut(at..at + piece.len()) {
            place.copy_from_slice(piece);
        }
        at += piece.len();
    });
}

fn stuff_pieces(message: &[u8], mut add: impl FnMut(&[u8])) {
    if message.first() == Some(&b'.') {
        add(b".");
    }
    let mut copied = 0;
    for at in memmem::find_iter(message, DOT_AFTER_LINE) {
        add(message.get(copied..at + 2).unwrap_or_default());
        add(b".");
        copied = at + 2;
    }
    add(message.get(copied..).unwrap_or_default());
    if !message.is_empty() && !message.ends_with(b"\r\n") {
        add(b"\r\n");
    }
    add(END);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_end_is_the_dot_of_a_line_of_its_own() {
        assert_eq!(find_end(b"a\r\n.\r\nQUIT\r\n", 0), Some(3));
        assert_eq!(find_end(b"a\r\n.b\r\n", 0), None);
        assert_eq!(find_end(b"a\n.\n\r\r\n.\r", 0), None);
    }

    #[test]
    fn an_end_that_was_seen_is_not_found_again() {
        assert_eq!(find_end(b"a\r\n.\r\n", 5), Some(3));
        assert_eq!(find_end(b"a\r\n.\r\n", 6), None);
        assert_eq!(find_end(b".\r\nQUIT\r\n", 3), None);
    }

    #[test]
    fn data_may_be_empty() {
        assert_eq!(find_end(b".\r\n", 0), Some(0));
        assert_eq!(find_end(b".\r\n", 2), Some(0));
        assert_eq!(unstuff(b""), Ok(Cow::Borrowed(&b""[..])));
        assert_eq!(stuff(b""), b".\r\n");
    }

    #[test]
    fn only_a_smuggled_end_has_a_bare_newline() {
        assert_eq!(find_end(b"a\n.\r\n", 0), None);
        assert_eq!(unstuff(b"a\n.\r\n"), Err(BareNewline(1)));
        assert_eq!(unstuff(b"a\r\n.\rb"), Err(BareNewline(4)));
        assert_eq!(unstuff(b"a\r\n\n"), Err(BareNewline(3)));
        assert_eq!(unstuff(b"a\r\r\n"), Err(BareNewline(1)));
        assert_eq!(unstuff(b"a\r"), Err(BareNewline(1)));
        for (wire, at) in
            [(b"a\nb".as_slice(), 1), (b"a\n", 1), (b"a\n\n", 1), (b"\rb", 0), (b"\n", 0)]
        {
            assert_eq!(unstuff(wire), Err(BareNewline(at)), "{wire:?}");
        }
    }

    #[test]
    fn a_message_without_dots_is_not_copied() {
        assert!(matches!(unstuff(b"a.\r\nb\r\n"), Ok(Cow::Borrowed(_))));
    }

    #[test]
    fn dots_are_taken_off_at_line_starts_only() {
        let wire = b"..a\r\n.b.\r\nc..\r\n..\r\n...\r\n";
        assert_eq!(unstuff(wire).unwrap(), &b".a\r\nb.\r\nc..\r\n.\r\n..\r\n"[..]);
    }

    #[test]
    fn a_message_without_a_last_line_break_gets_one() {
        assert_eq!(stuff(b"a"), b"a\r\n.\r\n");
        assert_eq!(stuff(b"a\r"), b"a\r\r\n.\r\n");
        assert_eq!(stuff(b".\r\n.\r\n"), b"..\r\n..\r\n.\r\n");
    }

    #[test]
    fn lone_line_feeds_end_lines_and_lone_carriage_returns_are_spaces() {
        assert_eq!(normalize(b"a\nb\r\nc\r\r\nd\re\n\rf\r"), b"a\r\nb\r\nc\r\nd e\r\n f ");
        assert_eq!(normalize(b"\n.\n\r.\r\n"), b"\r\n.\r\n .\r\n");
        assert_eq!(normalize(b""), b"");
    }

    /// The rule read off the RFC, line by line.
    fn naive_stuff(message: &str) -> String {
        let lines = message.split_inclusive("\r\n");
        let stuffed = lines.map(|line| {
            let end = if line.ends_with("\r\n") { "" } else { "\r\n" };
            if line.starts_with('.') { format!(".{line}{end}") } else { format!("{line}{end}") }
        });
        stuffed.collect::<String>() + ".\r\n"
    }

    /// The rule read off the RFC, byte by byte.
    fn naive_unstuff(wire: &[u8]) -> Result<Vec<u8>, BareNewline> {
        let mut message = Vec::new();
        for (at, byte) in wire.iter().enumerate() {
            let before = at.checked_sub(1).map(|before| wire[before]);
            let is_bare = match byte {
                b'\r' => wire.get(at + 1) != Some(&b'\n'),
                b'\n' => before != Some(b'\r'),
                _ => false,
            };
            if is_bare {
                return Err(BareNewline(at));
            }
            if *byte != b'.' || !matches!(before, None | Some(b'\n')) {
                message.push(*byte);
            }
        }
        Ok(message)
    }

    proptest! {
        #[test]
        fn what_is_normalized_is_not_refused(wire in "[\r\n.a]{0,20}") {
            let normal = normalize(wire.as_bytes());
            prop_assert!(unstuff(&normal).is_ok());
            prop_assert_eq!(normalize(&normal), normal);
        }

        #[test]
        fn unstuffing_is_what_the_rfc_says(wire in "(\r\n|\r\n|\r\n|\r|\n|[.a]){0,60}") {
            let message = unstuff(wire.as_bytes()).map(Cow::into_owned);
            prop_assert_eq!(message, naive_unstuff(wire.as_bytes()));
        }

        #[test]
        fn stuffing_adds_as_many_bytes_as_it_says(message in "(\r\n|\r|\n|[.a]){0,20}") {
            let message = message.as_bytes();
            let mut wire = vec![b'?'; message.len() + stuffing(message)];
            stuff_into(message, &mut wire);
            prop_assert_eq!(wire, stuff(message));
        }

        #[test]
        fn stuffing_is_what_the_rfc_says(message in "(\r\n|\r|\n|[.a]){0,20}") {
            prop_assert_eq!(stuff(message.as_bytes()), naive_stuff(&message).into_bytes());
        }
    }
}
