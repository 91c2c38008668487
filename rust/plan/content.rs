//! What edits put in: where it goes, in the transfer encoding that the part has.

use std::ops::Range;
use std::sync::Arc;

use super::Hole;
use super::lines::{Around, Lead, LineCursor, line_break};
use crate::charset::scheme::Script;
use crate::edit::{PartOffset, PartRange, RawOffset, RawRange};
use crate::mime::base64::{self, Layout};
use crate::mime::entity::BodyPart;
use crate::mime::quoted_printable;
use crate::reason::Reason;

#[derive(Clone, Debug)]
pub(super) struct Edit {
    pub(super) at: RawRange,
    pub(super) with: Content,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    /// Header lines that are in no copy.
    Dropped,
    /// Header lines that are in no copy whose body is changed.
    Signature,
    Verbatim(Change, TextLine),
    QuotedPrintable(Change, EncodedLine),
    /// In a text without a line length; with its line break.
    Unlimited(Change, &'static [u8]),
    Base64(Box<Reencoded>),
}

/// What is done to a place of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Fill(Hole),
    /// The open pixel in place of what the sender put there for it: no line of its own.
    Placeholder,
    /// Nothing: a link that is not wrapped after all.
    Keep,
    Remove(Removal),
}

impl Change {
    /// The pixel that it puts in.
    pub(super) const fn pixel(self) -> Option<Hole> {
        match self {
            Self::Fill(hole) if hole.is_pixel() => Some(hole),
            Self::Placeholder => Some(Hole::Pixel),
            _ => None,
        }
    }
}

/// What goes, and from which copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removal {
    /// From copies whose clicks are tracked.
    LinkAttribute,
    /// The same in an AMP part, where its links may be wrapped.
    AmpAttribute,
    /// From copies of which anything is tracked: a reader would see it.
    TextOptions,
    /// The same from all copies.
    TextOptionsAlways,
}

/// How text is written into a part.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Writing {
    pub(super) script: Script,
    /// The line break of the text, where bytes don't show it.
    pub(super) eol: Option<&'static [u8]>,
}

/// The line that an edit stands on, in a part without transfer encoding.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextLine {
    pub(super) lead: Lead,
    /// Bytes of the line that follow the edit.
    pub(super) tail: usize,
    /// The sender's line was too long already.
    pub(super) too_long: bool,
    /// The edit reaches over a line break.
    pub(super) joins: bool,
    /// Where the line may be broken before this `href`.
    pub(super) fold: Option<Fold>,
    /// Bytes between the edit and the next such place on the sender's line.
    pub(super) to_next_fold: Option<usize>,
    pub(super) eol: &'static [u8],
    pub(super) script: Script,
}

/// White space before the name of an `href`: a line break may stand there instead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fold {
    pub(super) at: RawOffset,
    /// Bytes from there to the value.
    pub(super) column: usize,
}

/// The quoted-printable line that an edit stands on.
#[derive(Clone, Copy, Debug)]
pub(super) struct EncodedLine {
    pub(super) lead: Lead,
    /// Bytes of the line that follow the edit.
    pub(super) tail: usize,
    /// Bytes that the edit replaces, decoded.
    pub(super) replaced: usize,
    /// A line break of the text behind it would be read as something else.
    pub(super) needs_soft_break: bool,
    pub(super) eol: &'static [u8],
    pub(super) writing: Writing,
}

/// A base64 body that is encoded again from its first changed group on.
#[derive(Clone, Debug)]
pub(super) struct Reencoded {
    /// All of it, decoded.
    decoded: Arc<Vec<u8>>,
    /// How many of those bytes keep their encoding.
    kept: usize,
    /// Counted from there on.
    pub(super) changes: Vec<(RawRange, Change)>,
    pub(super) layout: Layout,
    /// Of the decoded text.
    pub(super) eol: &'static [u8],
    /// Of the encoded lines.
    pub(super) encoded_eol: &'static [u8],
    pub(super) script: Script,
}

impl Reencoded {
    /// What is encoded again.
    pub(super) fn bytes(&self) -> &[u8] {
        self.decoded.get(self.kept..).unwrap_or_default()
    }
}

