//! Links, wherever they stand: where one leads, and what its sender asks for it.
//!
//! Kept apart from `html` and `text`, which find links, so that both go by one set of rules.

pub mod options;
pub mod sublink;
pub mod target;

use crate::edit::{PartOffset, PartRange};
use crate::reason::Reason;
use sublink::Sublink;

/// A link as it was found, before any rule of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The value of `href` between its quotes, or the URL in a text.
    pub href: PartRange,
    /// The fold point: the white-space byte right before the name `href`, where a line break may
    /// stand instead. `None` where none stands there, and in a text.
    pub fold: Option<PartOffset>,
    /// Where the link leads, decoded.
    pub target: String,
    /// `data-msys-linkname`, cut to 63 bytes.
    pub name: Option<String>,
    /// `data-msys-unsubscribe`.
    pub unsubscribes: bool,
    /// `data-msys-sublink`.
    pub sublink: Option<Sublink>,
    /// Where it stands.
    pub place: Place,
    /// Where its content begins, which has its text; `None` unless its tag is that of an `a`.
    pub content: Option<PartOffset>,
    /// Whether it has another product's attribute that says that it is not to be tracked.
    pub foreign_opt_out: bool,
    /// Why it can't be wrapped, or its sender wants it left.
    pub reason: Option<Reason>,
}

/// Where a link stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In markup that every client reads.
    Html,
    /// In VML, which Outlook alone draws.
    Vml,
    /// In a conditional comment, which Outlook alone reads.
    Comment,
    /// In plain text.
    Text,
    /// In the markup of an AMP part.
    Amp,
}

impl Place {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Vml | Self::Comment => "outlook",
            Self::Text => "text",
            Self::Amp => "amp",
        }
    }
}
