//! Which keys open the links of a host: tenants that share a tracker have keys of their own.

use std::collections::HashMap;
use std::sync::Arc;

use crate::token::KeyRing;

/// Key rings by host, and one for all other hosts.
#[derive(Debug)]
pub struct Rings {
    others: Arc<KeyRing>,
    by_host: HashMap<String, Arc<KeyRing>>,
}

impl Rings {
    /// `by_host` has names in lower case, without port and final dot.
    #[must_use]
    pub const fn new(others: Arc<KeyRing>, by_host: HashMap<String, Arc<KeyRing>>) -> Self {
        Self { others, by_host }
    }

    /// The ring of the value of a `Host` field.
    pub(super) fn of(&self, host: &[u8]) -> &KeyRing {
        if self.by_host.is_empty() {
            return &self.others;
        }
        let name = name_of(host).to_ascii_lowercase();
        let name = std::str::from_utf8(&name).unwrap_or_default();
        self.by_host.get(name).unwrap_or(&self.others)
    }
}

/// The name in the value of a `Host` field, without port and final dot.
fn name_of(host: &[u8]) -> &[u8] {
    let name = if host.starts_with(b"[") {
        let end = memchr::memchr(b']', host).map_or(host.len(), |end| end + 1);
        host.get(..end).unwrap_or(host)
    } else {
        host.split(|byte| *byte == b':').next().unwrap_or(host)
    };
    name.strip_suffix(b".").unwrap_or(name)
}
