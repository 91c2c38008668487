//! Laws that hold for the copies of any message, checked by the property tests and by `fuzzing`.

use super::content::Body;
use super::{Fill, Hole, Plan, PlannedLink, Rendering, Rules, Tracking};
use crate::charset::Charset;
use crate::edit::Applied;
use crate::html;
use crate::link::target;
use crate::mime::content_type::ContentType;
use crate::mime::entity::{self, BodyPart, Role};
use crate::mime::header::Section;
use crate::reason::Reason;

/// A URL with what could end a comment or begin a boundary line.
pub(crate) const URL: &str = "https://t.example/f/a/TO--KEN-";

/// Fills every hole of what is tracked with the same URL.
struct Same<'u> {
    tracking: Tracking,
    url: &'u str,
}

impl Fill for Same<'_> {
    fn tracking(&self) -> Tracking {
        self.tracking
    }

    fn url(&mut self, _: Hole, room: usize, out: &mut Vec<u8>) -> Result<(), Reason> {
        if self.url.len() > room {
            return Err(Reason::LineTooLong);
        }
        out.extend_from_slice(self.url.as_bytes());
        Ok(())
    }
}

/// The same with the URL that the tests expect.
#[cfg(test)]
pub(crate) struct Constant(pub(crate) Tracking);

#[cfg(test)]
impl Fill for Constant {
    fn tracking(&self) -> Tracking {
        self.0
    }

    fn url(&mut self, hole: Hole, room: usize, out: &mut Vec<u8>) -> Result<(), Reason> {
        Same { tracking: self.0, url: URL }.url(hole, room, out)
    }
}

/// Replays the edits of a copy backwards, which gives the message as received.
pub(crate) fn undo(copy: &[u8], message: &[u8], applied: &[Applied]) -> Vec<u8> {
    let mut undone = copy.to_vec();
    for edit in applied.iter().rev() {
        let replaced = message.get(edit.source.clone()).unwrap_or_default();
        undone.splice(edit.rendered.clone(), replaced.iter().copied());
    }
    undone
}

/// Writes a copy; an empty one if it can't be written.
pub(crate) fn write<S: AsRef<[u8]>>(plan: &Plan<S>, rendering: &Rendering) -> Vec<u8> {
    let mut copy = vec![0; rendering.length()];
    plan.write(rendering, &mut copy).map(|()| copy).unwrap_or_default()
}

/// A copy with as much changed as may be.
#[cfg(test)]
pub(crate) fn render(message: &[u8], tracking: Tracking) -> (Vec<u8>, Rendering) {
    let rules = Rules { signed_mail: super::SignedMail::Strip, ..Rules::default() };
    let plan = Plan::new(message, &rules, &[b"X-MSYS-API"]);
    let rendering = plan.render(&mut Constant(tracking), &[]).unwrap_or_default();
    (write(&plan, &rendering), rendering)
}

/// Checks that a copy with any URL in the place of links is the message but for its edits, and as
/// good a message as it was.
///
/// # Panics
/// A law does not hold.
pub(crate) fn check(rules: &Rules, message: &[u8], tracking: Tracking, url: &str) {
    let plan = Plan::new(message, rules, &[b"X-MSYS-API"]);
    check_plan(&plan, rules);
    let rendering = plan.render(&mut Same { tracking, url }, &[]).unwrap_or_default();
    let copy = write(&plan, &rendering);
    assert_eq!(undo(&copy, message, rendering.applied()), message);
    assert!(rendering.pixels <= 2 * plan.parts.len());
    let refused = rendering.left_alone.iter().filter(|left| left.target.is_some()).count();
    let tracked = if tracking.clicks { plan.links.len() } else { 0 };
    assert_eq!(rendering.links + refused, tracked);
    if tracking == Tracking::default() {
        assert_eq!(rendering.links + rendering.pixels, 0);
    }
    let lines_are_short = |message: &[u8]| {
        let mut lines = message.split(|byte| *byte == b'\n');
        lines.all(|line| line.strip_suffix(b"\r").unwrap_or(line).len() <= 998)
    };
    assert!(!lines_are_short(message) || lines_are_short(&copy));
    assert_eq!(content_types(&copy), content_types(message));
    let bare_returns = |message: &[u8]| {
        let returns = memchr::memchr_iter(b'\r', message);
        returns.filter(|at| message.get(at + 1) != Some(&b'\n')).count()
    };
    assert!(bare_returns(&copy) <= bare_returns(message));
    // What looks like the placeholder may stand inside a tag; a pixel there ends it.
    if rules.pixel_placeholder.is_none() {
        check_targets(message, &copy, url, &rendering);
    }
}

/// Checks that a plan's links may all be wrapped, and that everything is in the message's order.
fn check_plan(plan: &Plan<&[u8]>, rules: &Rules) {
    for PlannedLink { at, link } in &plan.links {
        assert_eq!(rules.refuse_link(link), None);
        assert_eq!(target::check(&link.target), Ok(()));
        assert!(at.start <= at.end && at.end.0 <= plan.source.len());
    }
    assert!(plan.links.is_sorted_by_key(|planned| planned.at.start));
    assert!(plan.left_alone.is_sorted_by_key(|left| left.at.start));
    assert!(plan.left_alone.iter().all(|left| left.at.end.0 <= plan.source.len()));
}

/// Checks that each link of a copy leads where it led before, or to the tracker.
fn check_targets(message: &[u8], copy: &[u8], url: &str, rendering: &Rendering) {
    let mut wrapped = 0;
    let (before, after) = (targets(message), targets(copy));
    assert_eq!(before.len(), after.len(), "{}", copy.escape_ascii());
    for (was, is) in before.iter().zip(&after) {
        if was != is {
            assert_eq!(is, url, "{}", copy.escape_ascii());
            wrapped += 1;
        }
    }
    assert!(wrapped <= rendering.links);
}

/// Where the links of a message's HTML lead.
fn targets(message: &[u8]) -> Vec<String> {
    let parts = parts(message);
    let html = parts.iter().filter(|part| part.role == Some(Role::Html));
    let links = html.filter_map(|part| {
        let charset = part.content_type.parameter("charset");
        let charset = Charset::for_label(charset.as_deref()).ok()?;
        let body = Body::decode(message, &part.body, &part.transfer_encoding).ok()?;
        Some(html::reader::scan(body.bytes(), charset).links)
    });
    links.flatten().map(|link| link.target).collect()
}

fn content_types(message: &[u8]) -> Vec<ContentType> {
    parts(message).into_iter().map(|part| part.content_type).collect()
}

fn parts(message: &[u8]) -> Vec<BodyPart> {
    entity::parts(message, &Section::parse_message(message))
}
