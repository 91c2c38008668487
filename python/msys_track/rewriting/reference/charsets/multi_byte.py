"""The encodings of the Encoding Standard with characters of several bytes (its sections 10 to 13).

Python's codecs have the characters, the standard says which bytes make one: how long a malformed
sequence is, what of it is read again, and where its tables differ.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import chain
from typing import Final

from msys_track.rewriting.reference.charsets import multi_byte_tables as tables

REPLACEMENT: Final = "\ufffd"
_ASCII: Final = 0x80
_HIGH: Final = range(0xA1, 0xFF)
_SHIFT_JIS_LEADS: Final = bytes((*range(0x81, 0xA0), *range(0xE0, 0xFD)))
_SHIFT_JIS_TRAILS: Final = bytes((*range(0x40, 0x7F), *range(0x80, 0xFD)))
# Python writes it in two bytes that browsers read as U+3000.
_NOT_WRITTEN: Final = "\ue5e5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """An encoding's sequences."""

    sequence: re.Pattern[str]
    """What is read at once, a character each byte: all but ASCII."""
    read: Callable[[bytes], str | None]
    """A sequence's characters; None for one that has none."""
    pairs: tuple[range, tuple[range, ...]]
    """First and second bytes that characters are written in, the preferred first."""
    only_read: frozenset[int] = frozenset()
    """First bytes of characters that are written in another way or not at all."""
    last_wins: frozenset[str] = frozenset()
    """Characters for which the last of them is preferred."""
    written: dict[str, bytes] = field(default_factory=dict)
    """Characters that are written in another way."""
    has_four_bytes: bool = False
    """Whether all other characters are written in four bytes."""


def _match_sequence(leads: str, trails: str, longer: str = "") -> re.Pattern[str]:
    # A lead takes any byte beyond ASCII with it; of ASCII only a byte that may end a character.
    return re.compile(f"{longer}[{leads}](?:[{trails}]|[\x80-\xff])|[\x80-\xff]", re.DOTALL)


def _read_by(codec: str, others: dict[bytes, str]) -> Callable[[bytes], str | None]:
    def read(sequence: bytes) -> str | None:
        if sequence in others:
            return others[sequence]
        try:
            return sequence.decode(codec)
        except UnicodeDecodeError:
            return None

    return read


def _read_table(table: str, trails: Sequence[int]) -> dict[bytes, str]:
    others = {}
    for run in table.split():
        first, _, characters = run.partition("=")
        lead, trail = bytes.fromhex(first)
        at = trails.index(trail)
        for following, character in zip(trails[at:], characters, strict=False):
            others[bytes((lead, following))] = character
    return others


def _list_pairs(leads: range, trails: tuple[range, ...]) -> Iterator[bytes]:
    return (bytes((lead, trail)) for lead in leads for piece in trails for trail in piece)


def _read_shift_jis(sequence: bytes) -> str | None:
    if len(sequence) == 1:
        byte = sequence[0]
        if byte == _ASCII:
            return "\x80"
        return chr(0xFF61 + byte - 0xA1) if byte in range(0xA1, 0xE0) else None
    try:
        return sequence.decode("cp932")
    except UnicodeDecodeError:
        return None


def read_jis_0208(lead: int, trail: int) -> str | None:
    """Return the character of JIS X 0208 with NEC's additions (bytes 21 to 7E)."""
    # Two rows of it are one of Shift_JIS, which leaves out A0 to DF and 7F.
    first, second = divmod((lead - 0x21) * 94 + trail - 0x21, 188)
    return _read_shift_jis(bytes((_SHIFT_JIS_LEADS[first], _SHIFT_JIS_TRAILS[second])))


def read_jis_0212(lead: int, trail: int) -> str | None:
    """Return the character of JIS X 0212 (bytes 21 to 7E)."""
    if (lead, trail) == (0x22, 0x37):
        return "\uff5e"
    try:
        return bytes((0x8F, lead | _ASCII, trail | _ASCII)).decode("euc_jp")
    except UnicodeDecodeError:
        return None


def _read_euc_jp(sequence: bytes) -> str | None:
    *marks, lead, trail = sequence if len(sequence) > 1 else (0, 0)
    if lead == 0x8E and trail in range(0xA1, 0xE0):  # noqa: PLR2004 - half-width katakana
        return chr(0xFF61 + trail - 0xA1)
    if lead not in _HIGH or trail not in _HIGH:
        return None
    read = read_jis_0212 if marks else read_jis_0208
    return read(lead & ~_ASCII, trail & ~_ASCII)


