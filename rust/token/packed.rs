//! Packing of texts with a dictionary of the format's own: URLs and JSON to about 55 %.
//!
//! General compressors need milliseconds, or headers longer than what they save here. A code is
//! one byte: printable ASCII stands for itself, 0 escapes a run of other bytes, and each of the
//! remaining 160 codes stands for a string of [`ENTRIES`]. Any bytes can be packed. The packer
//! takes the longest entry at each place; a better one may write other codes for the same text,
//! the unpacker need not change.

use std::sync::LazyLock;

use super::dictionary::ENTRIES;

/// Code of a run that stands for itself: the run's length (1 to 255) and its bytes follow.
const ESCAPE: u8 = 0;

/// The codes below and above printable ASCII, which the entries share.
const FIRST_PRINTABLE: u8 = 0x20;
const LAST_PRINTABLE: u8 = 0x7E;
const ENTRIES_BELOW: usize = 0x1F;
const OFFSET_ABOVE: usize = 0x60;

/// Packed bytes that mean nothing, or too much.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The entries that begin with the same two bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    /// Where those that are longer begin in [`Index::longer`], longest first, and how many they are.
    first: u8,
    longer: u8,
    /// The code of the two bytes themselves; [`ESCAPE`] for none.
    code: u8,
}

/// An entry of more than two bytes.
struct Longer {
    code: u8,
    third: u8,
    /// What follows the first two bytes.
    tail: &'static [u8],
}

/// Entries by their first two bytes, of which most pairs have none.
struct Index {
    pairs: Vec<Pair>,
    longer: Vec<Longer>,
}

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let mut index =
        Index { pairs: vec![Pair::default(); PRINTABLE * PRINTABLE], longer: Vec::new() };
    // The dictionary is sorted by the first byte, then longest first; so is each pair's share.
    let mut sorted: Vec<_> = (0..ENTRIES.len()).collect();
    sorted.sort_by_key(|place| ENTRIES.get(*place).and_then(|entry| pair_of(entry.as_bytes())));
    for place in sorted {
        let entry = ENTRIES.get(place).map_or(&[][..], |entry| entry.as_bytes());
        let pair = pair_of(entry).and_then(|pair| index.pairs.get_mut(pair));
        let (Some(pair), Some(code)) = (pair, code_of(place)) else { continue };
        let tail = entry.get(2..).unwrap_or_default();
        let Some(&third) = tail.first() else {
            pair.code = code;
            continue;
        };
        if pair.longer == 0 {
            pair.first = u8::try_from(index.longer.len()).unwrap_or_default();
        }
        pair.longer += 1;
        index.longer.push(Longer { code, third, tail });
    }
    index
});

/// Printable ASCII characters.
const PRINTABLE: usize = 0x5F;

fn pair_of(text: &[u8]) -> Option<usize> {
    let [first, second, ..] = text else { return None };
    let place = |byte: u8| usize::from(byte.wrapping_sub(FIRST_PRINTABLE));
    let (first, second) = (place(*first), place(*second));
    (first < PRINTABLE && second < PRINTABLE).then_some(first * PRINTABLE + second)
}

/// Appends a text in codes; they may be more than the text has bytes.
pub(super) fn pack(text: &[u8], out: &mut Vec<u8>) {
    let index = &*INDEX;
    out.reserve(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        if !is_printable(byte) {
            rest = escape(rest, out);
        } else if let Some((code, tail)) = index.longest_entry(rest) {
            out.push(code);
            rest = tail;
        } else {
            out.push(byte);
            rest = tail;
        }
    }
}

/// Unpacks into `out`, which grows by at most `limit` bytes.
pub(super) fn unpack(packed: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let end = out.len() + limit;
    let mut rest = packed;
    while let Some((code, tail)) = rest.split_first() {
        rest = tail;
        if *code == ESCAPE {
            let (&length, tail) = rest.split_first().ok_or(Malformed)?;
            let (run, tail) = tail.split_at_checked(usize::from(length)).ok_or(Malformed)?;
            out.extend_from_slice(run);
            rest = tail;
        } else if is_printable(*code) {
            out.push(*code);
        } else {
            out.extend_from_slice(entry_of(*code).ok_or(Malformed)?.as_bytes());
        }
        if out.len() > end {
            return Err(Malformed);
        }
    }
    Ok(())
}

const fn is_printable(byte: u8) -> bool {
    FIRST_PRINTABLE <= byte && byte <= LAST_PRINTABLE
}

