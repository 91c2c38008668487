//! Planning: everything that is found out about a message before its first copy is made.

use std::collections::HashSet;
use std::ops::Range;

use super::content::{Body, Change, Content, Edit, Removal};
use super::{Hole, LeftAlone, Plan, PlannedLink, Rules, SignedMail};
use crate::charset::Charset;
use crate::edit::{PartOffset, PartRange, RawOffset, RawRange};
use crate::html;
use crate::html::found::HtmlScan;
use crate::link::Link;
use crate::mime::entity::{self, BodyPart, Role};
use crate::mime::header::Section;
use crate::reason::Reason;
use crate::text::{self, Flow};

/// A message that has one of these is signed.
const SIGNATURES: [&[u8]; 2] = [b"dkim-signature", b"arc-seal"];

/// What goes where signatures are taken off: a seal covers the other fields of its set (RFC 8617).
const SIGNATURE_FIELDS: [&[u8]; 4] =
    [b"dkim-signature", b"arc-seal", b"arc-message-signature", b"arc-authentication-results"];

impl<S: AsRef<[u8]>> Plan<S> {
    /// Finds what can be tracked in a message; header fields named in `drop_headers` go.
    ///
    /// There is no failure: what can't be changed stays, with its reason in `left_alone`.
    #[must_use]
    pub fn new(source: S, rules: &Rules, drop_headers: &[&[u8]]) -> Self {
        let message = source.as_ref();
        let section = Section::parse(message, &(0..message.len()));
        let mut planner = Planner::new(message, rules);
        planner.header(&section, drop_headers);
        planner.message(&section);
        let Planner { edits, links, mut left_alone, parts, html, .. } = planner;
        left_alone.sort_by_key(|left| left.at.start);
        Self {
            source,
            header_end: section.end,
            edits,
            links,
            left_alone,
            parts,
            pixel: html.pixel,
            initial_pixel: html.initial_pixel,
            without_initial_pixel: html.without_initial_pixel,
        }
    }
}

/// Collects a plan's edits in the order of the message.
pub(super) struct Planner<'m> {
    pub(super) message: &'m [u8],
    pub(super) rules: &'m Rules,
    edits: Vec<Edit>,
    links: Vec<PlannedLink>,
    pub(super) left_alone: Vec<LeftAlone>,
    parts: Vec<BodyPart>,
    pub(super) html: Pixels,
    /// Where links of the HTML lead that their sender wants left.
    pub(super) opted_out: HashSet<String>,
}

/// Where pixels go.
#[derive(Default)]
pub(super) struct Pixels {
    pub(super) pixel: Option<RawOffset>,
    pub(super) initial_pixel: Option<RawOffset>,
    pub(super) without_initial_pixel: Option<RawRange>,
}

impl<'m> Planner<'m> {
    fn new(message: &'m [u8], rules: &'m Rules) -> Self {
        Self {
            message,
            rules,
            edits: Vec::new(),
            links: Vec::new(),
            left_alone: Vec::new(),
            parts: Vec::new(),
            html: Pixels::default(),
            opted_out: HashSet::new(),
        }
    }

    fn header(&mut self, section: &Section, dropped: &[&[u8]]) {
        let strips = self.rules.signed_mail == SignedMail::Strip;
        for field in &section.fields {
            let name = self.message.get(field.name.clone()).unwrap_or_default();
            let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
            let with = if dropped.iter().copied().any(is) {
                Content::Dropped
            } else if strips && SIGNATURE_FIELDS.into_iter().any(is) {
                Content::Signature
            } else {
                continue;
            };
            let edits = field.lines().map(|lines| Edit { at: raw(lines), with: with.clone() });
            self.edits.extend(edits);
        }
    }

    pub(super) fn leave(&mut self, range: &Range<usize>, reason: Reason) {
        self.left_alone.push(LeftAlone { at: raw(range), reason, target: None });
    }

    fn message(&mut self, section: &Section) {
        let whole = 0..self.message.len();
        if section.malformed {
            return self.leave(&whole, Reason::MalformedMessage);
        }
        let mut parts = entity::parts(self.message, section);
        let is_signed =
            SIGNATURES.iter().any(|name| section.find_fields(self.message, name).next().is_some());
        if is_signed && self.rules.signed_mail == SignedMail::Skip {
            for part in parts.iter_mut().filter(|part| part.role.is_some()) {
                part.reason = Some(Reason::SignedMessage);
            }
            self.leave(&whole, Reason::SignedMessage);
        } else {
            self.parts(&mut parts);
        }
        self.parts = parts;
    }

