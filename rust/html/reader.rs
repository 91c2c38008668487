//! The reader: links and places of pixels, token by token, in one piece or in many.
//!
//! It is the tokenizer of the HTML Standard ("Tokenization") with the elements that hold text. In
//! foreign content `lol_html` tells it what the tree decides. Scripting is off, as in every mail
//! client, so `<noscript>` is markup. What a document holds is found while its end has
//! not come yet, so the plan and the stream have one reader, and can't disagree.

use super::comment::{begins_condition, closed_length, ends_name};
use super::found::HtmlScan;
use super::spoilers::{self, Opened, Spoilers};
use super::syntax::{Attributes, Element, NameHash, TagState, raw_text_name};
use super::tag::LinkTag;
use super::tree::{Namespace, Tree};
use crate::charset::Charset;
use crate::edit::{PartOffset, PartRange};
use crate::link::{Link, Place};
use std::ops::Range;

/// Scans an HTML document or fragment, as it stands after transfer decoding.
#[must_use]
pub fn scan(html: &[u8], charset: Charset) -> HtmlScan {
    let mut reader = Reader::new(charset, usize::MAX);
    let read = reader.read(html, true);
    let pixel = reader.pixel(html.get(read..).unwrap_or_default());
    HtmlScan {
        pixel: pixel.map(PartOffset),
        initial_pixel: reader.body_end.map(PartOffset),
        ..reader.found
    }
}

/// What follows is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Markup,
    /// The text of an element with that name, which its end tag alone ends.
    Text(&'static [u8]),
    Script(Escape),
    /// The end tag of an element that held text.
    EndOfText,
    Plaintext,
    Comment,
    /// A comment that only the next `>` ends, or a doctype.
    Declaration,
    CharacterData,
    /// A tag that is too long to be held.
    Tag(TagState),
}

/// How much of what looks like a tag in a script is text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    None,
    /// Behind a `<!--`.
    Once,
    /// Behind a `<script` behind that: an end tag leads back.
    Twice,
}

/// The end of what can be read now: the offset of what is not complete yet.
struct Incomplete(usize);

type Step = Result<usize, Incomplete>;

/// Reads a document from its start; what was read need not be kept.
pub(crate) struct Reader {
    charset: Charset,
    /// A longer tag or conditional comment is passed over.
    longest: usize,
    content: Content,
    /// What the tag that is passed over was.
    long_tag: Option<LongTag>,
    tree: Tree,
    spoilers: Spoilers,
    body_end_seen: bool,
    is_last: bool,
    /// A comment in a comment has no condition.
    in_comment: bool,
    /// Where the next byte to be read stands in the document.
    offset: usize,
    /// Behind the first `<body>` tag.
    pub(crate) body_end: Option<usize>,
    /// Where the pixel would go by what was read so far, if it goes before an end tag.
    pub(crate) end_tag_place: Option<usize>,
    /// What starts before can't have a pixel before it any more.
    pub(crate) kept_from: usize,
    /// Links and attributes since they were taken last. Their offsets are in what `read` was given.
    pub(crate) found: HtmlScan,
    /// Where a link or a conditional comment was passed over for its length, in what `read` was
    /// given.
    pub(crate) passed_over: Option<usize>,
}

#[derive(Debug)]
struct LongTag {
    at: usize,
    name: Vec<u8>,
    is_end: bool,
}

impl Reader {
    pub(crate) fn new(charset: Charset, longest: usize) -> Self {
        Self {
            charset,
            longest,
            content: Content::Markup,
            long_tag: None,
            tree: Tree::default(),
            spoilers: Spoilers::default(),
            body_end_seen: false,
            is_last: false,
            in_comment: false,
            offset: 0,
            body_end: None,
            end_tag_place: None,
            kept_from: 0,
            found: HtmlScan::default(),
            passed_over: None,
        }
    }

    /// Reads what follows what was read so far, and returns how much of it: the rest must be given
    /// again, with more behind it. The last piece is read whole.
    pub(crate) fn read(&mut self, html: &[u8], is_last: bool) -> usize {
        self.is_last = is_last;
        let mut at = 0;
        loop {
            let step = match self.content {
                Content::Markup => self.markup(html, at),
                Content::Text(name) => self.text(html, at, name),
                Content::Script(escape) => self.script(html, at, escape),
                Content::EndOfText => self.token(html, at),
                Content::Plaintext => Err(Incomplete(html.len())),
                Content::Comment => self.comment_end(html, at),
                Content::Declaration => self.up_to(html, at, b">"),
                Content::CharacterData => self.up_to(html, at, b"]]>"),
                Content::Tag(state) => self.long_tag(html, at, state),
            };
            match step {
                Ok(next) => at = next,
                Err(Incomplete(end)) => {
                    self.offset += end;
                    return end;
                }
            }
        }
    }

