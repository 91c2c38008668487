//! Recipes: all that decides about the copies of a message but who reads them.
//!
//! A server makes one for thousands of messages with the same options, so that a copy costs no
//! conversions of what is the same in all of them.

use crate::plan::{Insertion, InsertionError, Plan, Rules};
use crate::reason::{Reason, Reasons};
use crate::token::{Engagement, KeyRing, RecipientType};
use crate::tracked::{Rendered, TrackedPlan, TrackedUrls};

/// How copies are made.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// What may be touched.
    pub rules: Rules,
    /// Where links lead.
    pub urls: TrackedUrls,
    /// What all links say; what it says of the reader, the ids and the time is not used.
    pub engagement: Engagement,
    /// The names of header fields that go.
    pub dropped: Vec<Vec<u8>>,
    /// Whether the URLs of AMP parts are tracked.
    pub tracks_amp: bool,
    /// How many bytes longer than its message a tracked copy may be.
    pub max_growth: usize,
}

/// One reader's copy, and what became of it.
#[derive(Debug)]
pub struct Copy {
    /// Its edits.
    pub rendered: Rendered,
    /// Whether anything is tracked.
    pub is_tracked: bool,
    /// Why something was left alone.
    pub reasons: Reasons,
}

/// Whose copy it is, and what tells it from all others.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'r> {
    /// The address that opens and clicks are counted for.
    pub address: &'r str,
    /// How the reader was addressed.
    pub recipient_type: RecipientType,
    /// When the message was injected, in Unix seconds.
    pub injected_at: u64,
    /// The copy's own id, in every event of it.
    pub message_id: &'r str,
    /// The same for all copies of a message; 0 for none.
    pub transmission_id: u64,
}

impl Recipe {
    fn tracks(&self) -> bool {
        self.engagement.open_tracking || self.engagement.click_tracking
    }

    /// Plans a message; one whose body stays is not scanned.
    #[must_use]
    pub fn plan<S: AsRef<[u8]>>(&self, message: S) -> TrackedPlan<S> {
        let dropped: Vec<&[u8]> = self.dropped.iter().map(Vec::as_slice).collect();
        TrackedPlan::new(if self.tracks() || self.rules.strip_text_options {
            Plan::new(message, &self.rules, &dropped)
        } else {
            Plan::of_header(message, &dropped)
        })
    }

    /// Fills in one reader's copy of a message that was planned by this recipe, or by one with the
    /// same rules.
    ///
    /// # Errors
    /// An insertion has a place where nothing can be put in.
    pub fn render<S: AsRef<[u8]>>(
        &self,
        plan: &TrackedPlan<S>,
        keys: &KeyRing,
        reader: &Reader<'_>,
        insertions: &[Insertion<'_>],
    ) -> Result<Copy, InsertionError> {
        let mut engagement = Engagement {
            message_id: reader.message_id.to_owned(),
            transmission_id: reader.transmission_id,
            injected_at: reader.injected_at,
            recipient: reader.address.to_owned(),
            recipient_type: reader.recipient_type,
            amp_enabled: self.tracks_amp && plan.plan().has_amp(),
            ..self.engagement.clone()
        };
        let rendered =
            plan.render_within(self.max_growth, keys, &engagement, &self.urls, insertions)?;
        if !self.tracks() {
            let reasons = Reasons::from_iter([Reason::TrackingOff]);
            return Ok(Copy { rendered, is_tracked: false, reasons });
        }
        let longest = plan.plan().source().len().saturating_add(self.max_growth);
        if rendered.rendering.length() > longest {
            (engagement.open_tracking, engagement.click_tracking) = (false, false);
            let rendered = plan.render(keys, &engagement, &self.urls, insertions)?;
            let reasons = Reasons::from_iter([Reason::TooMuchGrowth]);
            return Ok(Copy { rendered, is_tracked: false, reasons });
        }
        let left_alone = rendered.rendering.left_alone.iter().map(|left| left.reason);
        let reasons = plan.reasons().with(left_alone);
        Ok(Copy { rendered, is_tracked: true, reasons })
    }
}

#[cfg(test)]
#[path = "recipe_tests.rs"]
mod tests;
