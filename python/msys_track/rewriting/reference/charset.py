"""Charsets (`charsets.txt`): how bytes read, and how browsers ask for links."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal, TypeAlias
from urllib.parse import quote_from_bytes

from msys_track.reasons import Reason
from msys_track.rewriting.reference.left_alone import LeftAloneError

_TABLE: Final = Path(__file__).parents[1] / "charsets.txt"
_ZEROS: Final = re.compile(r"(?<![0-9])0+(?=[0-9])")
_UNITS: Final = {"utf-16": 2, "utf-32": 4}
_ASCII: Final = 0x80
_CONTROLS: Final = range(0x80, 0xA0)
_HIGH: Final = range(0xD800, 0xDC00)
_LOW: Final = range(0xDC00, 0xE000)
_LAST: Final = 0x10FFFF
_MARK: Final = 0xFEFF

Order: TypeAlias = Literal["little", "big"]

# Where Python has another codec for an encoding of the Encoding Standard, or none by its name.
_CODECS: Final = {
    "Big5": "big5hkscs",
    "EUC-KR": "cp949",
    "GBK": "gb18030",
    "ISO-8859-8-I": "iso8859-8",
    "Shift_JIS": "cp932",
    "macintosh": "mac-roman",
    "windows-874": "cp874",
    "x-mac-cyrillic": "mac-cyrillic",
}
_MULTI_BYTE: Final = frozenset({"Big5", "EUC-JP", "EUC-KR", "GBK", "Shift_JIS", "gb18030"})
# Bytes that the Encoding Standard reads otherwise than Python's codecs.
_OTHERWISE: Final[dict[str, dict[int, int]]] = {
    "KOI8-U": {0xAE: 0x045E, 0xBE: 0x040E},
    "windows-1255": {0xCA: 0x05BA},
    "x-mac-cyrillic": {0xA2: 0x0490, 0xB6: 0x0491, 0xFF: 0x20AC},
}
# URL Standard, "special-query percent-encode set": all else of ASCII stays.
_QUERY_SAFE: Final = "".join(chr(byte) for byte in range(0x21, 0x7F) if chr(byte) not in "\"#<>'")


@dataclass(frozen=True, slots=True)
class Charset:
    """The charset of a text whose markup can be read byte by byte."""

    decode: Callable[[bytes], str]
    """Malformed sequences become U+FFFD."""
    encodes_query: Callable[[bytes], str | None] = lambda _: None
    """The codec of queries in links to these bytes; None for UTF-8."""
    is_opaque: bool = False
    """Whether bytes above 127 can't be read."""
    width: Literal["utf-8", "single", "multi"] = "utf-8"
    """How many bytes a character may have."""


@dataclass(frozen=True, slots=True)
class WideCharset:
    """UTF-16 or UTF-32."""

    unit: int
    """Bytes."""
    order: Order | None
    """As the label says."""


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: str
    name: str
    characters: tuple[str, ...] = ()


def find_charset(label: str | None) -> Charset | WideCharset:
    """Find the charset that a `charset` parameter names.

    Raises:
        LeftAloneError: no registry knows it, or it is one in which markup can't be read.
    """
    if label is None or not label.strip("'\" "):
        return _make_undeclared()
    entry = _read_table().get(_fold_label(label))
    if entry is None:
        raise LeftAloneError(Reason.UNKNOWN_CHARSET)
    unit = entry.kind.removesuffix("le").removesuffix("be")
    if unit in _UNITS:
        named: Order | None = None
        if entry.kind != unit:
            named = "little" if entry.kind.endswith("le") else "big"
        return WideCharset(_UNITS[unit], named)
    match entry.kind:
        case "ascii":
            return _make_undeclared()
        case "standard":
            return _make_standard(entry.name)
        case "single":
            return Charset(_read_single(entry.characters), width="single")
        case "opaque":
            return Charset(_decode_opaque, is_opaque=True, width="single")
        case _:
            raise LeftAloneError(Reason.UNSUPPORTED_CHARSET)


def _fold_label(label: str) -> str:
    """Unicode Technical Standard #22, "Charset Alias Matching"."""
    letters = "".join(each for each in label if each.isascii() and each.isalnum()).lower()
    return _ZEROS.sub("", letters)