    /// Where the pixel goes in a document that ends with what `read` did not read.
    pub(crate) fn pixel(&self, rest: &[u8]) -> Option<usize> {
        // In front of a pixel's line break, a `<` is text.
        let ends_in_markup = self.content == Content::Markup && matches!(rest, [] | [b'<']);
        let end = || ends_in_markup.then(|| self.place(self.offset + rest.len()));
        self.end_tag_place.or_else(end)
    }

    /// From where on what was read must be kept, since the pixel may go there.
    pub(crate) fn keep_from(&self) -> Option<usize> {
        // The lowest of all may be closed before.
        let spoiler = self.spoilers.lowest(self.kept_from.max(self.body_end.unwrap_or(0)));
        [self.end_tag_place, spoiler].into_iter().flatten().min()
    }

    /// Before the lowest spoiler that is open, or where it would have gone.
    fn place(&self, candidate: usize) -> usize {
        self.visible_spoiler().unwrap_or(candidate)
    }

    /// The place of the lowest spoiler, if that can be seen.
    fn visible_spoiler(&self) -> Option<usize> {
        let lowest = self.spoilers.lowest(0)?;
        let is_seen = self.body_end.is_none_or(|end| lowest >= end);
        if is_seen { self.spoilers.lowest(self.kept_from) } else { None }
    }

    fn markup(&mut self, html: &[u8], mut at: usize) -> Step {
        while let Some(start) = memchr::memchr(b'<', html.get(at..).unwrap_or_default()) {
            at += start;
            at = self.token(html, at)?;
            if self.content != Content::Markup {
                return Ok(at);
            }
        }
        Err(Incomplete(html.len()))
    }

    /// Reads what begins with a `<`.
    fn token(&mut self, html: &[u8], at: usize) -> Step {
        let rest = html.get(at..).unwrap_or_default();
        match rest.get(1..).unwrap_or_default() {
            [b'!', b'-', b'-', ..] => self.comment(html, at),
            [] | [b'/' | b'!'] | [b'!', b'-'] => Err(Incomplete(at)),
            [b'!', b'[', ..] if self.tree.is_open() => self.section(html, at),
            [b'/', b'>', ..] => Ok(at + "</>".len()),
            [b'/', name, ..] if name.is_ascii_alphabetic() => self.tag(html, at),
            [b'!' | b'?', ..] | [b'/', _, ..] => {
                self.content = Content::Declaration;
                Ok(at + "<!".len())
            }
            [name, ..] if name.is_ascii_alphabetic() => self.tag(html, at),
            [_, ..] => Ok(at + 1),
        }
    }

    /// A CDATA section in foreign content; anywhere else a comment.
    fn section(&mut self, html: &[u8], at: usize) -> Step {
        let start = b"<![CDATA[";
        let rest = html.get(at..).unwrap_or_default();
        if rest.len() < start.len() && start.starts_with(rest) {
            return Err(Incomplete(at));
        }
        let is_data = rest.starts_with(start) && self.tree.namespace() != Namespace::Html;
        self.content = if is_data { Content::CharacterData } else { Content::Declaration };
        Ok(at + if is_data { start.len() } else { "<!".len() })
    }

    /// Passes over everything up to the end of a mark, behind which markup goes on.
    fn up_to(&mut self, html: &[u8], at: usize, mark: &[u8]) -> Step {
        let rest = html.get(at..).unwrap_or_default();
        let Some(end) = memchr::memmem::find(rest, mark) else {
            // Its beginning may stand at the end.
            return Err(Incomplete(at.max((html.len() + 1).saturating_sub(mark.len()))));
        };
        self.content = Content::Markup;
        Ok(at + end + mark.len())
    }

