"""Fidelity: what differs between a mail as sent and as it arrived, byte for byte.

The standard library takes both apart. Without its tracked URLs and pixels, the mail that arrived
must be the mail that was sent. What the product reports about its changes is not used.
"""

import bisect
import email
import email.policy
import email.utils
import itertools
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import Final, TypeAlias

from msys_track.testing.tag import TagOptions, read_tag_options

NamedAddress: TypeAlias = tuple[str, str]
"""A name, perhaps empty, and an address."""

_Spans: TypeAlias = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapped:
    """A tracked URL, and what stood in its place, still with HTML's character references."""

    url: str
    original: bytes
    offset: int
    """The offset of the original in its decoded part."""
    options: TagOptions
    """The options that its tag sets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixel:
    """An open pixel."""

    url: str
    is_initial: bool
    """Whether it is the one for the top of a mail."""
    offset: int
    """Where it was put into the decoded part as sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """All that was added to a mail on its way."""

    wrapped: tuple[Wrapped, ...] = ()
    pixels: tuple[Pixel, ...] = ()
    beyond: str | None = None
    """The first difference that is neither, in words; it must be None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """The decoded content of a part."""

    raw: bytes
    decoded: bytes
    encoding: str
    """The transfer encoding in lower case."""


class DifferenceError(AssertionError):
    """More than links and pixels differ."""


_LINES: Final = re.compile(
    rb"(?:([!-9;-~]+)[ \t]*:|[ \t])[^\n]*(?:\n|\Z)(?:[ \t][^\n]*(?:\n|\Z))*"
)
_RECEIVED: Final = re.compile(
    rb"Received: from [!-~]+ \((?:\[[0-9A-Za-z:.]+\]|unknown)\)\r\n"
    rb"\tby [!-~]+ \(msys-track\) with (?:SMTP|(?:ESMTP|UTF8SMTP)S?A?) id \d+"
    rb"(?:\r\n\tfor <[ -~]+>; |;\r\n\t)"
    rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z][a-z] \d{4} \d\d:\d\d:\d\d \+0000\r\n"
)
_BLANK: Final = re.compile(rb"\r?\n")
# A pixel stands on a line of its own, but for UTF-16 as it stands: its line breaks would be bare.
# `top` is the one for the top of a mail, where it must not take room.
_TRACKED: Final = (
    rb'(?P<eol>\r?\n|)(?:<img border="0" width="1" height="1" alt="" src="(?P<pixel>%b/q/[\w-]+)">'
    rb'|<div style="color:transparent;visibility:hidden;opacity:0;font-size:0px;border:0;'
    rb"max-height:1px;width:1px;margin:0px;padding:0px;border-width:0px!important;"
    rb'display:none!important;line-height:0px!important;"><img border="0" width="1" height="1" '
    rb'src="(?P<top>%b/q/[\w-]+)" alt=""/></div>)(?P=eol)'
    rb"|%b/f/(?P<sublink>(?:[\w.-]+/)+)[\w-]+"
    # White space before an href may have become a line break.
    rb"|(?P<fold>\r?\n)(?=(?i:href)[\s=])"
)
_ANY_ORIGIN: Final = rb"https?://[^\x00-\x20\x7f-\xff/\"'<>]+"
_NO_ESCAPE: Final = re.compile(rb"=(?![0-9A-Fa-f]{2}|[ \t]*(?:\r?\n|\Z))")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/]*={0,2}")
_WIDE: Final = re.compile(r"utf-(?:16|32)(?:-?[lb]e)?")
_ENCODED: Final = ("quoted-printable", "base64")
_EOL: Final = b"\r\n"
_BLANK_LINE: Final = _EOL * 2
_SHOWN_BYTES: Final = 40
_MAX_ENCODED_LINE: Final = 76  # RFC 2045 sections 6.7 (5) and 6.8
_MAX_LINE: Final = 998  # RFC 5322 section 2.1.1


def split_received(message: bytes) -> tuple[bytes, bytes]:
    """Split a mail that arrived into the proxy's Received field at its top and all below it.

    The field is empty where there is none in just the form of RFC 5321 section 4.4.
    """
    found = _RECEIVED.match(message)
    end = 0 if found is None else found.end()
    return message[:end], message[end:]


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
    """Yield start and end of the lines of the header fields of that name.

    A field's lines are in several pieces where lines that are not a field stand between: what
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


def take_added(sent: bytes, arrived: bytes, name: bytes) -> tuple[bytes, list[NamedAddress]]:
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
    mailboxes = []
    for words, address in email.utils.getaddresses([value]) if value else []:
        text = words
        with suppress(HeaderParseError, LookupError, UnicodeError):
            text = str(make_header(decode_header(words)))
        mailboxes.append(name_mailbox(text, address))
    return arrived[:start] + arrived[end:], mailboxes


