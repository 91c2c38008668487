//! Sealing and opening: AES-256-GCM-SIV (RFC 8452) with a nonce of zeros.
//!
//! Workers and restarts share no counter and a random nonce would cost 16 characters a link. With
//! this cipher a nonce that repeats shows only that two tokens are equal, and no two are unless
//! the same link of the same message goes to the same recipient. The key is found by its number
//! and never by trial, as the cipher does not commit to its key.

use aes_gcm_siv::aead::{AeadInOut, KeyInit};
use aes_gcm_siv::{Aes256GcmSiv, Key as CipherKey, Nonce, Tag};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::claims::{Claims, Engagement, LinkClaims};
use super::encoding::{ClaimsError, EncodedEngagement, EncodedLink};
use super::path::Path;

/// First byte of each token; the format of everything else depends on it.
const VERSION: u8 = 1;
const HEAD: usize = 2;
const TAG: usize = 16;

/// More characters than any token of ours has.
const MAX_TOKEN: usize = 65_536;

/// Keys by their numbers: the first seals, all of them open.
pub struct KeyRing {
    keys: Vec<Key>,
}

struct Key {
    id: u8,
    cipher: Aes256GcmSiv,
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
    pub fn new(keys: Vec<(u8, [u8; 32])>) -> Result<Self, KeyRingError> {
        let mut ring = Self { keys: Vec::with_capacity(keys.len()) };
        for (id, secret) in keys {
            if ring.keys.iter().any(|key| key.id == id) {
                return Err(KeyRingError::DuplicateId(id));
            }
            ring.keys.push(Key {
                id,
                cipher: Aes256GcmSiv::new(&CipherKey::<Aes256GcmSiv>::from(secret)),
            });
        }
        if ring.keys.is_empty() { Err(KeyRingError::Empty) } else { Ok(ring) }
    }

    /// Bytes that [`KeyRing::seal_into`] appends, known before anything is sealed.
    #[must_use]
    pub fn path_len(&self, engagement: &EncodedEngagement, link: &EncodedLink) -> usize {
        let token = token_len(sealed_len(engagement, link));
        link.prefix().len() + 1 + token
    }

    /// Appends the path of a tracked URL, without a leading slash: `f/a/<token>`.
    ///
    /// The end of `out` is the only scratch, so nothing is allocated once `out` has grown.
    ///
    /// # Errors
    /// [`SealError::TooLong`] for claims that [`KeyRing::open`] would not take; `out` is then as
    /// it was.
    pub fn seal_into(
        &self,
        engagement: &EncodedEngagement,
        link: &EncodedLink,
        out: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        let start = out.len();
        let sealed = self.append(engagement, link, out);
        out.truncate(if sealed.is_some() {
            start + self.path_len(engagement, link)
        } else {
            start
        });
        sealed.ok_or(SealError::TooLong)
    }

    /// Appends prefix and token, and behind them what was needed to make it.
    fn append(
        &self,
        engagement: &EncodedEngagement,
        link: &EncodedLink,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let (engagement_block, link_block) = (engagement.block(), link.block());
        let key = self.keys.first()?;
        if !engagement_block.is_readable() || !link_block.is_readable() {
            return None;
        }
        let sealed = sealed_len(engagement, link);
        let head = [VERSION, key.id];
        let prefix = link.prefix().as_bytes();
        out.extend_from_slice(prefix);
        out.push(b'/');
        let token_start = out.len();
        out.resize(token_start + token_len(sealed), 0);
        out.extend_from_slice(&head);
        out.extend_from_slice(engagement_block.bytes());
        out.extend_from_slice(link_block.bytes());
        out.extend_from_slice(&[0; TAG]);
        out.extend_from_slice(&head);
        out.extend_from_slice(prefix);

        let (token, scratch) =
            out.get_mut(token_start..)?.split_at_mut_checked(token_len(sealed))?;
        let (sealed, associated) = scratch.split_at_mut_checked(sealed)?;
        let (body, tag) = sealed.get_mut(HEAD..)?.split_last_chunk_mut::<TAG>()?;
        let made = key.cipher.encrypt_inout_detached(&Nonce::default(), associated, body.into());
        tag.copy_from_slice(&made.ok()?);
        URL_SAFE_NO_PAD.encode_slice(sealed, token).ok().map(|_| ())
    }

    /// Seals one link: [`KeyRing::seal_into`] for those who have a single one.
    ///
    /// # Errors
    /// [`SealError::TooLong`] for claims that [`KeyRing::open`] would not take.
    pub fn seal(&self, engagement: &Engagement, link: &LinkClaims) -> Result<String, SealError> {
        let mut path = Vec::new();
        self.seal_into(&EncodedEngagement::new(engagement), &EncodedLink::new(link), &mut path)?;
        Ok(path.into_iter().map(char::from).collect())
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
        let mut sealed = URL_SAFE_NO_PAD.decode(path.token).map_err(|_| OpenError::Base64)?;
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
        let key = self.keys.iter().find(|key| key.id == id).ok_or(OpenError::UnknownKey(id))?;
        let (body, tag) = rest.split_last_chunk_mut::<TAG>().ok_or(OpenError::Seal)?;
        let associated = [&[version, id], prefix].concat();
        key.cipher
            .decrypt_inout_detached(
                &Nonce::default(),
                &associated,
                (&mut *body).into(),
                &Tag::from(*tag),
            )
            .map_err(|_| OpenError::Seal)?;
        Ok(body)
    }
}

impl std::fmt::Debug for KeyRing {
    /// The numbers of the keys, never the keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| key.id)).finish()
    }
}

fn sealed_len(engagement: &EncodedEngagement, link: &EncodedLink) -> usize {
    HEAD + engagement.block().bytes().len() + link.block().bytes().len() + TAG
}

/// Characters of unpadded base64 for that many bytes (RFC 4648 §5).
const fn token_len(sealed: usize) -> usize {
    (sealed * 4).div_ceil(3)
}
