//! UTF-7 (RFC 2152): UTF-16 in base64 between `+` and the first byte that is not base64's.

use super::runs::ShiftedText;

/// Reads a text; returns whether it ends outside of base64.
pub(super) fn decode(source: &[u8], text: &mut ShiftedText) -> bool {
    let mut at = 0;
    let mut is_open = false;
    while let Some(rest) = source.get(at..).filter(|rest| !rest.is_empty()) {
        at += match rest {
            [b'+', b'-', ..] => {
                text.push('+');
                is_open = false;
                2
            }
            [b'+', after @ ..] => {
                let length = after.iter().take_while(|byte| digit(**byte).is_some()).count();
                push_base64(after.get(..length).unwrap_or_default(), text);
                is_open = after.get(length) != Some(&b'-');
                1 + length + usize::from(!is_open)
            }
            [byte @ ..=b'\x7f', ..] if is_open => {
                text.push_terminator(at, *byte);
                is_open = false;
                1
            }
            [byte @ ..=b'\x7f', ..] => {
                text.push_ascii(at, *byte);
                1
            }
            _ => {
                text.push(char::REPLACEMENT_CHARACTER);
                is_open = false;
                1
            }
        };
    }
    !is_open
}

fn push_base64(digits: &[u8], text: &mut ShiftedText) {
    let (mut bits, mut count) = (0_u32, 0);
    let mut units = Vec::with_capacity(digits.len() * 3 / 8);
    for value in digits.iter().filter_map(|byte| digit(*byte)) {
        bits = bits << 6 | value;
        count += 6;
        if count >= 16 {
            count -= 16;
            units.extend(u16::try_from(bits >> count));
            bits &= (1 << count) - 1;
        }
    }
    for character in char::decode_utf16(units) {
        text.push(character.unwrap_or(char::REPLACEMENT_CHARACTER));
    }
    // What is left over is zero and less than a digit (RFC 2152, rule 2).
    if digits.is_empty() || count >= 6 || bits != 0 {
        text.push(char::REPLACEMENT_CHARACTER);
    }
}

fn digit(byte: u8) -> Option<u32> {
    Some(match byte {
        b'A'..=b'Z' => u32::from(byte - b'A'),
        b'a'..=b'z' => u32::from(byte - b'a') + 26,
        b'0'..=b'9' => u32::from(byte - b'0') + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}
