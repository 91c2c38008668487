//! ISO 2022 in seven bits: Japanese (RFC 1468, 1554, 2237), Korean (RFC 1557), Chinese (RFC 1922).

use encoding_rs::{EUC_JP, EUC_KR, Encoding, GBK, ISO_8859_7};

use super::runs::ShiftedText;
use super::scheme::Scheme;

/// A set of characters that an escape sequence names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    Ascii,
    /// ASCII with a yen sign and an overline.
    JisRoman,
    Katakana,
    Jis0208,
    Jis0212,
    /// Its first plane, which has all of JIS X 0208; the rest is not known.
    Jis0213,
    Gb2312,
    Ksc5601,
    Latin1,
    Greek,
    /// Two bytes a character; which one is not known.
    Unread,
}

impl Set {
    fn is_double(self) -> bool {
        matches!(
            self,
            Self::Jis0208
                | Self::Jis0212
                | Self::Jis0213
                | Self::Gb2312
                | Self::Ksc5601
                | Self::Unread
        )
    }
}

/// Where a set goes that an escape sequence names.
#[derive(Clone, Copy)]
enum Slot {
    G0,
    /// What SO shifts to.
    G1,
    /// What `ESC N` takes one character of.
    G2,
    /// What `ESC O` takes one character of.
    G3,
}

const ESCAPES: [(&[u8], Slot, Set); 21] = [
    (b"(B", Slot::G0, Set::Ascii),
    (b"(J", Slot::G0, Set::JisRoman),
    (b"(I", Slot::G0, Set::Katakana),
    (b"$@", Slot::G0, Set::Jis0208),
    (b"$B", Slot::G0, Set::Jis0208),
    (b"$(@", Slot::G0, Set::Jis0208),
    (b"$(B", Slot::G0, Set::Jis0208),
    (b"$(D", Slot::G0, Set::Jis0212),
    (b"$(O", Slot::G0, Set::Jis0213),
    (b"$(Q", Slot::G0, Set::Jis0213),
    (b"$(P", Slot::G0, Set::Unread),
    (b"$A", Slot::G0, Set::Gb2312),
    (b"$(C", Slot::G0, Set::Ksc5601),
    (b".A", Slot::G2, Set::Latin1),
    (b".F", Slot::G2, Set::Greek),
    (b"$)C", Slot::G1, Set::Ksc5601),
    (b"$)A", Slot::G1, Set::Gb2312),
    (b"$)E", Slot::G1, Set::Unread),
    (b"$)G", Slot::G1, Set::Unread),
    (b"$*H", Slot::G2, Set::Unread),
    (b"$+I", Slot::G3, Set::Unread),
];

const ESC: u8 = 0x1B;
const SHIFT_OUT: u8 = 0x0E;
const SHIFT_IN: u8 = 0x0F;

struct State {
    scheme: Scheme,
    g0: Set,
    g1: Option<Set>,
    g2: Option<Set>,
    g3: Option<Set>,
    is_shifted: bool,
}

/// Reads a text; returns whether it ends in ASCII.
pub(super) fn decode(source: &[u8], scheme: Scheme, text: &mut ShiftedText) -> bool {
    // Korean mail often lacks the header line that RFC 1557 asks for.
    let g1 = (scheme == Scheme::Iso2022Kr).then_some(Set::Ksc5601);
    let mut state = State { scheme, g0: Set::Ascii, g1, g2: None, g3: None, is_shifted: false };
    let mut at = 0;
    while let Some(rest) = source.get(at..).filter(|rest| !rest.is_empty()) {
        at += state.step(at, rest, text);
    }
    state.writes_ascii()
}

impl State {
    fn current(&self) -> Set {
        if self.is_shifted { self.g1.unwrap_or(Set::Unread) } else { self.g0 }
    }

    fn writes_ascii(&self) -> bool {
        matches!(self.current(), Set::Ascii | Set::JisRoman)
    }

