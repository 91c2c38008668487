"""A second opinion on a rewritten message, which shares no code with the product.

The standard library reads both messages. They must be equal but for the values of `href` in `a`
and `area`, and one `img`.
"""

import email
import email.policy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from html.entities import html5

TRACKED = re.compile(r"https?://[^/]+/f/a/[A-Za-z0-9_-]+")
PIXEL = re.compile(r"https?://[^/]+/q/[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Difference:
    """What a rewritten message has of its own."""

    links: list[tuple[str, str]]
    """Raw `href` as it was, and the tracked URL that stands there now."""
    pixels: list[str]


def difference(before: bytes, after: bytes) -> Difference:
    """Compare two messages; anything but links and pixels is an AssertionError."""
    links: list[tuple[str, str]] = []
    pixels: list[str] = []
    parts = zip(_leaves(before), _leaves(after), strict=True)
    for old, new in parts:
        assert old.items() == new.items()
        if old.get_content_type() != "text/html":
            assert old.get_payload() == new.get_payload()
        elif old.get_payload() != new.get_payload():
            _compare(_text(old), _text(new), links, pixels)
    return Difference(links, pixels)


def _leaves(message: bytes) -> Iterator[Message]:
    parsed = email.message_from_bytes(message, policy=email.policy.compat32)
    return (part for part in parsed.walk() if not part.is_multipart())


def _text(part: Message) -> str:
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode("latin-1")


MARKUP = re.compile(r'<img border="0" width="1" height="1" alt="" src="([^"]*)">')


def _compare(before: str, after: str, links: list[tuple[str, str]], pixels: list[str]) -> None:
    """Take the pixel and the tracked hrefs out of `after`; what is left must be `before`.

    A pixel stands between line breaks, CRLF or LF, and a CR may stand before an LF already.
    """
    found = [match for match in MARKUP.finditer(after) if PIXEL.fullmatch(match[1])]
    for eol in ("\r\n", "\n"):
        bare = after
        for match in reversed(found):
            start, end = match.start() - len(eol), match.end() + len(eol)
            if after[start : match.start()] == after[match.end() : end] == eol:
                bare = bare[:start] + bare[end:]
        changed = _changed_hrefs(before, bare)
        if changed is not None:
            links += changed
            pixels += [match[1] for match in found]
            return
    raise AssertionError("more than links and pixels differ")


def _changed_hrefs(before: str, after: str) -> list[tuple[str, str]] | None:
    links = []
    old_at = 0
    new_at = 0
    for match in TRACKED.finditer(after):
        kept = after[new_at : match.start()]
        if before[old_at : old_at + len(kept) + len(match[0])] == kept + match[0]:
            continue  # it stood there before
        if not before.startswith(kept, old_at):
            return None
        old_at += len(kept)
        new_at = match.end()
        end = _value_end(before, old_at)
        links.append((before[old_at:end], match[0]))
        old_at = end
    return links if before[old_at:] == after[new_at:] else None


def _value_end(html: str, start: int) -> int:
    quote = html[start - 1]
    if quote in "\"'":
        return html.index(quote, start)
    end = re.compile(r"[\s>]").search(html, start)
    return end.start() if end else len(html)


REFERENCE = re.compile(r"&(#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[A-Za-z0-9]+;?)")


def attribute_value(raw: str) -> str:
    """Decode character references by the attribute rule of the HTML Standard."""

    def reference(match: re.Match[str]) -> str:
        name = match[1]
        if name.startswith("#"):
            digits = name[1:].rstrip(";")
            number = int(digits[1:], 16) if digits[0] in "xX" else int(digits)
            return _character(number)
        for length in range(len(name), 1, -1):
            known = html5.get(name[:length])
            if known is None:
                continue
            after = (name + raw[match.end() : match.end() + 1])[length : length + 1]
            if not name[:length].endswith(";") and re.fullmatch(r"[=A-Za-z0-9]", after):
                return match[0]
            return known + name[length:]
        return match[0]

    return REFERENCE.sub(reference, raw).replace("\0", "\ufffd")


def _character(number: int) -> str:
    if number == 0 or number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
        return "\ufffd"
    if 0x80 <= number <= 0x9F:
        return bytes([number]).decode("cp1252", "ignore") or chr(number)
    return chr(number)


def browser_target(raw: str) -> str:
    """What a browser hands to its URL parser for an `href` as it stands in the source."""
    value = attribute_value(raw)
    value = value.strip("".join(map(chr, range(0x21))))
    return re.sub(r"[\t\r\n]", "", value)
