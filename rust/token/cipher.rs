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

/// Blocks that POLYVAL takes at a time.
const PARALLEL: usize = 4;

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
        let blocks = body.len().div_ceil(BLOCK);
        let mut key_stream = Vec::with_capacity(blocks);
        push_counters(tag, blocks, &mut key_stream);
        self.encryption.encrypt_blocks(&mut key_stream);
        for (byte, key) in body.iter_mut().zip(Array::slice_as_flattened(&key_stream)) {
            *byte ^= key;
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
    /// The hash of the whole blocks.
    hash: Polyval,
    /// The hashes of all whole blocks but the last one, the last two and the last three.
    earlier: Vec<Polyval>,
    associated: usize,
    text: Vec<u8>,
}

impl Start {
    pub(super) fn new(cipher: &Cipher, associated: &[u8], text: Vec<u8>) -> Self {
        let mut hash = cipher.hash.clone();
        hash.update_padded(associated);
        let (blocks, _) = Array::slice_as_chunks(&text);
        let (first, last) = blocks.split_at(blocks.len().saturating_sub(PARALLEL - 1));
        hash.update(first);
        let mut earlier = Vec::with_capacity(last.len());
        for block in last {
            earlier.push(hash.clone());
            hash.update(std::slice::from_ref(block));
        }
        earlier.reverse();
        Self { hash, earlier, associated: associated.len(), text }
    }

    /// The hash to go on from with that many bytes behind the text, and how much of the text it
    /// has: so much that a multiple of [`PARALLEL`] blocks is left, if possible.
    fn hash_before(&self, more: usize) -> (&Polyval, usize) {
        let whole = self.text.len() / BLOCK;
        let left = (self.text.len() + more).div_ceil(BLOCK) - whole + 1;
        let back = left.next_multiple_of(PARALLEL) - left;
        match back.checked_sub(1).and_then(|place| self.earlier.get(place)) {
            Some(earlier) => (earlier, (whole - back) * BLOCK),
            None => (&self.hash, whole * BLOCK),
        }
    }
}

/// Messages with one start, encrypted together.
#[derive(Default)]
pub(super) struct Batch {
    messages: Vec<Message>,
    /// What is hashed of each message behind the hash of its start, padded, and the lengths.
    tails: Vec<u8>,
    tags: Vec<Block>,
    key_stream: Vec<Block>,
}

struct Message {
    /// How much of the start is not in the tail.
    hashed: usize,
    tail: Range<usize>,
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
        let (hash, hashed) = start.hash_before(pieces.map(<[u8]>::len).iter().sum());
        let tails = &mut self.tails;
        let at = tails.len();
        tails.extend_from_slice(start.text.get(hashed..).unwrap_or_default());
        for piece in pieces {
            tails.extend_from_slice(piece);
        }
        let tail = at..tails.len();
        let length = hashed + tail.len();
        tails.resize(at + tail.len().next_multiple_of(BLOCK), 0);
        tails.extend_from_slice(&lengths(start.associated, length));

        let mut hash = hash.clone();
        let (blocks, _) = Array::slice_as_chunks(tails.get(at..).unwrap_or_default());
        hash.update(blocks);
        self.tags.push(unencrypted_tag(hash));
        let from = self.messages.last().map_or(0, |message| message.key_stream.end);
        let key_stream = from..from + length.div_ceil(BLOCK);
        self.messages.push(Message { hashed, tail, key_stream });
    }

    /// Makes the tags and the key streams of all messages.
    pub(super) fn encrypt(&mut self, cipher: &Cipher) {
        cipher.encryption.encrypt_blocks(&mut self.tags);
        self.key_stream.reserve(self.messages.last().map_or(0, |message| message.key_stream.end));
        for (message, tag) in self.messages.iter().zip(&self.tags) {
            push_counters(&tag.0, message.key_stream.len(), &mut self.key_stream);
        }
        cipher.encryption.encrypt_blocks(&mut self.key_stream);
    }

    /// Writes a message as it is sealed, encrypted and its tag behind it, to the front of `out`;
    /// `None` if no message has that number, or there is no room.
    pub(super) fn write(&self, number: usize, start: &Start, out: &mut [u8]) -> Option<()> {
        let message = self.messages.get(number)?;
        let key_stream = self.key_stream.get(message.key_stream.clone())?;
        let (first_keys, keys) =
            Array::slice_as_flattened(key_stream).split_at_checked(message.hashed)?;
        let (first, rest) = out.split_at_mut_checked(message.hashed)?;
        let tail = self.tails.get(message.tail.clone())?;
        let (rest, tag) = rest.split_at_mut_checked(tail.len())?;
        add(start.text.get(..message.hashed)?, first_keys, first);
        add(tail, keys, rest);
        tag.get_mut(..BLOCK)?.copy_from_slice(self.tags.get(number)?);
        Some(())
    }

    /// The bytes that [`Batch::write`] writes.
    pub(super) fn sealed_len(&self, number: usize) -> Option<usize> {
        let message = self.messages.get(number)?;
        Some(message.hashed + message.tail.len() + BLOCK)
    }
}

/// Adds a key stream to a text.
fn add(text: &[u8], key_stream: &[u8], out: &mut [u8]) {
    for ((byte, text), key) in out.iter_mut().zip(text).zip(key_stream) {
        *byte = text ^ key;
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
fn push_counters(tag: &Tag, blocks: usize, key_stream: &mut Vec<Block>) {
    let first = u128::from_le_bytes(*tag) | 1 << 127;
    let (fixed, low) = (first >> 32 << 32, u32::from_le_bytes([tag[0], tag[1], tag[2], tag[3]]));
    let blocks = u32::try_from(blocks).unwrap_or(u32::MAX);
    key_stream.extend((0..blocks).map(|step| {
        let counter = fixed | u128::from(low.wrapping_add(step));
        Block::from(counter.to_le_bytes())
    }));
}
