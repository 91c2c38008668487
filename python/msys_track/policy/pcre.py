"""Patterns as PCRE writes them, matched in linear time: what Momentum's `msys.pcre` does.

A search takes time in proportion to the text. Looking for all matches could still take the square
of it, so the clock is looked at between two matches.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from time import thread_time
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from msys_track._core import Pattern

__all__ = ["BadPatternError", "PatternLimitError", "match", "replace", "split"]

MAX_TEXT: Final = 256 << 10
"""UTF-8 bytes of a subject. With the core's limit of a pattern it bounds one search's time."""
MAX_RESULT: Final = 1 << 20
"""UTF-8 bytes of what replacing makes of a subject."""
MAX_SECONDS: Final = 1.0
"""Processor time of one call that looks for all matches."""
_BYTES_AT_ONCE: Final = 1 << 16
"""Between two looks at the clock, counted as if each search read the whole text."""

_REFERENCE: Final = re.compile(rb"[$\\]([0-9]{1,2})|[$]\{(\w+)\}", re.ASCII)

_Ranges: TypeAlias = list[tuple[int, int] | None]


class BadPatternError(ValueError):
    """It is no pattern in PCRE either."""


class PatternLimitError(ValueError):
    """A pattern that this engine can't match, or a text that is too long for it."""


@lru_cache(maxsize=64)
def _compile_pattern(pattern: str) -> "Pattern":
    try:
        from msys_track._core import Pattern  # noqa: PLC0415 - policies do without it
    except ModuleNotFoundError as error:
        raise PatternLimitError("patterns need the compiled core") from error
    try:
        return Pattern(pattern)
    except NotImplementedError as error:
        raise PatternLimitError(f"{pattern[:100]!r}: {error}") from error
    except ValueError as error:
        raise BadPatternError(str(error)) from error


def match(subject: str, pattern: str, start: int = 0) -> tuple[object, ...]:
    """Match once, from a byte of the subject on.

    Returns:
        `none`; or `found`, the first byte of the match and its end, how many groups there are with
        the whole match, their texts (empty for a group that took no part), and name and text of
        each group that has a name.

    Raises:
        BadPatternError: it is no pattern.
        PatternLimitError: it takes more than linear time, or something is too long.
    """
    raw = _encode_text(subject)
    compiled = _compile_pattern(pattern)
    found = compiled.find(subject, start)
    if found is None or found[0] is None:
        return ("none",)
    texts = [b"" if each is None else raw[slice(*each)] for each in found]
    named = [
        each
        for name, text in zip(compiled.names, texts, strict=True)
        if name is not None
        for each in (name, text)
    ]
    return "found", *found[0], len(texts), *texts, *named


def split(subject: str, pattern: str, *, max_pieces: int) -> list[bytes]:
    """Return the pieces between the matches; empty ones are left out.

    Raises:
        BadPatternError: it is no pattern.
        PatternLimitError: it takes more than linear time, something is too long, or there are more
            pieces.
    """
    raw = _encode_text(subject)
    pieces: list[bytes] = []
    end = 0
    for found in _find_all(_compile_pattern(pattern), subject, raw):
        first, last = found[0] or (0, 0)
        pieces.append(raw[end:first])
        end = last
    pieces = [piece for piece in (*pieces, raw[end:]) if piece]
    if len(pieces) > max_pieces:
        raise PatternLimitError(f"{len(pieces)} pieces, at most {max_pieces}")
    return pieces


def replace(subject: str, pattern: str, replacement: str, limit: int = -1) -> bytes:
    r"""Return the subject with each match replaced, or with the first `limit` of them.

    In the replacement `$1`, `\1` and `${name}` stand for groups; one that is unknown, or that took
    no part, is empty.

    Raises:
        BadPatternError: it is no pattern.
        PatternLimitError: it takes more than linear time, or something is too long.
    """
    raw = _encode_text(subject)
    compiled = _compile_pattern(pattern)
    numbers = {name: number for number, name in enumerate(compiled.names) if name is not None}
    template = replacement.encode()
    pieces: list[bytes] = []
    size, end = len(raw), 0
    for count, found in enumerate(_find_all(compiled, subject, raw)):
        if 0 <= limit <= count:
            break

        def write_group(reference: re.Match[bytes], found: _Ranges = found) -> bytes:
            name = reference[2]
            number = int(reference[1]) if name is None else numbers.get(name.decode(), -1)
            group = found[number] if 0 <= number < len(found) else None
            return b"" if group is None else raw[slice(*group)]

        first, last = found[0] or (0, 0)
        pieces += raw[end:first], _REFERENCE.sub(write_group, template)
        end = last
        size += len(pieces[-1])
        if size > MAX_RESULT:
            raise PatternLimitError(f"the result has more than {MAX_RESULT} bytes")
    return b"".join((*pieces, raw[end:]))


def _find_all(compiled: "Pattern", subject: str, raw: bytes) -> Iterator[_Ranges]:
    last_second, at, unseen = thread_time() + MAX_SECONDS, 0, 0
    while at <= len(raw) and (found := compiled.find(subject, at)) is not None:
        yield found
        first, at = found[0] or (at, len(raw))
        if first == at:  # an empty match: the next search begins one character later
            at += 1
            while at < len(raw) and raw[at] & 0xC0 == 0x80:  # noqa: PLR2004 - a continuation byte
                at += 1
        unseen += len(raw)
        if unseen > _BYTES_AT_ONCE:
            unseen = 0
            if thread_time() > last_second:
                raise PatternLimitError(f"took longer than {MAX_SECONDS:g} s; give a shorter text")


def _encode_text(subject: str) -> bytes:
    raw = subject.encode()
    if len(raw) > MAX_TEXT:
        raise PatternLimitError(f"a text of {len(raw)} bytes, at most {MAX_TEXT}")
    return raw
