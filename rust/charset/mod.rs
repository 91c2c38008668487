//! Charsets: which bytes of a part are markup, and how its attribute values read.

mod hz;
mod iso2022;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod laws;
mod runs;
pub mod scheme;
mod table;
pub mod transcoding;
mod utf7;
mod wide;

use encoding_rs::{Encoding, ISO_2022_JP, UTF_8, WINDOWS_1252};
use std::borrow::Cow;

use crate::reason::Reason;
use scheme::Scheme;
use table::Entry;

/// How the bytes of a text part are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// As they stand: a byte below 128 is ASCII, or belongs to a character outside of it.
    Ascii(Charset),
    /// As UTF-8, by [`transcoding::Transcoded`].
    Transcoded(Scheme),
}

impl Coding {
    /// Finds how a part is coded whose `charset` parameter is `label`.
    ///
    /// Without a parameter, for an empty one and for US-ASCII, bytes above 127 are read as UTF-8
    /// where they are UTF-8, else as windows-1252: both are common in mail that declares neither.
    ///
    /// # Errors
    /// [`Reason::UnknownCharset`] for a label that no registry knows; [`Reason::UnsupportedCharset`]
    /// for EBCDIC and the like.
    pub fn for_label(label: Option<&str>) -> Result<Self, Reason> {
        let declared = label.filter(|label| !label.trim_matches(['\'', '"', ' ']).is_empty());
        let entry = match declared {
            None => Entry::Ascii,
            Some(label) => table::find(label).ok_or(Reason::UnknownCharset)?,
        };
        let reading = match entry {
            Entry::Ascii => Reading::Undeclared,
            Entry::Standard(encoding) => Reading::Standard(encoding),
            Entry::Single(characters) => Reading::Single(characters),
            Entry::Opaque => Reading::Opaque,
            Entry::Transcoded(scheme) => return Ok(Self::Transcoded(scheme)),
            Entry::Unsupported => return Err(Reason::UnsupportedCharset),
        };
        Ok(Self::Ascii(Charset { reading, query: None }))
    }
}

/// The charset of a text whose markup can be read byte by byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charset {
    reading: Reading,
    /// What a browser encodes queries in, if not in this charset.
    query: Option<&'static Encoding>,
}

/// How bytes above 127 are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// By an encoding that agrees with ASCII below 128.
    Standard(&'static Encoding),
    /// As UTF-8 where they are UTF-8, else as windows-1252.
    Undeclared,
    /// Each is a character of its own.
    Single(&'static [char]),
    /// Nobody here can.
    Opaque,
}

impl Default for Charset {
    /// The charset of a part that declares none.
    fn default() -> Self {
        Self { reading: Reading::Undeclared, query: None }
    }
}

impl Charset {
    /// Finds the charset that a `charset` parameter names, if its bytes are read as they stand.
    ///
    /// # Errors
    /// As [`Coding::for_label`], and [`Reason::UnsupportedCharset`] for a charset in which a byte
    /// below 128 need not be ASCII.
    pub fn for_label(label: Option<&str>) -> Result<Self, Reason> {
        match Coding::for_label(label)? {
            Coding::Ascii(charset) => Ok(charset),
            Coding::Transcoded(_) => Err(Reason::UnsupportedCharset),
        }
    }

    /// The charset of a text that was transcoded to UTF-8.
    #[must_use]
    pub fn of_transcoded(scheme: Scheme) -> Self {
        // The Encoding Standard knows no other of these ("get an output encoding").
        let query = (scheme == Scheme::Iso2022Jp).then_some(ISO_2022_JP);
        Self { reading: Reading::Standard(UTF_8), query }
    }

    /// Reads bytes of the part as text; malformed sequences become U+FFFD, as in a browser.
    #[must_use]
    pub fn decode(self, bytes: &[u8]) -> Cow<'_, str> {
        if let Ok(text) = std::str::from_utf8(bytes)
            && (self.reads_utf8() || (bytes.is_ascii() && !self.has_own_controls()))
        {
            return Cow::Borrowed(text);
        }
        let encoding = match self.reading {
            Reading::Standard(encoding) => encoding,
            Reading::Undeclared => WINDOWS_1252,
            Reading::Single(characters) => {
                let character = |byte: &u8| characters.get(usize::from(*byte)).copied();
                return bytes.iter().filter_map(character).collect();
            }
            Reading::Opaque => {
                let character = |byte: &u8| match byte {
                    ..=0x7F => char::from(*byte),
                    _ => char::REPLACEMENT_CHARACTER,
                };
                return bytes.iter().map(character).collect();
            }
        };
        encoding.decode_without_bom_handling(bytes).0
    }

    /// Whether bytes above 127 can't be read, so that nobody knows where a link with one leads.
    #[must_use]
    pub fn is_opaque(self) -> bool {
        self.reading == Reading::Opaque
    }

    /// The encoding of queries in links to the bytes `raw`; `None` for UTF-8.
    #[must_use]
    pub fn query_encoding(self, raw: &[u8]) -> Option<&'static Encoding> {
        let encoding = match self.reading {
            Reading::Standard(encoding) => self.query.unwrap_or(encoding),
            Reading::Undeclared if std::str::from_utf8(raw).is_err() => WINDOWS_1252,
            // No browser knows the others.
            _ => UTF_8,
        };
        (encoding != UTF_8).then_some(encoding)
    }

    /// Whether bytes below 32 stand for letters, as in VISCII.
    fn has_own_controls(self) -> bool {
        matches!(self.reading, Reading::Single(_))
    }

    /// Whether bytes below 128 may be part of characters outside ASCII, as in Shift JIS.
    #[must_use]
    pub fn has_ascii_in_characters(self) -> bool {
        matches!(self.reading, Reading::Standard(encoding) if encoding != UTF_8
            && !encoding.is_single_byte())
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
        self.reading == Reading::Undeclared || self.reading == Reading::Standard(UTF_8)
    }
}

