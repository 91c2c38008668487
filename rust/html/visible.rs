//! The text of a link: what a reader sees of its content, and whether that is itself a URL.
//!
//! A content in or with SVG or `MathML` is none: what of it is text, only the tree knows. Nor is one
//! with a script, whose end depends on what it holds, or with `<plaintext>`, which nothing ends.

use super::comment::{closed_length, ends_name};
use super::syntax::{Attributes, Element, NameHash, raw_text_name};
use crate::charset::Charset;
use crate::link::{Link, Place};
use crate::reason::Reason;

/// A longer content is no URL: so much of it is looked at, and held back by a stream.
pub(crate) const MAX_CONTENT: usize = 16 << 10;

const PREFIXES: [&str; 3] = ["http://", "https://", "www."];
const LONGEST_PREFIX: usize = "https://".len();

/// Gives the links of a document their reason whose text is a URL.
pub(crate) fn spare_url_text(links: &mut [Link], html: &[u8], charset: Charset) {
    for link in links.iter_mut().filter(|link| link.reason.is_none()) {
        let Some(content) = &link.content else { continue };
        let content = html.get(content.0..).unwrap_or_default();
        if reads_as_url(content, link.place, charset, true) == Some(true) {
            link.reason = Some(Reason::UrlText);
        }
    }
}

/// Whether the content of a link, which goes on with the document, reads as a URL; `None` where
/// more of it must come first.
pub(crate) fn reads_as_url(
    content: &[u8],
    place: Place,
    charset: Charset,
    is_last: bool,
) -> Option<bool> {
    let (content, is_last) = match content.get(..MAX_CONTENT) {
        Some(most) => (most, false),
        None => (content, is_last),
    };
    let undecided = (content.len() >= MAX_CONTENT).then_some(false);
    let mut text = VisibleText::default();
    let mut at = 0;
    loop {
        let Some(piece) = Piece::read(content, at, is_last) else { return undecided };
        let end = match piece {
            Piece::Text(end) | Piece::Markup(end) => end,
            Piece::NoHtml => return Some(false),
            Piece::End => return Some(text.is_url()),
        };
        let bytes = content.get(at..end).unwrap_or_default();
        // The comment that the link stands in ends with the first `-->`, and so does its content.
        let closes = if place == Place::Comment { closed_length(bytes) } else { None };
        if matches!(piece, Piece::Text(_)) {
            let kept = closes.and_then(|end| bytes.get(..end)).map_or(bytes, |closed| {
                closed.strip_suffix(b"-->").or(closed.strip_suffix(b"--!>")).unwrap_or(closed)
            });
            if !text.add(&htmlize::unescape(charset.decode(kept))) {
                return Some(false);
            }
        }
        if closes.is_some() {
            return Some(text.is_url());
        }
        at = end;
    }
}

/// A piece of a link's content, and where it ends.
enum Piece {
    Text(usize),
    /// A tag or a comment, or an element whose text is not shown, up to its end tag.
    Markup(usize),
    /// SVG, `MathML`, a script or plaintext begins here.
    NoHtml,
    /// The content ends here.
    End,
}

impl Piece {
    /// Reads what begins at `at`; `None` where its end has not come yet.
    fn read(content: &[u8], at: usize, is_last: bool) -> Option<Self> {
        let rest = content.get(at..).unwrap_or_default();
        match memchr::memchr(b'<', rest) {
            None if !is_last => None,
            None if rest.is_empty() => Some(Self::End),
            None => Some(Self::Text(at + rest.len())),
            Some(0) => {
                let cut_off = || is_last.then(|| Self::cut_off(rest, at));
                Self::markup(content, at).or_else(cut_off)
            }
            Some(text) => Some(Self::Text(at + text)),
        }
    }

