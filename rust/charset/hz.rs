//! HZ (RFC 1843): GB 2312 between `~{` and `~}`.

use super::iso2022::{Set, read_pair};
use super::runs::ShiftedText;

/// Reads a text; returns whether it ends in ASCII.
pub(super) fn decode(source: &[u8], text: &mut ShiftedText) -> bool {
    let mut in_gb = false;
    let mut at = 0;
    while let Some(rest) = source.get(at..).filter(|rest| !rest.is_empty()) {
        at += match rest {
            [b'~', b'{', ..] if !in_gb => {
                in_gb = true;
                2
            }
            [b'~', b'}', ..] if in_gb => {
                in_gb = false;
                2
            }
            [b'~', b'~', ..] if !in_gb => {
                text.push('~');
                2
            }
            // A line that goes on: RFC 1843 drops both.
            [b'~', b'\n', ..] if !in_gb => 2,
            [lead @ b'!'..=b'}', trail @ b'!'..=b'~', ..] if in_gb => {
                text.push(read_pair(Set::Gb2312, *lead, *trail));
                2
            }
            [byte @ ..=b' ', ..] => {
                // A line ends in ASCII, whatever it is in.
                in_gb &= *byte != b'\n';
                if in_gb {
                    text.push(char::from(*byte));
                } else {
                    text.push_ascii(at, *byte);
                }
                1
            }
            [byte @ ..=b'\x7f', ..] if !in_gb && *byte != b'~' => {
                text.push_ascii(at, *byte);
                1
            }
            _ => {
                text.push(char::REPLACEMENT_CHARACTER);
                1
            }
        };
    }
    !in_gb
}
