//! Ids of events, as Python's `events.make_event_id` makes them.

/// How many random bytes are drawn at once.
const BLOCK: usize = 10 * 512;
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Makes ids: UUIDs of version 7 (RFC 9562 §5.7), Unix milliseconds and 74 random bits.
pub(super) struct Ids {
    block: Box<[u8; BLOCK]>,
    used: usize,
}

impl Ids {
    /// Nothing is drawn before the first id.
    pub(super) fn new() -> Self {
        Self { block: Box::new([0; BLOCK]), used: BLOCK }
    }

    /// Makes the id of what happened at a time.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub(super) fn make(&mut self, milliseconds: u64) -> Result<[u8; 36], getrandom::Error> {
        if self.used >= BLOCK {
            getrandom::fill(self.block.as_mut())?;
            self.used = 0;
        }
        let mut random = [0; 10];
        let drawn = self.block.iter().skip(self.used);
        random.iter_mut().zip(drawn).for_each(|(to, &byte)| *to = byte);
        self.used += random.len();
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
    let places = text.iter_mut().enumerate();
    let digits = places.filter(|(at, _)| !matches!(at, 8 | 13 | 18 | 23)).map(|(_, place)| place);
    for (at, place) in digits.enumerate() {
        let half = usize::try_from(value >> (124 - 4 * at) & 0x0f).unwrap_or_default();
        *place = DIGITS.get(half).copied().unwrap_or_default();
    }
    text
}
