//! Laws that hold for the copies of any message, checked by the property tests and by `fuzzing`.

use super::{Fill, Hole, Plan, Rendering, Rules, SignedMail, Tracking};
use crate::edit::Applied;
use crate::mime::content_type::ContentType;
use crate::mime::entity;
use crate::mime::header::Section;
use crate::reason::Reason;

/// A URL with what could end a comment or begin a boundary line.
pub(crate) const URL: &str = "https://t.example/f/a/TO--KEN-";

/// Fills every hole of what is tracked with the same URL.
pub(crate) struct Constant(pub(crate) Tracking);

impl Fill for Constant {
    fn tracking(&self) -> Tracking {
        self.0
    }

    fn url(&mut self, _: Hole, room: usize, out: &mut Vec<u8>) -> Result<(), Reason> {
        if URL.len() > room {
            return Err(Reason::LineTooLong);
        }
        out.extend_from_slice(URL.as_bytes());
        Ok(())
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
pub(crate) fn render(message: &[u8], tracking: Tracking) -> (Vec<u8>, Rendering) {
    let rules = Rules { signed_mail: SignedMail::Strip, ..Rules::default() };
    let plan = Plan::new(message, &rules, &[b"X-MSYS-API"]);
    let rendering = plan.render(&mut Constant(tracking), &[]).unwrap_or_default();
    (write(&plan, &rendering), rendering)
}

/// Checks that a copy is the message but for its edits, and as good a message as it was.
///
/// # Panics
/// A law does not hold.
pub(crate) fn check(message: &[u8], tracking: Tracking) {
    let (copy, rendering) = render(message, tracking);
    assert_eq!(undo(&copy, message, rendering.applied()), message);
    assert!(rendering.pixels <= 2);
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
}

fn content_types(message: &[u8]) -> Vec<ContentType> {
    let parts = entity::parts(message, &Section::parse(message, &(0..message.len())));
    parts.into_iter().map(|part| part.content_type).collect()
}
