//! A body in the relaxed form that DKIM hashes (RFC 6376 §3.4.4), from the bytes of DATA.
//!
//! Here and not in Python, as there it would cost more than the signature.

use memchr::{memchr, memchr2};

use super::data::{BareNewline, find_end, unstuff};

/// Relaxes the body that begins at `start` of wire bytes: the dots and the end line are SMTP's.
///
/// # Errors
/// [`BareNewline`] with its offset in the body: verifiers don't agree on where such a line ends.
pub fn relax_body(wire: &[u8], start: usize) -> Result<Vec<u8>, BareNewline> {
    let body = wire.get(start..).unwrap_or_default();
    let end = find_end(body, 0).unwrap_or(body.len());
    let body = unstuff(body.get(..end).unwrap_or_default())?;
    let mut relaxed = Vec::with_capacity(body.len() + 2);
    let mut blank_lines = 0;
    let mut rest: &[u8] = &body;
    while !rest.is_empty() {
        let length = memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        let (line, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        rest = after;
        let line = line.strip_suffix(b"\r\n").unwrap_or(line);
        let Some(last) = line.iter().rposition(|&byte| !is_space(byte)) else {
            blank_lines += 1; // those at the end of the body don't count
            continue;
        };
        for _ in 0..blank_lines {
            relaxed.extend_from_slice(b"\r\n");
        }
        blank_lines = 0;
        relax_line(line.get(..=last).unwrap_or_default(), &mut relaxed);
        relaxed.extend_from_slice(b"\r\n");
    }
    Ok(relaxed)
}

/// Appends a line without spaces at its end; each run of spaces and tabs becomes one space.
fn relax_line(line: &[u8], relaxed: &mut Vec<u8>) {
    // Without a branch, so that the compiler compares many bytes at a time. Most lines end here.
    // A tab is never the last byte.
    let pairs = line.iter().zip(line.get(1..).unwrap_or_default());
    let has_run = pairs.fold(0, |found, (&a, &b)| {
        found | u8::from(a == b'\t') | (u8::from(a == b' ') & u8::from(b == b' '))
    });
    if has_run == 0 {
        relaxed.extend_from_slice(line);
        return;
    }
    let mut rest = line;
    while let Some(at) = memchr2(b' ', b'\t', rest) {
        relaxed.extend_from_slice(rest.get(..at).unwrap_or_default());
        relaxed.push(b' ');
        let after = rest.get(at..).unwrap_or_default();
        let end = after.iter().position(|&byte| !is_space(byte)).unwrap_or(after.len());
        rest = after.get(end..).unwrap_or_default();
    }
    relaxed.extend_from_slice(rest);
}

fn is_space(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::data::stuff;
    use super::*;

    fn relax(body: &[u8]) -> Vec<u8> {
        let wire = [b"Subject: x\r\n\r\n".as_slice(), &stuff(body)].concat();
        relax_body(&wire, 14).unwrap()
    }

    #[test]
    fn the_example_of_the_rfc_is_relaxed_as_it_says() {
        // RFC 6376 §3.4.6, first example
        assert_eq!(relax(b" C \r\nD \t E\r\n\r\n\r\n"), b" C\r\nD E\r\n");
    }

    #[test]
    fn an_empty_body_stays_empty_and_blank_lines_count_only_between_others() {
        assert_eq!(relax(b""), b"");
        assert_eq!(relax(b"\r\n \r\n\t\r\n"), b"");
        assert_eq!(relax(b"\r\n \r\na\r\n\r\nb\r\n\r\n"), b"\r\n\r\na\r\n\r\nb\r\n");
    }

    #[test]
    fn dots_are_those_of_the_message() {
        assert_eq!(relax(b".\r\n..a\r\nb."), b".\r\n..a\r\nb.\r\n");
    }

    #[test]
    fn a_bare_newline_is_refused() {
        assert_eq!(relax_body(b"a\nb\r\n.\r\n", 0), Err(BareNewline(1)));
        assert_eq!(relax_body(b"a\rb\r\n.\r\n", 0), Err(BareNewline(1)));
    }

    proptest! {
        #[test]
        fn it_is_what_a_line_by_line_reading_of_the_rfc_gives(
            body in "([ \t.ab]{0,5}(\r\n)?){0,8}"
        ) {
            let mut lines: Vec<String> = body
                .split("\r\n")
                .map(|line| {
                    let words: Vec<&str> = line.split([' ', '\t']).filter(|w| !w.is_empty()).collect();
                    let indent = if line.starts_with([' ', '\t']) { " " } else { "" };
                    format!("{indent}{}", words.join(" ")).trim_end().to_owned()
                })
                .collect();
            while lines.last().is_some_and(String::is_empty) {
                lines.pop();
            }
            let end = if lines.is_empty() { "" } else { "\r\n" };
            let expected = lines.join("\r\n") + end;
            prop_assert_eq!(relax(body.as_bytes()), expected.into_bytes());
        }
    }
}
