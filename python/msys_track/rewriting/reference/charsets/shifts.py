"""Charsets with shifts: ISO 2022 in seven bits, HZ and UTF-7."""

import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from msys_track.rewriting.reference.charsets import multi_byte
from msys_track.rewriting.reference.charsets.multi_byte import REPLACEMENT

Scheme: TypeAlias = Literal["utf-7", "hz", "iso-2022-jp", "iso-2022-kr", "iso-2022-cn"]


@dataclass(frozen=True, slots=True)
class Shifted:
    """A piece of the text."""

    text: str
    place: int | None = None
    """Where it stands in the source, if it is ASCII outside of shifts."""
    ends_base64: bool = False
    is_unread: bool = False
    """Whether U+FFFD stands for a character that others can read."""


_MALFORMED: Final = Shifted(REPLACEMENT)


def read_shifted(source: bytes, scheme: Scheme) -> Iterator[Shifted]:
    """Read a text; an empty piece at its end has the source's end if that is outside of shifts."""
    if scheme == "utf-7":
        return _read_utf_7(source)
    if scheme == "hz":
        return _read_hz(source)
    return _Iso2022(scheme).read(source)


# UTF-7 (RFC 2152): UTF-16 in base64 between `+` and the first byte that is not base64's.

_UTF_7: Final = re.compile(
    rb"(?P<plus>\+-)|\+(?P<digits>[A-Za-z0-9+/]*)(?P<minus>-?)|(?P<ascii>[\x00-\x7f])|.", re.DOTALL
)


def _read_utf_7(source: bytes) -> Iterator[Shifted]:
    is_open = False
    for found in _UTF_7.finditer(source):
        if found["plus"]:
            yield Shifted("+")
        elif found["ascii"]:
            yield Shifted(found[0].decode("ascii"), found.start(), ends_base64=is_open)
        elif found["digits"] is not None:
            yield Shifted(_read_base64(found["digits"]))
        else:
            yield _MALFORMED
        is_open = bool(found["digits"] is not None and not found["minus"])
    if not is_open:
        yield Shifted("", len(source))


