//! Sealing and opening: AES-256-GCM-SIV (RFC 8452) with a nonce of zeros.
//!
//! Workers and restarts share no counter and a random nonce would cost 16 characters a link. With
//! this cipher a nonce that repeats shows only that two tokens are equal, and no two are unless
//! the same link of the same message goes to the same recipient. The key is found by its number
//! and never by trial, as the cipher does not commit to its key.

use std::borrow::Cow;
use std::iter::once;
use std::ops::Range;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::NO_PAD;

use super::cipher::{Batch, Cipher, Forged, Start};
use super::claims::{Claims, Engagement, LinkClaims};
use super::encoding::{ClaimsError, EncodedEngagement, EncodedLink};
use super::path::Path;

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
static BASE64URL: LazyLock<base64::engine::Simd> =
    LazyLock::new(|| base64::engine::Simd::url_safe(NO_PAD));
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
static BASE64URL: LazyLock<base64::engine::GeneralPurpose> =
    LazyLock::new(|| base64::engine::GeneralPurpose::new(&base64::alphabet::URL_SAFE, NO_PAD));

/// First byte of each token; the format of everything else depends on it.
const VERSION: u8 = 1;

/// Bytes before what is encrypted: version and key's number.
const HEAD: usize = 2;

/// Bytes behind it.
const TAG: usize = 16;

/// More characters than any token of ours has.
const MAX_TOKEN: usize = 65_536;

/// Tokens that are sealed together at most, and the bytes that no more join.
const MAX_BATCH: usize = 16;
const MAX_BATCH_BYTES: usize = 32_768;

/// Keys by their numbers: the first seals, all of them open.
pub struct KeyRing {
    first: Key,
    others: Vec<Key>,
}

struct Key {
    id: u8,
    cipher: Cipher,
}

/// Why keys make no ring.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRingError {
    /// There is no key to seal with.
    #[error("a key ring needs a key")]
    Empty,
    /// It would not be known which of them opens a token.
    #[error("two keys have id {0}")]
    DuplicateId(u8),
}

/// Why claims were not sealed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// A token holds up to 255 tags, 16 KiB of other claims' text and 16 KiB of target and name.
    #[error("claims are too long for a token")]
    TooLong,
}

/// Why a path gives no claims.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no token at its place.
    #[error("path is not that of a tracked URL")]
    NotTracked,
    /// No token is that long.
    #[error("token is too long")]
    TooLong,
    /// The characters are in the alphabet, but no encoder writes them.
    #[error("token is not base64url")]
    Base64,
    /// Made by a later release, or by somebody else.
    #[error("token version {0} is unknown")]
    Version(u8),
    /// The key was taken off the ring, or is another tracker's.
    #[error("no key has id {0}")]
    UnknownKey(u8),
    /// Forged, changed, cut off, or of another key with that number.
    #[error("token was not sealed by this key for this path")]
    Seal,
    /// The key's holder sealed something else than claims.
    #[error("token was sealed, but not by msys-track")]
    Claims(#[from] ClaimsError),
    /// The key's holder sealed for another kind of path.
    #[error("token does not belong to this path")]
    Route,
}

impl KeyRing {
    /// Makes a ring of numbered keys; the first will seal.
    ///
    /// # Errors
    /// There is no key, or two have one number.
    pub fn new(keys: &[(u8, [u8; 32])]) -> Result<Self, KeyRingError> {
        for (place, (id, _)) in keys.iter().enumerate() {
            if keys.iter().take(place).any(|(other, _)| other == id) {
                return Err(KeyRingError::DuplicateId(*id));
            }
        }
        let key = |(id, secret): &(u8, [u8; 32])| Key { id: *id, cipher: Cipher::new(secret) };
        let (first, others) = keys.split_first().ok_or(KeyRingError::Empty)?;
        Ok(Self { first: key(first), others: others.iter().map(key).collect() })
    }

