"""Links in text/plain: where a reader would see each begin and end."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

from msys_track.reasons import Reason
from msys_track.rewriting.reference.charsets.charset import Charset
from msys_track.rewriting.reference.left_alone import LeftAloneError
from msys_track.rewriting.reference.links import OWN_ATTRIBUTES, LinkOptions, lower_ascii

_ARMOUR: Final = (
    (b"-----BEGIN PGP SIGNED MESSAGE-----", Reason.SIGNED_PART),
    (b"-----BEGIN PGP MESSAGE-----", Reason.ENCRYPTED_PART),
)
_SCHEME: Final = re.compile(rb"(https?)://", re.IGNORECASE)
_END: Final = re.compile(rb'[\x00- \x7f<>"|`]|\[\[|[\x80-\xff]')
_OPTIONS: Final = re.compile(rb"\[\[(?P<inside>.{0,510}?)\]\]", re.DOTALL)
_OPTION: Final = re.compile(
    r"""(?P<name>[^=]*?)[ \t\n\f\r]*=[ \t\n\f\r]*"""
    r"""(?P<quote>["'])(?P<value>.*?)(?P=quote)[ \t\n\f\r]*""",
    re.DOTALL,
)
_BRACKETS: Final = {b")": b"(", b"]": b"[", b"}": b"{"}
_EMPHASIS: Final = b"*_~"
_BLANKS: Final = frozenset({b" ", b"\t", b"\n", b"\f", b"\r"})
_REST_IN_BRACKETS: Final = re.compile(rb"[ \t\f\r]*\n[ \t\f\r]*(?![ \t\n\f\r])[^<>]*>")
_SOFT_BREAK: Final = re.compile(rb" \r?\n")
_PUNCTUATION: Final = b".,;:!?'"
_ENDS_URL: Final = re.compile(
    "[\u00ab\u00bb\u200b\u2010-\u205e\u3000-\u303f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40"
    "\uff5b-\uff65\ufffd]"
)
_MAX_OPTIONS: Final = 512
_MAX_CHARACTER: Final = 4


@dataclass(frozen=True, slots=True)
class FoundText:
    """A link of a text; offsets are bytes into the decoded part."""

    start: int
    end: int
    options: LinkOptions
    goes_on: bool
    """Whether it goes on in the next line."""


def scan_text(
    text: bytes, charset: Charset, *, joins_lines: bool
) -> tuple[list[FoundText], list[tuple[int, int]]]:
    """Find links, and the `[[data-msys-…]]` behind them.

    Args:
        text: the part after transfer decoding.
        charset: how to read it.
        joins_lines: whether a space before a line break is dropped with it (RFC 3676, `DelSp`).

    Raises:
        LeftAloneError: it is in OpenPGP's armour (RFC 9580 section 6.2).
    """
    for armour, reason in _ARMOUR:
        if text.startswith(armour) or b"\n" + armour in text:
            raise LeftAloneError(reason)
    links: list[FoundText] = []
    removable: list[tuple[int, int]] = []
    at = 0
    while (scheme := _SCHEME.search(text, at)) is not None:
        start, rest = scheme.start(), scheme.end()
        at, floor = rest, at
        if not _begins_word(text[floor:start], charset):
            continue
        whole = rest + _measure_url(text, rest, charset)
        options, options_end = _read_options(text, whole)
        # In angle brackets a line break is no part of the URL (RFC 3986, appendix C).
        goes_on = (
            _opens_brackets(text, start) and _REST_IN_BRACKETS.match(text, options_end) is not None
        )
        end = whole
        if options_end == whole:
            end = rest + _measure_trimmed(text[rest:whole], text[floor:start])
            options_end = end
        if end <= rest:
            continue
        if options_end > end:
            removable.append((end, options_end))
        goes_on |= joins_lines and _SOFT_BREAK.match(text, options_end) is not None
        links.append(FoundText(start, end, options, goes_on))
        at = options_end
    return links, removable


def _begins_word(before: bytes, charset: Charset) -> bool:
    if charset.width == "multi":
        last = charset.decode(before)[-1:]
    else:
        last = before[-1:].decode("latin-1")
    return not ((last.isascii() and last.isalnum()) or last in ("+", "\ufffd"))


def _measure_url(text: bytes, start: int, charset: Charset) -> int:
    at = start
    while (stop := _END.search(text, at)) is not None:
        at = stop.start()
        if stop[0] < b"\x80":
            return at - start
        character, length = _read_character(text[at : at + _MAX_CHARACTER], charset)
        if length == 0 or _ends_url(character):
            return at - start
        at += length
    return len(text) - start


def _read_character(octets: bytes, charset: Charset) -> tuple[str, int]:
    if charset.width == "multi":
        return "", 0
    if charset.width == "single":
        return charset.decode(octets[:1]), 1
    for length in range(1, len(octets) + 1):
        try:
            return octets[:length].decode("utf-8"), length
        except UnicodeDecodeError:
            continue
    return "", 0


def _ends_url(character: str) -> bool:
    return (
        (character.isspace() and character not in "\x1c\x1d\x1e\x1f")
        or unicodedata.category(character) == "Cc"
        or _ENDS_URL.fullmatch(character) is not None
    )


def _opens_brackets(text: bytes, start: int) -> bool:
    before = text[max(start - len(b"URL:"), 0) : start]
    at = start - len(before) if before.lower() == b"url:" else start
    while at > 0 and text[at - 1 : at] in _BLANKS:
        at -= 1
    return text[at - 1 : at] == b"<" if at > 0 else False


def _measure_trimmed(url: bytes, before: bytes) -> int:
    """Return the length of a URL without the punctuation of the sentence around it.

    Marks that emphasise it go too, as many as stand right before it.
    """
    surplus = {
        close: max(url.count(close) - url.count(opening), 0)
        for close, opening in _BRACKETS.items()
    }
    opening = before[len(before.rstrip(_EMPHASIS)) :]
    surplus |= {mark: opening.count(mark) for mark in (b"*", b"_", b"~")}
    length = len(url)
    while length > 0:
        last = url[length - 1 : length]
        if surplus.get(last, 0) > 0:
            surplus[last] -= 1
        elif last not in _PUNCTUATION:
            break
        length -= 1
    return length


def _read_options(text: bytes, start: int) -> tuple[LinkOptions, int]:
    values: dict[str, str] = {}
    end = start
    while (found := _OPTIONS.match(text, end, min(end + _MAX_OPTIONS + 2, len(text)))) is not None:
        own = _read_pairs(found["inside"])
        new = {name: value for name, value in own.items() if name not in values}
        if not new:
            break
        values |= new
        end = found.end()
    return LinkOptions(values), end


def _read_pairs(inside: bytes) -> dict[str, str]:
    """Return the options in brackets; none if anything there is not ours."""
    pairs: dict[str, str] = {}
    try:
        rest = inside.decode("utf-8").strip(" \t\n\f\r")
    except UnicodeDecodeError:
        return {}
    while rest:
        option = _OPTION.match(rest)
        name = "" if option is None else lower_ascii(option["name"])
        if option is None or name not in OWN_ATTRIBUTES:
            return {}
        pairs.setdefault(name, option["value"])
        rest = rest[option.end() :]
    return pairs
