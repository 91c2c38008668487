"""Fidelity: what differs between a mail as sent and as it arrived, byte for byte.

The standard library takes both apart. What is left once tracked URLs and pixels are taken out of
the one must be the other; nobody asks the product what it has changed.
"""

import email
import email.policy
import email.utils
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from typing import Final, TypeAlias

from msys_track.testing import tag
from msys_track.testing.tag import TagOptions

Named: TypeAlias = tuple[str, str]
"""A name, perhaps empty, and an address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapped:
    """A tracked URL, and what stood in its place, still with HTML's character references."""

    url: str
    original: bytes
    options: TagOptions
    """What its tag sets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixel:
    """An image that tells of opening."""

    url: str
    is_initial: bool
    """Whether it is the one for the top of a mail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """All that a mail got on its way."""

    wrapped: tuple[Wrapped, ...] = ()
    pixels: tuple[Pixel, ...] = ()
    beyond: str | None = None
    """The first difference that is neither, in words; None is what must be."""


class _BeyondError(Exception):
    """More than links and pixels differ."""


_LINES: Final = re.compile(
    rb"(?:([!-9;-~]+)[ \t]*:|[ \t])[^\n]*(?:\n|\Z)(?:[ \t][^\n]*(?:\n|\Z))*"
)
_BLANK: Final = re.compile(rb"\r?\n")
# For the end of a mail, and for its top, where it must not take room.
_PIXEL: Final = (
    rb'(?:<img border="0" width="1" height="1" alt="" src="(%b/q/[A-Za-z0-9_-]+)">'
    rb'|<div style="color:transparent;visibility:hidden;opacity:0;font-size:0px;border:0;'
    rb"max-height:1px;width:1px;margin:0px;padding:0px;border-width:0px!important;"
    rb'display:none!important;line-height:0px!important;"><img border="0" width="1" height="1" '
    rb'src="(%b/q/[A-Za-z0-9_-]+)" alt=""/></div>)'
)
_EOL: Final = b"\r\n"
_BLANK_LINE: Final = _EOL * 2
_SHOWN_BYTES: Final = 40


def without_api_header(message: bytes) -> bytes:
    """Take the X-MSYS-API lines out of a message in wire form."""
    return without_fields(message, b"X-MSYS-API")


def without_fields(message: bytes, name: bytes) -> bytes:
    """Take the header fields of that name out of a message in wire form."""
    kept, copied = [], 0
    for start, end in field_lines(message, name):
        kept.append(message[copied:start])
        copied = end
    return b"".join([*kept, message[copied:]])


def field_lines(message: bytes, name: bytes) -> Iterator[tuple[int, int]]:
    """Give start and end of the lines of the header fields of that name.

    A field's lines are in several pieces where lines that are no field stand between: what
    continues a line continues the last field.
    """
    at, is_wanted = 0, False
    while at < len(message) and not _BLANK.match(message, at):
        lines = _LINES.match(message, at)
        if lines is None:
            newline = message.find(b"\n", at)
            at = len(message) if newline < 0 else newline + 1
            continue
        if lines[1] is not None:
            is_wanted = lines[1].lower() == name.lower()
        if is_wanted:
            yield lines.span()
        at = lines.end()


def take_added(sent: bytes, arrived: bytes, name: bytes) -> tuple[bytes, list[Named]]:
    """Take out the mailboxes that were added to the last field of that name, or as a new field.

    Where neither is found nothing is taken out, so that what is left can be compared.
    """
    before, after = list(field_lines(sent, name)), list(field_lines(arrived, name))
    if not after or len(after) != max(len(before), 1):
        return arrived, []
    start, end = after[-1]
    if not before:
        added = arrived[start:end].partition(b":")[2]
    else:
        kept = sent[slice(*before[-1])].rstrip(_EOL)
        if not arrived.startswith(kept, start):
            return arrived, []
        start, end = start + len(kept), end - len(_EOL)
        added = arrived[start:end]
    value = added.decode("latin-1").replace("\r\n", "").strip().removeprefix(",")
    pairs = email.utils.getaddresses([value]) if value else []
    return arrived[:start] + arrived[end:], [
        name_mailbox(_decode_words(it), to) for it, to in pairs
    ]


def name_mailbox(name: str, address: str) -> Named:
    """Name a mailbox as fields do: white space in a row is one space between words."""
    return " ".join(name.split()), address


def _decode_words(name: str) -> str:
    try:
        return str(make_header(decode_header(name)))
    except (HeaderParseError, LookupError, UnicodeError):
        return name


def changes(sent: bytes, arrived: bytes, origin: str) -> Changes:
    """Compare a message in wire form with what arrived.

    Args:
        sent: with its X-MSYS-API header; that it is gone is no difference.
        arrived: one recipient's copy.
        origin: what every tracked URL begins with.
    """
    sent = without_api_header(sent)
    if sent == arrived:
        return Changes()
    try:
        return _Comparison(origin).compare(sent, arrived)
    except _BeyondError as found:
        return Changes(beyond=str(found))
    except RecursionError:
        return Changes(beyond="parts are nested too deeply to be compared")