    /// What seals the links of one recipient's copy.
    #[must_use]
    pub fn sealer(&self, engagement: EncodedEngagement) -> Sealer<'_> {
        Sealer {
            key: &self.first,
            engagement,
            start: None,
            batch: Batch::default(),
            numbers: 0..0,
            single: Batch::default(),
            sealed: vec![VERSION, self.first.id],
        }
    }

    /// Seals one link: for those who have a single one.
    ///
    /// # Errors
    /// [`SealError::TooLong`] for claims that [`KeyRing::open`] would not take.
    pub fn seal(&self, engagement: &Engagement, link: &LinkClaims) -> Result<String, SealError> {
        let mut sealer = self.sealer(EncodedEngagement::new(engagement));
        let link = EncodedLink::new(link);
        let mut path = Vec::with_capacity(sealer.path_len(&link));
        sealer.seal_into(&link, &mut path)?;
        // Prefix and token are ASCII.
        String::from_utf8(path).map_err(|_| SealError::TooLong)
    }

    /// Opens the path of a tracked URL, with or without its leading slash.
    ///
    /// The path is taken as it is: percent-decoding is the HTTP server's. What follows the token
    /// and cannot be part of it is ignored. Whether the claims have expired is the caller's
    /// question.
    ///
    /// # Errors
    /// [`OpenError`] says why; a reader must not learn it.
    pub fn open(&self, path: &str) -> Result<Claims, OpenError> {
        let path = Path::parse(path).ok_or(OpenError::NotTracked)?;
        if path.token.len() > MAX_TOKEN {
            return Err(OpenError::TooLong);
        }
        let mut sealed = BASE64URL.decode(path.token).map_err(|_| OpenError::Base64)?;
        let claims = Claims::decode(self.unseal(&mut sealed, path.prefix)?)?;
        if claims.link.kind.route() == path.route { Ok(claims) } else { Err(OpenError::Route) }
    }

    /// Decrypts in place what follows version and key number.
    fn unseal<'s>(&self, sealed: &'s mut [u8], prefix: &[u8]) -> Result<&'s [u8], OpenError> {
        let (&mut [version, id], rest) =
            sealed.split_first_chunk_mut::<HEAD>().ok_or(OpenError::Seal)?;
        if version != VERSION {
            return Err(OpenError::Version(version));
        }
        let mut keys = once(&self.first).chain(&self.others);
        let key = keys.find(|key| key.id == id).ok_or(OpenError::UnknownKey(id))?;
        let (body, tag) = rest.split_last_chunk_mut::<TAG>().ok_or(OpenError::Seal)?;
        let associated = [&[version, id], prefix].concat();
        key.cipher.open(&associated, body, tag).map_err(|Forged| OpenError::Seal)?;
        Ok(body)
    }
}

impl std::fmt::Debug for KeyRing {
    /// The numbers of the keys, never the keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids = once(&self.first).chain(&self.others).map(|key| key.id);
        f.debug_list().entries(ids).finish()
    }
}

/// Seals the links of one recipient's copy.
///
/// What they have in common is hashed once, and the links that will be asked for next are
/// encrypted with the one that is asked for.
pub struct Sealer<'k> {
    key: &'k Key,
    engagement: EncodedEngagement,
    start: Option<LinkStart>,
    batch: Batch,
    /// Which links the batch has.
    numbers: Range<usize>,
    single: Batch,
    /// Version, key's number and, behind them, what was sealed last.
    sealed: Vec<u8>,
}

/// What all links of a copy begin with that have one prefix, and extensions or none.
struct LinkStart {
    prefix: Cow<'static, str>,
    has_extensions: bool,
    start: Start,
}

impl LinkStart {
    fn is_of(&self, link: &EncodedLink) -> bool {
        self.prefix == *link.prefix() && self.has_extensions == link.has_extensions()
    }
}