    /// What begins with a `<`; `None` where it has no end.
    fn markup(content: &[u8], at: usize) -> Option<Self> {
        let rest = content.get(at..)?;
        let (name_start, is_end) = match rest.get(1..)? {
            [b'!', b'-', b'-', text @ ..] => return Some(Self::Markup(comment_end(text, at)?)),
            [b'/', name, ..] if name.is_ascii_alphabetic() => (at + 2, true),
            [name, ..] if name.is_ascii_alphabetic() => (at + 1, false),
            [b'!' | b'/'] | [b'!', b'-'] | [] => return None,
            [b'!' | b'?' | b'/', ..] => {
                return Some(Self::Markup(at + memchr::memchr(b'>', rest)? + 1));
            }
            _ => return Some(Self::Text(at + 1)),
        };
        let mut tag = Attributes::of_tag(content, name_start)?;
        let end = tag.finish()?;
        let name = content.get(tag.name.clone())?;
        match Element::of(name, NameHash::read(content, &tag.name)) {
            Element::Anchor => return Some(Self::End),
            Element::Foreign | Element::Script | Element::Plaintext if !is_end => {
                return Some(Self::NoHtml);
            }
            _ => {}
        }
        let raw = if is_end { None } else { raw_text_name(name) };
        let Some(raw) = raw else { return Some(Self::Markup(end)) };
        let text = content.get(end..)?;
        let length = memchr::memmem::find_iter(text, b"</").find(|start| {
            let tag = text.get(start + "</".len()..).unwrap_or_default();
            tag.get(..raw.len()).is_some_and(|name| name.eq_ignore_ascii_case(raw))
                && tag.get(raw.len()).is_some_and(|byte| ends_name(*byte))
        })?;
        Some(Self::Markup(end + length))
    }

    /// What begins with a `<` and is not complete at the end of the document.
    fn cut_off(rest: &[u8], at: usize) -> Self {
        if matches!(rest, b"<" | b"</") { Self::Text(at + rest.len()) } else { Self::End }
    }
}

/// The offset behind a comment whose text begins four bytes behind `at`.
fn comment_end(text: &[u8], at: usize) -> Option<usize> {
    let empty = [b">".as_slice(), b"->"].into_iter().find(|end| text.starts_with(end));
    Some(at + "<!--".len() + empty.map_or_else(|| closed_length(text), |end| Some(end.len()))?)
}

/// Text as it comes, as far as it tells a URL from anything else.
#[derive(Default)]
struct VisibleText {
    /// What it begins with, in lower case.
    beginning: String,
    /// White space followed.
    ended: bool,
}

impl VisibleText {
    /// Adds text; whether it may still become a URL.
    fn add(&mut self, text: &str) -> bool {
        text.chars().all(|character| self.add_character(character))
    }

    fn add_character(&mut self, character: char) -> bool {
        if matches!(character, '\t' | '\n' | '\x0c' | '\r' | ' ' | '\u{a0}') {
            self.ended |= !self.beginning.is_empty();
            return true;
        }
        if self.beginning.len() < LONGEST_PREFIX {
            self.beginning.push(character.to_ascii_lowercase());
        }
        let begun = self.beginning.as_str();
        let begins = |prefix: &&str| prefix.starts_with(begun) || begun.starts_with(*prefix);
        !self.ended && PREFIXES.iter().any(begins)
    }