    fn comment(&mut self, html: &[u8], at: usize) -> Step {
        let start = at + "<!--".len();
        let text = html.get(start..).unwrap_or_default();
        if let Some(empty) = [b">".as_slice(), b"->"].iter().find(|end| text.starts_with(end)) {
            return Ok(start + empty.len());
        }
        let is_condition = match text {
            [b'[', b'i', b'f', next, ..] => !self.in_comment && begins_condition(*next),
            _ => false,
        };
        if let Some(length) = closed_length(text) {
            if is_condition {
                self.conditional(html, at..start + length);
            }
            return Ok(start + length);
        }
        if self.is_last {
            if is_condition {
                self.conditional(html, at..html.len());
            }
            self.content = Content::Comment;
            return Err(Incomplete(html.len()));
        }
        // As much as may hold `[if` or the end of an empty comment.
        let known = "[if ".len();
        if text.len() < known || is_condition && text.len() <= self.longest {
            return Err(Incomplete(at));
        }
        if is_condition {
            self.passed_over = Some(at);
        }
        self.content = Content::Comment;
        Ok(start)
    }

    /// The end of a comment that is not read; its last bytes are looked at again.
    fn comment_end(&mut self, html: &[u8], at: usize) -> Step {
        let text = html.get(at..).unwrap_or_default();
        if let Some(length) = closed_length(text) {
            self.content = Content::Markup;
            return Ok(at + length);
        }
        Err(Incomplete(at.max(html.len().saturating_sub("--!".len()))))
    }

    /// Reads a conditional comment's text, which Outlook takes for markup.
    fn conditional(&mut self, html: &[u8], at: Range<usize>) {
        let text = interior(html, at);
        let inner = html.get(text.clone()).unwrap_or_default();
        if !may_hold_link(inner) {
            return;
        }
        let mut reader = Self { in_comment: true, ..Self::new(self.charset, usize::MAX) };
        reader.read(inner, true);
        let HtmlScan { links, attributes, .. } = reader.found;
        let shift = |at: PartOffset| PartOffset(text.start + at.0);
        let moved = |range: PartRange| shift(range.start)..shift(range.end);
        let place = Place::Comment;
        self.found.links.extend(links.into_iter().map(|link| Link {
            href: moved(link.href.clone()),
            fold: link.fold.map(shift),
            content: link.content.map(shift),
            place,
            ..link
        }));
        let attributes = attributes.into_iter().map(|(range, _)| (moved(range), place));
        self.found.attributes.extend(attributes);
    }

    fn tag(&mut self, html: &[u8], at: usize) -> Step {
        let is_end = html.get(at + 1) == Some(&b'/');
        let start = at + if is_end { 2 } else { 1 };
        let Some(mut tag) = Attributes::of_tag(html, start) else {
            return self.cut_tag(html, at, start..html.len());
        };
        let name = html.get(tag.name.clone()).unwrap_or_default();
        let hash = NameHash::read(html, &tag.name);
        let element = Element::of(name, hash);
        if is_end {
            let Some(end) = tag.finish() else {
                return self.cut_tag(html, at, tag.name);
            };
            let source = html.get(at..end).unwrap_or_default();
            self.closed(self.offset + at, hash, element, source);
            return Ok(end);
        }
        let style = if spoilers::may_hide(element) { tag.find_style() } else { None };
        let Some(end) = tag.finish() else {
            return self.cut_tag(html, at, tag.name);
        };
        let style = style.and_then(|value| html.get(value));
        let is_hidden = style.is_some_and(|style| spoilers::hides(style, self.charset));
        let source = html.get(at..end).unwrap_or_default();
        let is_asked = element == Element::Anchor
            || tag.self_closing && self.spoilers.heed(element, is_hidden);
        let namespace = self.namespace(source, name, element, tag.self_closing, is_asked);
        match element {
            Element::Anchor => {
                self.note_link(html, start, Place::Html, Some(end), namespace);
            }
            Element::Area => self.note_link(html, start, Place::Html, None, namespace),
            Element::Vml => self.note_link(html, start, Place::Vml, None, namespace),
            _ => {}
        }
        let is_html = namespace == Namespace::Html;
        let is_closed = !is_html && tag.self_closing;
        let at = self.offset + at;
        self.opened(
            &Opened { at, name, hash, element, is_hidden, is_closed },
            self.offset + end,
            is_html,
        );
        Ok(end)
    }

    /// Notes what a tag that may be a link says, whose name begins at `start`; `content` is where
    /// that of an `a` begins, whose text is looked at in HTML only (`visible.rs`). The tag is read
    /// for a second time, as few tags are links.
    fn note_link(
        &mut self,
        html: &[u8],
        start: usize,
        place: Place,
        content: Option<usize>,
        namespace: Namespace,
    ) {
        let Some(attributes) = Attributes::of_tag(html, start) else { return };
        let link = LinkTag::from_attributes(attributes, html, self.charset);
        let is_svg = content.is_some() && namespace == Namespace::Svg;
        let link = if is_svg { link.in_svg() } else { link };
        let content = content.filter(|_| namespace == Namespace::Html);
        link.note(html, place, self.charset, content, &mut self.found);
    }