def _read_base64(digits: bytes) -> str:
    whole = b64decode(digits + b"A" * (-len(digits) % 4))[: len(digits) * 6 // 8]
    units, spare = len(whole) // 2, len(digits) * 6 % 16
    text = whole[: 2 * units].decode("utf-16-be", "surrogatepass")
    text = "".join(REPLACEMENT if "\ud800" <= each <= "\udfff" else each for each in text)
    bits = int.from_bytes(b64decode(digits + b"A" * (-len(digits) % 4)), "big")
    # What is left over is zero and less than a digit (RFC 2152, rule 2).
    left = bits >> (-len(digits) % 4 * 6) & ((1 << spare) - 1)
    is_clean = digits and spare < 6 and left == 0  # noqa: PLR2004 - bits of a digit
    return text if is_clean else text + REPLACEMENT


# HZ (RFC 1843): GB 2312 between `~{` and `~}`.

_HZ_ASCII: Final = re.compile(
    rb"(?P<enter>~\{)|(?P<tilde>~~)|(?P<none>~\n)|(?P<ascii>[^~\x80-\xff])|.", re.DOTALL
)
_HZ_GB: Final = re.compile(
    rb"(?P<leave>~\})|(?P<pair>[!-}][!-~])|(?P<control>[\x00- ])|.", re.DOTALL
)


def _read_hz(source: bytes) -> Iterator[Shifted]:
    at, in_gb = 0, False
    while (found := (_HZ_GB if in_gb else _HZ_ASCII).match(source, at)) is not None:
        piece, start, at = found[0], at, found.end()
        match found.lastgroup:
            case "enter" | "leave":
                in_gb = not in_gb
            case "tilde":
                yield Shifted("~")
            case "none":  # RFC 1843: a line that goes on
                pass
            case "ascii":
                yield Shifted(piece.decode("ascii"), start)
            case "control":
                # A line ends in ASCII, whatever it is in.
                in_gb = piece != b"\n"
                yield Shifted(piece.decode("ascii"), None if in_gb else start)
            case "pair":
                yield Shifted(_read_gb_2312(piece) or REPLACEMENT)
            case _:
                yield _MALFORMED
    if not in_gb:
        yield Shifted("", len(source))


# ISO 2022: Japanese (RFC 1468, 1554, 2237), Korean (RFC 1557), Chinese (RFC 1922).

Pair: TypeAlias = Callable[[bytes], str | None]


def _read_above(name: str) -> Pair:
    """Read two bytes by the encoding that has them above 127."""
    read = multi_byte.ENCODINGS[name].read
    return lambda pair: read(bytes(byte | 0x80 for byte in pair))


_read_gb_2312 = _read_above("GBK")
_PAIRS: Final[dict[str, Pair]] = {
    "jis-0208": lambda pair: multi_byte.read_jis_0208(*pair),
    "jis-0212": lambda pair: multi_byte.read_jis_0212(*pair),
    # Its first plane has all of JIS X 0208.
    "jis-0213": lambda pair: multi_byte.read_jis_0208(*pair),
    "gb-2312": _read_gb_2312,
    "ksc-5601": _read_above("EUC-KR"),
    "unread": lambda _: None,
}
_HALF_READ: Final = ("jis-0213", "unread")
_SINGLES: Final = {"latin-1": "latin-1", "greek": "iso8859-7"}
_ESCAPES: Final = {
    b"(B": (0, "ascii"),
    b"(J": (0, "roman"),
    b"(I": (0, "katakana"),
    b"$@": (0, "jis-0208"),
    b"$B": (0, "jis-0208"),
    b"$(@": (0, "jis-0208"),
    b"$(B": (0, "jis-0208"),
    b"$(D": (0, "jis-0212"),
    b"$(O": (0, "jis-0213"),
    b"$(Q": (0, "jis-0213"),
    b"$(P": (0, "unread"),
    b"$A": (0, "gb-2312"),
    b"$(C": (0, "ksc-5601"),
    b".A": (2, "latin-1"),
    b".F": (2, "greek"),
    b"$)C": (1, "ksc-5601"),
    b"$)A": (1, "gb-2312"),
    b"$)E": (1, "unread"),
    b"$)G": (1, "unread"),
    b"$*H": (2, "unread"),
    b"$+I": (3, "unread"),
}
_ESCAPE: Final = re.compile(
    b"\x1b(?:" + b"|".join(map(re.escape, sorted(_ESCAPES, key=len, reverse=True))) + b")"
)
_SHIFTS: Final = {b"\x0e": True, b"\x0f": False}
_ROMAN: Final = {"\\": "\xa5", "~": "\u203e"}
_ESC: Final = b"\x1b"
_PRINTED: Final = re.compile(rb"[!-~]")


class _Iso2022:
    __slots__ = ("_is_japanese", "_is_shifted", "_sets")

    def __init__(self, scheme: Scheme) -> None:
        self._is_japanese = scheme == "iso-2022-jp"
        # Korean mail often lacks the header line that RFC 1557 asks for.
        second = "ksc-5601" if scheme == "iso-2022-kr" else None
        self._sets: list[str | None] = ["ascii", second, None, None]
        self._is_shifted = False

    def read(self, source: bytes) -> Iterator[Shifted]:
        at = 0
        while at < len(source):
            length, piece = self._read_escape(source, at) or self._read_character(source, at)
            at += length
            if piece is not None:
                yield piece
        if self._find_set() in ("ascii", "roman"):
            yield Shifted("", len(source))

    def _find_set(self) -> str:
        return self._sets[1 if self._is_shifted else 0] or "unread"

    def _read_escape(self, source: bytes, at: int) -> tuple[int, Shifted | None] | None:
        """Read a shift or an escape sequence: its length and the character, if it is one."""
        for escape, number in ((b"\x1bN", 2), (b"\x1bO", 3)):
            own = self._sets[number]
            if own is not None and source.startswith(escape, at):
                length, piece = _read_single_shift(own, source[at + 2 : at + 4])
                return 2 + length, piece
        found = _ESCAPE.match(source, at)
        if found is not None:
            slot, name = _ESCAPES[found[0][1:]]
            self._sets[slot] = name
            return len(found[0]), None
        byte = source[at : at + 1]
        if byte == _ESC:
            return 1, _MALFORMED
        if byte in _SHIFTS and self._sets[1] is not None:
            self._is_shifted = _SHIFTS[byte]
            return 1, None
        return None

    def _read_character(self, source: bytes, at: int) -> tuple[int, Shifted]:
        byte, trail = source[at : at + 1], source[at + 1 : at + 2]
        # RFC 1557 and 1922: a line begins in ASCII. In Japanese the Encoding Standard says no.
        if byte == b"\n" and not self._is_japanese:
            self._is_shifted = False
        own = self._find_set()
        if own in ("ascii", "roman") and byte.isascii() and byte not in _SHIFTS:
            character = byte.decode("ascii")
            if own == "roman" and character in _ROMAN:
                return 1, Shifted(_ROMAN[character])
            return 1, Shifted(character, at)
        if own == "katakana" and b"!" <= byte <= b"_":
            return 1, Shifted(chr(0xFF61 + byte[0] - 0x21))
        if own in _PAIRS and _PRINTED.match(byte) and trail:
            return self._read_pair(own, byte + trail)
        if byte <= b" " and not self._is_japanese:
            return 1, Shifted(byte.decode("ascii"))
        return 1, _MALFORMED

    def _read_pair(self, own: str, pair: bytes) -> tuple[int, Shifted]:
        if not _PRINTED.match(pair, 1):
            return 2 if self._is_japanese and pair[1:] != _ESC else 1, _MALFORMED
        character = _PAIRS[own](pair) or REPLACEMENT
        return 2, Shifted(character, is_unread=own in _HALF_READ and character == REPLACEMENT)


def _read_single_shift(own: str, behind: bytes) -> tuple[int, Shifted]:
    if own == "unread" and len(behind) == len("xx"):
        return 2, Shifted(REPLACEMENT, is_unread=True)
    if own in _SINGLES and b" " <= behind[:1] <= b"\x7f":
        character = bytes((behind[0] | 0x80,)).decode(_SINGLES[own], "replace")
        return 1, Shifted(character)
    return 0, _MALFORMED