    fn parts(&mut self, parts: &mut [BodyPart]) {
        let html = self.part(parts, Role::Html, Self::html);
        if !parts.iter().any(|part| part.role == Some(Role::Html)) {
            self.leave(&(0..self.message.len()), Reason::NoHtmlPart);
        }
        // After the HTML, whose opted-out targets are opted out here too.
        let text = self.part(parts, Role::Text, Self::text);
        for part in parts.iter() {
            if let Some(reason) = part.reason
                && reason != Reason::OtherMediaType
            {
                self.leave(&part.body, reason);
            }
        }
        if !self.rules.text_links {
            let text = parts.iter_mut().find(|part| part.role == Some(Role::Text));
            if let Some(part) = text {
                part.reason.get_or_insert(Reason::TextLinksOff);
            }
        }
        let mut found: Vec<_> = html.into_iter().chain(text).collect();
        found.sort_by_key(|found| found.part.body.start);
        for part in found {
            self.edit(part);
        }
    }

    /// Reads the part with that role, or notes why it can't be read.
    fn part(
        &mut self,
        parts: &mut [BodyPart],
        role: Role,
        read: impl FnOnce(&mut Self, &BodyPart) -> Result<PlannedPart<'m>, Reason>,
    ) -> Option<PlannedPart<'m>> {
        let part = parts.iter_mut().find(|part| part.role == Some(role))?;
        read(self, part).map_err(|reason| part.reason = Some(reason)).ok()
    }

    fn edit(&mut self, found: PlannedPart<'_>) {
        let PlannedPart { part, body, links, mut changes } = found;
        for link in links {
            changes.push((link.href.clone(), Change::Fill(Hole::Href(self.links.len()))));
            self.links.push(PlannedLink { at: body.raw(&part.body, &link.href), link });
        }
        // At one place a pixel stands before what follows it.
        changes.sort_by_key(|(range, _)| (range.start, range.end));
        let folds = self.rules.fold_long_lines && part.transfer_encoding != "binary";
        let links = &self.links;
        let fold = |number: usize| links.get(number)?.link.fold.filter(|_| folds);
        let (edits, refused) = body.edits(self.message, &part, &changes, fold);
        self.edits.extend(edits);
        for change in refused {
            self.refuse(change);
        }
    }

    fn refuse(&mut self, change: Change) {
        match change {
            Change::Fill(Hole::Pixel) | Change::Placeholder => {
                if let Some(at) = self.html.pixel.take() {
                    self.leave(&(at.0..at.0), Reason::NoPixelPlace);
                }
            }
            Change::Fill(Hole::InitialPixel) => {
                self.html.without_initial_pixel = self.html.initial_pixel.take().map(|at| at..at);
            }
            Change::Fill(Hole::Href(_)) | Change::Remove(_) | Change::Keep => {}
        }
    }
}

fn raw(range: &Range<usize>) -> RawRange {
    RawOffset(range.start)..RawOffset(range.end)
}

/// What was found in a part.
struct PlannedPart<'m> {
    part: BodyPart,
    body: Body<'m>,
    links: Vec<Link>,
    /// What is done to it besides.
    changes: Vec<(PartRange, Change)>,
}

