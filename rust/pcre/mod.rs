//! Patterns as PCRE writes them, matched in linear time by the `regex` crate.
//!
//! The two read most patterns alike. What PCRE reads otherwise is translated. What a linear engine
//! can't do, above all looking around and referring back, is an error that names it: a pattern that
//! silently means something else would decide mail wrongly.

use regex::{Regex, RegexBuilder};
use std::ops::Range;
use thiserror::Error;

#[cfg(test)]
mod tests;
mod translate;

/// Most bytes of a compiled pattern; it bounds the time that a byte of the subject takes.
const MAX_COMPILED: usize = 256 << 10;
/// Most bytes of the cache that the lazy automaton of one pattern keeps.
const MAX_CACHE: usize = 256 << 10;
/// Most bytes of a pattern.
const MAX_PATTERN: usize = 16 << 10;
/// Most levels of groups in each other.
const MAX_NESTING: u32 = 100;

/// Why a pattern can't be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PatternError {
    /// PCRE has it and a linear engine does not.
    #[error("{what} at offset {offset}: this engine takes linear time and can't do that")]
    Unsupported {
        /// The construct.
        what: &'static str,
        /// Where it begins, in bytes of the pattern.
        offset: usize,
    },
    /// The pattern is too long, or takes too much memory when compiled.
    #[error("the pattern is too large: {0}")]
    TooLarge(String),
    /// It is no pattern in PCRE either.
    #[error("{0}")]
    Syntax(String),
}

/// A compiled pattern.
#[derive(Debug)]
pub struct Pattern {
    regex: Regex,
}

impl Pattern {
    /// Compiles a pattern in PCRE's syntax.
    ///
    /// # Errors
    ///
    /// The pattern is wrong, too large, or needs what a linear engine can't do.
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        if pattern.len() > MAX_PATTERN {
            return Err(PatternError::TooLarge(format!(
                "{} bytes, at most {MAX_PATTERN}",
                pattern.len()
            )));
        }
        let translated = translate::translate(pattern)?;
        RegexBuilder::new(&translated)
            .size_limit(MAX_COMPILED)
            .dfa_size_limit(MAX_CACHE)
            .nest_limit(MAX_NESTING)
            .build()
            .map(|regex| Self { regex })
            .map_err(|error| match error {
                regex::Error::CompiledTooBig(_) => PatternError::TooLarge(format!(
                    "more than {MAX_COMPILED} bytes when compiled; use smaller counts"
                )),
                regex::Error::Syntax(text) => PatternError::Syntax(last_line(&text)),
                other => PatternError::Syntax(other.to_string()),
            })
    }

    /// The names of the groups, the whole match first, which has none.
    pub fn names(&self) -> impl Iterator<Item = Option<&str>> {
        self.regex.capture_names()
    }

    /// Finds the first match that begins at `start` or later: for each group, its range in bytes.
    ///
    /// `start` is the end of an earlier match, or 0. None if there is no match, or `start` is not
    /// between two characters of the subject.
    #[must_use]
    pub fn find(&self, subject: &str, start: usize) -> Option<Vec<Option<Range<usize>>>> {
        if !subject.is_char_boundary(start) {
            return None;
        }
        let found = self.regex.captures_at(subject, start)?;
        Some(found.iter().map(|group| group.map(|group| group.range())).collect())
    }
}

/// The crate draws the pattern over several lines and says what is wrong in the last.
fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}