/// The length of UTF-16's byte order mark.
pub(crate) const WIDE_MARK_BYTES: usize = 2;

/// Whether a text begins with UTF-16's byte order mark (Encoding Standard, "BOM sniff").
pub(crate) fn has_wide_mark(text: &[u8]) -> bool {
    text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff")
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
    fn charsets_that_hide_markup_are_transcoded() {
        for label in ["utf-16", "utf-16le", "iso-2022-jp", "hz-gb-2312", "utf-7", "UTF-32BE"] {
            assert_eq!(Charset::for_label(Some(label)), Err(Reason::UnsupportedCharset));
            assert!(matches!(Coding::for_label(Some(label)), Ok(Coding::Transcoded(_))));
        }
    }

    #[test]
    fn a_label_is_unknown_only_to_registries() {
        for label in ["default", "x-klingon", "utf-88", "8bit", "\u{fc}", "???", "charset"] {
            assert_eq!(Coding::for_label(Some(label)), Err(Reason::UnknownCharset), "{label}");
        }
        for label in ["cp037", "IBM500", "ebcdic-cp-us", "ISO646-DE", "johab", "SCSU", "cp1140"] {
            assert_eq!(Coding::for_label(Some(label)), Err(Reason::UnsupportedCharset), "{label}");
        }
    }

    #[test]
    fn labels_of_every_registry_are_known() {
        for (label, bytes, text) in [
            ("IBM850", b"\x82".as_slice(), "é"),
            ("cp437", b"\x82", "é"),
            ("IBM852", b"\xa5", "ą"),
            ("VISCII", b"\xa4 \x02", "ấ Ẳ"),
            ("KZ-1048", b"\x9d", "қ"),
            ("CP936", b"\xc4\xe3", "你"),
            ("Latin-9", b"\xa4", "€"),
            ("csUTF8", b"\xc3\xa9", "é"),
            ("utf_8", b"\xc3\xa9", "é"),
            ("\"utf-8\"", b"\xc3\xa9", "é"),
            (" 'UTF8' ", b"\xc3\xa9", "é"),
            ("cp932", b"\x83\x41", "ア"),
            ("MS949", b"\xb0\xa1", "가"),
            ("cp950", b"\xa4\x40", "一"),
            ("hp-roman8", b"\xc5", "é"),
            ("x-mac-ce", b"\x84", "Ą"),
            ("IBM00858", b"\xd5", "€"),
            ("tis-620", b"\xa1", "ก"),
            ("ISO-8859-11", b"\xa1", "ก"),
            ("armscii-8", b"\xb2", "Ա"),
            ("euc-tw", b"a\xa4\xa4", "a\u{fffd}\u{fffd}"),
        ] {
            assert_eq!(decode(Some(label), bytes), text, "{label}");
        }
    }

    #[test]
    fn every_alias_of_us_ascii_declares_no_more_than_us_ascii() {
        for label in [
            "US-ASCII", "ANSI_X3.4-1968", "ANSI_X3.4-1986", "iso-ir-6", "ISO_646.irv:1991",
            "ISO646-US", "us", "IBM367", "cp367", "csASCII", "ascii", "646",
        ] {
            assert_eq!(decode(Some(label), b"caf\xc3\xa9"), "café", "{label}");
            assert_eq!(decode(Some(label), b"caf\xe9"), "café", "{label}");
        }
    }

    #[test]
    fn every_label_of_the_encoding_standard_reads_as_it_says() {
        for label in [
            "latin1", "l2", "iso-8859-6", "csisolatinhebrew", "logical", "x-mac-cyrillic",
            "koi8-u", "windows-1258", "x-sjis", "gb_2312-80", "x-x-big5", "unicode20utf8",
            "dos-874", "l9",
        ] {
            let charset = Charset::for_label(Some(label)).unwrap();
            let standard = Encoding::for_label(label.as_bytes()).unwrap();
            let bytes: Vec<u8> = (1..=255).collect();
            let text = standard.decode_without_bom_handling(&bytes).0;
            assert_eq!(charset.decode(&bytes), text, "{label}");
        }
    }

    #[test]
    fn queries_are_encoded_as_the_part_is() {
        let name = |label, raw: &[u8]| {
            let encoding = Charset::for_label(label).unwrap().query_encoding(raw);
            encoding.map(Encoding::name)
        };
        assert_eq!(name(Some("utf-8"), b"\xff"), None);
        assert_eq!(name(None, "é".as_bytes()), None);
        assert_eq!(name(None, b"\xe9"), Some("windows-1252"));
        assert_eq!(name(Some("koi8-r"), b""), Some("KOI8-R"));
        assert_eq!(name(Some("ibm850"), b"\x82"), None);
        let japanese = Charset::of_transcoded(Scheme::Iso2022Jp);
        assert_eq!(japanese.query_encoding(b"").map(Encoding::name), Some("ISO-2022-JP"));
        assert_eq!(Charset::of_transcoded(Scheme::Hz).query_encoding(b""), None);
    }
}
