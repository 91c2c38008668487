//! What the readers of documents and of links' texts must agree on: where names and comments end.

use std::sync::LazyLock;

use memchr::memmem::Finder;

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

/// Comments are many: what finds their ends is made once.
static DASHES: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("--"));

/// The length of a comment's text with the end of the comment, `None` if nothing ends it (HTML
/// Standard, "Comment end state"). `text` begins behind `<!--` and is not closed at once.
pub(super) fn closed_length(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        // What is Outlook's is full of tags, and so of `>`.
        at += DASHES.find(text.get(at..)?)?;
        match text.get(at + "--".len()..)? {
            [b'>', ..] => return Some(at + "-->".len()),
            [b'!', b'>', ..] => return Some(at + "--!>".len()),
            _ => at += 1,
        }
    }
}
