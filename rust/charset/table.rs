//! The table of labels, which the engine in pure Python reads too.

use encoding_rs::Encoding;
use std::collections::HashMap;
use std::sync::LazyLock;

use super::scheme::{Order, Scheme};

const TABLE: &str = include_str!("../../python/msys_track/rewriting/charsets.txt");

/// What a label stands for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Entry {
    /// US-ASCII.
    Ascii,
    /// An encoding of the Encoding Standard that agrees with ASCII below 128.
    Standard(&'static Encoding),
    /// A character for each byte.
    Single(&'static [char]),
    /// ASCII below 128; what other bytes are is not known.
    Opaque,
    /// Bytes below 128 need not be ASCII.
    Transcoded(Scheme),
    /// Left alone.
    Unsupported,
}

/// Looks up a label (`charsets.txt` says how); `None` for one that no registry knows.
pub(super) fn find(label: &str) -> Option<Entry> {
    static ENTRIES: LazyLock<HashMap<&'static str, Entry>> = LazyLock::new(read_table);
    ENTRIES.get(normalize(label).as_str()).copied()
}

/// A label without case, punctuation, and zeros before a number (UTS #22, "Charset Alias
/// Matching").
pub(super) fn normalize(label: &str) -> String {
    let mut kept = String::with_capacity(label.len());
    let mut letters = label.chars().filter(char::is_ascii_alphanumeric).peekable();
    while let Some(c) = letters.next() {
        let in_number = kept.ends_with(|last: char| last.is_ascii_digit());
        if c == '0' && !in_number && letters.peek().is_some_and(char::is_ascii_digit) {
            continue;
        }
        kept.push(c.to_ascii_lowercase());
    }
    kept
}

fn read_table() -> HashMap<&'static str, Entry> {
    let mut found = HashMap::new();
    let lines: Vec<&str> = TABLE.lines().filter(|line| !line.starts_with('#')).collect();
    for block in lines.chunk_by(|_, next| next.starts_with(' ')) {
        let Some((head, rest)) = block.split_first() else { continue };
        let words = |sign: char| {
            let lines = rest.iter().filter_map(move |line| line.trim_start().strip_prefix(sign));
            lines.flat_map(str::split_whitespace)
        };
        let Some(entry) = read_entry(head, words('<'), words('>')) else { continue };
        found.extend(words('=').map(|label| (label, entry)));
    }
    found
}

fn read_entry(
    head: &str,
    low: impl Iterator<Item = &'static str>,
    high: impl Iterator<Item = &'static str>,
) -> Option<Entry> {
    let mut words = head.split_whitespace();
    Some(match words.next()? {
        "ascii" => Entry::Ascii,
        "standard" => {
            let encoding = Encoding::for_label(words.next()?.as_bytes())?;
            Entry::Standard(Some(encoding).filter(|encoding| encoding.is_ascii_compatible())?)
        }
        "single" => {
            let mut characters: Vec<char> = ('\0'..='\x7f').chain(high.map(character)).collect();
            for (byte, code_point) in low.filter_map(|pair| pair.split_once('=')) {
                let byte = usize::from_str_radix(byte, 16).ok()?;
                *characters.get_mut(byte)? = character(code_point);
            }
            Entry::Single(characters.leak())
        }
        "opaque" => Entry::Opaque,
        "utf-16" => Entry::Transcoded(Scheme::Utf16(None)),
        "utf-16le" => Entry::Transcoded(Scheme::Utf16(Some(Order::Little))),
        "utf-16be" => Entry::Transcoded(Scheme::Utf16(Some(Order::Big))),
        "utf-32" => Entry::Transcoded(Scheme::Utf32(None)),
        "utf-32le" => Entry::Transcoded(Scheme::Utf32(Some(Order::Little))),
        "utf-32be" => Entry::Transcoded(Scheme::Utf32(Some(Order::Big))),
        "utf-7" => Entry::Transcoded(Scheme::Utf7),
        "hz" => Entry::Transcoded(Scheme::Hz),
        "iso-2022-jp" => Entry::Transcoded(Scheme::Iso2022Jp),
        "iso-2022-kr" => Entry::Transcoded(Scheme::Iso2022Kr),
        "iso-2022-cn" => Entry::Transcoded(Scheme::Iso2022Cn),
        _ => Entry::Unsupported,
    })
}

fn character(code_point: &str) -> char {
    let code_point = u32::from_str_radix(code_point, 16).ok();
    code_point.and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_read() {
        let mut blocks = 0;
        for line in TABLE.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            if let Some(line) = line.strip_prefix("  ") {
                assert!(line.starts_with(['=', '<', '>']), "{line}");
            } else {
                blocks += 1;
            }
        }
        let entries = read_table();
        assert!(blocks > 100 && entries.len() > 1_200);
        for (label, entry) in entries {
            assert_eq!(normalize(label), label);
            if let Entry::Single(characters) = entry {
                assert_eq!(characters.len(), 256, "{label}");
                assert!(characters.iter().take(128).skip(32).copied().eq(' '..='\x7f'), "{label}");
            }
        }
    }

    #[test]
    fn no_label_stands_for_two_charsets() {
        let labels = TABLE.lines().filter_map(|line| line.strip_prefix("  = "));
        let mut labels: Vec<_> = labels.flat_map(str::split_whitespace).collect();
        labels.sort_unstable();
        let count = labels.len();
        labels.dedup();
        assert_eq!(labels.len(), count);
    }

    #[test]
    fn unsupported_is_said_by_the_table_and_not_by_a_slip_in_it() {
        let heads =
            TABLE.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
        for head in heads.filter(|head| !head.starts_with("unsupported ")) {
            let entry = read_entry(head, [].into_iter(), [].into_iter());
            assert!(!matches!(entry, None | Some(Entry::Unsupported)), "{head}");
        }
    }

    #[test]
    fn labels_are_matched_loosely() {
        for (label, normal) in [
            ("UTF-8", "utf8"),
            (" 'utf_8' ", "utf8"),
            ("ISO_8859-1:1987", "iso885911987"),
            ("cp037", "cp37"),
            ("IBM00858", "ibm858"),
            ("0", "0"),
            ("x-00", "x0"),
            ("100", "100"),
            ("a00b", "a0b"),
            ("\u{fc}tf8", "tf8"),
            ("", ""),
        ] {
            assert_eq!(normalize(label), normal, "{label}");
        }
    }
}
