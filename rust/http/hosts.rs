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

    /// The ring of a host, without port and final dot.
    pub(super) fn of(&self, host: &str) -> &KeyRing {
        if self.by_host.is_empty() {
            return &self.others;
        }
        self.by_host.get(&host.to_ascii_lowercase()).unwrap_or(&self.others)
    }
}
