//! Revising: a plan whose links are not all what their sender made of them.

use std::collections::HashMap;

use super::content::{Change, Content, find_next_folds};
use super::{Hole, LeftAlone, Plan};
use crate::link::options::cut_name;
use crate::link::target;
use crate::reason::Reason;

/// What becomes of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revision {
    /// No copy wraps it.
    Veto,
    /// It leads there and goes by that name.
    Replace {
        /// An http or https URL with a host.
        target: String,
        /// Cut to 63 bytes.
        name: Option<String>,
    },
}

/// Why a plan was not revised.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevisionError {
    /// There is no such link.
    #[error("there is no link {number}: the plan has {count}")]
    NoLink {
        /// The link's number, from 0.
        number: usize,
        /// How many links there are.
        count: usize,
    },
    /// No browser could be sent there.
    #[error("link {number}: {target:?} is not an http or https URL with a host")]
    Target {
        /// The link's number, from 0.
        number: usize,
        /// Where it was to lead.
        target: String,
    },
}

impl<S: Clone> Plan<S> {
    /// The plan of the same message with some links changed, by their number in [`Plan::links`].
    ///
    /// A link that is vetoed is in `left_alone`, and those behind it move up.
    ///
    /// # Errors
    /// A change is of no link, or its target can't be wrapped.
    pub fn revise(&self, mut revisions: HashMap<usize, Revision>) -> Result<Self, RevisionError> {
        let mut plan = self.clone();
        let count = plan.links.len();
        if let Some(&number) = revisions.keys().find(|number| **number >= count) {
            return Err(RevisionError::NoLink { number, count });
        }
        let mut numbers = Vec::with_capacity(count);
        for (number, mut planned) in std::mem::take(&mut plan.links).into_iter().enumerate() {
            match revisions.remove(&number) {
                Some(Revision::Veto) => {
                    let (at, target) = (planned.at, Some(planned.link.target));
                    plan.left_alone.push(LeftAlone { at, reason: Reason::Vetoed, target });
                    numbers.push(None);
                    continue;
                }
                Some(Revision::Replace { target: wanted, name }) => {
                    planned.link.target = target::target(&wanted);
                    if target::check(&planned.link.target).is_err() {
                        return Err(RevisionError::Target { number, target: wanted });
                    }
                    planned.link.name = name.as_deref().and_then(cut_name);
                }
                None => {}
            }
            numbers.push(Some(plan.links.len()));
            plan.links.push(planned);
        }
        plan.left_alone.sort_by_key(|left| left.at.start);
        plan.renumber(&numbers);
        Ok(plan)
    }

    /// Gives each link's edit its new number; what has none is kept as it stands.
    fn renumber(&mut self, numbers: &[Option<usize>]) {
        let renumber = |change: &mut Change| {
            if let Change::Fill(Hole::Href(number)) = change {
                let new = numbers.get(*number).copied().flatten();
                *change = new.map_or(Change::Keep, |new| Change::Fill(Hole::Href(new)));
            }
        };
        for edit in &mut self.edits {
            match &mut edit.with {
                Content::Verbatim(change, line) => {
                    renumber(change);
                    line.fold = line.fold.filter(|_| *change != Change::Keep);
                }
                Content::QuotedPrintable(change, _) | Content::Unlimited(change, _) => {
                    renumber(change);
                }
                Content::Base64(body) => {
                    body.changes.iter_mut().for_each(|(_, change)| renumber(change));
                }
                Content::Dropped | Content::Signature => {}
            }
        }
        find_next_folds(&mut self.edits);
    }
}
