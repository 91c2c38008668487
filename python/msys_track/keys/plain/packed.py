"""Packed texts (`docs/tokens.md`, "Packed texts"): frequent strings as one byte."""

import re
from typing import Final

STRINGS: Final = (
    b'","', b'":"', b'":', b'"}', b"%20", b"%2F", b"&utm_medium=email&utm_campaign=",
    b"&utm_campaign=", b"&utm_content=", b"&utm_medium=", b"&utm_source=", b"&utm_term=", b',"',
    b"-0", b"-4", b"-a", b"-b", b".co.uk", b".com/", b".html", b".net/", b".com", b".org",
    b".php", b".fr", b"00", b"10", b"11", b"12", b"13", b"17", b"202", b"20", b"?utm_source=",
    b"?id=", b"@hotmail.com", b"@outlook.com", b"@icloud.com", b"@gmail.com", b"@yahoo.com",
    b'_name":"', b'_id":"', b'_id":', b"_202", b"account", b"article", b'ame":"', b"age", b"app",
    b"ad", b"al", b"am", b"an", b"ar", b"as", b"at", b"blog", b"ber", b"campaign", b"category",
    b"customer", b"contact", b"cta-", b"ca", b"ce", b"ch", b"ck", b"co", b"ct", b"download",
    b"da", b"de", b"di", b"email", b"event", b"ee", b"el", b"en", b"er", b"es", b"ge", b"gi",
    b"https%3A%2F%2F", b"https://www.", b"http://www.", b"https://", b"http://", b"ho", b"index",
    b"id=", b"ing", b"ic", b"il", b"in", b"ir", b"it", b"ke", b"la", b"le", b"li", b"lo", b"mail",
    b"ment", b"me", b"mo", b"newsletter", b"net", b"new", b"ng", b"no", b"online", b"order",
    b"out", b"on", b"oo", b"or", b"preferences", b"password", b"product", b"project", b"pe",
    b"pl", b"po", b"ra", b"re", b"ri", b"ro", b"subscri", b"shop", b"s-", b"s/", b"sa", b"se",
    b"sh", b"si", b"ss", b"st", b"template", b"ter", b"ta", b"te", b"th", b"to", b"tr",
    b"unsubscribe", b'uid":"', b"user", b"utm_", b"um", b"un", b"up", b"ur", b"us", b"variant",
    b"view", b"ve", b"vi", b"weekly", b"web", b'{"',
)  # fmt: skip
"""The dictionary, in the order of its codes: part of version 1 of the tokens for ever."""

# Printable ASCII stands for itself, and 0 begins a run; all other bytes are codes.
_CODES: Final = (*range(0x01, 0x20), *range(0x7F, 0x100))
_CODE_OF: Final = dict(zip(STRINGS, _CODES, strict=True))
_STRING_OF: Final = dict(zip(_CODES, STRINGS, strict=True))
_RUN: Final = 0

# Python takes the first alternative that fits, so the longest strings come first.
_PIECES: Final = re.compile(
    rb"(?P<run>[^\x20-\x7e]{1,255})|(?P<string>%s)|(?s:.)"
    % b"|".join(re.escape(each) for each in sorted(STRINGS, key=len, reverse=True))
)


class MalformedError(Exception):
    """Packed bytes that mean nothing, or too much."""


def pack(text: bytes) -> bytes:
    """Pack bytes, taking the longest string of the dictionary at each place.

    The result may be longer than the text.
    """
    return _PIECES.sub(_pack_piece, text)


def _pack_piece(piece: re.Match[bytes]) -> bytes:
    if piece["run"]:
        return bytes((_RUN, len(piece[0]))) + piece[0]
    if piece["string"]:
        return bytes((_CODE_OF[piece[0]],))
    return piece[0]


def unpack(packed: bytes, limit: int) -> bytes:
    """Unpack bytes.

    Raises:
        MalformedError: a run ends behind them, or they stand for more than `limit` bytes.
    """
    text = bytearray()
    at = 0
    while at < len(packed):
        code = packed[at]
        at += 1
        if code in _STRING_OF:
            text += _STRING_OF[code]
        elif code == _RUN:
            end = at + 1 + packed[at] if at < len(packed) else at + 1
            if end > len(packed):
                raise MalformedError
            text += packed[at + 1 : end]
            at = end
        else:
            text.append(code)
        if len(text) > limit:
            raise MalformedError
    return bytes(text)
