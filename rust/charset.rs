//! Charsets: which bytes of a part are markup, and how its attribute values read.

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use lol_html::AsciiCompatibleEncoding;
use std::borrow::Cow;

use crate::reason::Reason;

/// The charset of a text part whose markup can be read byte by byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charset {
    encoding: AsciiCompatibleEncoding,
    declared: bool,
}

impl Default for Charset {
    /// The charset of a part that declares none.
    fn default() -> Self {
        Self { encoding: AsciiCompatibleEncoding::utf_8(), declared: false }
    }
}

impl Charset {
    /// Finds the charset that a `charset` parameter names, by the labels of the Encoding Standard.
    ///
    /// Without a parameter, for an empty one and for `us-ascii`, bytes above 127 are read as UTF-8
    /// where they are UTF-8, else as windows-1252: both are common in mail that declares neither.
    /// Single quotes don't quote in MIME, but `'utf-8'` can mean only one thing.
    ///
    /// # Errors
    /// [`Reason::UnknownCharset`], or [`Reason::UnsupportedCharset`] for UTF-16, ISO-2022-JP and
    /// the like, in which a byte below 128 need not be ASCII.
    pub fn for_label(label: Option<&str>) -> Result<Self, Reason> {
        let declared = label
            .map(|label| label.trim_matches(['\'', ' ']))
            .filter(|label| !label.is_empty() && !label.eq_ignore_ascii_case("us-ascii"));
        let encoding = match declared {
            None => UTF_8,
            Some(label) => Encoding::for_label(label.as_bytes()).ok_or(Reason::UnknownCharset)?,
        };
        let encoding = AsciiCompatibleEncoding::new(encoding).ok_or(Reason::UnsupportedCharset)?;
        Ok(Self { encoding, declared: declared.is_some() })
    }

    /// The encoding for the scanner.
    #[must_use]
    pub fn encoding(self) -> AsciiCompatibleEncoding {
        self.encoding
    }

    /// Reads bytes of the part as text; malformed sequences become U+FFFD, as in a browser.
    #[must_use]
    pub fn decode(self, bytes: &[u8]) -> Cow<'_, str> {
        if let Ok(text) = std::str::from_utf8(bytes)
            && (bytes.is_ascii() || self.reads_utf8())
        {
            return Cow::Borrowed(text);
        }
        let encoding: &'static Encoding = self.encoding.into();
        let encoding = if self.declared { encoding } else { WINDOWS_1252 };
        encoding.decode_without_bom_handling(bytes).0
    }

    /// Whether bytes below 128 may be part of characters outside ASCII, as in Shift JIS.
    #[must_use]
    pub fn has_ascii_in_characters(self) -> bool {
        let encoding: &'static Encoding = self.encoding.into();
        !self.reads_utf8() && !encoding.is_single_byte()
    }

    /// The first character and its length; `None` where it is malformed, or unknown.
    #[must_use]
    pub fn character(self, bytes: &[u8]) -> Option<(char, usize)> {
        if self.has_ascii_in_characters() {
            return None;
        }
        let longest = if self.reads_utf8() { 4 } else { 1 };
        let bytes = bytes.get(..longest.min(bytes.len()))?;
        if self.reads_utf8() {
            let character = bytes.utf8_chunks().next()?.valid().chars().next()?;
            return Some((character, character.len_utf8()));
        }
        Some((self.decode(bytes).chars().next()?, 1))
    }

    fn reads_utf8(self) -> bool {
        let encoding: &'static Encoding = self.encoding.into();
        encoding == UTF_8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(label: Option<&str>, bytes: &[u8]) -> String {
        Charset::for_label(label).unwrap().decode(bytes).into_owned()
    }

    #[test]
    fn a_declared_charset_decides() {
        assert_eq!(decode(Some("ISO-8859-1"), b"caf\xe9"), "café");
        assert_eq!(decode(Some("windows-1252"), b"\x80"), "€");
        assert_eq!(decode(Some("utf-8"), b"caf\xc3\xa9"), "café");
        assert_eq!(decode(Some("'iso-8859-1'"), b"caf\xe9"), "café");
        assert_eq!(decode(Some("utf-8"), b"caf\xe9"), "caf\u{fffd}");
        assert_eq!(decode(Some("windows-1252"), b"\xc3\xa9"), "Ã©");
    }

    #[test]
    fn an_undeclared_charset_is_utf8_where_it_can_be() {
        assert_eq!(decode(None, b"caf\xc3\xa9"), "café");
        assert_eq!(decode(None, b"caf\xe9"), "café");
        assert_eq!(decode(Some("US-ASCII"), b"caf\xe9"), "café");
        assert_eq!(decode(Some(" "), b"caf\xc3\xa9"), "café");
    }

    #[test]
    fn a_character_knows_its_length() {
        let character = |label, bytes: &[u8]| Charset::for_label(label).unwrap().character(bytes);
        assert_eq!(character(Some("utf-8"), "€x".as_bytes()), Some(('€', 3)));
        assert_eq!(character(None, b"\xe9x"), None);
        assert_eq!(character(Some("windows-1252"), b"\x80x"), Some(('€', 1)));
        assert_eq!(character(Some("shift_jis"), b"\x83\x41"), None);
        assert_eq!(character(Some("utf-8"), b""), None);
    }

    #[test]
    fn charsets_that_hide_markup_are_refused() {
        for label in ["utf-16", "utf-16le", "iso-2022-jp"] {
            assert_eq!(Charset::for_label(Some(label)), Err(Reason::UnsupportedCharset));
        }
        for label in ["default", "x-klingon", "utf-8;"] {
            assert_eq!(Charset::for_label(Some(label)), Err(Reason::UnknownCharset));
        }
        // WHATWG's "replacement" reads nothing; RFC 1922 and 1557 names map to it.
        assert_eq!(Charset::for_label(Some("hz-gb-2312")), Err(Reason::UnsupportedCharset));
    }
}