    /// The namespace of the element that a start tag opens; HTML where neither its kind nor
    /// `is_asked` says that something depends on it.
    fn namespace(
        &mut self,
        tag: &[u8],
        name: &[u8],
        element: Element,
        self_closing: bool,
        is_asked: bool,
    ) -> Namespace {
        if element == Element::Foreign {
            let is_svg = name.eq_ignore_ascii_case(b"svg");
            let namespace = if is_svg { Namespace::Svg } else { Namespace::MathMl };
            if self_closing {
                // `lol_html` would leave it open.
                return namespace;
            }
            if !self.tree.is_open() {
                self.tree.begin();
            }
        }
        if !self.tree.is_open() {
            return Namespace::Html;
        }
        match element {
            Element::Text
            | Element::Textarea
            | Element::Script
            | Element::Plaintext
            | Element::Noscript => {
                // SVG has a `<title>` too, whose content is HTML's. In HTML `lol_html` would wait
                // for the end of the text, and for that of `<noscript>` too, which is markup in a
                // mail.
                let outside = self.tree.namespace();
                if outside != Namespace::Html {
                    self.tree.take(tag);
                }
                outside
            }
            _ => {
                self.tree.take(tag);
                if is_asked { self.tree.namespace() } else { Namespace::Html }
            }
        }
    }

    /// What a start tag does besides being a link.
    fn opened(&mut self, tag: &Opened<'_>, end: usize, is_html: bool) {
        self.spoilers.open(tag);
        match tag.element {
            Element::Body => {
                self.body_end.get_or_insert(end);
            }
            Element::Script if is_html => self.content = Content::Script(Escape::None),
            Element::Plaintext if is_html => self.content = Content::Plaintext,
            Element::Text | Element::Textarea if is_html => {
                if let Some(name) = raw_text_name(tag.name) {
                    self.content = Content::Text(name);
                }
            }
            _ => {}
        }
    }

    fn closed(&mut self, at: usize, hash: NameHash, element: Element, tag: &[u8]) {
        match element {
            Element::Body => {
                self.body_end_seen = true;
                self.end_tag_place = Some(self.place(at));
            }
            Element::Html if !self.body_end_seen => self.end_tag_place = Some(self.place(at)),
            _ => {}
        }
        if self.content == Content::EndOfText {
            self.content = Content::Markup;
        } else if element == Element::Foreign {
            self.tree.close(tag);
        } else if self.tree.is_open() {
            self.tree.take(tag);
        }
        self.spoilers.close(hash, element);
    }

    /// A tag whose end has not come yet.
    fn cut_tag(&mut self, html: &[u8], at: usize, name: Range<usize>) -> Step {
        if self.is_last || html.len() - at <= self.longest {
            return Err(Incomplete(at));
        }
        let is_end = html.get(at + 1) == Some(&b'/');
        let start = name.end;
        let name = html.get(name).unwrap_or_default();
        // A name of such a length is none that matters.
        let name = name.get(..name.len().min(64)).unwrap_or_default().to_vec();
        let element = Element::of(&name, NameHash::of(&name));
        if !is_end && matches!(element, Element::Anchor | Element::Area | Element::Vml) {
            self.passed_over = Some(at);
        }
        self.long_tag = Some(LongTag { at: self.offset + at, name, is_end });
        self.content = Content::Tag(TagState::TagName);
        Ok(start)
    }

    fn long_tag(&mut self, html: &[u8], at: usize, mut state: TagState) -> Step {
        let (length, is_whole) = state.read(html.get(at..).unwrap_or_default());
        if !is_whole {
            self.content = Content::Tag(state);
            return Err(Incomplete(html.len()));
        }
        self.content = Content::Markup;
        let end = at + length;
        let Some(LongTag { at, name, is_end }) = self.long_tag.take() else { return Ok(end) };
        let hash = NameHash::of(&name);
        let element = Element::of(&name, hash);
        let mark: &[u8] = if is_end { b"</" } else { b"<" };
        let tag = [mark, name.as_slice(), b">"].concat();
        if is_end {
            self.closed(at, hash, element, &tag);
            return Ok(end);
        }
        let is_html = self.namespace(&tag, &name, element, false, false) == Namespace::Html;
        let tag = Opened { at, name: &name, hash, element, is_hidden: false, is_closed: false };
        self.opened(&tag, self.offset + end, is_html);
        Ok(end)
    }