fn escape<'t>(text: &'t [u8], out: &mut Vec<u8>) -> &'t [u8] {
    let run = text.iter().take(255).take_while(|&&byte| !is_printable(byte)).count();
    let (run, rest) = text.split_at_checked(run).unwrap_or((text, &[]));
    out.push(ESCAPE);
    out.push(u8::try_from(run.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(run);
    rest
}

impl Index {
    fn longest_entry<'t>(&self, text: &'t [u8]) -> Option<(u8, &'t [u8])> {
        let pair = self.pairs.get(pair_of(text)?)?;
        let rest = text.get(2..)?;
        if pair.longer > 0 {
            let first = usize::from(pair.first);
            let longer = self.longer.get(first..first + usize::from(pair.longer))?;
            let third = rest.first().copied();
            for entry in longer.iter().filter(|entry| Some(entry.third) == third) {
                if let Some(rest) = rest.strip_prefix(entry.tail) {
                    return Some((entry.code, rest));
                }
            }
        }
        (pair.code != ESCAPE).then_some((pair.code, rest))
    }
}

fn code_of(place: usize) -> Option<u8> {
    let code = if place < ENTRIES_BELOW { place + 1 } else { place + OFFSET_ABOVE };
    u8::try_from(code).ok()
}

fn entry_of(code: u8) -> Option<&'static str> {
    let code = usize::from(code);
    let place = if code <= ENTRIES_BELOW { code.checked_sub(1)? } else { code - OFFSET_ABOVE };
    ENTRIES.get(place).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn unpack_text(packed: &[u8]) -> Result<Vec<u8>, Malformed> {
        let mut out = Vec::new();
        unpack(packed, 16_384, &mut out).map(|()| out)
    }

    fn packed(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        pack(text, &mut out);
        out
    }

    #[test]
    fn the_dictionary_is_sorted_and_every_entry_has_its_own_code() {
        let key =
            |entry: &&str| (entry.as_bytes()[0], usize::MAX - entry.len(), (*entry).to_owned());
        assert!(ENTRIES.is_sorted_by_key(key));
        for (place, entry) in ENTRIES.iter().enumerate() {
            assert!((2..=32).contains(&entry.len()) && entry.bytes().all(is_printable), "{entry}");
            let code = code_of(place).unwrap();
            assert!(code != ESCAPE && !is_printable(code));
            assert_eq!(entry_of(code), Some(*entry));
            assert_eq!(packed(entry.as_bytes()), [code]);
        }
    }

    #[test]
    fn the_dictionary_is_the_one_that_sent_mail_was_packed_with() {
        // FNV-1a over the entries with a zero after each: any change of the format shows.
        let bytes = ENTRIES.iter().flat_map(|entry| entry.bytes().chain([0]));
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        assert_eq!(hash, 0x0c55_d637_84ef_37c5, "{hash:#x}");
    }

    #[test]
    fn a_cut_escape_is_malformed() {
        assert_eq!(unpack_text(&[ESCAPE]), Err(Malformed));
        assert_eq!(unpack_text(&[ESCAPE, 2, 0xC3]), Err(Malformed));
    }

    #[test]
    fn unpacking_stops_at_the_limit() {
        let longest = ENTRIES.iter().position(|entry| entry.len() == 31).unwrap();
        let bomb = vec![code_of(longest).unwrap(); 1_000_000];
        let mut out = Vec::new();
        assert_eq!(unpack(&bomb, 1000, &mut out), Err(Malformed));
        assert!(out.len() < 1100, "{}", out.len());
        assert_eq!(unpack(b"four", 4, &mut Vec::new()), Ok(()));
        assert_eq!(unpack(b"four", 3, &mut b"before".to_vec()), Err(Malformed));
    }

    #[test]
    fn the_longest_entry_is_taken_at_each_place() {
        let naive = |text: &[u8]| {
            let fitting = ENTRIES.iter().filter(|entry| text.starts_with(entry.as_bytes()));
            fitting.max_by_key(|entry| entry.len()).map(|entry| entry.len())
        };
        for entry in ENTRIES {
            for text in [format!("{entry}~"), format!("{}~", &entry[..entry.len() - 1])] {
                let taken = INDEX.longest_entry(text.as_bytes());
                assert_eq!(taken.map(|(_, tail)| text.len() - tail.len()), naive(text.as_bytes()));
            }
        }
    }

    #[test]
    fn every_pair_of_bytes_comes_back() {
        for pair in 0..=u16::MAX {
            let text = pair.to_be_bytes().to_vec();
            assert_eq!(unpack_text(&packed(&text)), Ok(text));
        }
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let entry = proptest::sample::select(&ENTRIES[..]);
        let piece = prop_oneof![
            entry.prop_map(|entry| entry.as_bytes().to_vec()),
            prop::collection::vec(any::<u8>(), 0..4),
            "[ -~]{0,9}".prop_map(String::into_bytes),
        ];
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(text in text()) {
            prop_assert_eq!(unpack_text(&packed(&text)), Ok(text));
        }
    }

    #[test]
    fn a_long_run_outside_ascii_comes_back() {
        let text = "ü".repeat(700).into_bytes();
        assert_eq!(unpack_text(&packed(&text)), Ok(text));
    }
}
