//! Tokens: what a link says about its recipient and target, sealed into one path segment.
//!
//! A token is the only thing that a tracker gets back, so it carries everything an event needs,
//! only a holder of the key can read, forge or change it, and it is short: mail clients clip long
//! messages and gateways cut long URLs. `docs/tokens.md` is the format's specification.
//!
//! An [`Engagement`] is encoded once per recipient, [`LinkClaims`] once per message; a [`Sealer`]
//! of a [`KeyRing`] concatenates and seals.

mod cipher;
mod claims;
mod dictionary;
mod encoding;
mod packed;
mod path;
mod seal;
mod varint;

pub use claims::{
    Claims, Engagement, Kind, LinkClaims, LinkPart, Position, Privacy, RecipientType,
};
pub use encoding::{ClaimsError, EncodedEngagement, EncodedLink};
pub use path::Route;
pub use seal::{KeyRing, KeyRingError, OpenError, SealError, Sealer};

#[cfg(test)]
mod cipher_tests;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod laws;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
