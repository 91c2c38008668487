"""Where tags, their attributes and comments begin and end (HTML Standard, 13.2.5 "Tokenization").

The states of the standard appear here as regular expressions over bytes, each for the states it
names. Text is not reported. What a start tag makes of the text behind it is for the tree to say
(`read_text`), as in the standard.
"""

import re
from collections.abc import Iterable, Iterator
from enum import Enum
from functools import cache
from typing import Final, NamedTuple

_NAME: Final = rb"[A-Za-z][^\t\n\f\r />]*+"


def _tag_end(value: bytes) -> bytes:
    """Match attributes and the end of a tag; without that end, nothing."""
    # A name may begin with `=`. An `=` whose value has no end leaves the whole tag without one.
    attribute = (
        rb"[^\t\n\f\r />][^\t\n\f\r />=]*+"
        rb"(?:[\t\n\f\r ]*+=[\t\n\f\r ]*+" + value + rb"|(?![\t\n\f\r ]*+=))"
    )
    return rb"(?:[\t\n\f\r /]++|" + attribute + rb")*+>"


_VALUE: Final = rb"""(?:"[^"]*+"|'[^']*+'|[^\t\n\f\r >"'][^\t\n\f\r >]*+|(?=>))"""
_TAG: Final = re.compile(rb"</?+(" + _NAME + rb")" + _tag_end(_VALUE))
_READ_ATTRIBUTE: Final = re.compile(
    rb"[\t\n\f\r /]*+([^\t\n\f\r />][^\t\n\f\r />=]*+)"
    rb"(?:[\t\n\f\r ]*+(=)[\t\n\f\r ]*+"
    rb"""(?:"([^"]*+)"|'([^']*+)'|([^\t\n\f\r >"'][^\t\n\f\r >]*+))?+)?+"""
)
_COMMENT_END: Final = re.compile(rb"--!?>")
_SCRIPT: Final = re.compile(rb"<!--|-->|<(/?)script(?=[\t\n\f\r />])", re.IGNORECASE)


def match_other_tags(names: Iterable[bytes]) -> re.Pattern[bytes]:
    """Make a pattern of text, and of tags with other names and no `&` in a value.

    It passes by what a reader need not look at faster than tokens come. It may be used only where
    all tags that begin raw text are among the names.
    """
    value = rb"""(?:"[^"&]*+"|'[^'&]*+'|[^\t\n\f\r >"'&][^\t\n\f\r >&]*+(?!&)|(?=>))"""
    other = rb"</?+(?!(?:" + b"|".join(sorted(names)) + rb")[\t\n\f\r />])" + _NAME
    return re.compile(rb"(?:[^<]++|" + other + _tag_end(value) + rb")*+", re.IGNORECASE)


class TokenKind(Enum):
    """The kinds of tokens that are reported."""

    START_TAG = "start tag"
    END_TAG = "end tag"
    COMMENT = "comment"


class Token(NamedTuple):
    """A tag or a comment; `html[start:end]` is the whole of it.

    A DOCTYPE is reported as a comment: it stands for nothing either.
    """

    kind: TokenKind
    start: int
    end: int
    name: bytes
    """A tag's name in lower case; empty for a comment."""


class Attribute(NamedTuple):
    """An attribute of a tag, by its places in the document."""

    name: bytes
    """In lower case."""
    name_start: int
    value: tuple[int, int] | None
    """Start and end, without quotes; None for an attribute without a value."""
    end: int
    """Behind all that belongs to it: its name, an `=`, a value with its quotes."""


class TextState(Enum):
    """The states of the tokenizer that a start tag can begin; each ends at its own end tag."""

    RAW = "RCDATA or RAWTEXT"  # they differ only in character references
    SCRIPT = "script data"
    PLAIN = "PLAINTEXT"


