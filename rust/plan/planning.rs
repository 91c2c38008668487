//! Planning: everything that is found out about a message before its first copy is made.

use std::collections::HashSet;
use std::ops::Range;

use super::content::{Body, Change, Content, Edit, Removal, Writing};
use super::reading::PartText;
use super::{Document, Hole, LeftAlone, Plan, PlannedLink, Rules, SignedMail};
use crate::edit::{PartRange, RawOffset, RawRange};
use crate::html::found::HtmlScan;
use crate::link::{Link, Place};
use crate::mime::entity::{self, BodyPart, Role};
use crate::mime::header::Section;
use crate::reason::Reason;
use crate::text::{Flow, TextScan};

/// A message that has one of these is signed.
const SEALS: [&[u8]; 2] = [b"dkim-signature", b"arc-seal"];

/// What goes with them where signatures are taken off: an ARC seal covers the other fields of its
/// set (RFC 8617).
const SEALED: [&[u8]; 2] = [b"arc-message-signature", b"arc-authentication-results"];

impl<S: AsRef<[u8]>> Plan<S> {
    /// Finds what can be tracked in a message; header fields named in `drop_headers` go.
    ///
    /// There is no failure: what can't be changed stays, with its reason in `left_alone`.
    #[must_use]
    pub fn new(source: S, rules: &Rules, drop_headers: &[&[u8]]) -> Self {
        let message = source.as_ref();
        let section = Section::parse_message(message);
        let mut planner = Planner::new(message, rules);
        planner.header(&section, drop_headers);
        planner.message(&section);
        let Planner {
            edits, documents, links, mut left_alone, parts, pixels, mut placeless, ..
        } = planner;
        left_alone.sort_by_key(|left| left.at.start);
        placeless.sort_by_key(|(_, left)| left.at.start);
        Self {
            source,
            header_end: section.end,
            edits,
            documents,
            links,
            left_alone,
            parts,
            pixels,
            placeless,
        }
    }

    /// The plan of a message whose body stays: header fields named in `drop_headers` go.
    #[must_use]
    pub fn of_header(source: S, drop_headers: &[&[u8]]) -> Self {
        let message = source.as_ref();
        let section = Section::parse_message(message);
        let rules = Rules::default();
        let mut planner = Planner::new(message, &rules);
        planner.header(&section, drop_headers);
        let edits = planner.edits;
        Self {
            source,
            header_end: section.end,
            edits,
            documents: Vec::new(),
            links: Vec::new(),
            left_alone: Vec::new(),
            parts: Vec::new(),
            pixels: Vec::new(),
            placeless: Vec::new(),
        }
    }
}

/// Collects a plan's edits in the order of the message.
pub(super) struct Planner<'m> {
    pub(super) message: &'m [u8],
    pub(super) rules: &'m Rules,
    edits: Vec<Edit>,
    documents: Vec<Document>,
    links: Vec<PlannedLink>,
    pub(super) left_alone: Vec<LeftAlone>,
    parts: Vec<BodyPart>,
    pixels: Vec<(Hole, RawOffset)>,
    placeless: Vec<(Hole, LeftAlone)>,
    /// Where links of the HTML lead that their sender wants left.
    pub(super) opted_out: HashSet<String>,
}

impl<'m> Planner<'m> {
    fn new(message: &'m [u8], rules: &'m Rules) -> Self {
        Self {
            message,
            rules,
            edits: Vec::new(),
            documents: Vec::new(),
            links: Vec::new(),
            left_alone: Vec::new(),
            parts: Vec::new(),
            pixels: Vec::new(),
            placeless: Vec::new(),
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
            } else if strips && SEALS.into_iter().chain(SEALED).any(is) {
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
            SEALS.iter().any(|name| section.find_fields(self.message, name).next().is_some());
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
        if !parts.iter().any(|part| part.role == Some(Role::Html)) {
            self.miss(Hole::Pixel, 0..self.message.len(), Reason::NoHtmlPart);
        }
        let mut found = Vec::new();
        // Text after the HTML, whose opted-out targets are opted out there too.
        for role in [Role::Html, Role::Amp, Role::Text] {
            for part in parts.iter_mut().filter(|part| part.role == Some(role)) {
                let read = match role {
                    Role::Html | Role::Amp => self.html(part),
                    Role::Text => self.text(part),
                };
                found.extend(read.map_err(|reason| part.reason = Some(reason)).ok());
            }
        }
        for part in parts.iter() {
            if let Some(reason) = part.reason
                && reason != Reason::OtherMediaType
            {
                self.leave(&part.body, reason);
            }
        }
        if !self.rules.text_links {
            for part in parts.iter_mut().filter(|part| part.role == Some(Role::Text)) {
                part.reason.get_or_insert(Reason::TextLinksOff);
            }
        }
        found.sort_by_key(|found| found.part.body.start);
        for part in found {
            self.edit(part);
        }
    }

    fn miss(&mut self, hole: Hole, at: Range<usize>, reason: Reason) {
        self.placeless.push((hole, LeftAlone { at: raw(&at), reason, target: None }));
    }

    fn edit(&mut self, found: PlannedPart<'_>) {
        let PlannedPart { part, body, writing, links, mut changes } = found;
        for link in links {
            changes.push((link.href.clone(), Change::Fill(Hole::Href(self.links.len()))));
            self.links.push(PlannedLink { at: body.raw(&part.body, &link.href), link });
        }
        // At one place a pixel stands before what follows it.
        changes.sort_by_key(|(range, _)| (range.start, range.end));
        let pixels: Vec<_> = changes
            .iter()
            .filter_map(|(range, change)| {
                Some((*change, change.pixel()?, body.raw(&part.body, range).start))
            })
            .collect();
        let folds = self.rules.fold_long_lines && part.transfer_encoding != "binary";
        let links = &self.links;
        let fold = |number: usize| links.get(number)?.link.fold.filter(|_| folds);
        let (first, length) = (self.edits.len(), body.bytes().len());
        let (edits, refused) = body.edits(self.message, &part, &changes, writing, fold);
        self.edits.extend(edits);
        if part.role == Some(Role::Html) && first < self.edits.len() {
            self.documents.push(Document { edits: first..self.edits.len(), length });
        }
        for (change, hole, at) in pixels {
            if refused.contains(&change) {
                self.miss(hole, at.0..at.0, no_place(hole));
            } else {
                self.pixels.push((hole, at));
            }
        }
    }
}

fn no_place(hole: Hole) -> Reason {
    if hole.is_initial() { Reason::NoInitialPixelPlace } else { Reason::NoPixelPlace }
}

fn raw(range: &Range<usize>) -> RawRange {
    RawOffset(range.start)..RawOffset(range.end)
}

/// What was found in a part.
struct PlannedPart<'m> {
    part: BodyPart,
    body: Body<'m>,
    writing: Writing,
    links: Vec<Link>,
    /// What is done to it besides.
    changes: Vec<(PartRange, Change)>,
}