_TRAILS: Final = (range(0x40, 0x7F), range(0x80, 0xFF))
_TRAILS_OF_BIG5: Final = (range(0x40, 0x7F), range(0xA1, 0xFF))
_GB_OTHERS: Final = {b"\x80": "\u20ac", b"\xa3\xa0": "\u3000", b"\x81\x35\xf4\x37": "\ue7c7"}
_GB_TABLE: Final = _read_table(tables.GB18030, [*chain(*_TRAILS)])
# The code points that those characters had before are written in the same bytes.
_GB_WRITTEN: Final = {pair.decode("gb18030"): pair for pair in _GB_TABLE if pair != b"\xa8\xbc"}
_GBK: Final = Encoding(
    sequence=_match_sequence(
        "\x81-\xfe",
        "@-~",
        # Four bytes, or what the text's end leaves of them.
        "[\x81-\xfe][0-9](?:[\x81-\xfe](?:[0-9]|\\Z)|\\Z)|",
    ),
    read=_read_by("gb18030", _GB_TABLE | _GB_OTHERS),
    pairs=(range(0x81, 0xFF), _TRAILS),
    written=_GB_WRITTEN | {"\u20ac": b"\x80"},
)
ENCODINGS: Final = {
    "Big5": Encoding(
        sequence=_match_sequence("\x81-\xfe", "@-~"),
        read=_read_by("big5hkscs", _read_table(tables.BIG5, [*chain(*_TRAILS_OF_BIG5)])),
        # Those of Hong Kong's supplement are read, and not written.
        pairs=(range(0xA1, 0xFF), _TRAILS_OF_BIG5),
        last_wins=frozenset("\u2550\u255e\u2561\u256a\u5341\u5345"),
    ),
    "EUC-JP": Encoding(
        sequence=_match_sequence("\x8e\xa1-\xfe", "\xff", "\x8f[\xa1-\xfe]?[\x80-\xff]?|"),
        read=_read_euc_jp,
        pairs=(range(0x8E, 0xFF), (range(0xA1, 0xFF),)),
        written={"\xa5": b"\\", "\u203e": b"~", "\u2212": b"\xa1\xdd"},
    ),
    "EUC-KR": Encoding(
        sequence=_match_sequence("\x81-\xfe", "A-~"),
        read=_read_by("cp949", {}),
        pairs=(range(0x81, 0xFF), (range(0x41, 0xFF),)),
    ),
    "GBK": _GBK,
    "gb18030": replace(
        _GBK, written=_GB_WRITTEN | {"\ue7c7": b"\x81\x35\xf4\x37"}, has_four_bytes=True
    ),
    "Shift_JIS": Encoding(
        sequence=_match_sequence("\x81-\x9f\xe0-\xfc", "@-~"),
        read=_read_shift_jis,
        pairs=(range(0x81, 0xFD), (range(0x40, 0x7F), range(0x80, 0xFD))),
        # NEC's copies of IBM's additions, and what users defined.
        only_read=frozenset({0xED, 0xEE, *range(0xF0, 0xFA)}),
        written={"\xa5": b"\\", "\u203e": b"~", "\u2212": b"\x81\x7c", "\x80": b"\x80"}
        | {chr(0xFF61 + at): bytes((0xA1 + at,)) for at in range(63)},
    ),
}


def decode(octets: bytes, name: str) -> str:
    """Read bytes in the encoding of that name; a malformed sequence becomes U+FFFD."""
    encoding = ENCODINGS[name]

    def read(found: re.Match[str]) -> str:
        sequence = found[0].encode("latin-1")
        character = encoding.read(sequence)
        if character is not None:
            return character
        # An ASCII byte that ends no character is one of its own; digits go with four bytes.
        is_alone = sequence[-1] < _ASCII and not found[0][-1].isdigit()
        return REPLACEMENT + (found[0][-1] if is_alone else "")

    return encoding.sequence.sub(read, octets.decode("latin-1"))


def encode(character: str, name: str) -> bytes | None:
    """Write a character in the encoding of that name; None for one that it has not."""
    if character.isascii():
        return character.encode("ascii")
    written = _list_written(name).get(character)
    if written is None and ENCODINGS[name].has_four_bytes and character not in _NOT_WRITTEN:
        return character.encode("gb18030")
    return written


@cache
def _list_written(name: str) -> dict[str, bytes]:
    encoding = ENCODINGS[name]
    written: dict[str, bytes] = {}
    for pair in _list_pairs(*encoding.pairs):
        if pair[0] in encoding.only_read:
            continue
        character = encoding.read(pair)
        if character is not None and (character not in written or character in encoding.last_wins):
            written[character] = pair
    return written | encoding.written
