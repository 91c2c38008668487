//! Laws that hold for any bytes, one function for each kind of input.
//!
//! `fuzz/` hands these functions to libFuzzer. `cargo test` runs them too, over mixtures and damages
//! of the seeds in `fuzz/seeds` (`smoke`).

use std::num::NonZero;

use crate::charset::{self, Charset};
use crate::html;
use crate::html::visible::reads_as_url;
use crate::plan::{self, Pattern, Rules, SignedMail, Tracking};
use crate::smtp::data::{BareNewline, find_end, stuff, unstuff};
use crate::stream;
use crate::text::{self, Flow};
use crate::token::{
    Claims, Engagement, Kind, LinkClaims, LinkPart, Position, Privacy, RecipientType, laws,
};

/// Splits off the bytes that stand for the options of a run; those that are missing are zero.
fn options<const COUNT: usize>(data: &[u8]) -> ([u8; COUNT], &[u8]) {
    let mut options = [0; COUNT];
    let (given, rest) = data.split_at_checked(COUNT).unwrap_or((data, &[]));
    for (option, byte) in options.iter_mut().zip(given) {
        *option = *byte;
    }
    (options, rest)
}

fn is_set(option: u8, bit: u8) -> bool {
    option >> bit & 1 == 1
}

/// What a message of the seeds has for the open pixel.
const PLACEHOLDER: &str = "<!-- pixel -->";

/// The rules that two bytes stand for.
fn rules([switches, more]: [u8; 2]) -> Rules {
    let signed_mail = [SignedMail::Skip, SignedMail::Strip, SignedMail::Track];
    let signed_mail = signed_mail.get(usize::from(more % 4)).copied();
    Rules {
        signed_mail: signed_mail.unwrap_or(SignedMail::Strip),
        outlook_links: !is_set(switches, 0),
        text_links: !is_set(switches, 1),
        keep_link_attributes: is_set(switches, 2),
        never_wrap: if is_set(switches, 3) {
            Pattern::parse("*never*").into_iter().collect()
        } else {
            Vec::new()
        },
        fold_long_lines: !is_set(switches, 4),
        foreign_opt_outs: is_set(switches, 5),
        spare_url_text: is_set(switches, 6),
        strip_text_options: is_set(switches, 7),
        pixel_placeholder: is_set(more, 2).then(|| PLACEHOLDER.to_owned()),
    }
}

fn labelled(option: u8) -> Charset {
    let labels = ["utf-8", "windows-1252", "shift_jis", "gb18030", "ibm850", "euc-tw"];
    let label = labels.get(usize::from(option % 7)).copied();
    Charset::for_label(label).unwrap_or_else(|reason| unreachable!("{reason:?}"))
}

/// HTML: what is found is what `lol_html` finds, inside the document, and a link's text is judged
/// the same before its end has come.
///
/// # Panics
/// A law does not hold.
pub fn html(data: &[u8]) {
    let ([option], document) = options(data);
    let charset = labelled(option);
    let found = html::laws::check(document, charset);
    for link in &found.links {
        let Some(content) = &link.content else { continue };
        let content = document.get(content.0..).unwrap_or_default();
        let judge = |text, is_last| reads_as_url(text, link.place, charset, is_last);
        let judged = judge(content, true);
        assert!(judged.is_some(), "{}", content.escape_ascii());
        let cut = content.get(..usize::from(option).min(content.len())).unwrap_or_default();
        let early = judge(cut, false);
        assert!(early.is_none() || early == judged, "{}", content.escape_ascii());
    }
}

