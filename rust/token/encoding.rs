//! Claims as bytes: two blocks, so that each is written once however many links are sealed.
//!
//! The engagement block comes first and gives its own length; the link block takes the rest.
//! Reading is total: any bytes give claims or an error, and never more memory than
//! [`MAX_TEXT`] allows.

use std::borrow::Cow;
use std::num::NonZero;

use super::claims::{
    Claims, Engagement, Kind, LinkClaims, LinkPart, Position, Privacy, RecipientType,
};
use super::path::Route;
use super::{packed, varint};
use crate::link::sublink::Sublink;

/// Bytes of text that a block may hold, unpacked.
const MAX_TEXT: usize = 16_384;
const MAX_TAGS: usize = 255;
const MESSAGE_ID_BYTES: usize = 10;

// Flags of the engagement block. Bits 5 and 6 are the recipient's type.
const OPEN_TRACKING: u64 = 1;
const CLICK_TRACKING: u64 = 1 << 1;
const INITIAL_PIXEL: u64 = 1 << 2;
const AMP_ENABLED: u64 = 1 << 3;
const TRANSACTIONAL: u64 = 1 << 4;
const RECIPIENT_TYPE_SHIFT: u32 = 5;
const TEXT_MESSAGE_ID: u64 = 1 << 7;
const HAS_CAMPAIGN: u64 = 1 << 8;
const HAS_METADATA: u64 = 1 << 9;
const HAS_SUBACCOUNT: u64 = 1 << 10;
const HAS_TAGS: u64 = 1 << 11;
const HAS_EXTENSIONS: u64 = 1 << 12;
// Bits 13 and 14 are the privacy: a reader that does not know it must not make an event.
const PRIVACY_SHIFT: u32 = 13;
const KNOWN_FLAGS: u64 = (1 << 15) - 1;

/// More bytes than the numbers of most engagement blocks have.
const ENGAGEMENT_NUMBERS: usize = 48;

/// The extension that only makes tokens differ: one byte without meaning.
const SALT: u8 = 1;
/// The extension that says where the link stood: four times its number, and the kind of part.
const POSITION: u8 = 2;
const PARTS: u64 = 4;

// The link block's first byte. Bits 0 to 3 are the kind.
const KIND_MASK: u8 = 0x0F;
const HAS_TARGET: u8 = 1 << 4;
const HAS_NAME: u8 = 1 << 5;
const KNOWN_LINK_BITS: u8 = KIND_MASK | HAS_TARGET | HAS_NAME;

/// Why bytes that a key of ours sealed are not claims.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClaimsError {
    /// The bytes end before the claims do.
    #[error("claims are cut off")]
    CutOff,
    /// A number is cut off, over its range, or longer than need be.
    #[error("a number is malformed")]
    Number,
    /// A bit is set that this version gives no meaning.
    #[error("an unknown flag is set")]
    Flags,
    /// A text is not UTF-8, or badly packed.
    #[error("a text is malformed")]
    Text,
    /// A block holds more text than any that we seal.
    #[error("there is more text than a token may hold")]
    TooMuchText,
    /// Bytes follow the claims.
    #[error("bytes follow the claims")]
    Trailing,
}

/// The engagement block, but for the extensions that only some links have.
#[derive(Clone, Debug)]
pub struct EncodedEngagement {
    flags: u64,
    /// What follows the flags.
    block: Block,
}

impl EncodedEngagement {
    /// Encodes everything.
    #[must_use]
    pub fn new(engagement: &Engagement) -> Self {
        Self::encode(engagement, engagement.metadata.as_deref())
    }

    /// Encodes everything but the metadata: for links that are too long with it.
    #[must_use]
    pub fn bare(engagement: &Engagement) -> Self {
        Self::encode(engagement, None)
    }

    fn encode(engagement: &Engagement, metadata: Option<&str>) -> Self {
        let raw_id = message_id_bytes(&engagement.message_id);
        let texts = [&*engagement.message_id, &*engagement.recipient].into_iter();
        let texts = texts.chain(engagement.campaign_id.as_deref()).chain(metadata);
        let mut block = Block::default();
        block.bytes.reserve(ENGAGEMENT_NUMBERS + texts.map(str::len).sum::<usize>());
        match raw_id {
            Some(raw) => block.bytes.extend(raw),
            None => block.text(&engagement.message_id),
        }
        block.number(engagement.transmission_id);
        block.number(engagement.injected_at);
        block.number(engagement.lifetime_seconds);
        block.number(engagement.customer_id.into());
        if let Some(subaccount) = engagement.subaccount_id {
            block.number(subaccount.into());
        }
        block.text(&engagement.recipient);
        for text in engagement.campaign_id.as_deref().into_iter().chain(metadata) {
            block.text(text);
        }
        if !engagement.tags.is_empty() {
            block.tags(&engagement.tags);
        }
        Self { flags: flags(engagement, metadata, raw_id.is_none()), block }
    }

