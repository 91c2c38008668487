"""Unfolds a header field and decodes its encoded-words.

Senders fold long fields (RFC 5322 section 2.2.3) and encode text that is not ASCII (RFC 2047).
A mistake in undoing either corrupts campaign names or refuses good mail.
"""

import binascii
import codecs
import re
from typing import Final

from msys_track.smtpapi.json import JsonError

_FOLD: Final = re.compile(rb"\n[ \t]+")
_WIDE_FOLD: Final = re.compile(rb"\n(?! [^ \t])")
"""A line break that is not followed by exactly one space."""
# A charset's name is ASCII (RFC 2047 section 2). `codecs` would take "utf-8é" for UTF-8.
_ENCODED_WORD: Final = re.compile(
    r"=\?(?P<charset>[!-)+->@-~]+)(?:\*[^?\s]*)?\?(?P<encoding>[bBqQ])\?(?P<text>[^?\s]*)\?=",
    re.ASCII,
)
# Neighbours of one charset, which are decoded together.
_ENCODED_WORDS: Final = re.compile(
    rf"{_ENCODED_WORD.pattern}"
    r"(?:[ \t]*=\?(?i:(?P=charset))(?:\*[^?\s]*)?\?[bBqQ]\?[^?\s]*\?=)*",
    re.ASCII,
)
_BAD_ESCAPE: Final = re.compile(r"=(?![0-9A-Fa-f]{2})")

# Python also has codecs that are not charsets (rot13, zlib) or take quadratic time (punycode).
_CHARSET: Final = re.compile(
    r"ascii|utf-8|utf-16(-[lb]e)?|iso8859-\d+|cp\d{3,4}|koi8-[rut]|mac-\w+|tis-620|"
    r"big5(hkscs)?|gb2312|gbk|gb18030|euc_\w+|shift_jis\w*|iso2022_\w+|johab|hz"
)


def unfold_value(value: bytes) -> bytes:
    """Undo folding: a line break and the white space after it become exactly one space.

    Momentum's documentation says that this also applies inside JSON strings.
    """
    value = value.strip(b" \t\r\n")
    if b"\n" not in value:
        return value
    if _WIDE_FOLD.search(value) is None:  # the common case, in half the time
        return value.replace(b"\r\n", b"").replace(b"\n", b"")
    return _FOLD.sub(b" ", value.replace(b"\r\n", b"\n"))


def decode_words(value: bytes) -> str:
    """Decode an unfolded value: UTF-8 with RFC 2047 encoded-words anywhere in it.

    White space between two encoded-words is dropped (RFC 2047 section 6.2). A character may be
    split between two words of one charset, as many mailers do.

    Raises:
        JsonError: the value is not UTF-8, or an encoded-word can't be decoded. The column counts
            characters of the unfolded value.
    """
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError as error:
        before = value[: error.start].decode("utf-8")
        raise JsonError(before, len(before), "not valid UTF-8") from None
    if "?" not in text or "=?" not in text:  # one character is found faster than two
        return text
    pieces: list[str] = []
    end = 0
    for words in _ENCODED_WORDS.finditer(text):
        between = text[end : words.start()]
        if not pieces or between.strip(" \t"):
            pieces.append(between)
        pieces.append(_decode_neighbours(text, words))
        end = words.end()
    pieces.append(text[end:])
    return "".join(pieces)


def _decode_neighbours(text: str, words: re.Match[str]) -> str:
    octets = bytearray()
    for word in _ENCODED_WORD.finditer(text, words.start(), words.end()):
        is_base64 = word["encoding"] in "bB"
        is_malformed = not is_base64 and _BAD_ESCAPE.search(word["text"]) is not None
        try:
            if is_base64:
                octets += binascii.a2b_base64(word["text"], strict_mode=True)
            else:
                octets += binascii.a2b_qp(word["text"], header=True)
        except ValueError:
            is_malformed = True
        if is_malformed:
            raise JsonError(text, word.start(), "malformed encoded-word")
    charset, start = words["charset"].lower(), words.start()
    try:
        codec = codecs.lookup(charset).name
    except (LookupError, ValueError):
        codec = ""
    if not _CHARSET.fullmatch(codec):
        raise JsonError(text, start, f"unknown charset {charset[:40]} in an encoded-word")
    try:
        return octets.decode(codec)
    except UnicodeError:
        raise JsonError(text, start, f"encoded-word is not valid {charset[:40]}") from None
