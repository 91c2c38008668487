//! What edits put in: where it goes, in the transfer encoding that the part has.

use std::ops::Range;

use super::Hole;
use super::lines::{Around, Lead, LineCursor, line_break};
use crate::edit::{PartRange, RawOffset, RawRange};
use crate::mime::base64::{self, Layout};
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
    Base64(Box<Reencoded>),
}

/// What is done to a place of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Fill(Hole),
    Remove(Removal),
}

/// What goes, and from which copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removal {
    /// From copies whose clicks are tracked.
    LinkAttribute,
    /// From copies of which anything is tracked: a reader would see it.
    TextOptions,
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
    pub(super) eol: &'static [u8],
}

/// The quoted-printable line that an edit stands on.
#[derive(Clone, Copy, Debug)]
pub(super) struct EncodedLine {
    pub(super) lead: Lead,
    /// Bytes of the line that follow the edit.
    pub(super) tail: usize,
    /// A line break of the text behind it would be read as something else.
    pub(super) needs_soft_break: bool,
    pub(super) eol: &'static [u8],
}

/// A base64 body that is encoded again from its first changed group on.
#[derive(Clone, Debug)]
pub(super) struct Reencoded {
    /// All of it, decoded.
    decoded: Vec<u8>,
    /// How many of those bytes keep their encoding.
    kept: usize,
    /// Counted from there on.
    pub(super) changes: Vec<(RawRange, Change)>,
    pub(super) layout: Layout,
    /// Of the decoded text.
    pub(super) eol: &'static [u8],
    /// Of the encoded lines.
    pub(super) encoded_eol: &'static [u8],
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
    QuotedPrintable(quoted_printable::Decoded),
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
    pub(super) fn edits(
        self,
        message: &[u8],
        body: &Range<usize>,
        changes: &[(PartRange, Change)],
    ) -> (Vec<Edit>, Vec<Change>) {
        let body_of_text = match self {
            Self::Base64(decoded) => {
                let edit = base64_edit(message, body, decoded, changes);
                return (edit.into_iter().collect(), Vec::new());
            }
            other => other,
        };
        let raw = message.get(body.clone()).unwrap_or_default();
        let eol = line_break(if raw.contains(&b'\n') { raw } else { message });
        let mut lines = LineCursor::new(message, body);
        let (mut edits, mut refused) = (Vec::with_capacity(changes.len()), Vec::new());
        let mut last_end = None;
        for (range, change) in changes {
            let at = body_of_text.raw(body, range);
            let around = lines.around(&at);
            if makes_boundary(*change, around) {
                refused.push(*change);
                continue;
            }
            let lead = Lead::of(&at, around, last_end);
            last_end = Some(at.end.0);
            let with = match body_of_text {
                Self::QuotedPrintable(_) => Content::QuotedPrintable(
                    *change,
                    EncodedLine {
                        lead,
                        tail: around.after.len(),
                        needs_soft_break: matches!(
                            around.before.last(),
                            Some(b' ' | b'\t' | b'=')
                        ),
                        eol,
                    },
                ),
                _ => Content::Verbatim(
                    *change,
                    TextLine {
                        lead,
                        tail: around.after.len(),
                        too_long: around.too_long,
                        joins: message
                            .get(at.start.0..at.end.0)
                            .is_some_and(|replaced| replaced.contains(&b'\n')),
                        eol,
                    },
                ),
            };
            edits.push(Edit { at, with });
        }
        (edits, refused)
    }
}

/// A line break of ours, or one that goes, may turn another line into a boundary line.
fn makes_boundary(change: Change, Around { before, after, .. }: Around<'_>) -> bool {
    match change {
        Change::Fill(Hole::Href(_)) => false,
        Change::Fill(_) => before.starts_with(b"--") || after.starts_with(b"--"),
        Change::Remove(_) => {
            after.starts_with(b"--") || before.iter().chain(after).take(2).eq(b"--")
        }
    }
}

fn base64_edit(
    message: &[u8],
    body: &Range<usize>,
    decoded: base64::Decoded,
    changes: &[(PartRange, Change)],
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
        eol: line_break(&decoded.bytes),
        encoded_eol: line_break(if raw.contains(&b'\n') { raw } else { message }),
        decoded: decoded.bytes,
    };
    let start = body.start;
    Some(Edit {
        at: RawOffset(start + layout.start)..RawOffset(start + layout.end.max(layout.start)),
        with: Content::Base64(Box::new(reencoded)),
    })
}
