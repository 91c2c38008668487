//! Text: where links are in plain text, as ranges of the bytes it was given.
//!
//! A link starts with `http://` or `https://` and ends where a reader would end it. What its
//! sender asks for it stands right behind it: `http://e.com[[data-msys-clicktrack="0"]]`.

use std::ops::Range;

use crate::charset::Charset;
use crate::edit::{PartOffset, PartRange};
use crate::link::options::Options;
use crate::link::{Link, Place, target};
use crate::reason::Reason;

/// What was found, in the order of the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextScan {
    /// Links, those to leave among them.
    pub links: Vec<Link>,
    /// `[[data-msys-…]]`, which no reader should see.
    pub options: Vec<PartRange>,
}

/// How the lines of a text are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// As they stand.
    Fixed,
    /// A space before a line break joins lines and is dropped (RFC 3676 §4.1, `DelSp`).
    JoinedWithoutSpace,
}

/// Armour in which no byte may change (RFC 9580 §6.2), and why it is left.
const ARMOUR: [(&[u8], Reason); 2] = [
    (b"-----BEGIN PGP SIGNED MESSAGE-----", Reason::SignedPart),
    (b"-----BEGIN PGP MESSAGE-----", Reason::EncryptedPart),
];

/// Scans a text, as it stands after transfer decoding.
///
/// # Errors
/// [`Reason::SignedPart`] or [`Reason::EncryptedPart`] for a text in `OpenPGP`'s armour.
pub fn scan(text: &[u8], charset: Charset, flow: Flow) -> Result<TextScan, Reason> {
    for (armour, reason) in ARMOUR {
        let mut found = memchr::memmem::find_iter(text, armour);
        if found.any(|at| at == 0 || text.get(at - 1) == Some(&b'\n')) {
            return Err(reason);
        }
    }
    let mut scan = TextScan::default();
    let mut from = 0;
    for colon in memchr::memmem::find_iter(text, b"://") {
        if colon < from {
            continue;
        }
        from = match Candidate::at(text, charset, from, colon) {
            Some(candidate) => scan.note(text, charset, flow, candidate),
            None => colon + "://".len(),
        };
    }
    Ok(scan)
}

impl TextScan {
    /// Notes a link, or why it stays; returns where the text goes on.
    fn note(&mut self, text: &[u8], charset: Charset, flow: Flow, candidate: Candidate) -> usize {
        let Candidate { url, options, end, is_split } = candidate;
        if end > url.end {
            self.options.push(PartOffset(url.end)..PartOffset(end));
        }
        let target = charset.decode(text.get(url.clone()).unwrap_or_default()).into_owned();
        let after = text.get(end..).unwrap_or_default();
        let goes_on = flow == Flow::JoinedWithoutSpace
            && (after.starts_with(b" \n") || after.starts_with(b" \r\n"));
        let reason = if options.opted_out() {
            Some(Reason::OptedOut)
        } else if goes_on || is_split {
            Some(Reason::SplitLink)
        } else {
            target::check(&target).err()
        };
        self.links.push(Link {
            href: PartOffset(url.start)..PartOffset(url.end),
            fold: None,
            target,
            name: None,
            unsubscribes: options.unsubscribes(),
            sublink: options.sublink(),
            place: Place::Text,
            content: None,
            foreign_opt_out: false,
            reason,
        });
        end
    }
}

/// A URL, and what stands right behind it.
struct Candidate {
    url: Range<usize>,
    options: Options,
    end: usize,
    /// It goes on in the next line.
    is_split: bool,
}

impl Candidate {
    /// The URL whose `://` is at `colon`; characters begin at `from`.
    fn at(text: &[u8], charset: Charset, from: usize, colon: usize) -> Option<Self> {
        let before = text.get(from..colon)?;
        let protocol = ["https", "http"].into_iter().find(|protocol| {
            let start = before.len().checked_sub(protocol.len());
            let name = start.and_then(|start| before.get(start..));
            name.is_some_and(|name| name.eq_ignore_ascii_case(protocol.as_bytes()))
        })?;
        let start = colon - protocol.len();
        let rest = colon + "://".len();
        let before = text.get(from..start)?;
        if !begins_word(before, charset) {
            return None;
        }
        let whole = rest + url_length(text.get(rest..)?, charset);
        let (options, options_end) = read_options_behind(text, whole);
        let (url_end, end) = if options_end > whole {
            (whole, options_end)
        } else {
            let url_end = rest + length_without_punctuation(text.get(rest..whole)?, before);
            (url_end, url_end)
        };
        let is_split = is_split_in_brackets(text, start, options_end);
        (url_end > rest).then_some(Self { url: start..url_end, options, end, is_split })
    }
}

/// Whether a URL that follows is not of another scheme (`git+http://`) or the end of a word.
fn begins_word(before: &[u8], charset: Charset) -> bool {
    let last = if charset.has_ascii_in_characters() {
        charset.decode(before).chars().next_back()
    } else {
        before.last().copied().map(char::from)
    };
    // A character that is cut here has the first letter of what looks like a URL.
    last.is_none_or(|last| {
        !last.is_ascii_alphanumeric() && !matches!(last, '+' | char::REPLACEMENT_CHARACTER)
    })
}

