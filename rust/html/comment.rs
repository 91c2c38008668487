//! What both readers of HTML and the masks must agree on: where names and comments end.

/// White space between attributes (HTML Standard, "Before attribute name state").
pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | b'\x0c' | b'\r' | b' ')
}

/// Whether a byte ends the name of a tag.
pub(super) fn ends_name(byte: u8) -> bool {
    is_blank(byte) || matches!(byte, b'/' | b'>')
}

/// Whether a byte behind `[if` makes it the condition of a conditional comment, as Outlook's
/// templates have it.
pub(super) fn begins_condition(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'(')
}

/// The length of a comment's text with the end of the comment, `None` if nothing ends it (HTML
/// Standard, "Comment end state"). `text` begins behind `<!--` and is not closed at once.
pub(super) fn closed_length(text: &[u8]) -> Option<usize> {
    let closes = |close: &usize| {
        let before = text.get(..*close).unwrap_or_default();
        before.ends_with(b"--") || before.ends_with(b"--!")
    };
    Some(memchr::memchr_iter(b'>', text).find(closes)? + 1)
}
