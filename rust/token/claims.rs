//! What a token says: plain values, so that the format can change without its users.
//!
//! The order of [`Kind`], [`LinkPart`], [`RecipientType`] and [`Privacy`] is part of the format: a
//! value's place is its number.

use std::num::NonZero;

use super::path::Route;
use crate::names::names;

/// Everything that one link of one recipient's copy says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claims {
    /// What all links of the copy have in common.
    pub engagement: Engagement,
    /// What is this link's own.
    pub link: LinkClaims,
}

/// What all links of one recipient's copy say.
///
/// Texts are kept as they are: none is trimmed, folded or parsed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "five independent options of the message")]
pub struct Engagement {
    /// Which message; 20 lower-case hex digits take half their length in a token.
    pub message_id: String,
    /// Which transmission the message belongs to; 0 for none.
    pub transmission_id: u64,
    /// When the message was injected, in Unix seconds.
    pub injected_at: u64,
    /// For how many seconds from `injected_at` on the links make events.
    pub lifetime_seconds: u64,
    /// Whose message it is.
    pub customer_id: u32,
    /// Which part of the customer, if any.
    pub subaccount_id: Option<u32>,
    /// To whom the copy goes: an address.
    pub recipient: String,
    /// How the recipient was addressed.
    pub recipient_type: RecipientType,
    /// The campaign, if any.
    pub campaign_id: Option<String>,
    /// The recipient's metadata as JSON text, if any.
    pub metadata: Option<String>,
    /// The message's tags.
    pub tags: Vec<String>,
    /// Whether opens are tracked.
    pub open_tracking: bool,
    /// Whether clicks are tracked.
    pub click_tracking: bool,
    /// Whether a second pixel stands at the top of the message.
    pub initial_pixel: bool,
    /// Whether the AMP part is tracked.
    pub amp_enabled: bool,
    /// Whether the message is transactional.
    pub transactional: bool,
    /// What may be recorded of the reader.
    pub privacy: Privacy,
}

impl Engagement {
    /// When links stop making events, in Unix seconds.
    #[must_use]
    pub const fn expires_at(&self) -> u64 {
        self.injected_at.saturating_add(self.lifetime_seconds)
    }
}

/// What is one link's own; the same for every recipient of a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LinkClaims {
    /// What following the link means.
    pub kind: Kind,
    /// Where the link leads, as it stood in the message.
    pub target: Option<String>,
    /// The name that the sender gave the link.
    pub name: Option<String>,
    /// Which link of the message it is; pixels have none.
    pub position: Option<Position>,
}

/// Which link of a message one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// Its number from 1 on among the links of its kind of part.
    pub number: NonZero<u32>,
    /// The kind of part it stands in.
    pub part: LinkPart,
}

names! {
    /// The kind of part that a link stands in.
    LinkPart {
        /// An HTML part, Outlook's comments included.
        Html = "html",
        /// A plain text.
        Text = "text",
        /// An AMP part.
        Amp = "amp",
    }
}

names! {
    /// What fetching a tracked URL means.
    Kind {
        /// A link was followed.
        Click = "click",
        /// The pixel at the end was loaded.
        Open = "open",
        /// The pixel at the top was loaded.
        InitialOpen = "initial_open",
        /// A link of the AMP part was followed.
        AmpClick = "amp_click",
        /// The pixel of the AMP part was loaded.
        AmpOpen = "amp_open",
        /// The pixel at the top of the AMP part was loaded.
        AmpInitialOpen = "amp_initial_open",
        /// The address of the `List-Unsubscribe` field was used (RFC 8058).
        ListUnsubscribe = "list_unsubscribe",
        /// A link in the text that unsubscribes was followed.
        LinkUnsubscribe = "link_unsubscribe",
    }
}

names! {
    /// How a recipient was addressed.
    RecipientType {
        /// In `To`, or not said.
        To = "to",
        /// A carbon copy.
        Cc = "cc",
        /// A blind carbon copy.
        Bcc = "bcc",
        /// A copy for the sender's records.
        Archive = "archive",
    }
}

names! {
    /// What the events of a copy's links may keep of their reader.
    Privacy {
        /// All that is known.
        Full = "full",
        /// The address only as far as its network.
        Truncated = "truncated",
        /// Nothing that tells one reader from another.
        Aggregate = "aggregate",
    }
}

impl Kind {
    /// The form of the path that tokens of this kind stand in.
    #[must_use]
    pub const fn route(self) -> Route {
        match self {
            Self::Click | Self::AmpClick | Self::LinkUnsubscribe => Route::Click,
            Self::Open | Self::InitialOpen | Self::AmpOpen | Self::AmpInitialOpen => Route::Open,
            Self::ListUnsubscribe => Route::Unsubscribe,
        }
    }
}
