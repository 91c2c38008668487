"""Takes back escapes that Momentum once asked for: `{{opening_double_curly()}}` stands for `{{`.

Older Momentum evaluated `{{…}}` in mail that came over SMTP. Senders who still escape it would
send the escapes to their readers. They go before the message is read, so that targets, metadata
and texts are what the sender meant, for both engines and for copies that are not tracked.

An escape is taken back by deletion alone: the braces that it stands for are its own. So it works
in every charset and encoding, and no line becomes longer.
"""

import re
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from msys_track.rewriting.reference import base64
from msys_track.rewriting.reference.body import Body, read_body
from msys_track.rewriting.reference.entity import Leaf, list_parts
from msys_track.rewriting.reference.header import (
    SEALS,
    SIGNATURES,
    Field,
    Section,
    read_section,
    skip_prelude,
)
from msys_track.rewriting.reference.left_alone import LeftAloneError
from msys_track.rewriting.reference.lines import find_line_break

_SURPLUS: Final = re.compile(
    rb"(?<=\{\{)opening_double_curly\(\)\}\}|\{\{closing_double_curly\(\)(?=\}\})"
)
"""What an escape has beside its braces."""
_SOFT_BREAK: Final = re.compile(rb"=[ \t]*\r?\n")


class _Edit(NamedTuple):
    start: int
    end: int
    text: bytes = b""


def unescape_curly_macros(message: bytes, signed_mail: Literal["skip", "strip", "track"]) -> bytes:
    """Turn `{{opening_double_curly()}}` into `{{`, and `{{closing_double_curly()}}` into `}}`.

    It happens in the header fields of the message, but for those that say how to read it
    (`Content-…`), and in its text, HTML and AMP parts. Encoded-words (RFC 2047) stay as they are,
    and so do attachments and what can't be read.

    Args:
        message: as received.
        signed_mail: what becomes of a message with signatures, which a change breaks: `skip`
            leaves it, `strip` removes them, `track` breaks them.
    """
    section = read_section(message, skip_prelude(message), len(message))
    signatures = [field for field in section.fields if field.name in SIGNATURES]
    is_signed = any(field.name in SEALS for field in signatures)
    if section.is_malformed or (is_signed and signed_mail == "skip"):
        return message
    edits = [*_find_in_header(message, section), *_find_in_parts(message, section)]
    if edits and is_signed and signed_mail == "strip":
        edits = [*_remove(signatures), *(each for each in edits if not _is_in(each, signatures))]
    return _apply(message, sorted(edits))


def _find_in_header(message: bytes, section: Section) -> Iterator[_Edit]:
    for field in section.fields:
        if field.name.startswith(b"content-"):
            continue
        for start, end in field.lines:
            yield from (_Edit(*each.span()) for each in _SURPLUS.finditer(message, start, end))


def _find_in_parts(message: bytes, section: Section) -> Iterator[_Edit]:
    for leaf in list_parts(message, section):
        if leaf.role is None:
            continue
        try:
            body = read_body(message, leaf)
        except LeftAloneError:
            continue
        found = (body.locate_part(*each.span()) for each in _SURPLUS.finditer(body.text))
        ranges = [each for each in found if each is not None]
        if not ranges:
            continue
        if body.form == "base64":
            yield _encode(message, leaf, _delete(body.content, ranges), ranges[0][0])
        else:
            yield from (_cut(message, body, start, end) for start, end in ranges)


def _cut(message: bytes, body: Body, start: int, end: int) -> _Edit:
    """Delete a range of a part's content, but for soft line breaks in it (RFC 2045 section 6.7).

    Without them the line could become too long.
    """
    first, last = body.locate(start, end)
    if body.quoted_printable is None:
        return _Edit(first, last)
    breaks = b"".join(_SOFT_BREAK.findall(message[first:last]))
    # What follows would begin a line, which must not be taken for a boundary.
    is_safe = not breaks or not message.startswith(b"--", last)
    return _Edit(first, last, breaks) if is_safe else _Edit(last, last)


def _encode(message: bytes, leaf: Leaf, content: bytes, changed: int) -> _Edit:
    """Write the content in base64 from the first group on that has changed."""
    raw = message[leaf.start : leaf.end]
    group = changed // 3
    layout = base64.find_group(raw, group)
    eol = find_line_break(raw if b"\n" in raw else message)
    encoded = base64.encode(content[group * 3 :], layout, eol)
    return _Edit(leaf.start + layout.start, leaf.start + layout.end, encoded)


def _remove(fields: list[Field]) -> Iterator[_Edit]:
    return (_Edit(start, end) for field in fields for start, end in field.lines)


def _is_in(edit: _Edit, fields: list[Field]) -> bool:
    return any(
        start <= edit.start and edit.end <= end for field in fields for start, end in field.lines
    )


def _delete(content: bytes, ranges: list[tuple[int, int]]) -> bytes:
    return _apply(content, [_Edit(start, end) for start, end in ranges])


def _apply(text: bytes, edits: list[_Edit]) -> bytes:
    if not edits:
        return text
    pieces, copied = [], 0
    for start, end, new in edits:
        pieces += [text[copied:start], new]
        copied = end
    return b"".join([*pieces, text[copied:]])
