"""Charsets (`charsets.txt`): how bytes read, and how browsers write queries in them."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Final, Literal, TypeAlias

from msys_track.reasons import Reason
from msys_track.rewriting.reference.charsets import multi_byte, query
from msys_track.rewriting.reference.charsets.query import Encoder
from msys_track.rewriting.reference.charsets.shifts import Scheme
from msys_track.rewriting.reference.left_alone import LeftAloneError

_TABLE: Final = Path(__file__).parents[2] / "charsets.txt"
_ZEROS: Final = re.compile(r"(?<![0-9])0+(?=[0-9])")
_UNITS: Final = {"utf-16": 2, "utf-32": 4}
_ASCII: Final = 0x80
_CONTROLS: Final = range(0x80, 0xA0)

# Where Python has another name for an encoding of the Encoding Standard.
_CODECS: Final = {
    "ISO-8859-8-I": "iso8859-8",
    "macintosh": "mac-roman",
    "windows-874": "cp874",
    "x-mac-cyrillic": "mac-cyrillic",
}
# Bytes that the Encoding Standard reads otherwise than Python's codecs.
_OTHERWISE: Final[dict[str, dict[int, int]]] = {
    "KOI8-U": {0xAE: 0x045E, 0xBE: 0x040E},
    "windows-1255": {0xCA: 0x05BA},
    "x-mac-cyrillic": {0xA2: 0x0490, 0xB6: 0x0491, 0xFF: 0x20AC},
}
Order: TypeAlias = Literal["little", "big"]


@dataclass(frozen=True, slots=True)
class Charset:
    """The charset of a text whose markup can be read byte by byte."""

    decode: Callable[[bytes], str]
    """Malformed sequences become U+FFFD."""
    find_encoder: Callable[[bytes], Encoder | None] = lambda _: None
    """How queries in links to these bytes are written; None for UTF-8."""
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
class ShiftedCharset:
    """ISO 2022 in seven bits, HZ or UTF-7."""

    scheme: Scheme


TranscodedCharset: TypeAlias = WideCharset | ShiftedCharset


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: str
    name: str
    characters: tuple[str, ...] = ()


def find_charset(label: str | None) -> Charset | TranscodedCharset:
    """Find the charset that a `charset` parameter names.

    Raises:
        LeftAloneError: no registry knows it, or it is one in which markup can't be read.
    """
    if label is None or not label.strip("'\" "):
        return _make_undeclared()
    entry = _read_table().get(_fold_label(label))
    if entry is None:
        raise LeftAloneError(Reason.UNKNOWN_CHARSET)
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
            return _find_transcoded(entry.kind)


def _find_transcoded(kind: str) -> TranscodedCharset:
    match kind:
        case "utf-7" | "hz" | "iso-2022-jp" | "iso-2022-kr" | "iso-2022-cn":
            return ShiftedCharset(kind)
        case "utf-16le" | "utf-32le":
            return WideCharset(_UNITS[kind[:-2]], "little")
        case "utf-16be" | "utf-32be":
            return WideCharset(_UNITS[kind[:-2]], "big")
        case "utf-16" | "utf-32":
            return WideCharset(_UNITS[kind], None)
        case _:
            raise LeftAloneError(Reason.UNSUPPORTED_CHARSET)


def find_charset_of_transcoded(charset: TranscodedCharset) -> Charset:
    """Return the charset of a part that was transcoded."""
    # The Encoding Standard knows no other of these ("get an output encoding").
    is_japanese = charset == ShiftedCharset("iso-2022-jp")
    return Charset(_decode_utf8, lambda _: query.encode_iso_2022_jp if is_japanese else None)


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
    windows = _make_standard("windows-1252")

    def decode(octets: bytes) -> str:
        try:
            return octets.decode("utf-8")
        except UnicodeDecodeError:
            return windows.decode(octets)

    def find_encoder(octets: bytes) -> Encoder | None:
        try:
            octets.decode("utf-8")
        except UnicodeDecodeError:
            return windows.find_encoder(octets)
        return None

    return Charset(decode, find_encoder)


@cache
def _make_standard(name: str) -> Charset:
    if name == "UTF-8":
        return Charset(_decode_utf8)
    if name in multi_byte.ENCODINGS:
        encode = query.encode_by(partial(multi_byte.encode, name=name))
        return Charset(partial(multi_byte.decode, name=name), lambda _: encode, width="multi")
    codec = _CODECS.get(name, name)
    if name == "x-user-defined":
        characters = tuple(chr(byte if byte < _ASCII else 0xF700 + byte) for byte in range(256))
    else:
        characters = tuple(_read_byte(name, codec, byte) for byte in range(256))
    written = {
        character: bytes((byte,))
        for byte, character in enumerate(characters)
        if character != "\ufffd"
    }
    encode = query.encode_by(written.get)
    return Charset(_read_single(characters), lambda _: encode, width="single")


def _decode_utf8(octets: bytes) -> str:
    return octets.decode("utf-8", "replace")


def _read_byte(name: str, codec: str, byte: int) -> str:
    if byte in _OTHERWISE.get(name, {}):
        return chr(_OTHERWISE[name][byte])
    read = bytes((byte,)).decode(codec, "replace")
    # The Encoding Standard has controls where the code page has nothing.
    return chr(byte) if read == "\ufffd" and byte in _CONTROLS else read


def _read_single(characters: tuple[str, ...]) -> Callable[[bytes], str]:
    others = {number: each for number, each in enumerate(characters) if ord(each) != number}
    return lambda octets: octets.decode("latin-1").translate(others)


def _decode_opaque(octets: bytes) -> str:
    return octets.decode("ascii", "replace")