    /// Reads what `rest` begins with, and returns its length.
    fn step(&mut self, at: usize, rest: &[u8], text: &mut ShiftedText) -> usize {
        match rest {
            [ESC, b'N', after @ ..] if self.g2.is_some() => 2 + push_single(self.g2, after, text),
            [ESC, b'O', after @ ..] if self.g3.is_some() => 2 + push_single(self.g3, after, text),
            [ESC, after @ ..] => {
                let found = ESCAPES.iter().find(|(escape, ..)| after.starts_with(escape));
                let Some((escape, slot, set)) = found else {
                    text.push(char::REPLACEMENT_CHARACTER);
                    return 1;
                };
                match slot {
                    Slot::G0 => self.g0 = *set,
                    Slot::G1 => self.g1 = Some(*set),
                    Slot::G2 => self.g2 = Some(*set),
                    Slot::G3 => self.g3 = Some(*set),
                }
                1 + escape.len()
            }
            [SHIFT_OUT, ..] if self.g1.is_some() => {
                self.is_shifted = true;
                1
            }
            [SHIFT_IN, ..] if self.g1.is_some() => {
                self.is_shifted = false;
                1
            }
            [byte, after @ ..] => self.step_character(at, *byte, after.first().copied(), text),
            [] => 1,
        }
    }

    fn step_character(
        &mut self,
        at: usize,
        byte: u8,
        trail: Option<u8>,
        text: &mut ShiftedText,
    ) -> usize {
        // RFC 1557 and 1922: a line begins in ASCII. In Japanese the Encoding Standard says no.
        if byte == b'\n' && self.scheme != Scheme::Iso2022Jp {
            self.is_shifted = false;
        }
        let set = self.current();
        let is_control = byte <= b' ';
        match (set, byte, trail) {
            (Set::JisRoman, b'\\', _) => text.push('\u{a5}'),
            (Set::JisRoman, b'~', _) => text.push('\u{203e}'),
            (Set::Ascii | Set::JisRoman, ..=0x7F, _) if !matches!(byte, SHIFT_OUT | SHIFT_IN) => {
                text.push_ascii(at, byte);
            }
            (Set::Katakana, b'!'..=b'_', _) => {
                let katakana = char::from_u32(0xFF61 + u32::from(byte - b'!'));
                text.push(katakana.unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            (_, b'!'..=b'~', Some(trail @ b'!'..=b'~')) if set.is_double() => {
                match (set, read_pair(set, byte, trail)) {
                    (Set::Unread | Set::Jis0213, char::REPLACEMENT_CHARACTER) => {
                        text.push_unread();
                    }
                    (_, character) => text.push(character),
                }
                return 2;
            }
            (_, b'!'..=b'~', Some(ESC)) if set.is_double() => {
                text.push(char::REPLACEMENT_CHARACTER);
            }
            (_, b'!'..=b'~', Some(_)) if set.is_double() && self.scheme == Scheme::Iso2022Jp => {
                text.push(char::REPLACEMENT_CHARACTER);
                return 2;
            }
            _ if is_control && self.scheme != Scheme::Iso2022Jp => text.push(char::from(byte)),
            _ => text.push(char::REPLACEMENT_CHARACTER),
        }
        1
    }
}

/// One character of a set that a single shift calls.
fn push_single(set: Option<Set>, rest: &[u8], text: &mut ShiftedText) -> usize {
    let (character, length) = match (set, rest) {
        (Some(Set::Unread), [_, _, ..]) => {
            text.push_unread();
            return 2;
        }
        (Some(Set::Latin1), [byte @ b' '..=b'\x7f', ..]) => (char::from(byte | 0x80), 1),
        (Some(Set::Greek), [byte @ b' '..=b'\x7f', ..]) => {
            (decode_one(ISO_8859_7, &[byte | 0x80]), 1)
        }
        _ => (char::REPLACEMENT_CHARACTER, 0),
    };
    text.push(character);
    length
}

/// The character of two bytes below 128, by the encoding that has them above.
pub(super) fn read_pair(set: Set, lead: u8, trail: u8) -> char {
    let [lead, trail] = [lead | 0x80, trail | 0x80];
    match set {
        Set::Jis0208 | Set::Jis0213 => decode_one(EUC_JP, &[lead, trail]),
        Set::Jis0212 => decode_one(EUC_JP, &[0x8F, lead, trail]),
        Set::Gb2312 => decode_one(GBK, &[lead, trail]),
        Set::Ksc5601 => decode_one(EUC_KR, &[lead, trail]),
        _ => char::REPLACEMENT_CHARACTER,
    }
}

fn decode_one(encoding: &'static Encoding, bytes: &[u8]) -> char {
    let text = encoding.decode_without_bom_handling_and_without_replacement(bytes);
    let character = text.as_deref().and_then(|text| text.chars().next());
    character.unwrap_or(char::REPLACEMENT_CHARACTER)
}