/// A stream of HTML, in whatever chunks: it gives what the plan of the whole document gives.
///
/// # Panics
/// A law does not hold.
pub fn stream(data: &[u8]) {
    let ([tracking, size, switches, more], document) = options(data);
    let engagement = Engagement {
        click_tracking: !is_set(tracking, 0),
        open_tracking: !is_set(tracking, 1),
        initial_pixel: !is_set(tracking, 2),
        ..laws::engagement()
    };
    // Chunks of one length, of which every other one may be shorter.
    let length = usize::from(size) + 1;
    let short = (length * usize::from(tracking >> 3) / 32).max(1);
    let mut chunks = Vec::new();
    let mut rest = document;
    while !rest.is_empty() {
        let length = if chunks.len() % 2 == 0 { length } else { short };
        let (chunk, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        chunks.push(chunk);
        rest = after;
    }
    stream::laws::check(document, &chunks, &rules([switches, more]), &engagement);
}

/// A message: undoing a copy's edits gives the message, the copy is as good a message, and its
/// links lead where they led or to the tracker, whatever the rules and the length of tracked URLs.
///
/// # Panics
/// A law does not hold.
pub fn message(data: &[u8]) {
    let ([option, switches, more, padding], message) = options(data);
    let tracking = Tracking {
        clicks: is_set(option, 0),
        opens: is_set(option, 1),
        initial_opens: is_set(option, 2),
    };
    let url = format!("{}{}", plan::laws::URL, "x".repeat(usize::from(padding) * 4));
    plan::laws::check(&rules([switches, more]), message, tracking, &url);
}

/// Plain text: what is wrapped is a URL, and what is taken off stands right behind one.
///
/// # Panics
/// A law does not hold.
pub fn text(data: &[u8]) {
    let ([option], text) = options(data);
    let flow = if option & 0x80 == 0 { Flow::Fixed } else { Flow::JoinedWithoutSpace };
    let Ok(found) = text::scan(text, labelled(option), flow) else { return };
    let mut end = 0;
    for link in &found.links {
        let (start, stop) = (link.href.start.0, link.href.end.0);
        assert!(end <= start && start < stop, "{}", text.escape_ascii());
        let url = text.get(start..stop).unwrap_or_default().to_ascii_lowercase();
        assert!(url.starts_with(b"http://") || url.starts_with(b"https://"));
        end = stop;
    }
    for options in &found.options {
        let removed = text.get(options.start.0..options.end.0).unwrap_or_default();
        assert!(removed.starts_with(b"[[") && removed.ends_with(b"]]"));
        assert!(found.links.iter().any(|link| link.href.end == options.start));
    }
}

/// A text in a charset that is no superset of ASCII: what is put in is all that changes.
///
/// # Panics
/// A law does not hold.
pub fn charset(data: &[u8]) {
    let ([option], source) = options(data);
    let schemes = charset::laws::SCHEMES;
    if let Some(scheme) = schemes.get(usize::from(option) % schemes.len()) {
        charset::laws::check(source, *scheme);
    }
}

/// Tokens: claims come back, a changed one does not open, and no other path does.
///
/// # Panics
/// A law does not hold.
pub fn token(data: &[u8]) {
    let written = String::from_utf8_lossy(data);
    assert!(laws::ring().is_none_or(|ring| ring.open(&written).is_err()));
    laws::check_plaintext(data);

    let ([option], rest) = options(data);
    let text = String::from_utf8_lossy(rest);
    let mut texts = text.split('\n').map(str::to_owned);
    let mut next = || texts.next().filter(|text| !text.is_empty());
    let number = rest.iter().fold(0_u64, |sum, byte| sum.rotate_left(7) ^ u64::from(*byte));
    let kinds = Kind::ALL.get(usize::from(option % 8)).copied();
    let types = RecipientType::ALL.get(usize::from(option >> 3 & 3)).copied();
    let (target, name) = (next(), next());
    let position = NonZero::new(u32::try_from(number >> 36).unwrap_or_default())
        .and_then(|number| Some(Position { number, part: *LinkPart::ALL.get(rest.len() % 4)? }));
    let link = LinkClaims { kind: kinds.unwrap_or(Kind::Open), target, name, position };
    let engagement = Engagement {
        message_id: next().unwrap_or_default(),
        transmission_id: number,
        injected_at: number >> 32,
        lifetime_seconds: number >> 40,
        customer_id: u32::try_from(number >> 33).unwrap_or_default(),
        subaccount_id: u32::try_from(number).ok(),
        recipient: next().unwrap_or_default(),
        recipient_type: types.unwrap_or(RecipientType::To),
        campaign_id: next(),
        metadata: next(),
        tags: texts.collect(),
        open_tracking: is_set(option, 5),
        click_tracking: is_set(option, 6),
        initial_pixel: is_set(option, 7),
        amp_enabled: is_set(option, 0),
        transactional: is_set(option, 1),
        privacy: Privacy::Full,
    };
    let chance = usize::try_from(number >> 8).unwrap_or_default();
    laws::check_claims(&Claims { engagement, link }, chance);
}

/// SMTP's DATA: what is stuffed comes back, the end is found however the data arrives, and a bare
/// newline is always reported.
///
/// # Panics
/// A law does not hold.
pub fn data(data: &[u8]) {
    let ([option], wire) = options(data);
    let seen = usize::from(option).min(wire.len());
    let first = find_end(wire.get(..seen).unwrap_or_default(), 0);
    assert_eq!(first.or_else(|| find_end(wire, seen)), find_end(wire, 0));

    let is_bare = |at: &usize| match wire.get(*at) {
        Some(b'\r') => wire.get(at + 1) != Some(&b'\n'),
        Some(b'\n') => at.checked_sub(1).and_then(|before| wire.get(before)) != Some(&b'\r'),
        _ => false,
    };
    let bare = (0..wire.len()).find(is_bare).map(BareNewline);
    assert_eq!(unstuff(wire).err(), bare);
    if bare.is_some() {
        return;
    }
    let mut stuffed = stuff(wire);
    let end = stuffed.len() - b".\r\n".len();
    stuffed.extend_from_slice(wire);
    assert_eq!(find_end(&stuffed, 0), Some(end));
    let eol: &[u8] = if wire.is_empty() || wire.ends_with(b"\r\n") { b"" } else { b"\r\n" };
    let message = [wire, eol].concat();
    assert_eq!(unstuff(stuffed.get(..end).unwrap_or_default()).as_deref(), Ok(message.as_slice()));
}

#[cfg(test)]
#[path = "fuzzing_tests.rs"]
mod smoke;