    fn is_url(&self) -> bool {
        PREFIXES.iter().any(|prefix| self.beginning.starts_with(prefix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::reader::scan;
    use proptest::prelude::*;

    fn charset() -> Charset {
        Charset::for_label(Some("utf-8")).unwrap()
    }

    /// Which links of a document are spared.
    fn spared(html: &str) -> Vec<bool> {
        let mut links = scan(html.as_bytes(), charset()).links;
        spare_url_text(&mut links, html.as_bytes(), charset());
        links.iter().map(|link| link.reason == Some(Reason::UrlText)).collect()
    }

    fn is_spared(content: &str) -> bool {
        spared(&format!("<a href='http://e.com/' class=x>{content}</a> tail"))[0]
    }

    #[test]
    fn a_text_that_is_a_url_is_spared() {
        for text in [
            "http://e.com/",
            "HTTPS://E.com/?a=1&b",
            "www.e.com",
            " \r\n www.e.com&nbsp;\u{a0} ",
            "<b>https:</b><wbr>//e.com<br>/x",
            "<!-- a b --><img alt='a b'><span title='>'>http&colon;//e&#46;com/</span>",
            "<style>a b</style><title>x y</title>www.e.com",
            "www.e.com<!-->",
            "www.\u{fc}.example",
        ] {
            assert!(is_spared(text), "{text}");
        }
    }

    #[test]
    fn any_other_text_is_not() {
        for text in [
            "", " ", "here", "e.com", "see http://e.com/", "http://e.com/ now", "www. e.com",
            "http:/", "ww.e.com", "ftp://e.com/", "<img src='http://e.com/'>",
            "<b title='http://e.com/'></b>", "<style>http://e.com/</style>", "www.e.com< x",
            "mailto:a@www.b.c",
        ] {
            assert!(!is_spared(text), "{text}");
        }
    }

    #[test]
    fn a_link_ends_at_its_end_tag_or_at_the_next_link() {
        assert_eq!(spared("<a href=http://e/>www.e<a href=http://e/>x"), [true, false]);
        assert_eq!(spared("<a href=http://e/>x</a>www.e</a>"), [false]);
        assert_eq!(spared("<a href=http://e/>www.e</A x='>'>y"), [true]);
        assert_eq!(spared("<a href=http://e/>www.e"), [true]);
        assert_eq!(spared("<a href=http://e/>www.e <b"), [true]);
        assert_eq!(spared("<a href=http://e/>www.e<"), [true]);
        assert_eq!(spared("<area href=http://e/>www.e</a>"), [false]);
        assert_eq!(spared("<v:rect href='http://e/'>www.e</v:rect>"), [false]);
    }

    #[test]
    fn a_link_in_or_with_what_is_read_in_another_way_is_not() {
        for html in [
            "<svg><a xlink:href=http://e/><text>www.e</text></a>",
            "<math><a href=http://e/><mi>www.e</a>",
            "<a href=http://e/><svg><title>x</title></svg>www.e</a>",
            "<a href=http://e/>www.e<MATH/></a>",
            "<a href=http://e/>www.e<plaintext></a>",
            "<a href=http://e/>www.e<script></script></a>",
        ] {
            assert_eq!(spared(html), [false], "{html}");
        }
        for html in [
            "<svg><desc><a href=http://e/>www.e</a>",
            "<svg></svg><a href=http://e/>www.e</svg></a><svg>",
        ] {
            assert_eq!(spared(html), [true], "{html}");
        }
    }

    #[test]
    fn a_link_in_a_comment_ends_with_it() {
        assert_eq!(spared("<!--[if mso]><a href=http://e/>www.e</a>y<![endif]-->"), [true]);
        assert_eq!(spared("<!--[if mso]><a href=http://e/>www.e<![endif]--> y</a>"), [true]);
        assert_eq!(spared("<!--[if mso]><a href=http://e/>www.e--> y</a>"), [true]);
        assert_eq!(spared("<!--[if mso]><a href=http://e/>www.e--!> y</a>"), [true]);
        assert_eq!(spared("<!--[if mso]><a href=http://e/>www.e<b x='--> y</a>"), [true]);
    }

    #[test]
    fn a_long_content_is_no_url() {
        let long = |length: usize| format!("www.e{}", "x".repeat(length - "www.e".len()));
        assert!(is_spared(&long(MAX_CONTENT - "</a>".len())));
        assert!(!is_spared(&long(MAX_CONTENT)));
    }

    #[test]
    fn other_reasons_come_first() {
        let html = "<a href=mailto:a@b.c>www.e</a><a href=http://e/ data-msys-clicktrack=0>www.e";
        assert_eq!(spared(html), [false, false]);
    }

    proptest! {
        #[test]
        fn what_is_decided_before_the_end_stays_so(pieces in prop::collection::vec(
            prop::sample::select(vec![
                "<b>", "</b", ">", "<!--", "-->", "<", "/", "a", " ", "www.", "http", "://", "e",
                "&#58", ";", "<style>", "</style>", "</a>", "<a ", "<svg", "'", "\"", "=", "!", "\u{e9}",
            ]), 0..12)
        ) {
            let content = pieces.concat();
            for place in [Place::Html, Place::Comment] {
                let whole = reads_as_url(content.as_bytes(), place, charset(), true);
                prop_assert!(whole.is_some());
                for end in 0..content.len() {
                    let early = reads_as_url(&content.as_bytes()[..end], place, charset(), false);
                    prop_assert!(early.is_none() || early == whole, "{end} of {content}");
                }
            }
        }
    }
}