impl<'m> Planner<'m> {
    fn html(&mut self, part: &BodyPart) -> Result<PlannedPart<'m>, Reason> {
        let (charset, body) = self.decode(part)?;
        let mut scan = html::reader::scan(body.bytes(), charset);
        if self.rules.spare_url_text {
            html::visible::spare_url_text(&mut scan.links, body.bytes(), charset);
        }
        let raw = |range: &PartRange| body.raw(&part.body, range);
        let placeholder = self.find_placeholder(body.bytes(), &scan);
        let pixel = match placeholder {
            Some(range) => Some((range, Change::Placeholder)),
            None => scan.pixel.map(|at| (at..at, Change::Fill(Hole::Pixel))),
        };
        self.html.pixel = pixel.as_ref().map(|(range, _)| raw(range).start);
        if pixel.is_none() {
            self.leave(&(part.body.start..part.body.start), Reason::NoPixelPlace);
        }
        self.html.initial_pixel = scan.initial_pixel.map(|at| raw(&(at..at)).start);
        if scan.initial_pixel.is_none() {
            let start = RawOffset(part.body.start);
            self.html.without_initial_pixel = Some(start..start);
        }
        let opted_out = scan
            .links
            .iter()
            .filter(|link| self.rules.refuse_link(link) == Some(Reason::OptedOut));
        self.opted_out = opted_out.map(|link| link.target.clone()).collect();
        let mut changes = self.changes(&scan);
        changes.extend(pixel);
        let links = self.filter(scan.links, &raw);
        Ok(PlannedPart { part: part.clone(), body, links, changes })
    }

    fn text(&mut self, part: &BodyPart) -> Result<PlannedPart<'m>, Reason> {
        let (charset, body) = self.decode(part)?;
        let joins = part.content_type.parameter("delsp");
        let flow = if joins.is_some_and(|joins| joins.eq_ignore_ascii_case("yes")) {
            Flow::JoinedWithoutSpace
        } else {
            Flow::Fixed
        };
        let text::TextScan { mut links, options } = text::scan(body.bytes(), charset, flow)?;
        for link in &mut links {
            if link.reason.is_none() && self.opted_out.contains(&link.target) {
                link.reason = Some(Reason::OptedOut);
            }
        }
        let links = self.filter(links, &|range| body.raw(&part.body, range));
        let removal = Change::Remove(Removal::TextOptions);
        let changes = options.into_iter().map(|range| (range, removal)).collect();
        Ok(PlannedPart { part: part.clone(), body, links, changes })
    }

    fn decode(&self, part: &BodyPart) -> Result<(Charset, Body<'m>), Reason> {
        let charset = Charset::for_label(part.content_type.parameter("charset").as_deref())?;
        Ok((charset, Body::decode(self.message, &part.body, &part.transfer_encoding)?))
    }

    /// What stands where the sender wants the pixel, if no other change is made there.
    fn find_placeholder(&self, html: &[u8], scan: &HtmlScan) -> Option<PartRange> {
        let wanted = self.rules.pixel_placeholder.as_ref().filter(|wanted| !wanted.is_empty())?;
        let hrefs = scan.links.iter().map(|link| &link.href);
        let attributes = scan.attributes.iter().map(|(range, _)| range);
        let mut others: Vec<_> = hrefs.chain(attributes).collect();
        others.sort_unstable_by_key(|other| other.start);
        let is_free = |place: &PartRange| {
            let next = others.partition_point(|other| other.end <= place.start);
            scan.initial_pixel.is_none_or(|at| at <= place.start || place.end <= at)
                && others.get(next).is_none_or(|other| place.end <= other.start)
        };
        memchr::memmem::find_iter(html, wanted)
            .map(|at| PartOffset(at)..PartOffset(at + wanted.len()))
            .find(is_free)
    }

    /// What is done to HTML besides wrapping its links and adding the pixel at its end.
    fn changes(&self, scan: &HtmlScan) -> Vec<(PartRange, Change)> {
        let initial = scan.initial_pixel.map(|at| (at..at, Change::Fill(Hole::InitialPixel)));
        let attributes = scan
            .attributes
            .iter()
            .filter(|(_, place)| !self.rules.keep_link_attributes && self.rules.reach(*place));
        let removal = Change::Remove(Removal::LinkAttribute);
        initial.into_iter().chain(attributes.map(|(range, _)| (range.clone(), removal))).collect()
    }

    /// The links that the rules let us wrap; the others are noted.
    fn filter(&mut self, links: Vec<Link>, raw: &dyn Fn(&PartRange) -> RawRange) -> Vec<Link> {
        let mut allowed = Vec::with_capacity(links.len());
        for link in links {
            match self.rules.refuse_link(&link) {
                None => allowed.push(link),
                Some(reason) => {
                    let (at, target) = (raw(&link.href), Some(link.target));
                    self.left_alone.push(LeftAlone { at, reason, target });
                }
            }
        }
        allowed
    }
}
