//! Charsets in which a byte below 128 need not be ASCII: read as UTF-8, with a way back.
//!
//! Both scanners read the text in UTF-8. What they find is taken back to the source; a place at
//! which ASCII cannot be put in, such as the middle of a shifted run, has no way back.

use super::runs::{Runs, ShiftedText};
use super::scheme::{Scheme, Script};
use super::wide::Units;
use super::{hz, iso2022, utf7, wide};
use crate::reason::Reason;

/// A part as UTF-8, and the way back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcoded {
    /// The part's text.
    pub text: String,
    /// How ASCII is written in the part.
    pub script: Script,
    /// Whether U+FFFD may stand for a character of a set that is not known here.
    pub has_unread: bool,
    map: Map,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Map {
    Units(Units),
    Runs(Runs),
}

impl Transcoded {
    /// Reads a part.
    ///
    /// # Errors
    /// [`Reason::UnsupportedCharset`] if the part's bytes are not in that charset;
    /// [`Reason::HtmlLimit`] if the way back would take too much memory.
    pub fn read(source: &[u8], scheme: Scheme) -> Result<Self, Reason> {
        let (unit, order) = match scheme {
            Scheme::Utf16(order) => (wide::Unit::Two, order),
            Scheme::Utf32(order) => (wide::Unit::Four, order),
            _ => return Self::read_shifted(source, scheme),
        };
        let (text, units) = wide::decode(source, unit, order).ok_or(Reason::UnsupportedCharset)?;
        Ok(Self { text, script: units.script(), has_unread: false, map: Map::Units(units) })
    }

    fn read_shifted(source: &[u8], scheme: Scheme) -> Result<Self, Reason> {
        let mut shifted = ShiftedText::with_capacity(source.len());
        let (script, ends_in_ascii) = match scheme {
            Scheme::Utf7 => (Script::Escaped(b'+', b"+-"), utf7::decode(source, &mut shifted)),
            Scheme::Hz => (Script::Escaped(b'~', b"~~"), hz::decode(source, &mut shifted)),
            _ => (Script::Ascii, iso2022::decode(source, scheme, &mut shifted)),
        };
        let has_unread = shifted.has_unread;
        let read = shifted.finish(ends_in_ascii, source.len());
        let (text, runs) = read.ok_or(Reason::HtmlLimit)?;
        Ok(Self { text, script, has_unread, map: Map::Runs(runs) })
    }

    /// The bytes that a range of the text came from, if ASCII can stand in their place.
    #[must_use]
    pub fn range(&self, start: usize, end: usize) -> Option<(usize, usize)> {
        match &self.map {
            Map::Units(units) => {
                Some((units.place(&self.text, start)?, units.place(&self.text, end)?))
            }
            Map::Runs(runs) => runs.range(start, end),
        }
    }

    /// Where text that begins with a line break or a `<` can be put in.
    #[must_use]
    pub fn insertion(&self, at: usize) -> Option<usize> {
        match &self.map {
            Map::Units(units) => units.place(&self.text, at),
            Map::Runs(runs) => runs.insertion(at),
        }
    }
}

#[cfg(test)]
#[path = "transcoding_tests.rs"]
mod tests;
