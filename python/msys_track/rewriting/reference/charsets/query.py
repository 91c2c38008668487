"""Queries beyond ASCII, as a browser asks for them (URL Standard, "query state")."""

import unicodedata
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias
from urllib.parse import quote_from_bytes

from msys_track.rewriting.reference.charsets import multi_byte
from msys_track.rewriting.reference.charsets.multi_byte import REPLACEMENT

Encoder: TypeAlias = Callable[[str], Iterator[bytes | str]]
"""Writes a text: bytes, and the characters that the encoding has not."""

# URL Standard, "special-query percent-encode set": all else of ASCII stays.
_SAFE: Final = "".join(chr(byte) for byte in range(0x21, 0x7F) if chr(byte) not in "\"#<>'")
_ESCAPES: Final = {"ascii": b"\x1b(B", "roman": b"\x1b(J", "jis": b"\x1b$B"}
# Encoding Standard, section 12.2.2: shifts of ours could be taken for the encoder's.
_SHIFTS: Final = "\x0e\x0f\x1b"
_HALF_WIDTH: Final = range(0xFF61, 0xFFA0)
_SOUND_MARKS: Final = {"\uff9e": "\u309b", "\uff9f": "\u309c"}


def encode_query(target: str, encoder: Encoder) -> str:
    """Percent-encode a target's query if it is not ASCII."""
    before, mark, fragment = target.partition("#")
    path, question, query = before.partition("?")
    if not question or query.isascii():
        return target
    encoded = "".join(
        f"%26%23{ord(piece)}%3B" if isinstance(piece, str) else quote_from_bytes(piece, _SAFE)
        for piece in encoder(query)
    )
    return f"{path}?{encoded}{mark}{fragment}"


def encode_by(write: Callable[[str], bytes | None]) -> Encoder:
    """Return the encoder that writes each character by itself."""
    return lambda text: (write(character) or character for character in text)


def encode_iso_2022_jp(text: str) -> Iterator[bytes | str]:
    """Write ISO-2022-JP (Encoding Standard, section 12.2.2)."""
    mode = "ascii"
    for character in text:
        if mode != "jis" and character in _SHIFTS:
            yield REPLACEMENT
            continue
        wanted, written = _choose_set(character, mode)
        if wanted != mode:
            yield _ESCAPES[wanted]
            mode = wanted
        yield REPLACEMENT if character in _SHIFTS else written or character
    if mode != "ascii":
        yield _ESCAPES["ascii"]


def _choose_set(character: str, mode: str) -> tuple[str, bytes | None]:
    """Return the set that has a character, and how it is written there."""
    if mode == "roman" and character.isascii() and character not in "\\~":
        return "roman", character.encode("ascii")
    if character.isascii():
        return "ascii", character.encode("ascii")
    if character in "\xa5\u203e":
        return "roman", b"\\" if character == "\xa5" else b"~"
    if ord(character) in _HALF_WIDTH:
        wide = _SOUND_MARKS.get(character) or unicodedata.normalize("NFKC", character)
    else:
        wide = "\uff0d" if character == "\u2212" else character
    pair = multi_byte.encode(wide, "EUC-JP")
    if pair is None:
        return "ascii" if mode == "jis" else mode, None
    return "jis", bytes(byte & 0x7F for byte in pair)
