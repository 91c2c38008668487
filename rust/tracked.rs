//! Tracked plans: a plan whose holes are filled with sealed URLs.
//!
//! Kept apart from `plan`, which knows no tokens, and from `token`, which knows no mail. The
//! links are encoded once per message, the engagement once per recipient; a URL is then a
//! concatenation and a seal.

use std::num::NonZero;

use crate::link::target::{after_protocol, is_secure};
use crate::link::{Link, Place};
use crate::plan::{Fill, Hole, Insertion, InsertionError, Plan, Rendering, Tracking};
use crate::reason::{Reason, Reasons};
use crate::token::{
    EncodedEngagement, EncodedLink, Engagement, KeyRing, Kind, LinkClaims, LinkPart, Position,
    Sealer,
};

/// Trackers refuse a longer target, and some clients cut a longer URL.
pub const MAX_URL: usize = 4096;

/// Where tracked URLs lead: scheme and domain of the tracker.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TrackedUrls {
    click_metadata: bool,
    domain: String,
    /// Where the wrapped link of an `http` target leads.
    click_base: String,
    /// The same of an `https` target; `None` where it is left alone.
    secure_click_base: Option<String>,
    open_base: String,
}

/// A tracking domain or scheme that no URL can be made of.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Neither `http` nor `https`.
    #[error("scheme {0:?} is neither http nor https")]
    Scheme(String),
    /// Neither `http` nor `https` nor `same`.
    #[error("scheme {0:?} of clicks is not http, https or same")]
    ClickScheme(String),
    /// Not `host` or `host:port`.
    #[error("tracking domain {0:?} is not host or host:port")]
    Domain(String),
}

impl TrackedUrls {
    /// The URLs of the tracker at `domain` (`host` or `host:port`, no path); clicks carry metadata
    /// or not (Momentum's `click_tracking_include_metadata`).
    ///
    /// `click_scheme` may be `same`: each link keeps its target's. Where it is `http`,
    /// `allow_downgrade` says whether a link with an `https` target is wrapped.
    ///
    /// # Errors
    /// [`UrlError`] says which argument is wrong.
    pub fn new(
        domain: &str,
        click_scheme: &str,
        open_scheme: &str,
        click_metadata: bool,
        allow_downgrade: bool,
    ) -> Result<Self, UrlError> {
        if !is_host_and_port(domain) {
            return Err(UrlError::Domain(domain.to_owned()));
        }
        let base = |scheme: &str| format!("{scheme}://{domain}/");
        let click_schemes = match click_scheme.to_ascii_lowercase().as_str() {
            "http" => ("http", allow_downgrade.then_some("http")),
            "https" => ("https", Some("https")),
            "same" => ("http", Some("https")),
            _ => return Err(UrlError::ClickScheme(click_scheme.to_owned())),
        };
        let open_scheme = match open_scheme.to_ascii_lowercase().as_str() {
            "http" => "http",
            "https" => "https",
            _ => return Err(UrlError::Scheme(open_scheme.to_owned())),
        };
        Ok(Self {
            click_metadata,
            domain: domain.to_owned(),
            click_base: base(click_schemes.0),
            secure_click_base: click_schemes.1.map(base),
            open_base: base(open_scheme),
        })
    }

    /// What the URL of a wrapped link begins with.
    ///
    /// # Errors
    /// [`Reason::AlreadyTracked`], or [`Reason::SchemeDowngrade`].
    fn click_base(&self, target: &str) -> Result<&str, Reason> {
        if self.has(target) {
            return Err(Reason::AlreadyTracked);
        }
        if is_secure(target) {
            return self.secure_click_base.as_deref().ok_or(Reason::SchemeDowngrade);
        }
        Ok(&self.click_base)
    }

    /// Whether a target is one of our own links, wrapped already.
    fn has(&self, target: &str) -> bool {
        let domain = self.domain.as_bytes();
        let rest = after_protocol(target).map(str::as_bytes);
        let Some((host, path)) = rest.and_then(|rest| rest.split_at_checked(domain.len())) else {
            return false;
        };
        host.eq_ignore_ascii_case(domain) && matches!(path, [b'/', b'f' | b'q' | b'u', b'/', ..])
    }
}

fn is_host_and_port(domain: &str) -> bool {
    let (host, port) = match domain.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (domain, None),
    };
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host_is_good = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        }
    };
    host_is_good && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// A message's plan with its links ready to be sealed.
#[derive(Debug)]
pub struct TrackedPlan<S> {
    plan: Plan<S>,
    reasons: Reasons,
    links: Vec<EncodedLink>,
    pixel: EncodedLink,
    initial_pixel: EncodedLink,
    amp_pixel: EncodedLink,
    amp_initial_pixel: EncodedLink,
}

