//! From a read's bytes to the bytes of its answer, and the hits of it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::client::{Network, find_client};
use super::date::DateLine;
use super::hosts::Rings;
use super::request::{Limits, PlainGet};
use crate::log::{Client, Hit, HitLog};
use crate::token::{Claims, Kind};

/// Where hits go.
pub trait Hits {
    /// Takes a hit without waiting; one that is dropped is counted there.
    fn put(&self, hit: Hit);
}

impl Hits for HitLog {
    fn put(&self, hit: Hit) {
        let _is_kept = self.put_hit(&hit); // the log counts what it drops
    }
}

/// The parts of answers that are always the same: what stands before and behind the target of a
/// redirect, and before and behind the fields that each answer has of its own.
#[derive(Debug)]
pub struct Replies {
    /// Up to a redirect's target.
    pub redirect_start: Vec<u8>,
    /// From behind the target up to the date.
    pub redirect_end: Vec<u8>,
    /// The pixel's head up to the date.
    pub pixel_head: Vec<u8>,
    /// The image.
    pub pixel_body: Vec<u8>,
}

/// Links that rules apply to which are not the core's.
#[derive(Debug, Default)]
pub struct Exceptions {
    /// Targets that lead elsewhere now.
    pub targets: HashSet<String>,
    /// Recipients of whom nothing is recorded any more, in lower case.
    pub recipients: HashSet<String>,
    /// The SHA-256 of such recipients.
    pub hashes: HashSet<[u8; 32]>,
}

/// The answer to a read.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// All that is to be written.
    pub bytes: Vec<u8>,
    /// Whether the connection ends with it.
    pub closes: bool,
}

/// What was answered since it was asked last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Redirects to a target.
    pub clicks: u64,
    /// Images.
    pub opens: u64,
}

/// Answers plain GETs of links that its keys have sealed.
#[derive(Debug)]
pub struct ClickPath {
    rings: Rings,
    replies: Replies,
    limits: Limits,
    trusted: Vec<Network>,
    exceptions: Exceptions,
    date: Mutex<DateLine>,
    clicks: AtomicU64,
    opens: AtomicU64,
}

impl ClickPath {
    /// `trusted` are the proxies whose `X-Forwarded-For` is believed.
    #[must_use]
    pub fn new(
        rings: Rings,
        replies: Replies,
        limits: Limits,
        trusted: Vec<Network>,
        exceptions: Exceptions,
    ) -> Self {
        let (clicks, opens) = (AtomicU64::new(0), AtomicU64::new(0));
        let date = Mutex::default();
        Self { rings, replies, limits, trusted, exceptions, date, clicks, opens }
    }

    /// Answers a read that begins with a request, and records its hits; `None` leaves all of it to
    /// others.
    ///
    /// `peer` is the address of the socket's other end, as events have it.
    pub fn answer(
        &self,
        read: &[u8],
        peer: Option<&str>,
        at_ms: u64,
        hits: &impl Hits,
    ) -> Option<Answer> {
        // The last of so many would end the connection.
        if self.limits.max_requests < 2 {
            return None;
        }
        let (get, mut rest) = PlainGet::read(read, &self.limits)?;
        let mut found = self.open(&get, peer, at_ms)?;
        let mut closes = get.closes;
        let mut answer = Answer { bytes: Vec::with_capacity(ROOM), closes: false };
        if rest.is_empty() {
            self.write(&found, closes, at_ms, &mut answer.bytes);
            self.count(found.link.kind);
            hits.put(found);
        } else {
            let mut all = vec![];
            while !rest.is_empty() {
                // What follows a client's last request is never answered.
                if closes || all.len() + 2 >= self.limits.max_requests {
                    return None;
                }
                self.write(&found, closes, at_ms, &mut answer.bytes);
                all.push(found);
                let (get, behind) = PlainGet::read(rest, &self.limits)?;
                found = self.open(&get, peer, at_ms)?;
                (closes, rest) = (get.closes, behind);
            }
            self.write(&found, closes, at_ms, &mut answer.bytes);
            all.push(found);
            for hit in all {
                self.count(hit.link.kind);
                hits.put(hit);
            }
        }
        answer.closes = closes;
        Some(answer)
    }

