//! The cipher against RFC 8452's own vectors and against the crate that has all nonces.

use aes_gcm_siv::aead::{AeadInOut, KeyInit};
use aes_gcm_siv::{Aes256GcmSiv, Nonce};
use proptest::prelude::*;

use super::cipher::{Batch, Cipher, Forged, Start, Tag};

fn seal(cipher: &Cipher, associated: &[u8], text: &[u8], cut: usize) -> Vec<u8> {
    let (common, rest) = text.split_at(cut);
    let start = Start::new(cipher, associated, common.to_vec());
    let mut batch = Batch::default();
    batch.push(&start, [rest, b""]);
    batch.encrypt(cipher);
    written(&batch, 0, &start).unwrap()
}

fn written(batch: &Batch, number: usize, start: &Start) -> Option<Vec<u8>> {
    let mut sealed = vec![0; batch.sealed_len(number)?];
    batch.write(number, start, &mut sealed).map(|()| sealed)
}

fn seal_with_crate(key: [u8; 32], associated: &[u8], text: &[u8]) -> Vec<u8> {
    let mut sealed = text.to_vec();
    let cipher = Aes256GcmSiv::new(&key.into());
    let nonce = Nonce::default();
    let tag = cipher.encrypt_inout_detached(&nonce, associated, (&mut sealed[..]).into()).unwrap();
    sealed.extend(tag);
    sealed
}

fn open(cipher: &Cipher, associated: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Forged> {
    let (body, tag) = sealed.split_last_chunk::<16>().unwrap();
    let mut body = body.to_vec();
    cipher.open(associated, &mut body, tag).map(|()| body)
}

fn bytes(digits: &str) -> Vec<u8> {
    let pairs = (0..digits.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

/// RFC 8452 appendix C.3: key, plaintext, result; the nonce is zero. The counter of both wraps
/// around within the text.
const COUNTER_WRAPS: [[&str; 3]; 2] = [
    [
        "00000000000000000000000000000000\
         00000000000000000000000000000000",
        "000000000000000000000000000000004db923dc793ee6497c76dcc03a98e108",
        "f3f80f2cf0cb2dd9c5984fcda908456cc537703b5ba70324a6793a7bf218d3ea\
         ffffffff000000000000000000000000",
    ],
    [
        "00000000000000000000000000000000\
         00000000000000000000000000000000",
        "eb3640277c7ffd1303c7a542d02d3e4c0000000000000000",
        "18ce4f0b8cb4d0cac65fea8f79257b20888e53e72299e56d\
         ffffffff000000000000000000000000",
    ],
];

#[test]
fn the_rfc_vectors_with_a_nonce_of_zero_hold() {
    for [key, text, sealed] in COUNTER_WRAPS {
        let key: [u8; 32] = bytes(key).try_into().unwrap();
        let (text, sealed, cipher) = (bytes(text), bytes(sealed), Cipher::new(&key));
        assert_eq!(seal(&cipher, b"", &text, 0), sealed);
        assert_eq!(open(&cipher, b"", &sealed), Ok(text));
    }
}

#[test]
fn a_changed_tag_text_or_associated_byte_is_forged() {
    let cipher = Cipher::new(&[7; 32]);
    let sealed = seal(&cipher, b"f/a", &[9; 200], 100);
    assert_eq!(open(&cipher, b"f/b", &sealed), Err(Forged));
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 0x80;
        assert_eq!(open(&cipher, b"f/a", &changed), Err(Forged), "{at}");
    }
    assert_eq!(open(&Cipher::new(&[8; 32]), b"f/a", &sealed), Err(Forged));
}

#[test]
fn a_batch_has_no_message_beyond_its_last() {
    let cipher = Cipher::new(&[7; 32]);
    let start = Start::new(&cipher, b"q", Vec::new());
    let mut batch = Batch::default();
    batch.push(&start, [b"", b""]);
    batch.encrypt(&cipher);
    assert_eq!(written(&batch, 0, &start).unwrap().len(), size_of::<Tag>());
    assert_eq!(batch.write(0, &start, &mut [0; size_of::<Tag>() - 1]), None);
    assert_eq!(batch.write(1, &start, &mut [0; 99]), None);
    assert_eq!(batch.sealed_len(1), None);
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..600)
}

proptest! {
    #[test]
    fn it_is_the_cipher_that_the_crate_is(
        key: [u8; 32], associated in prop::collection::vec(any::<u8>(), 0..70), common in text(),
        tails in prop::collection::vec((text(), text()), 1..20),
    ) {
        let cipher = Cipher::new(&key);
        let start = Start::new(&cipher, &associated, common.clone());
        let mut batch = Batch::default();
        for _ in 0..2 {
            batch.clear();
            for (first, second) in &tails {
                batch.push(&start, [first, second]);
            }
            batch.encrypt(&cipher);
        }
        for (number, (first, second)) in tails.iter().enumerate() {
            let text = [&common[..], first, second].concat();
            let sealed = written(&batch, number, &start).unwrap();
            prop_assert_eq!(&sealed, &seal_with_crate(key, &associated, &text));
            prop_assert_eq!(open(&cipher, &associated, &sealed), Ok(text));
        }
    }
}
