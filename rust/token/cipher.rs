//! AES-256-GCM-SIV (RFC 8452) with the one nonce that tokens have: twelve bytes of zero.
//!
//! The cipher derives two keys from key and nonce. With a constant nonce they are the same for
//! every token, so a [`Cipher`] derives them once. A [`Start`] keeps the hash of what many
//! messages begin with. A [`Batch`] encrypts the blocks of many messages together: the processor
//! works on several at a time if none waits for another.

use std::ops::Range;

use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use aes::{Aes256Enc, Block};
use ctutils::CtEq;
use polyval::Polyval;
use polyval::universal_hash::UniversalHash;

const BLOCK: usize = 16;

/// What proves that the key's holder sealed a message.
pub(super) type Tag = [u8; BLOCK];

/// Not what was sealed, or sealed with another key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Forged;

/// The two keys that RFC 8452 section 4 derives for a nonce.
pub(super) struct Cipher {
    encryption: Aes256Enc,
    hash: Polyval,
}

impl Cipher {
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        let generating = Aes256Enc::new(secret.into());
        let half_of = |counter: u8| {
            let mut block = Block::from(u128::from(counter).to_le_bytes());
            generating.encrypt_block(&mut block);
            u128::from_le_bytes(block.into()) & u128::from(u64::MAX)
        };
        let key_of = |low, high| Block::from((half_of(high) << 64 | half_of(low)).to_le_bytes());
        let encryption = key_of(2, 3).concat(key_of(4, 5));
        Self { encryption: Aes256Enc::new(&encryption), hash: Polyval::new(&key_of(0, 1)) }
    }

    /// Decrypts `body` in place.
    pub(super) fn open(
        &self,
        associated: &[u8],
        body: &mut [u8],
        tag: &Tag,
    ) -> Result<(), Forged> {
        let mut counters = counters(tag);
        let mut key_stream = [Block::default(); 8];
        for part in body.chunks_mut(8 * BLOCK) {
            key_stream.fill_with(|| counters.next().unwrap_or_default());
            self.encryption.encrypt_blocks(&mut key_stream);
            add(part, Array::slice_as_flattened(&key_stream));
        }
        let mut hash = self.hash.clone();
        hash.update_padded(associated);
        hash.update_padded(body);
        hash.update(&[lengths(associated.len(), body.len())]);
        let mut expected = unencrypted_tag(hash);
        self.encryption.encrypt_block(&mut expected);
        if expected.0.ct_eq(tag).to_bool() { Ok(()) } else { Err(Forged) }
    }
}

/// What many messages begin with, and its hash.
pub(super) struct Start {
    hash: Polyval,
    associated: usize,
    text: Vec<u8>,
    /// How much of the text is hashed: its whole blocks.
    hashed: usize,
}

impl Start {
    pub(super) fn new(cipher: &Cipher, associated: &[u8], text: Vec<u8>) -> Self {
        let mut hash = cipher.hash.clone();
        hash.update_padded(associated);
        let (blocks, rest) = Array::slice_as_chunks(&text);
        hash.update(blocks);
        let hashed = text.len() - rest.len();
        Self { hash, associated: associated.len(), text, hashed }
    }
}

/// Messages with one start, encrypted together.
#[derive(Default)]
pub(super) struct Batch {
    messages: Vec<Message>,
    /// What follows the start's whole blocks in each message, padded, and the lengths.
    tails: Vec<u8>,
    tags: Vec<Block>,
    key_stream: Vec<Block>,
}

struct Message {
    tail: Range<usize>,
    length: usize,
    key_stream: Range<usize>,
}

impl Batch {
    pub(super) fn clear(&mut self) {
        self.messages.clear();
        self.tails.clear();
        self.tags.clear();
        self.key_stream.clear();
    }

    /// Adds a message: the start, then `pieces`.
    pub(super) fn push(&mut self, start: &Start, pieces: [&[u8]; 2]) {
        let tails = &mut self.tails;
        let at = tails.len();
        tails.extend_from_slice(start.text.get(start.hashed..).unwrap_or_default());
        for piece in pieces {
            tails.extend_from_slice(piece);
        }
        let tail = at..tails.len();
        let length = start.hashed + tail.len();
        tails.resize(at + tail.len().next_multiple_of(BLOCK), 0);
        tails.extend_from_slice(&lengths(start.associated, length));

        let mut hash = start.hash.clone();
        let (blocks, _) = Array::slice_as_chunks(tails.get(at..).unwrap_or_default());
        hash.update(blocks);
        self.tags.push(unencrypted_tag(hash));
        let from = self.messages.last().map_or(0, |message| message.key_stream.end);
        let key_stream = from..from + length.div_ceil(BLOCK);
        self.messages.push(Message { tail, length, key_stream });
    }

    /// Makes the tags and the key streams of all messages.
    pub(super) fn encrypt(&mut self, cipher: &Cipher) {
        cipher.encryption.encrypt_blocks(&mut self.tags);
        for (message, tag) in self.messages.iter().zip(&self.tags) {
            self.key_stream.extend(counters(&tag.0).take(message.key_stream.len()));
        }
        cipher.encryption.encrypt_blocks(&mut self.key_stream);
    }

    /// Appends a message as it is sealed, encrypted and its tag behind it, if there is one of that
    /// number.
    pub(super) fn write(&self, number: usize, start: &Start, out: &mut Vec<u8>) -> Option<()> {
        let message = self.messages.get(number)?;
        let at = out.len();
        out.reserve(message.length + BLOCK);
        out.extend_from_slice(start.text.get(..start.hashed)?);
        out.extend_from_slice(self.tails.get(message.tail.clone())?);
        let key_stream = self.key_stream.get(message.key_stream.clone())?;
        add(out.get_mut(at..)?, Array::slice_as_flattened(key_stream));
        out.extend_from_slice(self.tags.get(number)?);
        Some(())
    }
}

/// Adds a key stream to a text, or takes it off again.
fn add(text: &mut [u8], key_stream: &[u8]) {
    for (byte, key) in text.iter_mut().zip(key_stream) {
        *byte ^= key;
    }
}

/// The last block that is hashed: how many bits there were.
fn lengths(associated: usize, text: usize) -> Block {
    let bits = |bytes: usize| u128::try_from(bytes).unwrap_or_default() << 3;
    Block::from((bits(text) << 64 | bits(associated)).to_le_bytes())
}

/// The nonce of zeros would be added here.
fn unencrypted_tag(hash: Polyval) -> Block {
    Block::from((u128::from_le_bytes(hash.finalize().into()) & u128::MAX >> 1).to_le_bytes())
}

/// The blocks whose encryption is the key stream: the low 32 bits count up and wrap around.
fn counters(tag: &Tag) -> impl Iterator<Item = Block> {
    let first = u128::from_le_bytes(*tag) | 1 << 127;
    let (fixed, mut low) =
        (first >> 32 << 32, u32::from_le_bytes([tag[0], tag[1], tag[2], tag[3]]));
    std::iter::repeat_with(move || {
        let block = fixed | u128::from(low);
        low = low.wrapping_add(1);
        Block::from(block.to_le_bytes())
    })
}