    /// Bytes before the extensions of a link, or before its block if it has none.
    pub(super) fn len(&self, link: &EncodedLink) -> usize {
        varint::len(self.flags_with(link)) + self.block.bytes.len()
    }

    /// The same bytes for every link that has extensions, and for every one that has none.
    pub(super) fn bytes(&self, link: &EncodedLink) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len(link));
        varint::push(self.flags_with(link), &mut bytes);
        bytes.extend_from_slice(&self.block.bytes);
        bytes
    }

    fn flags_with(&self, link: &EncodedLink) -> u64 {
        if link.has_extensions() { self.flags | HAS_EXTENSIONS } else { self.flags }
    }

    /// Whether a reader would take it with that link.
    pub(super) fn is_readable_with(&self, link: &EncodedLink) -> bool {
        self.block.is_readable() && link.block.is_readable()
    }
}

/// The link block, and the extensions of the engagement block that are the link's own.
///
/// They stand right before the link block, so that everything before them is the same for all
/// links of a copy.
#[derive(Clone, Debug)]
pub struct EncodedLink {
    prefix: Cow<'static, str>,
    position: Option<Position>,
    extensions: Extensions,
    block: Block,
}

impl EncodedLink {
    /// Encodes a link's claims.
    #[must_use]
    pub fn new(link: &LinkClaims) -> Self {
        let has_target = if link.target.is_some() { HAS_TARGET } else { 0 };
        let has_name = if link.name.is_some() { HAS_NAME } else { 0 };
        let lengths = link.target.iter().chain(&link.name).map(|text| text.len() + 3);
        let mut block = Block::default();
        block.bytes.reserve(1 + lengths.sum::<usize>());
        block.bytes.push(number_of(Kind::ALL, &link.kind) | has_target | has_name);
        for text in link.target.iter().chain(&link.name) {
            block.text(text);
        }
        let position = link.position;
        let extensions = Extensions::new(None, position);
        Self { prefix: link.kind.route().prefix().into(), position, extensions, block }
    }

    /// The same claims below another path: `f/<sublink>/<token>`; only clicks have sublinks.
    #[must_use]
    pub fn below(self, sublink: &Sublink) -> Self {
        if *self.prefix != *Route::Click.prefix() {
            return self;
        }
        Self { prefix: format!("f/{}", sublink.as_str()).into(), ..self }
    }

    /// The same claims in other bytes, and so in another token: an extension that readers skip.
    #[must_use]
    pub fn with_salt(&self, salt: u8) -> Self {
        Self { extensions: Extensions::new(Some(salt), self.position), ..self.clone() }
    }

    /// What stands before the token's slash.
    pub(super) fn prefix(&self) -> &Cow<'static, str> {
        &self.prefix
    }

    /// What follows the engagement block's common part.
    pub(super) fn pieces(&self) -> [&[u8]; 2] {
        [self.extensions.bytes(), &self.block.bytes]
    }

    pub(super) fn has_extensions(&self) -> bool {
        self.extensions.length > 0
    }
}

/// The extensions of one link, without an allocation of their own.
#[derive(Clone, Copy, Debug, Default)]
struct Extensions {
    bytes: [u8; MAX_EXTENSIONS],
    length: usize,
}

/// How many there are; salt; a position of 34 bits.
const MAX_EXTENSIONS: usize = 1 + 3 + 2 + 5;

impl Extensions {
    /// Writes how many there are, then each by its number; nothing for none.
    fn new(salt: Option<u8>, position: Option<Position>) -> Self {
        let mut extensions = Self::default();
        let count = u8::from(salt.is_some()) + u8::from(position.is_some());
        if count > 0 {
            extensions.push(count);
        }
        for byte in salt.into_iter().flat_map(|salt| [SALT, 1, salt]) {
            extensions.push(byte);
        }
        if let Some(Position { number, part }) = position {
            let part = number_of(LinkPart::ALL, &part);
            let value = u64::from(number.get()) * PARTS + u64::from(part);
            extensions.push(POSITION);
            extensions.push(u8::try_from(varint::len(value)).unwrap_or_default());
            varint::bytes(value).for_each(|byte| extensions.push(byte));
        }
        extensions
    }

    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// Encoded claims, and whether a reader would take so much text.
#[derive(Clone, Debug, Default)]
struct Block {
    bytes: Vec<u8>,
    text_bytes: usize,
    too_many_tags: bool,
}

impl Block {
    const fn is_readable(&self) -> bool {
        self.text_bytes <= MAX_TEXT && !self.too_many_tags
    }