    #[cfg(test)]
    pub(super) fn trust(&mut self, trusted: Vec<Network>) {
        self.trusted = trusted;
    }

    /// What was answered since this was asked last.
    pub fn take_counts(&self) -> Counts {
        let take = |counter: &AtomicU64| counter.swap(0, Ordering::Relaxed);
        Counts { clicks: take(&self.clicks), opens: take(&self.opens) }
    }

    /// The hit that a request would be.
    fn open(&self, get: &PlainGet<'_>, peer: Option<&str>, at_ms: u64) -> Option<Hit> {
        let Claims { engagement, link } = self.rings.of(get.host).open(get.path).ok()?;
        let is_current = at_ms / 1_000 < engagement.expires_at();
        let is_plain = match link.kind {
            Kind::Click | Kind::AmpClick => {
                let target = link.target.as_deref()?;
                is_plain_target(target) && !self.exceptions.targets.contains(target)
            }
            Kind::Open | Kind::InitialOpen | Kind::AmpOpen | Kind::AmpInitialOpen => true,
            Kind::ListUnsubscribe | Kind::LinkUnsubscribe => false,
        };
        if !is_current || !is_plain || self.is_withdrawn(&engagement.recipient) {
            return None;
        }
        let address = match peer {
            Some(peer) => Some(find_client(peer, get.forwarded_for, &self.trusted)?),
            None => None,
        };
        let client = Client {
            address,
            agent: get.agent.map(Box::from),
            language: get.language.map(Box::from),
            request: None,
        };
        Some(Hit { engagement: Arc::new(engagement), link: Arc::new(link), at: at_ms, client })
    }

    fn is_withdrawn(&self, recipient: &str) -> bool {
        let Exceptions { recipients, hashes, .. } = &self.exceptions;
        if recipients.is_empty() && hashes.is_empty() {
            return false;
        }
        // Other letters are folded by Python, in its own way.
        let folded = recipient.to_ascii_lowercase();
        !recipient.is_ascii()
            || recipients.contains(&folded)
            || (!hashes.is_empty() && hashes.contains::<[u8; 32]>(&Sha256::digest(folded).into()))
    }

    fn write(&self, hit: &Hit, closes: bool, at_ms: u64, out: &mut Vec<u8>) {
        let replies = &self.replies;
        let is_click = matches!(hit.link.kind, Kind::Click | Kind::AmpClick);
        if is_click {
            out.extend_from_slice(&replies.redirect_start);
            out.extend_from_slice(hit.link.target.as_deref().unwrap_or_default().as_bytes());
            out.extend_from_slice(&replies.redirect_end);
        } else {
            out.extend_from_slice(&replies.pixel_head);
        }
        let mut date = self.date.lock().unwrap_or_else(PoisonError::into_inner);
        out.extend_from_slice(date.of(at_ms / 1_000));
        out.extend_from_slice(if closes { b"Connection: close\r\n\r\n" } else { b"\r\n" });
        if !is_click {
            out.extend_from_slice(&replies.pixel_body);
        }
    }

    fn count(&self, kind: Kind) {
        let is_click = matches!(kind, Kind::Click | Kind::AmpClick);
        let counter = if is_click { &self.clicks } else { &self.opens };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// More bytes than most answers have.
const ROOM: usize = 512;

/// Whether a target goes out as it stands: `_PLAIN` of `tracking/location.py`.
fn is_plain_target(target: &str) -> bool {
    let target = target.as_bytes();
    let has_scheme = |scheme: &[u8]| {
        target.len() > scheme.len()
            && target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    (has_scheme(b"https://") || has_scheme(b"http://"))
        && target.iter().all(|byte| matches!(byte, b'!'..=b'~'))
}
