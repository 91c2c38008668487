//! Rules: what of a message may be touched, the same for all messages of one configuration.

use crate::link::{Link, Place};
use crate::names::names;
use crate::reason::Reason;

/// What may be touched.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent options")]
pub struct Rules {
    /// What becomes of a message that is signed on entry.
    pub signed_mail: SignedMail,
    /// Whether links that Outlook alone shows are wrapped.
    pub outlook_links: bool,
    /// Whether links in plain text are wrapped.
    pub text_links: bool,
    /// Whether `data-msys-*` attributes stay in a copy whose clicks are tracked.
    pub keep_link_attributes: bool,
    /// Targets that are never wrapped.
    pub never_wrap: Vec<Pattern>,
    /// Whether a line may be broken before an `href` that would make it too long.
    pub fold_long_lines: bool,
    /// Whether other products' attributes keep a link from being wrapped.
    pub foreign_opt_outs: bool,
    /// Whether a link stays whose visible text is a URL.
    pub spare_url_text: bool,
    /// Whether `[[data-msys-…]]` goes also from copies that are not tracked.
    pub strip_text_options: bool,
    /// What the open pixel replaces, if the HTML has it.
    pub pixel_placeholder: Option<String>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            signed_mail: SignedMail::Skip,
            outlook_links: true,
            text_links: true,
            keep_link_attributes: false,
            never_wrap: Vec::new(),
            fold_long_lines: true,
            foreign_opt_outs: false,
            spare_url_text: false,
            strip_text_options: false,
            pixel_placeholder: None,
        }
    }
}

impl Rules {
    /// Why a link may not be wrapped, if it may not.
    #[must_use]
    pub fn refuse_link(&self, link: &Link) -> Option<Reason> {
        if self.foreign_opt_outs && link.foreign_opt_out {
            return Some(Reason::OptedOut);
        }
        if link.reason.is_some() {
            return link.reason;
        }
        if !self.reach(link.place) {
            let is_text = link.place == Place::Text;
            return Some(if is_text { Reason::TextLinksOff } else { Reason::OutlookLinksOff });
        }
        let is_refused = self.never_wrap.iter().any(|pattern| pattern.fits(&link.target));
        is_refused.then_some(Reason::NeverWrap)
    }

    /// Whether anything at such a place may be changed.
    #[must_use]
    pub fn reach(&self, place: Place) -> bool {
        match place {
            Place::Html | Place::Amp => true,
            Place::Vml | Place::Comment => self.outlook_links,
            Place::Text => self.text_links,
        }
    }
}

names! {
    /// What becomes of a message with `DKIM-Signature` or `ARC-Seal`: a changed body voids them.
    SignedMail {
        /// It is not changed.
        Skip = "skip",
        /// The signatures are taken off copies that are changed.
        Strip = "strip",
        /// It is changed, and keeps the signatures that no longer hold.
        Track = "track",
    }
}

/// A pattern over a whole target; `*` fits any run of characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    first: String,
    later: Vec<String>,
}

/// A pattern that fits nothing.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a pattern is empty; `*` fits every target")]
pub struct PatternError;

impl Pattern {
    /// Reads a pattern; everything in it but `*` stands for itself, ASCII letters in any case.
    ///
    /// # Errors
    /// [`PatternError`] for an empty one.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError);
        }
        let text = text.to_ascii_lowercase();
        let mut literals = text.split('*').map(str::to_owned);
        let first = literals.next().unwrap_or_default();
        Ok(Self { first, later: literals.collect() })
    }

    /// Whether a whole target fits; each literal is looked for once, so the time is linear.
    #[must_use]
    pub fn fits(&self, target: &str) -> bool {
        let target = target.to_ascii_lowercase();
        let Some((last, inner)) = self.later.split_last() else {
            return target == self.first;
        };
        let Some(mut rest) = target.strip_prefix(&self.first) else { return false };
        for literal in inner {
            match rest.split_once(literal.as_str()) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
        rest.ends_with(last.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fits(pattern: &str, target: &str) -> bool {
        Pattern::parse(pattern).unwrap().fits(target)
    }

    #[test]
    fn a_pattern_is_about_the_whole_target() {
        assert!(fits("https://shop.test/*", "HTTPS://Shop.test/a?b"));
        assert!(fits("*://*.bank.test/*/reset?*", "https://my.bank.test/en/reset?t=1"));
        assert!(fits("*", ""));
        assert!(fits("http://e.com/?a=[b]", "http://e.com/?a=[b]"));
        for (pattern, target) in [
            ("https://shop.test/", "https://shop.test/a"),
            ("shop.test", "https://shop.test"),
            ("https://e.com/?", "https://e.com/a"),
            ("*ab*ba*", "xaba"),
            ("a*a", "a"),
        ] {
            assert!(!fits(pattern, target), "{pattern} {target}");
        }
    }

    #[test]
    fn an_empty_pattern_is_none() {
        assert_eq!(Pattern::parse(""), Err(PatternError));
    }

    fn naive(pattern: &[u8], target: &[u8]) -> bool {
        match (pattern.split_first(), target.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), None) => naive(rest, target),
            (Some((b'*', rest)), Some((_, after))) => naive(rest, target) || naive(pattern, after),
            (Some((a, rest)), Some((b, after))) => a == b && naive(rest, after),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn it_fits_what_a_search_by_trial_finds(pattern in "[ab*]{1,6}", target in "[ab]{0,8}") {
            prop_assert_eq!(fits(&pattern, &target), naive(pattern.as_bytes(), target.as_bytes()));
        }
    }
}