    fn number(&mut self, number: u64) {
        varint::push(number, &mut self.bytes);
    }

    fn length(&mut self, length: usize) {
        self.number(u64::try_from(length).unwrap_or(u64::MAX));
    }

    fn text(&mut self, text: &str) {
        self.text_bytes = self.text_bytes.saturating_add(text.len());
        let start = self.bytes.len();
        packed::pack(text.as_bytes(), &mut self.bytes);
        let packed = self.bytes.len() - start;
        let header = if packed < text.len() {
            packed << 1 | 1
        } else {
            self.bytes.truncate(start);
            self.bytes.extend_from_slice(text.as_bytes());
            text.len() << 1
        };
        // The length stands before the text, and was not known.
        let end = self.bytes.len();
        self.length(header);
        let written = self.bytes.len() - end;
        self.bytes.get_mut(start..).unwrap_or_default().rotate_right(written);
    }

    fn tags(&mut self, tags: &[String]) {
        self.too_many_tags = tags.len() > MAX_TAGS;
        self.length(tags.len());
        for tag in tags {
            self.text(tag);
        }
    }
}

fn flags(engagement: &Engagement, metadata: Option<&str>, text_id: bool) -> u64 {
    let recipient_type = number_of(RecipientType::ALL, &engagement.recipient_type);
    let bits = [
        (engagement.open_tracking, OPEN_TRACKING),
        (engagement.click_tracking, CLICK_TRACKING),
        (engagement.initial_pixel, INITIAL_PIXEL),
        (engagement.amp_enabled, AMP_ENABLED),
        (engagement.transactional, TRANSACTIONAL),
        (text_id, TEXT_MESSAGE_ID),
        (engagement.campaign_id.is_some(), HAS_CAMPAIGN),
        (metadata.is_some(), HAS_METADATA),
        (engagement.subaccount_id.is_some(), HAS_SUBACCOUNT),
        (!engagement.tags.is_empty(), HAS_TAGS),
    ];
    let set = bits.iter().filter(|(is_set, _)| *is_set).fold(0, |flags, (_, bit)| flags | bit);
    let privacy = number_of(Privacy::ALL, &engagement.privacy);
    set | u64::from(recipient_type) << RECIPIENT_TYPE_SHIFT | u64::from(privacy) << PRIVACY_SHIFT
}

/// The place of a value among all of its type: its number in a token.
fn number_of<T: PartialEq>(all: &[T], value: &T) -> u8 {
    let place = all.iter().position(|one| one == value);
    place.and_then(|place| u8::try_from(place).ok()).unwrap_or_default()
}

fn message_id_bytes(text: &str) -> Option<[u8; MESSAGE_ID_BYTES]> {
    let digits: [u8; 2 * MESSAGE_ID_BYTES] = text.as_bytes().try_into().ok()?;
    let mut bytes = [0; MESSAGE_ID_BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            *byte = *byte << 4 | value;
        }
    }
    Some(bytes)
}

impl Claims {
    /// Reads both blocks.
    pub(super) fn decode(plaintext: &[u8]) -> Result<Self, ClaimsError> {
        let mut reader = ClaimsReader { rest: plaintext, text_left: MAX_TEXT };
        let (engagement, position) = reader.engagement()?;
        reader.text_left = MAX_TEXT;
        let link = LinkClaims { position, ..reader.link()? };
        if !reader.rest.is_empty() {
            return Err(ClaimsError::Trailing);
        }
        Ok(Self { engagement, link })
    }
}

struct ClaimsReader<'p> {
    rest: &'p [u8],
    text_left: usize,
}

impl<'p> ClaimsReader<'p> {
    fn engagement(&mut self) -> Result<(Engagement, Option<Position>), ClaimsError> {
        let flags = self.number()?;
        if flags & !KNOWN_FLAGS != 0 {
            return Err(ClaimsError::Flags);
        }
        let has = |bit| flags & bit != 0;
        let recipient_type = flags >> RECIPIENT_TYPE_SHIFT & 3;
        let engagement = Engagement {
            message_id: if has(TEXT_MESSAGE_ID) { self.text()? } else { self.message_id()? },
            transmission_id: self.number()?,
            injected_at: self.number()?,
            lifetime_seconds: self.number()?,
            customer_id: self.small_number()?,
            subaccount_id: self.when(has(HAS_SUBACCOUNT), Self::small_number)?,
            recipient: self.text()?,
            recipient_type: of_number(RecipientType::ALL, recipient_type)?,
            campaign_id: self.when(has(HAS_CAMPAIGN), Self::text)?,
            metadata: self.when(has(HAS_METADATA), Self::text)?,
            tags: self.when(has(HAS_TAGS), Self::tags)?.unwrap_or_default(),
            open_tracking: has(OPEN_TRACKING),
            click_tracking: has(CLICK_TRACKING),
            initial_pixel: has(INITIAL_PIXEL),
            amp_enabled: has(AMP_ENABLED),
            transactional: has(TRANSACTIONAL),
            privacy: of_number(Privacy::ALL, flags >> PRIVACY_SHIFT & 3)?,
        };
        let position = self.when(has(HAS_EXTENSIONS), Self::extensions)?.flatten();
        Ok((engagement, position))
    }

