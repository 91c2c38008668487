//! Reading: what one part holds, and what of it the rules let us change.

use std::ops::Range;

use super::content::{Body, Change, Removal};
use super::planning::Planner;
use super::{Hole, LeftAlone};
use crate::charset::Charset;
use crate::edit::{PartRange, RawOffset, RawRange};
use crate::mime::entity;
use crate::reason::Reason;
use crate::text::{self, Flow};
use crate::{html, link};

/// What was found in a part.
pub(super) struct Found<'m> {
    /// Its body in the message.
    pub(super) at: Range<usize>,
    pub(super) body: Body<'m>,
    pub(super) links: Vec<link::Link>,
    /// What is done to it besides.
    pub(super) changes: Vec<(PartRange, Change)>,
}

impl<'m> Planner<'m> {
    pub(super) fn html(&mut self, part: &entity::Part) -> Result<Found<'m>, Reason> {
        let (charset, body) = self.decoded(part)?;
        let scan = html::lol::scan(body.bytes(), charset)?;
        let raw = |range: &PartRange| body.raw(&part.body, range);
        self.html.pixel = scan.pixel.map(|at| raw(&(at..at)).start);
        if scan.pixel.is_none() {
            self.leave(&(part.body.start..part.body.start), Reason::NoPixelPlace);
        }
        self.html.initial_pixel = scan.initial_pixel.map(|at| raw(&(at..at)).start);
        if scan.initial_pixel.is_none() {
            let start = RawOffset(part.body.start);
            self.html.without_initial_pixel = Some(start..start);
        }
        let opted_out = scan.unwrapped.iter().filter(|link| link.reason == Reason::OptedOut);
        self.opted_out = opted_out.map(|link| link.target.clone()).collect();
        let changes = self.changes(&scan);
        let links = self.allowed(scan.links, scan.unwrapped, &raw);
        Ok(Found { at: part.body.clone(), body, links, changes })
    }

    pub(super) fn text(&mut self, part: &entity::Part) -> Result<Found<'m>, Reason> {
        let (charset, body) = self.decoded(part)?;
        let joins = part.content_type.parameter("delsp");
        let flow = if joins.is_some_and(|joins| joins.eq_ignore_ascii_case("yes")) {
            Flow::JoinedWithoutSpace
        } else {
            Flow::Fixed
        };
        let text::Scan { links, mut unwrapped, options } =
            text::scan(body.bytes(), charset, flow)?;
        let (out, links): (Vec<_>, Vec<_>) =
            links.into_iter().partition(|link| self.opted_out.contains(&link.target));
        unwrapped.extend(out.into_iter().map(|link| link::Unwrapped {
            href: link.href,
            target: link.target,
            reason: Reason::OptedOut,
        }));
        let links = self.allowed(links, unwrapped, &|range| body.raw(&part.body, range));
        let removal = Change::Remove(Removal::TextOptions);
        let changes = options.into_iter().map(|range| (range, removal)).collect();
        Ok(Found { at: part.body.clone(), body, links, changes })
    }

    fn decoded(&self, part: &entity::Part) -> Result<(Charset, Body<'m>), Reason> {
        let charset = Charset::for_label(part.content_type.parameter("charset").as_deref())?;
        Ok((charset, Body::read(self.message, &part.body, &part.transfer_encoding)?))
    }

    /// What is done to HTML besides wrapping its links.
    fn changes(&self, scan: &html::lol::Scan) -> Vec<(PartRange, Change)> {
        let pixels = [(scan.initial_pixel, Hole::InitialPixel), (scan.pixel, Hole::Pixel)];
        let pixels =
            pixels.into_iter().filter_map(|(at, hole)| Some((at?..at?, Change::Fill(hole))));
        let attributes = scan
            .attributes
            .iter()
            .filter(|(_, place)| !self.rules.keep_link_attributes && self.rules.reach(*place));
        let removal = Change::Remove(Removal::LinkAttribute);
        pixels.chain(attributes.map(|(range, _)| (range.clone(), removal))).collect()
    }

    /// The links that the rules let us wrap; the others are noted.
    fn allowed(
        &mut self,
        links: Vec<link::Link>,
        unwrapped: Vec<link::Unwrapped>,
        raw: &dyn Fn(&PartRange) -> RawRange,
    ) -> Vec<link::Link> {
        for link in unwrapped {
            let (at, target) = (raw(&link.href), Some(link.target));
            self.left_alone.push(LeftAlone { at, reason: link.reason, target });
        }
        let mut allowed = Vec::with_capacity(links.len());
        for link in links {
            match self.rules.check(&link) {
                Ok(()) => allowed.push(link),
                Err(reason) => {
                    let (at, target) = (raw(&link.href), Some(link.target));
                    self.left_alone.push(LeftAlone { at, reason, target });
                }
            }
        }
        allowed
    }
}