def name_mailbox(name: str, address: str) -> NamedAddress:
    """Name a mailbox as fields do: white space in a row is one space between words."""
    return " ".join(name.split()), address


def changes(sent: bytes, arrived: bytes, origin: str) -> Changes:
    """Compare a message in wire form with what arrived.

    Args:
        sent: with its X-MSYS-API header, which may be gone.
        arrived: one recipient's copy.
        origin: what every tracked URL begins with.
    """
    sent = without_api_header(sent)
    if sent == arrived:
        return Changes()
    wrapped: list[Wrapped] = []
    pixels: list[Pixel] = []
    try:
        old, new = list(_bodies(sent)), list(_bodies(arrived))
        if len(old) != len(new):
            return Changes(beyond=f"{len(new)} parts instead of {len(old)}")
        changed = [before.raw != after.raw for before, after in zip(old, new, strict=True)]
        _require_same(_without(sent, old, changed), _without(arrived, new, changed))
        for before, after in itertools.compress(zip(old, new, strict=True), changed):
            found = compare_bodies(before, after, origin)
            wrapped += found.wrapped
            pixels += found.pixels
    except DifferenceError as error:
        return Changes(beyond=str(error))
    except RecursionError:
        return Changes(beyond="parts are nested too deeply to be compared")
    return Changes(wrapped=tuple(wrapped), pixels=tuple(pixels))


def compare_bodies(sent: Body, arrived: Body, origin: str | None = None) -> Changes:
    """Walk along a part as sent and as it arrived; each tracked URL stands for what it replaced.

    Args:
        sent: the part as sent.
        arrived: the part of one recipient's copy.
        origin: what every tracked URL begins with; None: any.

    Raises:
        DifferenceError: something else differs, or the encoded text is malformed.
    """
    if sent.raw == arrived.raw:
        return Changes()
    base = _ANY_ORIGIN if origin is None else re.escape(origin.encode("ascii"))
    before, after = sent.decoded, arrived.decoded
    options_of = read_tag_options(before)
    wrapped: list[Wrapped] = []
    pixels: list[Pixel] = []
    ends, eols = [(0, 0)], set()
    folds: list[tuple[int, int]] = []
    added: list[tuple[int, int]] = []
    old = new = 0
    for match in re.finditer(_TRACKED % (base, base, base), after):
        kept = after[new : match.start()]
        if before.startswith(kept + match[0], old):  # it stood there before
            old, new = old + len(kept + match[0]), match.end()
            continue
        _require_same(before[old : old + len(kept)], kept)
        old, new = old + len(kept), match.end()
        if match["fold"] is not None:
            _check_break(sent, old)
            old += 1
            folds.append(match.span("fold"))
            eols.add(match["fold"])
            ends.append((new, old))
            continue
        if match["sublink"] is None:
            url, is_initial = match["pixel"] or match["top"], match["top"] is not None
            pixels.append(Pixel(url=url.decode("ascii"), is_initial=is_initial, offset=old))
            eols.add(match["eol"])
            added.append(match.span())
            ends.append((new, old))
            continue
        ending = after[new : new + 1]  # it ends the original too
        end = before.find(ending, old) if ending else len(before)
        if end < old:
            raise DifferenceError(f"{ending!r} behind a link, which is nowhere in the original")
        options = options_of.get(old, TagOptions())
        if match["sublink"] != f"{options.sublink}/".encode("ascii"):
            raise DifferenceError(f"{match[0]!r}, where the link asks for /f/{options.sublink}/")
        link = match[0].decode("ascii")
        wrapped.append(Wrapped(url=link, original=before[old:end], offset=old, options=options))
        old = end
        ends.append((new, old))
    _require_same(before[old:], after[new:])
    if len(eols) > 1:
        raise DifferenceError("pixels or breaks with different line ends")
    _check_encoded(sent, arrived)
    _check_lines(sent, arrived, ends)
    _check_folds(after, folds, added)
    return Changes(wrapped=tuple(wrapped), pixels=tuple(pixels))


def _check_encoded(sent: Body, arrived: Body) -> None:
    """Check that encoded text is well formed, and that no line of ours is too long."""
    if sent.encoding not in _ENCODED:
        return
    lines = [line.rstrip(b" \t\r") for line in sent.raw.split(b"\n")]
    limit = _MAX_ENCODED_LINE
    if sent.encoding == "base64":
        limit = max(limit, min(max(map(len, lines)), _MAX_LINE))
        characters = b"".join(arrived.raw.split())
        if not _BASE64.fullmatch(characters) or len(characters) % 4:
            raise DifferenceError("base64 that is malformed")
    elif len(_NO_ESCAPE.findall(arrived.raw)) > len(_NO_ESCAPE.findall(sent.raw)):
        raise DifferenceError("an = that begins no escape")
    theirs = [line for line in lines if len(line) > limit]
    for line in arrived.raw.split(b"\n"):
        start = line.rstrip(b" \t\r")
        if len(start) > limit and not any(start[: limit - 1] in each for each in theirs):
            raise DifferenceError(
                f"an encoded line of {len(start)} bytes: {start[:_SHOWN_BYTES]!r}"
            )


