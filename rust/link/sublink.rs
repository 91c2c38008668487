//! Sublinks: what stands in a tracked URL's path before its token, for phones to open an app.

/// The tracker does not accept a longer segment.
const MAX_SEGMENT: usize = 64;

/// One or more segments of letters, digits, `.`, `_` and `-`, joined by slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sublink(String);

impl Sublink {
    /// Reads a sublink; `None` if it has an empty, relative or too long segment, or a character
    /// that would have to be escaped.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        text.as_bytes().split(|&byte| byte == b'/').all(is_segment).then(|| Self(text.to_owned()))
    }

    /// The sublink as it stands in a path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a sublink may have that segment.
#[must_use]
pub fn is_segment(segment: &[u8]) -> bool {
    (1..=MAX_SEGMENT).contains(&segment.len())
        && segment.iter().all(|&byte| is_character(byte))
        && !matches!(segment, b"." | b"..")
}

/// Whether a sublink's segment may hold that byte.
#[must_use]
pub const fn is_character(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sublink_is_one_or_more_plain_segments() {
        for text in ["a", "open-in-app", "a/b.c_d-e", "..a", &"s".repeat(64)] {
            assert_eq!(Sublink::parse(text).unwrap().as_str(), text);
        }
        for text in ["", ".", "a/../b", "a//b", "/a", "a/", "a b", "a%2Fb", "ä", &"s".repeat(65)]
        {
            assert_eq!(Sublink::parse(text), None, "{text}");
        }
    }
}
