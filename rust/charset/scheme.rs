//! How charsets are coded that are no supersets of ASCII, and how ASCII is written in them.

/// How such a charset is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// UTF-16, in the byte order that its label names.
    Utf16(Option<Order>),
    /// UTF-32, in the byte order that its label names.
    Utf32(Option<Order>),
    /// RFC 2152.
    Utf7,
    /// RFC 1843.
    Hz,
    /// RFC 1468 and its extensions.
    Iso2022Jp,
    /// RFC 1557.
    Iso2022Kr,
    /// RFC 1922.
    Iso2022Cn,
}

/// The order of bytes in a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The low byte comes first.
    Little,
    /// The high byte comes first.
    Big,
}

/// How ASCII is written in a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Script {
    /// As it stands.
    #[default]
    Ascii,
    /// In units of that many bytes.
    Wide(usize, Order),
    /// As it stands, but for a byte that begins an escape, and what is written for it.
    Escaped(u8, &'static [u8]),
}

impl Script {
    /// Rewrites the ASCII that was written to `out` from `start` on.
    pub fn rewrite(self, out: &mut Vec<u8>, start: usize) {
        if self == Self::Ascii || out.len() <= start {
            return;
        }
        let ascii = out.split_off(start);
        for byte in ascii {
            match self {
                Self::Wide(bytes, Order::Little) => {
                    out.push(byte);
                    out.resize(out.len() + bytes - 1, 0);
                }
                Self::Wide(bytes, Order::Big) => {
                    out.resize(out.len() + bytes - 1, 0);
                    out.push(byte);
                }
                Self::Escaped(escape, written) if byte == escape => {
                    out.extend_from_slice(written);
                }
                _ => out.push(byte),
            }
        }
    }

    /// Whether a line break of the text is more than the bytes CR and LF.
    #[must_use]
    pub fn is_wide(self) -> bool {
        matches!(self, Self::Wide(..))
    }
}