/// One recipient's copy.
#[derive(Debug, Default)]
pub struct Rendered {
    /// Its edits, and what it could not have; what no copy has stands in the plan.
    pub rendering: Rendering,
    /// What was filled without the metadata that it was to have: with them it found no room.
    pub without_metadata: Vec<Hole>,
}

impl<S: AsRef<[u8]>> TrackedPlan<S> {
    /// Encodes the links of a plan.
    #[must_use]
    pub fn new(plan: Plan<S>) -> Self {
        Self::go_on(plan, &mut Numbering::default())
    }

    /// Encodes the links of a plan; its first link has the next number.
    #[must_use]
    pub fn go_on(plan: Plan<S>, numbering: &mut Numbering) -> Self {
        let pixel = |kind| {
            EncodedLink::new(&LinkClaims { kind, target: None, name: None, position: None })
        };
        let links = plan.links.iter().map(|planned| numbering.encode(&planned.link)).collect();
        Self {
            reasons: plan.left_alone.iter().map(|left| left.reason).collect(),
            plan,
            links,
            pixel: pixel(Kind::Open),
            initial_pixel: pixel(Kind::InitialOpen),
            amp_pixel: pixel(Kind::AmpOpen),
            amp_initial_pixel: pixel(Kind::AmpInitialOpen),
        }
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan<S> {
        &self.plan
    }

    /// Fills in the copy for one recipient; [`Plan::write`] writes it.
    ///
    /// `engagement` says whether clicks and opens are tracked. Metadata travels in the links of
    /// clicks only where `urls` says so; in those of opens always. `insertions` are header lines
    /// that this copy alone has.
    ///
    /// # Errors
    /// An insertion has a place where nothing can be put in.
    pub fn render(
        &self,
        keys: &KeyRing,
        engagement: &Engagement,
        urls: &TrackedUrls,
        insertions: &[Insertion<'_>],
    ) -> Result<Rendered, InsertionError> {
        self.render_within(usize::MAX, keys, engagement, urls, insertions)
    }

    /// The same for a copy that may be so many bytes longer than its message. One that would be
    /// longer is filled in only until that is certain.
    ///
    /// # Errors
    /// An insertion has a place where nothing can be put in.
    pub fn render_within(
        &self,
        max_growth: usize,
        keys: &KeyRing,
        engagement: &Engagement,
        urls: &TrackedUrls,
        insertions: &[Insertion<'_>],
    ) -> Result<Rendered, InsertionError> {
        let mut seals = Seals {
            // All of the message may go, and no more.
            most_bytes: max_growth.saturating_add(self.plan.source().len()),
            plan: self,
            keys,
            engagement,
            urls,
            tracking: Tracking {
                clicks: engagement.click_tracking,
                opens: engagement.open_tracking,
                initial_opens: engagement.initial_pixel,
            },
            whole: None,
            bare: None,
            without_metadata: Vec::new(),
        };
        let rendering = self.plan.render(&mut seals, insertions)?;
        Ok(Rendered { rendering, without_metadata: seals.without_metadata })
    }
}

/// What following a link means.
#[must_use]
pub fn kind(link: &Link) -> Kind {
    match link.place {
        _ if link.unsubscribes => Kind::LinkUnsubscribe,
        Place::Amp => Kind::AmpClick,
        _ => Kind::Click,
    }
}

/// Which kind of part a link stands in.
#[must_use]
pub fn link_part(link: &Link) -> LinkPart {
    match link.place {
        Place::Html | Place::Vml | Place::Comment => LinkPart::Html,
        Place::Text => LinkPart::Text,
        Place::Amp => LinkPart::Amp,
    }
}

/// How many links of each kind of part a message had so far.
#[derive(Clone, Debug, Default)]
pub struct Numbering {
    html: u32,
    text: u32,
    amp: u32,
}

impl Numbering {
    /// Encodes the next link.
    fn encode(&mut self, link: &Link) -> EncodedLink {
        let part = link_part(link);
        let number = match part {
            LinkPart::Html => &mut self.html,
            LinkPart::Text => &mut self.text,
            LinkPart::Amp => &mut self.amp,
        };
        *number = number.saturating_add(1);
        let encoded = EncodedLink::new(&LinkClaims {
            kind: kind(link),
            target: Some(link.target.clone()),
            name: link.name.clone(),
            position: NonZero::new(*number).map(|number| Position { number, part }),
        });
        match &link.sublink {
            Some(sublink) => encoded.below(sublink),
            None => encoded,
        }
    }
}

impl<S> TrackedPlan<S> {
    /// Why something is left alone in every copy.
    #[must_use]
    pub fn reasons(&self) -> Reasons {
        self.reasons
    }
}

/// Fills holes with URLs sealed for one recipient.
struct Seals<'p, S> {
    plan: &'p TrackedPlan<S>,
    keys: &'p KeyRing,
    engagement: &'p Engagement,
    urls: &'p TrackedUrls,
    tracking: Tracking,
    most_bytes: usize,
    /// With the metadata and without; made where they are needed first.
    whole: Option<Sealer<'p>>,
    bare: Option<Sealer<'p>>,
    without_metadata: Vec<Hole>,
}

impl<'p, S> Seals<'p, S> {
    fn whole(&mut self) -> &mut Sealer<'p> {
        let (keys, engagement) = (self.keys, self.engagement);
        self.whole.get_or_insert_with(|| keys.sealer(EncodedEngagement::new(engagement)))
    }

    fn bare(&mut self) -> &mut Sealer<'p> {
        let (keys, engagement) = (self.keys, self.engagement);
        self.bare.get_or_insert_with(|| keys.sealer(EncodedEngagement::bare(engagement)))
    }
}