impl Sealer<'_> {
    /// Bytes that sealing appends, known before anything is sealed.
    #[must_use]
    pub fn path_len(&self, link: &EncodedLink) -> usize {
        link.prefix().len() + 1 + token_len(sealed_len(&self.engagement, link))
    }

    /// Appends the path of a tracked URL, without a leading slash: `f/a/<token>`.
    ///
    /// # Errors
    /// [`SealError::TooLong`] for claims that [`KeyRing::open`] would not take; `out` is then as
    /// it was.
    pub fn seal_into(&mut self, link: &EncodedLink, out: &mut Vec<u8>) -> Result<(), SealError> {
        self.seal_one(link, out).ok_or(SealError::TooLong)
    }

    fn seal_one(&mut self, link: &EncodedLink, out: &mut Vec<u8>) -> Option<()> {
        self.set_start(link);
        let start = &self.start.as_ref()?.start;
        self.single.clear();
        if self.engagement.is_readable_with(link) {
            self.single.push(start, link.pieces());
            self.single.encrypt(&self.key.cipher);
        }
        write_path((&self.single, 0), start, &mut self.sealed, link, out)
    }

    /// Appends the path of one of a copy's links; those behind it will be asked for next.
    ///
    /// # Errors
    /// [`SealError::TooLong`] for claims that [`KeyRing::open`] would not take; `out` is then as
    /// it was.
    pub fn seal_nth_into(
        &mut self,
        links: &[EncodedLink],
        number: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        self.seal_nth(links, number, out).ok_or(SealError::TooLong)
    }

    fn seal_nth(&mut self, links: &[EncodedLink], number: usize, out: &mut Vec<u8>) -> Option<()> {
        let link = links.get(number)?;
        self.set_start(link);
        if !self.numbers.contains(&number) {
            self.seal_batch(links, number)?;
        }
        let start = &self.start.as_ref()?.start;
        let place = number - self.numbers.start;
        write_path((&self.batch, place), start, &mut self.sealed, link, out)
    }

    /// Seals the link of that number, if a reader would take it, and those that can be sealed
    /// with it.
    fn seal_batch(&mut self, links: &[EncodedLink], number: usize) -> Option<()> {
        let start = self.start.as_ref()?;
        self.batch.clear();
        self.numbers = number..number;
        let mut bytes = 0;
        for link in links.get(number..)?.iter().take(MAX_BATCH) {
            bytes += sealed_len(&self.engagement, link);
            let fits = self.numbers.is_empty() || bytes <= MAX_BATCH_BYTES;
            if !fits || !start.is_of(link) || !self.engagement.is_readable_with(link) {
                break;
            }
            self.batch.push(&start.start, link.pieces());
            self.numbers.end += 1;
        }
        self.batch.encrypt(&self.key.cipher);
        Some(())
    }

    /// The batch is of one start only.
    fn set_start(&mut self, link: &EncodedLink) {
        if !self.start.as_ref().is_some_and(|start| start.is_of(link)) {
            self.start = Some(self.key.start_of(&self.engagement, link));
            self.numbers = 0..0;
        }
    }
}

impl Key {
    fn start_of(&self, engagement: &EncodedEngagement, link: &EncodedLink) -> LinkStart {
        let prefix = link.prefix();
        let associated = [&[VERSION, self.id], prefix.as_bytes()].concat();
        let start = Start::new(&self.cipher, &associated, engagement.bytes(link));
        LinkStart { prefix: prefix.clone(), has_extensions: link.has_extensions(), start }
    }
}

fn write_path(
    (batch, place): (&Batch, usize),
    start: &Start,
    sealed: &mut Vec<u8>,
    link: &EncodedLink,
    out: &mut Vec<u8>,
) -> Option<()> {
    let length = HEAD + batch.sealed_len(place)?;
    if sealed.len() < length {
        sealed.resize(length, 0);
    }
    batch.write(place, start, sealed.get_mut(HEAD..)?)?;
    out.extend_from_slice(link.prefix().as_bytes());
    out.push(b'/');
    let token = out.len();
    out.resize(token + token_len(length), 0);
    BASE64URL.encode_slice(sealed.get(..length)?, out.get_mut(token..)?).ok().map(|_| ())
}

fn sealed_len(engagement: &EncodedEngagement, link: &EncodedLink) -> usize {
    let [extensions, block] = link.pieces();
    HEAD + engagement.len(link) + extensions.len() + block.len() + TAG
}

/// Characters of unpadded base64 for that many bytes (RFC 4648 §5).
const fn token_len(sealed: usize) -> usize {
    (sealed * 4).div_ceil(3)
}
