//! Tokens, sealed and encoded, by this crate and by the ciphers' own crate as it comes.
//!
//! Timed by itself and not from Python, so that no call, copy or object is counted. It stays up
//! to be one of several in an interleaved race (`benches/race.py`): each line on standard input
//! is the name of a way and how many times it seals the links of a copy, each line on standard
//! output the nanoseconds that they took.

mod claims;

use std::error::Error;
use std::hint::black_box;
use std::io::{BufRead, Write, stdin, stdout};
use std::time::Instant;

use aes_gcm_siv::aead::{AeadInOut, KeyInit};
use aes_gcm_siv::{Aes256GcmSiv, Nonce};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use msys_track::token::{EncodedEngagement, EncodedLink, Engagement, KeyRing, Kind, LinkClaims};

const LINKS: usize = 26;
const KEY: [u8; 32] = [7; 32];
const HEAD: [u8; 2] = [1, 3];
const PREFIX: &[u8] = b"f/a";

/// A link that gives 150 bytes, in a copy that gives 250: 400 bytes of claims. No dictionary has
/// such texts.
fn link(number: usize) -> LinkClaims {
    let letter = char::from(b'A' + u8::try_from(number).unwrap_or_default());
    let target = format!("{letter}{}", "~".repeat(146));
    LinkClaims { kind: Kind::Click, target: Some(target), name: None, position: None }
}

fn engagement() -> Engagement {
    claims::engagement(&"~".repeat(20), None, &"~".repeat(204))
}

/// Seals one claim after the other with the crate, the key derived each time.
fn seal_with_crate(cipher: &Aes256GcmSiv, claims: &[Vec<u8>], out: &mut Vec<u8>) {
    let associated = [&HEAD, PREFIX].concat();
    let mut sealed = Vec::new();
    for text in claims {
        sealed.clear();
        sealed.extend_from_slice(&HEAD);
        sealed.extend_from_slice(text);
        let body = sealed.get_mut(HEAD.len()..).unwrap_or_default();
        let tag = cipher.encrypt_inout_detached(&Nonce::default(), &associated, body.into());
        sealed.extend_from_slice(&tag.unwrap_or_default());
        out.extend_from_slice(PREFIX);
        out.push(b'/');
        let at = out.len();
        out.resize(at + (sealed.len() * 4).div_ceil(3), 0);
        let token = out.get_mut(at..).unwrap_or_default();
        URL_SAFE_NO_PAD.encode_slice(&sealed, token).unwrap_or_default();
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let ring = KeyRing::new(&[(3, KEY)])?;
    let cipher = Aes256GcmSiv::new(&KEY.into());
    let engagement = EncodedEngagement::new(&engagement());
    let links: Vec<_> = (0..LINKS).map(|number| EncodedLink::new(&link(number))).collect();
    let seal_with_ring = |out: &mut Vec<u8>| {
        let mut sealer = ring.sealer(engagement.clone());
        (0..LINKS).try_for_each(|number| sealer.seal_nth_into(&links, number, out))
    };

    let mut expected = Vec::new();
    seal_with_ring(&mut expected)?;
    // The claims' bytes: what the crate opens.
    let paths = expected.chunks(expected.len() / LINKS);
    let claims: Vec<_> = paths.map(|path| unseal(&cipher, path)).collect::<Result<_, _>>()?;
    let mut out = Vec::with_capacity(expected.len());
    seal_with_crate(&cipher, &claims, &mut out);
    if out != expected || claims.iter().any(|text| text.len() != 400) {
        return Err("the two ways don't seal 400 bytes to the same tokens".into());
    }

    for line in stdin().lock().lines() {
        let line = line?;
        let (way, times) = line.split_once(' ').ok_or("a line is a way and a number")?;
        let times: u32 = times.parse()?;
        let started = Instant::now();
        for _ in 0..times {
            out.clear();
            match way {
                "ours" => seal_with_ring(black_box(&mut out))?,
                "crate" => seal_with_crate(&cipher, &claims, black_box(&mut out)),
                _ => return Err("a way is ours or crate".into()),
            }
        }
        writeln!(stdout(), "{}", started.elapsed().as_nanos())?;
        stdout().flush()?;
    }
    Ok(())
}

fn unseal(cipher: &Aes256GcmSiv, path: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let token = path.get(PREFIX.len() + 1..).unwrap_or_default();
    let mut sealed = URL_SAFE_NO_PAD.decode(token)?;
    let (body, tag) = sealed.split_last_chunk_mut::<16>().ok_or("a short token")?;
    let body = body.get_mut(HEAD.len()..).unwrap_or_default();
    let associated = [&HEAD, PREFIX].concat();
    cipher
        .decrypt_inout_detached(
            &Nonce::default(),
            &associated,
            (&mut *body).into(),
            &(*tag).into(),
        )
        .map_err(|_| "the crate does not open what we sealed")?;
    Ok(body.to_vec())
}
