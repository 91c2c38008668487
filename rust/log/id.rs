//! Ids of events, as Python's `events.make_event_id` makes them.

use super::json::HEX_DIGITS;

/// For how many ids random bytes are drawn at once.
const DRAWN: usize = 512;

/// Makes ids: UUIDs of version 7 (RFC 9562 §5.7), Unix milliseconds and 74 random bits.
#[derive(Debug)]
pub(super) struct Ids {
    random: Box<[[u8; 10]; DRAWN]>,
    used: usize,
}

impl Default for Ids {
    /// Nothing is drawn before the first id.
    fn default() -> Self {
        Self { random: Box::new([[0; 10]; DRAWN]), used: DRAWN }
    }
}

impl Ids {
    /// Makes the id of what happened at a time.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub(super) fn make(&mut self, milliseconds: u64) -> Result<[u8; 36], getrandom::Error> {
        if self.used >= DRAWN {
            getrandom::fill(self.random.as_flattened_mut())?;
            self.used = 0;
        }
        let random = self.random.get(self.used).copied().unwrap_or_default();
        self.used += 1;
        Ok(write_id(milliseconds, random))
    }
}

/// Writes an id; of the random bytes' 80 bits the last 74 are used.
pub(super) fn write_id(milliseconds: u64, random: [u8; 10]) -> [u8; 36] {
    let mut padded = [0; 16];
    padded.iter_mut().skip(6).zip(random).for_each(|(to, byte)| *to = byte);
    let chance = u128::from_be_bytes(padded);
    let value = (u128::from(milliseconds) & 0xffff_ffff_ffff) << 80
        | 0x7000 << 64
        | (chance >> 62 & 0x0fff) << 64
        | 0x8000_0000_0000_0000
        | chance & 0x3fff_ffff_ffff_ffff;
    let mut text = [b'-'; 36];
    let mut halves = value.to_be_bytes().into_iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
    for (at, place) in text.iter_mut().enumerate() {
        if !matches!(at, 8 | 13 | 18 | 23) {
            let digit = halves.next().and_then(|half| HEX_DIGITS.get(usize::from(half)));
            *place = digit.copied().unwrap_or_default();
        }
    }
    text
}