    /// Passes over text up to the end tag that alone can end it.
    fn text(&mut self, html: &[u8], at: usize, name: &[u8]) -> Step {
        let text = html.get(at..).unwrap_or_default();
        for end in memchr::memmem::find_iter(text, b"</") {
            match begins_with_name(text.get(end + 2..).unwrap_or_default(), name) {
                Some(true) => {
                    self.content = Content::EndOfText;
                    return Ok(at + end);
                }
                Some(false) => {}
                None => return Err(Incomplete(at + end)),
            }
        }
        Err(Incomplete(html.len() - usize::from(text.ends_with(b"<"))))
    }

    /// Passes over a script (HTML Standard, "Script data state" to "Script data double escape end
    /// state").
    fn script(&mut self, html: &[u8], mut at: usize, mut escape: Escape) -> Step {
        let step = loop {
            let text = html.get(at..).unwrap_or_default();
            let mark = match escape {
                Escape::None => memchr::memchr(b'<', text),
                Escape::Once | Escape::Twice => memchr::memchr2(b'<', b'-', text),
            };
            let Some(mark) = mark else { break Err(Incomplete(html.len())) };
            at += mark;
            let text = text.get(mark..).unwrap_or_default();
            let begins = |mark: &[u8]| text.len() < mark.len() && mark.starts_with(text);
            let script =
                |from: usize| begins_with_name(text.get(from..).unwrap_or_default(), b"script");
            match (text, escape) {
                ([b'-', ..], _) => {
                    if text.starts_with(b"-->") {
                        escape = Escape::None;
                    } else if begins(b"-->") {
                        break Err(Incomplete(at));
                    }
                    at += 1;
                }
                ([b'<', b'!', ..], Escape::None) => {
                    if begins(b"<!--") {
                        break Err(Incomplete(at));
                    }
                    at += 1;
                    if text.starts_with(b"<!--") {
                        // Its dashes may be those of the end.
                        at += 1;
                        escape = Escape::Once;
                    }
                }
                ([b'<', b'/', ..], _) => match script(2) {
                    None => break Err(Incomplete(at)),
                    Some(true) if escape == Escape::Twice => {
                        escape = Escape::Once;
                        at += 2;
                    }
                    Some(true) => {
                        self.content = Content::EndOfText;
                        return Ok(at);
                    }
                    Some(false) => at += 2,
                },
                ([b'<'], _) => break Err(Incomplete(at)),
                (_, Escape::Once) => match script(1) {
                    None => break Err(Incomplete(at)),
                    Some(is_script) => {
                        escape = if is_script { Escape::Twice } else { escape };
                        at += 1;
                    }
                },
                _ => at += 1,
            }
        };
        self.content = Content::Script(escape);
        step
    }
}

/// Whether a tag of that name begins there; `None` if more must be read to know.
fn begins_with_name(text: &[u8], name: &[u8]) -> Option<bool> {
    let found = text.get(..name.len().min(text.len())).unwrap_or_default();
    let is_like = name.get(..found.len()).is_some_and(|name| name.eq_ignore_ascii_case(found));
    if !is_like {
        return Some(false);
    }
    text.get(name.len()).map(|byte| ends_name(*byte))
}

/// Whether there may be a link, or a `data-msys-*` attribute of what is none.
fn may_hold_link(html: &[u8]) -> bool {
    // The last letters of `href` and `data-`, which are their rarest.
    memchr::memchr3_iter(b'f', b'F', b'-', html).any(|at| {
        let head = html.get(..=at).unwrap_or_default();
        head.last_chunk::<4>().is_some_and(|word| word.eq_ignore_ascii_case(b"href"))
            || head.last_chunk::<5>().is_some_and(|word| word.eq_ignore_ascii_case(b"data-"))
    })
}

/// The text of a conditional comment, condition and closing dashes excluded.
fn interior(html: &[u8], at: Range<usize>) -> Range<usize> {
    let start_of_comment = at.start;
    let comment = html.get(at).unwrap_or_default();
    let closed = comment.strip_suffix(b"-->").or_else(|| comment.strip_suffix(b"--!>"));
    let text = closed.unwrap_or(comment);
    let start = memchr::memchr(b'>', text).map_or(text.len(), |close| close + 1);
    start_of_comment + start..start_of_comment + text.len()
}
