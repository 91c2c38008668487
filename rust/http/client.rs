//! Who fetched a link: the peer, or the client that a trusted proxy names.

use std::net::IpAddr;

/// A network of proxies that are believed.
#[derive(Clone, Copy, Debug)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

/// A text that is no network.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a network as in 10.0.0.0/8")]
pub struct NotANetwork;

impl std::str::FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, prefix) = text.split_once('/').ok_or(NotANetwork)?;
        let address: IpAddr = address.parse().map_err(|_| NotANetwork)?;
        let prefix = prefix.parse().map_err(|_| NotANetwork)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        if prefix > longest { Err(NotANetwork) } else { Ok(Self { address, prefix }) }
    }
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let differ = own.to_bits() ^ other.to_bits();
                differ.checked_shr(32 - self.prefix).unwrap_or(0) == 0
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let differ = own.to_bits() ^ other.to_bits();
                differ.checked_shr(128 - self.prefix).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// The right-most hop that is none of the trusted ones; `None` where that is not plain to see.
pub(super) fn find_client(
    peer: &str,
    forwarded_for: Option<&str>,
    trusted: &[Network],
) -> Option<Box<str>> {
    if trusted.is_empty() {
        return Some(peer.into());
    }
    let mut hop = parse(peer)?;
    let mut entries = forwarded_for.into_iter().flat_map(|value| value.rsplit(','));
    while trusted.iter().any(|network| network.contains(hop)) {
        let Some(entry) = entries.next() else { break };
        // Ports, brackets, zones and words: see `tracking/client.py`.
        hop = parse(entry.trim_matches(' '))?;
    }
    Some(hop.to_string().into())
}

/// An address; IPv4 as a socket of IPv6 shows it is IPv4 again.
fn parse(text: &str) -> Option<IpAddr> {
    text.parse().ok().map(|address: IpAddr| address.to_canonical())
}