@cache
def _read_table() -> dict[str, _Entry]:
    table: dict[str, _Entry] = {}
    heads = re.split(r"^(?=[a-z])", _TABLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for text in heads:
        head, *lines = [line for line in text.splitlines() if not line.startswith("#")] or [""]
        kind, _, name = head.partition("#")[0].strip().partition(" ")
        own: dict[str, list[str]] = {"=": [], ">": [], "<": []}
        for line in lines:
            if line.strip():
                mark, *words = line.split()
                own[mark] += words
        characters = [chr(byte) for byte in range(_ASCII)]
        for change in own["<"]:
            byte, _, code_point = change.partition("=")
            characters[int(byte, 16)] = chr(int(code_point, 16))
        characters += [chr(int(code_point, 16)) for code_point in own[">"]]
        entry = _Entry(kind, name.strip(), tuple(characters))
        table |= dict.fromkeys(own["="], entry)
    return table


@cache
def _make_undeclared() -> Charset:
    windows = _make_standard("windows-1252").decode

    def decode(octets: bytes) -> str:
        try:
            return octets.decode("utf-8")
        except UnicodeDecodeError:
            return windows(octets)

    def encodes_query(octets: bytes) -> str | None:
        try:
            octets.decode("utf-8")
        except UnicodeDecodeError:
            return "cp1252"
        return None

    return Charset(decode, encodes_query)


@cache
def _make_standard(name: str) -> Charset:
    codec = _CODECS.get(name, name)
    if name == "UTF-8":
        return Charset(lambda octets: octets.decode("utf-8", "replace"))
    if name in _MULTI_BYTE:
        return Charset(
            lambda octets: octets.decode(codec, "replace"), lambda _: codec, width="multi"
        )
    if name == "x-user-defined":
        characters = tuple(chr(byte if byte < _ASCII else 0xF700 + byte) for byte in range(256))
    else:
        characters = tuple(_read_byte(name, codec, byte) for byte in range(256))
    return Charset(_read_single(characters), lambda _: codec, width="single")


def _read_byte(name: str, codec: str, byte: int) -> str:
    if byte in _OTHERWISE.get(name, {}):
        return chr(_OTHERWISE[name][byte])
    read = bytes((byte,)).decode(codec, "replace")
    # The Encoding Standard has controls where the code page has nothing.
    return chr(byte) if read == "\ufffd" and byte in _CONTROLS else read


def _read_single(characters: tuple[str, ...]) -> Callable[[bytes], str]:
    table = "".join(characters)
    return lambda octets: octets.decode("latin-1").translate(
        {number: each for number, each in enumerate(table) if ord(each) != number}
    )


def _decode_opaque(octets: bytes) -> str:
    return octets.decode("ascii", "replace")


def encode_query(target: str, codec: str) -> str:
    """Percent-encode a query beyond ASCII as a browser does (URL Standard, "query state")."""
    before, mark, fragment = target.partition("#")
    path, question, query = before.partition("?")
    if not question or query.isascii():
        return target
    pieces = []
    for character in query:
        try:
            pieces.append(quote_from_bytes(character.encode(codec), _QUERY_SAFE))
        except UnicodeEncodeError:
            pieces.append(f"%26%23{ord(character)}%3B")
    return f"{path}?{''.join(pieces)}{mark}{fragment}"


class WideText:
    """A text in UTF-16 or UTF-32 as UTF-8, and the way back."""

    __slots__ = ("_places", "codec", "content", "is_whole")

    def __init__(self, source: bytes, charset: WideCharset) -> None:
        """Read a part.

        Raises:
            LeftAloneError: it is not in that charset.
        """
        unit = charset.unit
        order, start = _find_order(source, charset)
        self.codec = f"utf-{8 * unit}-{'le' if order == 'little' else 'be'}"
        body = source[start:]
        if start == 0 and body and _count_ascii(body, unit, order) == 0:
            raise LeftAloneError(Reason.UNSUPPORTED_CHARSET)
        self.is_whole = len(body) % unit == 0
        whole = body[: len(body) - len(body) % unit]
        units = [int.from_bytes(whole[at : at + unit], order) for at in range(0, len(whole), unit)]
        content = bytearray()
        # Where each byte of the text came from; those within a character have no place.
        self._places: dict[int, int] = {}
        at = 0
        while at < len(units):
            self._places[len(content)] = start + at * unit
            code_point, length = _read_character(units, at, unit)
            content += chr(code_point).encode("utf-8")
            at += length
        if self.is_whole:
            self._places[len(content)] = start + at * unit
        else:
            content += "\ufffd".encode()
        self.content = bytes(content)

    def locate(self, at: int) -> int | None:
        """Return where a character of the text stands in the part."""
        return self._places.get(at)


def _read_character(units: list[int], at: int, unit: int) -> tuple[int, int]:
    value = units[at]
    if unit == _UNITS["utf-16"] and value in _HIGH:
        low = units[at + 1] if at + 1 < len(units) else 0
        if low in _LOW:
            return 0x10000 + ((value - _HIGH.start) << 10) + low - _LOW.start, 2
    if value in _HIGH or value in _LOW or value > _LAST:
        return 0xFFFD, 1
    return value, 1


def _find_order(source: bytes, charset: WideCharset) -> tuple[Order, int]:
    unit = charset.unit
    orders: tuple[Order, Order] = ("little", "big")
    for order in orders:
        if len(source) >= unit and int.from_bytes(source[:unit], order) == _MARK:
            return order, unit
    if charset.order is not None:
        return charset.order, 0
    little, big = (_count_ascii(source, unit, order) for order in orders)
    is_little = little >= big if unit == _UNITS["utf-16"] else little > big
    return ("little" if is_little else "big"), 0


def _count_ascii(source: bytes, unit: int, order: Order) -> int:
    return sum(
        0 < int.from_bytes(source[at : at + unit], order) < _ASCII
        for at in range(0, len(source) - unit + 1, unit)
    )