/// A part's body, decoded, and the way back.
pub(super) enum Body<'m> {
    Verbatim(&'m [u8]),
    QuotedPrintable(quoted_printable::Decoded<'m>),
    Base64(base64::Decoded),
}

impl<'m> Body<'m> {
    pub(super) fn decode(
        message: &'m [u8],
        body: &Range<usize>,
        transfer_encoding: &str,
    ) -> Result<Self, Reason> {
        let raw = message.get(body.clone()).unwrap_or_default();
        match transfer_encoding {
            "7bit" | "8bit" | "binary" => Ok(Self::Verbatim(raw)),
            "quoted-printable" => {
                Ok(Self::QuotedPrintable(quoted_printable::Decoded::decode(raw, body.start)))
            }
            "base64" => Ok(Self::Base64(base64::decode(raw)?)),
            _ => Err(Reason::UnknownTransferEncoding),
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Verbatim(bytes) => bytes,
            Self::QuotedPrintable(decoded) => &decoded.bytes,
            Self::Base64(decoded) => &decoded.bytes,
        }
    }

    /// The bytes of the message that a range of the part came from; in base64, all of the body.
    pub(super) fn raw(&self, body: &Range<usize>, range: &PartRange) -> RawRange {
        match self {
            Self::Verbatim(_) => {
                RawOffset(body.start + range.start.0)..RawOffset(body.start + range.end.0)
            }
            Self::QuotedPrintable(decoded) => decoded.raw(range),
            Self::Base64(_) => RawOffset(body.start)..RawOffset(body.end),
        }
    }

    /// The edits of a part, and the changes that cannot be made in it.
    ///
    /// `fold` tells where the tag of the link with that number may be folded.
    pub(super) fn edits(
        self,
        message: &[u8],
        part: &BodyPart,
        changes: &[(PartRange, Change)],
        writing: Writing,
        fold: impl Fn(usize) -> Option<PartOffset>,
    ) -> (Vec<Edit>, Vec<Change>) {
        match self {
            Self::Base64(decoded) => {
                let edit = base64_edit(message, &part.body, decoded, changes, writing);
                (edit.into_iter().collect(), Vec::new())
            }
            lines => lines.line_edits(message, part, changes, writing, fold),
        }
    }

    /// The same for a part whose lines are edited.
    fn line_edits(
        &self,
        message: &[u8],
        part: &BodyPart,
        changes: &[(PartRange, Change)],
        writing: Writing,
        fold: impl Fn(usize) -> Option<PartOffset>,
    ) -> (Vec<Edit>, Vec<Change>) {
        let body = &part.body;
        let raw = message.get(body.clone()).unwrap_or_default();
        let eol = line_break(if raw.contains(&b'\n') { raw } else { message });
        let mut lines = LineCursor::new(message, body);
        let (mut edits, mut refused) = (Vec::with_capacity(changes.len()), Vec::new());
        let mut last_end = None;
        for (range, change) in changes {
            let at = self.raw(body, range);
            let around = lines.around(&at);
            if makes_boundary(*change, around, &part.boundaries, writing.script) {
                refused.push(*change);
                continue;
            }
            let lead = Lead::of(&at, around, last_end);
            let with = if matches!(self, Self::QuotedPrintable(_)) {
                let replaced = range.end.0 - range.start.0;
                let line = EncodedLine::new(lead, around, replaced, eol, writing);
                Content::QuotedPrintable(*change, line)
            } else {
                let fold = match change {
                    Change::Fill(Hole::Href(number)) if !around.too_long => fold(*number)
                        .map(|at| RawOffset(body.start + at.0))
                        .filter(|fold| last_end.is_none_or(|end| end <= fold.0))
                        .and_then(|fold| fold_before(&at, fold, around, part)),
                    _ => None,
                };
                let replaced = message.get(at.start.0..at.end.0).unwrap_or_default();
                let line = TextLine::new(lead, around, replaced, eol, writing);
                Content::Verbatim(*change, TextLine { fold, ..line })
            };
            last_end = Some(at.end.0);
            edits.push(Edit { at, with });
        }
        find_next_folds(&mut edits);
        (edits, refused)
    }
}

impl TextLine {
    /// The line of an edit that replaces these bytes, without places for line breaks.
    fn new(
        lead: Lead,
        around: Around<'_>,
        replaced: &[u8],
        eol: &'static [u8],
        writing: Writing,
    ) -> Self {
        let script = writing.script;
        Self {
            lead,
            tail: around.after.len(),
            // Octets of a line are no measure for units of two or four.
            too_long: around.too_long || script.is_wide(),
            joins: replaced.contains(&b'\n'),
            fold: None,
            to_next_fold: None,
            // A line break in units is a bare CR and a bare LF on the wire.
            eol: if script.is_wide() { b"" } else { eol },
            script,
        }
    }
}

impl EncodedLine {
    /// The line of an edit that replaces so many decoded bytes.
    fn new(
        lead: Lead,
        around: Around<'_>,
        replaced: usize,
        eol: &'static [u8],
        writing: Writing,
    ) -> Self {
        Self {
            lead,
            tail: around.after.len(),
            replaced,
            needs_soft_break: matches!(around.before.last(), Some(b' ' | b'\t' | b'=')),
            eol,
            writing,
        }
    }
}

/// The place for a line break before an `href`, if it is on the line of its value and the line
/// that would end there is not a boundary.
fn fold_before(
    href: &RawRange,
    fold: RawOffset,
    around: Around<'_>,
    part: &BodyPart,
) -> Option<Fold> {
    let column = href.start.0.checked_sub(fold.0 + 1)?;
    let (line, rest) = around.before.split_at_checked(around.before.len().checked_sub(column)?)?;
    let (space, line) = line.split_last()?;
    let is_free = !is_boundary(line, &part.boundaries) && !is_boundary(rest, &part.boundaries);
    (is_free && matches!(space, b' ' | b'\t' | b'\x0c')).then_some(Fold { at: fold, column })
}

/// Tells each edit how far the next place for a line break is.
pub(super) fn find_next_folds(edits: &mut [Edit]) {
    let mut next = None;
    for edit in edits.iter_mut().rev() {
        let end = edit.at.end.0;
        if let Content::Verbatim(_, line) = &mut edit.with {
            line.to_next_fold = next
                .and_then(|fold: usize| fold.checked_sub(end))
                .filter(|between| !line.too_long && *between <= line.tail);
            next = line.fold.map(|fold| fold.at.0).or(next);
        }
    }
}

/// A line break of ours, or what goes, may turn another line into a boundary line.
fn makes_boundary(
    change: Change,
    Around { before, after, .. }: Around<'_>,
    boundaries: &[String],
    script: Script,
) -> bool {
    match change {
        Change::Fill(Hole::Href(_)) | Change::Keep => false,
        // In units of two or four bytes a pixel has no line of its own.
        Change::Fill(_) if script.is_wide() => false,
        Change::Fill(_) => is_boundary(before, boundaries) || is_boundary(after, boundaries),
        Change::Placeholder | Change::Remove(_) => {
            let longest = boundaries.iter().map(String::len).max().unwrap_or_default() + 2;
            // No more than that is looked at, and lines may be as long as the message.
            let joined: Vec<u8> = before.iter().chain(after).take(longest).copied().collect();
            is_boundary(after, boundaries) || is_boundary(&joined, boundaries)
        }
    }
}

/// Whether a reader may take a line for one of those boundaries; what follows the boundary does
/// not matter (RFC 2046 §5.1.1).
fn is_boundary(line: &[u8], boundaries: &[String]) -> bool {
    line.strip_prefix(b"--")
        .is_some_and(|rest| boundaries.iter().any(|each| rest.starts_with(each.as_bytes())))
}

fn base64_edit(
    message: &[u8],
    body: &Range<usize>,
    decoded: base64::Decoded,
    changes: &[(PartRange, Change)],
    writing: Writing,
) -> Option<Edit> {
    let (first, _) = changes.first()?;
    let raw = message.get(body.clone()).unwrap_or_default();
    let group = first.start.0 / 3;
    let kept = group * 3;
    let layout = Layout::of_group(raw, &decoded, group);
    let changes = changes.iter().map(|(range, change)| {
        (RawOffset(range.start.0 - kept)..RawOffset(range.end.0 - kept), *change)
    });
    let reencoded = Reencoded {
        changes: changes.collect(),
        kept,
        layout,
        eol: writing.eol.unwrap_or_else(|| line_break(&decoded.bytes)),
        encoded_eol: line_break(if raw.contains(&b'\n') { raw } else { message }),
        script: writing.script,
        decoded: Arc::new(decoded.bytes),
    };
    let start = body.start;
    Some(Edit {
        at: RawOffset(start + layout.start)..RawOffset(start + layout.end),
        with: Content::Base64(Box::new(reencoded)),
    })
}