    fn link(&mut self) -> Result<LinkClaims, ClaimsError> {
        let (&head, rest) = self.rest.split_first().ok_or(ClaimsError::CutOff)?;
        self.rest = rest;
        if head & !KNOWN_LINK_BITS != 0 {
            return Err(ClaimsError::Flags);
        }
        Ok(LinkClaims {
            kind: of_number(Kind::ALL, u64::from(head & KIND_MASK))?,
            target: self.when(head & HAS_TARGET != 0, Self::text)?,
            name: self.when(head & HAS_NAME != 0, Self::text)?,
            position: None,
        })
    }

    fn when<T>(
        &mut self,
        present: bool,
        read: impl FnOnce(&mut Self) -> Result<T, ClaimsError>,
    ) -> Result<Option<T>, ClaimsError> {
        present.then(|| read(self)).transpose()
    }

    fn number(&mut self) -> Result<u64, ClaimsError> {
        varint::take(&mut self.rest).ok_or(ClaimsError::Number)
    }

    fn small_number(&mut self) -> Result<u32, ClaimsError> {
        u32::try_from(self.number()?).map_err(|_| ClaimsError::Number)
    }

    fn length(&mut self) -> Result<usize, ClaimsError> {
        usize::try_from(self.number()?).map_err(|_| ClaimsError::Number)
    }

    fn take(&mut self, length: usize) -> Result<&'p [u8], ClaimsError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(ClaimsError::CutOff)?;
        self.rest = rest;
        Ok(taken)
    }

    fn text(&mut self) -> Result<String, ClaimsError> {
        let header = self.length()?;
        let stored = self.take(header >> 1)?;
        // Packed text is half as long as it was, about.
        let mut text = Vec::with_capacity(stored.len() << (header & 1));
        if header & 1 == 1 {
            let unpacked = packed::unpack(stored, self.text_left, &mut text);
            unpacked.map_err(|packed::Malformed| ClaimsError::Text)?;
        } else {
            text.extend_from_slice(stored);
        }
        let left = self.text_left.checked_sub(text.len());
        self.text_left = left.ok_or(ClaimsError::TooMuchText)?;
        String::from_utf8(text).map_err(|_| ClaimsError::Text)
    }

    fn message_id(&mut self) -> Result<String, ClaimsError> {
        let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or_default();
        let mut text = String::with_capacity(2 * MESSAGE_ID_BYTES);
        for byte in self.take(MESSAGE_ID_BYTES)? {
            text.push(digit(byte >> 4));
            text.push(digit(byte & 15));
        }
        Ok(text)
    }

    fn tags(&mut self) -> Result<Vec<String>, ClaimsError> {
        let count = self.length()?;
        if count > MAX_TAGS {
            return Err(ClaimsError::TooMuchText);
        }
        (0..count).map(|_| self.text()).collect()
    }

    /// Fields that earlier readers skip, each a number and bytes; so do we with those of later
    /// writers, and with a position that has another form than ours.
    fn extensions(&mut self) -> Result<Option<Position>, ClaimsError> {
        let mut position = None;
        for _ in 0..self.length()? {
            let number = self.number()?;
            let length = self.length()?;
            let value = self.take(length)?;
            if number == u64::from(POSITION) {
                position = read_position(value);
            }
        }
        Ok(position)
    }
}

fn read_position(mut value: &[u8]) -> Option<Position> {
    let packed = varint::take(&mut value).filter(|_| value.is_empty())?;
    let number = NonZero::new(u32::try_from(packed / PARTS).ok()?)?;
    Some(Position { number, part: of_number(LinkPart::ALL, packed % PARTS).ok()? })
}

fn of_number<T: Copy>(all: &[T], number: u64) -> Result<T, ClaimsError> {
    let place = usize::try_from(number).map_err(|_| ClaimsError::Number)?;
    all.get(place).copied().ok_or(ClaimsError::Flags)
}