/// How much of the text belongs to a URL, before what ends a sentence is taken off.
fn url_length(text: &[u8], charset: Charset) -> usize {
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        at += match rest {
            [] | [b'[', b'[', ..] => break,
            [byte @ (..=b'\x7f'), ..] if is_beyond_url(*byte) => break,
            [(..=b'\x7f'), ..] => 1,
            _ => match charset.character(rest) {
                Some((character, length)) if !ends_url(character) => length,
                _ => break,
            },
        };
    }
    at
}

/// White space, brackets and quotes around a URL, the bar of a table, and the mark of code.
fn is_beyond_url(byte: u8) -> bool {
    matches!(byte, b'\0'..=b' ' | b'\x7f' | b'<' | b'>' | b'"' | b'|' | b'`')
}

/// White space, and punctuation of scripts that put no space behind it.
fn ends_url(character: char) -> bool {
    character.is_whitespace()
        || character.is_control()
        || matches!(character,
            '\u{ab}' | '\u{bb}'
            | '\u{200b}'
            | '\u{2010}'..='\u{205e}'
            | '\u{3000}'..='\u{303f}'
            | '\u{ff01}'..='\u{ff0f}'
            | '\u{ff1a}'..='\u{ff20}'
            | '\u{ff3b}'..='\u{ff40}'
            | '\u{ff5b}'..='\u{ff65}'
            | '\u{fffd}')
}

/// Whether a URL from `start` to `end` stands in angle brackets and goes on in the next line: there
/// line breaks belong to the brackets, not to the URL (RFC 3986, appendix C).
fn is_split_in_brackets(text: &[u8], start: usize, end: usize) -> bool {
    let before = text.get(..start).unwrap_or_default();
    let prefix = before.len().saturating_sub(b"URL:".len());
    let before = match before.split_at_checked(prefix) {
        Some((before, prefix)) if prefix.eq_ignore_ascii_case(b"URL:") => before,
        _ => before,
    };
    if !before.trim_ascii_end().ends_with(b"<") {
        return false;
    }
    let after = text.get(end..).unwrap_or_default();
    let blank = after.len() - after.trim_ascii_start().len();
    let mut breaks = after.iter().take(blank).filter(|byte| **byte == b'\n');
    if breaks.next().is_none() || breaks.next().is_some() {
        return false;
    }
    let next = memchr::memchr2(b'<', b'>', after);
    next.is_some_and(|next| after.get(next) == Some(&b'>'))
}

/// Marks that stand on both sides of what they emphasise.
const EMPHASIS: [u8; 3] = *b"*_~";

/// The length of a URL without the punctuation of the sentence around it, and without the marks
/// that close what those right `before` it have opened.
fn length_without_punctuation(url: &[u8], before: &[u8]) -> usize {
    let count = |byte: u8| memchr::memchr_iter(byte, url).count();
    let mut brackets = [(b'(', b')'), (b'[', b']'), (b'{', b'}')]
        .map(|(open, close)| (close, count(close).saturating_sub(count(open))));
    let opening = before.iter().rev().take_while(|byte| EMPHASIS.contains(byte));
    let mut marks =
        EMPHASIS.map(|mark| (mark, opening.clone().filter(|byte| **byte == mark).count()));
    let mut length = url.len();
    while let Some(last) = length.checked_sub(1).and_then(|last| url.get(last)) {
        let mut surplus = brackets.iter_mut().chain(&mut marks);
        match surplus.find(|(close, left)| close == last && *left > 0) {
            Some((_, left)) => *left -= 1,
            None if b".,;:!?'".contains(last) => {}
            None => break,
        }
        length -= 1;
    }
    length
}

/// The options right behind a URL, and where the last of them ends.
fn read_options_behind(text: &[u8], url_end: usize) -> (Options, usize) {
    let (mut options, mut end) = (Options::default(), url_end);
    while let Some(length) = text.get(end..).and_then(|rest| read_options(rest, &mut options)) {
        end += length;
    }
    (options, end)
}

/// Longer text in brackets is not read as options.
const MAX_OPTIONS: usize = 512;

/// Reads `[[name="value" …]]` and returns its length; `None` if anything in it is not ours.
fn read_options(text: &[u8], options: &mut Options) -> Option<usize> {
    let inside = text.strip_prefix(b"[[")?;
    let inside = inside.get(..MAX_OPTIONS.min(inside.len()))?;
    let length = memchr::memmem::find(inside, b"]]")?;
    let mut rest = std::str::from_utf8(inside.get(..length)?).ok()?.trim_ascii();
    let mut read = options.clone();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=')?;
        let after = after.trim_ascii_start();
        let quote = after.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        let (value, after) = after.get(1..)?.split_once(quote)?;
        read.attribute(name.trim_ascii_end().as_bytes())?.get_or_insert_with(|| value.to_owned());
        rest = after.trim_ascii_start();
    }
    if read == *options {
        return None;
    }
    *options = read;
    Some("[[".len() + length + "]]".len())
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