def _check_break(sent: Body, at: int) -> None:
    """Check that a line break stands in place of white space, in a part that is not encoded."""
    if sent.encoding in _ENCODED or sent.decoded[at : at + 1] not in (b" ", b"\t", b"\f"):
        raise DifferenceError("a line break that stands for no white space of a tag")


def _check_lines(sent: Body, arrived: Body, ends: _Spans) -> None:
    """Check that a line that is not encoded is longer than 998 bytes only where it was before.

    `ends` are the places in what arrived and what was sent from which both go on together.
    """
    if sent.encoding in _ENCODED:
        return
    before, after = sent.decoded, arrived.decoded
    start = 0
    for line in after.split(b"\n"):
        end = start + len(line)
        if len(line.removesuffix(b"\r")) > _MAX_LINE:
            first = before.rfind(b"\n", 0, _find_old(start, ends)) + 1
            last = before.find(b"\n", _find_old(end, ends))
            theirs = before[first : last if last >= 0 else None].split(b"\n")
            if max(len(each.removesuffix(b"\r")) for each in theirs) <= _MAX_LINE:
                raise DifferenceError(f"a line of {len(line)} bytes")
        start = end + 1


def _check_folds(after: bytes, folds: _Spans, pixels: _Spans) -> None:
    """Check that each line that was broken would be too long in one piece, without a pixel.

    `folds` and `pixels` are where line breaks and pixels start and end in `after`.
    """
    whole, copied, places = b"", 0, []
    for start, end in sorted([*folds, *pixels]):
        whole += after[copied:start]
        if (start, end) in folds:
            places.append(len(whole))
            whole += b" "
        copied = end
    whole += after[copied:]
    for at in places:
        line = whole[whole.rfind(b"\n", 0, at) + 1 :].partition(b"\n")[0]
        if len(line.removesuffix(b"\r")) <= _MAX_LINE:
            raise DifferenceError("a line is broken that would not be too long")


def _find_old(at: int, ends: Sequence[tuple[int, int]]) -> int:
    new, old = ends[bisect.bisect_right(ends, at, key=lambda end: end[0]) - 1]
    return old + at - new


def _require_same(before: bytes, after: bytes) -> None:
    """Compare bytes that must be equal.

    Raises:
        DifferenceError: they are not; it shows where.
    """
    if before == after:
        return
    pairs = enumerate(zip(before, after, strict=False))
    shorter = min(len(before), len(after))
    at = next((index for index, (one, other) in pairs if one != other), shorter)
    was, now = before[at : at + _SHOWN_BYTES], after[at : at + _SHOWN_BYTES]
    raise DifferenceError(f"{now!r} instead of {was!r}")


def _bodies(message: bytes) -> Iterator[Body]:
    """Undo the transfer encoding of each part, also where `email` is stricter than RFC 2045."""
    # As latin-1, since `email` would put a charset's idea of 8-bit bytes in their place.
    parsed = email.message_from_string(message.decode("latin-1"), policy=email.policy.compat32)
    for part in parsed.walk():
        if part.is_multipart():
            continue
        raw = str(part.get_payload())
        encoding = part.get("Content-Transfer-Encoding", "7bit")
        encoding = str(encoding).partition("(")[0].strip()  # a comment, section 6.1
        if "Content-Transfer-Encoding" in part:
            part.replace_header("Content-Transfer-Encoding", encoding)
        if encoding.lower() == "quoted-printable":  # blanks behind a soft break, section 6.7 (3)
            part.set_payload(re.sub(r"=[ \t]+\r\n", "=\r\n", raw))
        payload = part.get_payload(decode=True)
        decoded = payload if isinstance(payload, bytes) else b""
        charset = str(part.get_content_charset("")).replace("_", "-")
        if _WIDE.fullmatch(charset):  # tracked URLs are ASCII in UTF-8
            decoded = decoded.decode(charset, "replace").encode("utf-8", "replace")
        yield Body(raw=raw.encode("latin-1"), decoded=decoded, encoding=encoding.lower())


def _without(message: bytes, bodies: Sequence[Body], cut: Sequence[bool]) -> bytes:
    """A message without some bodies: headers, boundaries, all other bodies."""
    pieces, copied, at = [], 0, 0
    for body, is_cut in zip(bodies, cut, strict=True):
        # A body begins behind a blank line; a short one may occur in a header too.
        blank = message.find(_BLANK_LINE + body.raw, max(at - len(_BLANK_LINE), 0))
        start = message.find(body.raw, at) if blank < 0 else blank + len(_BLANK_LINE)
        at = max(start, at) + len(body.raw)
        if is_cut:
            pieces.append(message[copied:start])
            copied = at
    return b"".join([*pieces, message[copied:]])