impl<S> TrackedPlan<S> {
    /// Appends the path for a hole, if it is no longer than `limit`. In a comment about one token
    /// in ten is sealed again with salt.
    fn write_path(
        &self,
        hole: Hole,
        sealer: &mut Sealer<'_>,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Result<bool, Reason> {
        let number = match hole {
            Hole::Pixel => return seal_within(limit, sealer, &self.pixel, out),
            Hole::InitialPixel => return seal_within(limit, sealer, &self.initial_pixel, out),
            Hole::AmpPixel => return seal_within(limit, sealer, &self.amp_pixel, out),
            Hole::AmpInitialPixel => {
                return seal_within(limit, sealer, &self.amp_initial_pixel, out);
            }
            Hole::Href(number) => number,
        };
        let link = self.links.get(number).ok_or(Reason::CoreFailure)?;
        if sealer.path_len(link) > limit {
            return Ok(false);
        }
        let start = out.len();
        sealer.seal_nth_into(&self.links, number, out).map_err(|_| Reason::CoreFailure)?;
        let in_comment = self
            .plan
            .links
            .get(number)
            .is_some_and(|planned| planned.link.place == Place::Comment);
        let mut salts = 0..=u8::MAX;
        while in_comment && !leaves_comment_open(out.get(start..).unwrap_or_default()) {
            out.truncate(start);
            let salted = link.with_salt(salts.next().ok_or(Reason::CoreFailure)?);
            if !seal_within(limit, sealer, &salted, out)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn seal_within(
    limit: usize,
    sealer: &mut Sealer<'_>,
    link: &EncodedLink,
    out: &mut Vec<u8>,
) -> Result<bool, Reason> {
    if sealer.path_len(link) > limit {
        return Ok(false);
    }
    sealer.seal_into(link, out).map_err(|_| Reason::CoreFailure)?;
    Ok(true)
}

impl<S> Fill for Seals<'_, S> {
    fn tracking(&self) -> Tracking {
        self.tracking
    }

    fn most_bytes(&self) -> usize {
        self.most_bytes
    }

    fn wraps_amp(&self) -> bool {
        self.urls.secure_click_base.as_deref().is_some_and(is_secure)
    }

    /// A URL that is too long with metadata may fit without: the click is worth more.
    fn url(&mut self, hole: Hole, room: usize, out: &mut Vec<u8>) -> Result<(), Reason> {
        let urls = self.urls;
        let (base, wants_metadata) = match hole {
            Hole::Href(number) => {
                let planned = self.plan.plan.links.get(number).ok_or(Reason::CoreFailure)?;
                let base = urls.click_base(&planned.link.target)?;
                if planned.link.place == Place::Amp && !is_secure(base) {
                    return Err(Reason::AmpNeedsHttps);
                }
                (base, urls.click_metadata)
            }
            Hole::AmpPixel | Hole::AmpInitialPixel if !is_secure(&urls.open_base) => {
                return Err(Reason::AmpNeedsHttps);
            }
            _ => (urls.open_base.as_str(), true),
        };
        let limit = room.min(MAX_URL).saturating_sub(base.len());
        let start = out.len();
        out.extend_from_slice(base.as_bytes());
        let (plan, has_metadata) = (self.plan, self.engagement.metadata.is_some());
        if (wants_metadata || !has_metadata) && plan.write_path(hole, self.whole(), limit, out)? {
            return Ok(());
        }
        if has_metadata && plan.write_path(hole, self.bare(), limit, out)? {
            if wants_metadata {
                self.without_metadata.push(hole);
            }
            return Ok(());
        }
        out.truncate(start);
        Err(if room < MAX_URL { Reason::LineTooLong } else { Reason::UrlTooLong })
    }
}

/// Whether a comment that holds the path goes on behind it, whatever reads it: two dashes end
/// one in XML, and so may one if another follows.
fn leaves_comment_open(path: &[u8]) -> bool {
    let token = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    !token.ends_with(b"-") && memchr::memmem::find(token, b"--").is_none()
}

#[cfg(test)]
#[path = "tracked_tests.rs"]
mod tests;