class Tokenizer:
    """Reads a document from its beginning to its end, in one pass."""

    def __init__(self, html: bytes) -> None:
        self.html = html
        self.in_foreign_content = False
        """Whether the adjusted current node is not an HTML element: the caller keeps it right."""
        self.ends_in_markup = True
        """Whether something put behind the last byte would be markup; right at the end only."""
        self.text_start = self.text_end = 0
        """The text before the last token, or at the end; CDATA sections and `</>` are within."""
        self._at = 0

    @property
    def position(self) -> int:
        """Where the next token is looked for."""
        return self._at

    def pass_by(self, tags: re.Pattern[bytes], limit: int) -> None:
        """Pass by text and tags that end before the limit (`match_other_tags`)."""
        passed = tags.match(self.html, self._at, limit)
        if passed is not None:
            self._at = passed.end()

    def read_token(self) -> Token | None:
        """Read up to the end of the next tag or comment; None at the end of the document."""
        html = self.html
        self.text_start = self._at
        while (start := html.find(b"<", self._at)) >= 0:
            tag = _TAG.match(html, start)
            if tag is not None:
                self._at = end = tag.end()
                self.text_end = start
                kind = TokenKind.END_TAG if html[start + 1] == _SLASH else TokenKind.START_TAG
                return Token(kind, start, end, tag[1].lower())
            self.text_end = start
            token = self._read_declaration(start)
            if token is not None:
                return token
        if self.ends_in_markup:
            self.text_end = len(html)
        self._at = len(html)
        return None

    def _read_declaration(self, start: int) -> Token | None:
        """Read what begins with a `<` and is not a whole tag."""
        html = self.html
        if html.startswith(b"<!--", start):
            return self._read_comment(start)
        if html.startswith(b"<![CDATA[", start) and self.in_foreign_content:
            self._pass_by(b"]]>", start)
        elif html.startswith(b"</>", start):
            self._at = start + 3
        elif _TAG_OPEN.match(html, start):
            self._end_within()
        elif html.startswith((b"<!", b"<?", b"</"), start):
            # A DOCTYPE, which ends at its first `>` even in quotes, or a bogus comment.
            self._pass_by(b">", start)
            return Token(TokenKind.COMMENT, start, self._at, b"")
        else:
            self._at = start + 1
        return None

    def _read_comment(self, start: int) -> Token:
        """Read from `<!--` on ("Comment start state" to "Comment end bang state")."""
        text = start + len(b"<!--")
        if self.html.startswith(b">", text):
            self._at = text + 1
        elif self.html.startswith(b"->", text):
            self._at = text + 2
        elif (found := _COMMENT_END.search(self.html, text)) is not None:
            self._at = found.end()
        else:
            self._end_within()
        return Token(TokenKind.COMMENT, start, self._at, b"")

    def _pass_by(self, end: bytes, start: int) -> None:
        found = self.html.find(end, start)
        if found < 0:
            self._end_within()
        else:
            self._at = found + len(end)

    def _end_within(self) -> None:
        """The document ends inside a tag, a comment or a text that only its end tag ends."""
        self._at = len(self.html)
        self.ends_in_markup = False

    def read_text(self, state: TextState, name: bytes) -> None:
        """Pass by the text behind a start tag, up to the end tag that alone can end it.

        Args:
            state: the state that the tag begins.
            name: the tag's name, in lower case.
        """
        if state is TextState.PLAIN:
            end = None
        elif state is TextState.SCRIPT:
            end = self._find_script_end()
        else:
            found = _raw_text_end(name).search(self.html, self._at)
            end = None if found is None else found.start()
        if end is None:
            self._end_within()
        else:
            self._at = end

    def _find_script_end(self) -> int | None:
        """Find the end tag of a script (13.2.5.15 to 13.2.5.31)."""
        escaped = double_escaped = False
        at = self._at
        while (found := _SCRIPT.search(self.html, at)) is not None:
            at = found.end()
            mark = found[0]
            if mark == b"<!--":
                escaped = True
                at -= len(b"--")  # these dashes may be those of the end: `<!-->`
            elif mark == b"-->":
                escaped = double_escaped = False
            elif found[1] and not double_escaped:
                return found.start()
            else:
                double_escaped = escaped and not found[1]
        return None


_SLASH: Final = ord("/")
_TAG_OPEN: Final = re.compile(rb"</?[A-Za-z]|</\Z")


@cache
def _raw_text_end(name: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"</" + re.escape(name) + rb"(?=[\t\n\f\r />])", re.IGNORECASE)


def read_attributes(html: bytes, tag: Token) -> Iterator[Attribute]:
    """Read the attributes of a tag, duplicates among them."""
    at, last = tag.start + 1 + len(tag.name), tag.end - 1
    while (found := _READ_ATTRIBUTE.match(html, at, last)) is not None:
        at = found.end()
        form = found.lastindex or 0
        if form >= _FIRST_VALUE:
            yield Attribute(found[1].lower(), found.start(1), found.span(form), at)
        else:  # at most an `=` follows the name, and the white space behind that is nobody's
            yield Attribute(found[1].lower(), found.start(1), None, found.end(form))


_FIRST_VALUE: Final = 3  # the group of a value in double quotes


def is_self_closing(html: bytes, tag: Token) -> bool:
    """Whether a tag ends in `/>`, and the slash ends no unquoted value."""
    slash = tag.end - len(b"/>")
    if html[slash] != _SLASH:
        return False
    return all(attribute.end <= slash for attribute in read_attributes(html, tag))
