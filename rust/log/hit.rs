//! One hit: what a link's token says, and who fetched it; Python's `eventlog.lines` is its twin.

use std::net::IpAddr;
use std::sync::Arc;

use super::json::{Object, member};
use crate::token::{Engagement, LinkClaims, Privacy, RecipientType};

/// One authentic fetch of a tracked link.
#[derive(Clone, Debug)]
pub struct Hit {
    /// What the token says of the copy.
    pub engagement: Arc<Engagement>,
    /// What it says of the link.
    pub link: Arc<LinkClaims>,
    /// When it was fetched, in Unix milliseconds.
    pub at: u64,
    /// Who fetched it.
    pub client: Client,
}

/// What is known of a client and its request.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// Its address, if it is known.
    pub address: Option<Box<str>>,
    /// The header `User-Agent`.
    pub agent: Option<Box<str>>,
    /// The header `Accept-Language`.
    pub language: Option<Box<str>>,
    /// What else is known of the request, as JSON text of an object.
    pub request: Option<Box<str>>,
}

impl Hit {
    /// Writes the hit as JSON on one line, without what is unknown or empty.
    pub(super) fn write(&self, id: &[u8; 36], to: &mut Vec<u8>) {
        let Self { engagement, link, at, client } = self;
        let cut;
        let (address, agent, language) = match engagement.privacy {
            Privacy::Full => (&client.address, &client.agent, &client.language),
            Privacy::Truncated => {
                cut = client.address.as_deref().and_then(network_of);
                (&cut, &client.agent, &client.language)
            }
            Privacy::Aggregate => (&None, &None, &None),
        };
        let mut line = Object::begin(to, id);
        line.number(member!("at"), *at);
        line.text(member!("kind"), Some(link.kind.name()));
        line.text(member!("message_id"), Some(&engagement.message_id));
        line.text(member!("recipient"), Some(&engagement.recipient));
        if engagement.recipient_type != RecipientType::To {
            line.text(member!("recipient_type"), Some(engagement.recipient_type.name()));
        }
        line.count(member!("injected_at"), engagement.injected_at);
        line.count(member!("expires_at"), engagement.expires_at());
        line.number(member!("customer_id"), engagement.customer_id.into());
        line.count(member!("subaccount_id"), engagement.subaccount_id.unwrap_or_default().into());
        line.count(member!("transmission_id"), engagement.transmission_id);
        line.text(member!("campaign_id"), engagement.campaign_id.as_deref());
        line.text(member!("metadata"), engagement.metadata.as_deref());
        line.texts(member!("tags"), engagement.tags.iter().map(String::as_str));
        line.texts(member!("options"), options(engagement));
        if engagement.privacy != Privacy::Full {
            line.text(member!("privacy"), Some(engagement.privacy.name()));
        }
        line.text(member!("target"), link.target.as_deref());
        line.text(member!("link_name"), link.name.as_deref());
        if let Some(position) = link.position {
            line.number(member!("link_number"), position.number.get().into());
            line.text(member!("link_part"), Some(position.part.name()));
        }
        line.text(member!("address"), address.as_deref());
        line.text(member!("agent"), agent.as_deref());
        line.text(member!("language"), language.as_deref());
        line.json(member!("request"), client.request.as_deref());
        line.end_line();
    }
}

fn options(engagement: &Engagement) -> impl Iterator<Item = &'static str> {
    [
        (engagement.open_tracking, "open_tracking"),
        (engagement.click_tracking, "click_tracking"),
        (engagement.initial_pixel, "initial_pixel"),
        (engagement.amp_enabled, "amp_enabled"),
        (engagement.transactional, "transactional"),
    ]
    .into_iter()
    .filter_map(|(is_set, name)| is_set.then_some(name))
}

/// The network that an address is in: /24, or /48 of IPv6; none for what is no address.
fn network_of(address: &str) -> Option<Box<str>> {
    let network = match address.parse().ok()? {
        IpAddr::V4(address) => IpAddr::V4((address.to_bits() & (!0 << 8)).into()),
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & (!0 << 80)).into()),
    };
    Some(network.to_string().into())
}