class _Comparison:
    def __init__(self, origin: str) -> None:
        base = re.escape(origin.encode("ascii"))
        self._click = re.compile(base + rb"/f/((?:[\w.-]+/)+)[A-Za-z0-9_-]+")
        self._pixel = _PIXEL % (base, base)
        self._wrapped: list[Wrapped] = []
        self._pixels: list[Pixel] = []

    def compare(self, sent: bytes, arrived: bytes) -> Changes:
        old, new = list(_leaves(sent)), list(_leaves(arrived))
        if len(old) != len(new):
            raise _BeyondError(f"{len(new)} parts instead of {len(old)}")
        pairs = list(zip(old, new, strict=True))
        changed = [before.raw != after.raw for before, after in pairs]
        _same(_without(sent, old, changed), _without(arrived, new, changed))
        for before, after in itertools.compress(pairs, changed):
            self._undo(before.decoded, after.decoded)
        return Changes(wrapped=tuple(self._wrapped), pixels=tuple(self._pixels))

    def _undo(self, before: bytes, after: bytes) -> None:
        """Take pixels and links out of a part.

        A pixel stands on a line of its own; a part in base64 may end its lines in LF alone.
        """
        for eol in (b"\r\n", b"\n"):
            lines = re.compile(re.escape(eol) + self._pixel + re.escape(eol))
            bare = lines.sub(b"", after)
            try:
                wrapped = list(self._replaced(before, bare))
            except _BeyondError:
                if eol == b"\n":
                    raise
                continue
            self._wrapped += wrapped
            self._pixels += map(_pixel, lines.finditer(after))
            return

    def _replaced(self, before: bytes, after: bytes) -> Iterator[Wrapped]:
        """Walk along both; each tracked URL stands for all up to what ends it."""
        old = new = 0
        for match in self._click.finditer(after):
            kept = after[new : match.start()] + match[0]
            if before.startswith(kept, old):  # it stood there before
                old, new = old + len(kept), match.end()
                continue
            old = _along(before, old, after[new : match.start()])
            new = match.end()
            ending = after[new : new + 1]
            end = before.find(ending, old) if ending else len(before)
            if end < old:
                raise _BeyondError(f"{ending!r} behind a link, which is nowhere in the original")
            options = tag.read_tag_options(before, old)
            if match[1] != f"{options.sublink}/".encode("ascii"):
                raise _BeyondError(f"{match[0]!r}, where the link asks for /f/{options.sublink}/")
            yield Wrapped(url=match[0].decode("ascii"), original=before[old:end], options=options)
            old = end
        _same(before[old:], after[new:])


def _pixel(match: re.Match[bytes]) -> Pixel:
    url = match[1] or match[2]
    return Pixel(url=url.decode("ascii"), is_initial=match[2] is not None)


def _along(before: bytes, at: int, kept: bytes) -> int:
    end = at + len(kept)
    if before[at:end] != kept:
        _same(before[at:end], kept)
    return end


def _same(before: bytes, after: bytes) -> None:
    """Compare bytes that must be equal.

    Raises:
        _BeyondError: they are not; it shows where.
    """
    if before == after:
        return
    pairs = enumerate(zip(before, after, strict=False))
    shorter = min(len(before), len(after))
    at = next((index for index, (one, other) in pairs if one != other), shorter)
    was, now = before[at : at + _SHOWN_BYTES], after[at : at + _SHOWN_BYTES]
    raise _BeyondError(f"{now!r} instead of {was!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Leaf:
    raw: bytes
    decoded: bytes


def _leaves(message: bytes) -> Iterator[_Leaf]:
    # As latin-1, since `email` would put a charset's idea of 8-bit bytes in their place.
    parsed = email.message_from_string(message.decode("latin-1"), policy=email.policy.compat32)
    for part in parsed.walk():
        if not part.is_multipart():
            yield _Leaf(raw=str(part.get_payload()).encode("latin-1"), decoded=_decoded(part))


def _decoded(part: Message) -> bytes:
    """Undo a part's transfer encoding; where `email` is stricter than RFC 2045, help it."""
    encoding = part.get("Content-Transfer-Encoding")
    if encoding is not None:
        bare = str(encoding).partition("(")[0].strip()  # a comment, section 6.1
        part.replace_header("Content-Transfer-Encoding", bare)
        if bare.lower() == "quoted-printable":  # blanks behind a soft break, section 6.7 (3)
            part.set_payload(re.sub(r"=[ \t]+\r\n", "=\r\n", str(part.get_payload())))
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _without(message: bytes, leaves: Sequence[_Leaf], cut: Sequence[bool]) -> bytes:
    """A message without the bodies of some leaves: headers, boundaries, all other bodies."""
    pieces, copied, at = [], 0, 0
    for leaf, is_cut in zip(leaves, cut, strict=True):
        # A body begins behind a blank line; a short one may occur in a header too.
        blank = message.find(_BLANK_LINE + leaf.raw, max(at - len(_BLANK_LINE), 0))
        start = message.find(leaf.raw, at) if blank < 0 else blank + len(_BLANK_LINE)
        at = max(start, at) + len(leaf.raw)
        if is_cut:
            pieces.append(message[copied:start])
            copied = at
    return b"".join([*pieces, message[copied:]])