impl<'m> Planner<'m> {
    fn html(&mut self, part: &BodyPart) -> Result<PlannedPart<'m>, Reason> {
        let text = self.read(part)?;
        let mut scan = text.scan_html(self.rules.spare_url_text);
        let writing = text.writing();
        let is_amp = part.role == Some(Role::Amp);
        let placeholder = if is_amp { None } else { self.find_placeholder(&text, &scan) };
        let body = text.body;
        let raw = |range: &PartRange| body.raw(&part.body, range);
        if is_amp {
            keep_amp(&mut scan);
        }
        let (initial_pixel, pixel) = if is_amp {
            (Hole::AmpInitialPixel, Hole::AmpPixel)
        } else {
            (Hole::InitialPixel, Hole::Pixel)
        };
        let mut changes = Vec::new();
        if !part.is_later_piece {
            let initial = scan.initial_pixel.map(|at| (at..at, Change::Fill(initial_pixel)));
            let fill = || scan.pixel.map(|at| (at..at, Change::Fill(pixel)));
            let last = placeholder.map(|range| (range, Change::Placeholder)).or_else(fill);
            for (change, hole) in [(initial, initial_pixel), (last, pixel)] {
                match change {
                    Some(change) => changes.push(change),
                    None => self.miss(hole, part.body.start..part.body.start, no_place(hole)),
                }
            }
        }
        let opted_out = scan
            .links
            .iter()
            .filter(|link| self.rules.refuse_link(link) == Some(Reason::OptedOut));
        if !is_amp {
            self.opted_out.extend(opted_out.map(|link| link.target.clone()));
        }
        changes.extend(self.removals(&scan));
        let links = self.filter(scan.links, &raw);
        Ok(PlannedPart { part: part.clone(), body, writing, links, changes })
    }

    fn text(&mut self, part: &BodyPart) -> Result<PlannedPart<'m>, Reason> {
        let read = self.read(part)?;
        let joins = part.content_type.parameter("delsp");
        let flow = if joins.is_some_and(|joins| joins.eq_ignore_ascii_case("yes")) {
            Flow::JoinedWithoutSpace
        } else {
            Flow::Fixed
        };
        let TextScan { mut links, options } = read.scan_text(flow)?;
        let writing = read.writing();
        let body = read.body;
        for link in &mut links {
            if link.reason.is_none() && self.opted_out.contains(&link.target) {
                link.reason = Some(Reason::OptedOut);
            }
        }
        let links = self.filter(links, &|range| body.raw(&part.body, range));
        let removal = Change::Remove(if self.rules.strip_text_options {
            Removal::TextOptionsAlways
        } else {
            Removal::TextOptions
        });
        let changes = options.into_iter().map(|range| (range, removal)).collect();
        Ok(PlannedPart { part: part.clone(), body, writing, links, changes })
    }

    fn read(&self, part: &BodyPart) -> Result<PartText<'m>, Reason> {
        let charset = part.content_type.parameter("charset");
        let decode = || Body::decode(self.message, &part.body, &part.transfer_encoding);
        PartText::read(charset.as_deref(), decode)
    }

    /// What stands where the sender wants the pixel, if no other change is made there.
    fn find_placeholder(&self, text: &PartText<'_>, scan: &HtmlScan) -> Option<PartRange> {
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
        text.find(wanted.as_bytes()).find(is_free)
    }

    /// The attributes that go from HTML.
    fn removals(&self, scan: &HtmlScan) -> impl Iterator<Item = (PartRange, Change)> {
        let reaches = |(_, place): &&(PartRange, Place)| {
            !self.rules.keep_link_attributes && self.rules.reach(*place)
        };
        scan.attributes.iter().filter(reaches).map(|(range, place)| {
            let is_amp = *place == Place::Amp;
            let removal = if is_amp { Removal::AmpAttribute } else { Removal::LinkAttribute };
            (range.clone(), Change::Remove(removal))
        })
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

/// Keeps what AMP's readers read: no comments of Outlook's. A link that a template fills in is no
/// URL yet.
fn keep_amp(scan: &mut HtmlScan) {
    scan.links.retain(|link| link.place == Place::Html);
    for link in &mut scan.links {
        link.place = Place::Amp;
        if link.reason != Some(Reason::OptedOut) && link.target.contains("{{") {
            link.reason = Some(Reason::AmpTemplate);
        }
    }
    scan.attributes.retain(|(_, place)| *place == Place::Html);
    for (_, place) in &mut scan.attributes {
        *place = Place::Amp;
    }
}
