"""From a header field as it stands in the message to the text it means.

Senders must fold long fields (RFC 5322 section 2.2.3) and encode what is not ASCII (RFC 2047);
undone wrongly, either corrupts campaign names or refuses good mail.
"""

import binascii
import codecs
import re
from collections.abc import Iterator
from typing import Final

from msys_track.smtpapi.json import JsonFault

_FOLD: Final = re.compile(rb"\n[ \t]+")
_WIDE_FOLD: Final = re.compile(rb"\n(?! [^ \t])")
"""A line break that something else follows than one space."""
# A charset's name is ASCII (RFC 2047 section 2); codecs would take "utf-8é" for UTF-8.
_ENCODED_WORD: Final = re.compile(
    r"=\?(?P<charset>[!-)+->@-~]+)(?:\*[^?\s]*)?\?(?P<encoding>[bBqQ])\?(?P<text>[^?\s]*)\?=",
    re.ASCII,
)
_QUOTED: Final = re.compile(rb"=([0-9A-Fa-f]{2})|=|_|([^=_]+)")

# Python's codecs also hold what is no charset (rot13, zlib) or costs quadratic time (punycode).
_CHARSET: Final = re.compile(
    r"ascii|utf-8|utf-16(-[lb]e)?|iso8859-\d+|cp\d{3,4}|koi8-[rut]|mac-\w+|tis-620|"
    r"big5(hkscs)?|gb2312|gbk|gb18030|euc_\w+|shift_jis\w*|iso2022_\w+|johab|hz"
)


def unfolded(value: bytes) -> bytes:
    """Undo folding: a line break and the white space after it become exactly one space.

    Momentum's documentation says so also for folds inside JSON strings.
    """
    value = value.strip(b" \t\r\n")
    if b"\n" not in value:
        return value
    if _WIDE_FOLD.search(value) is None:  # mostly: the space stays, at half the time
        return value.replace(b"\r\n", b"").replace(b"\n", b"")
    return _FOLD.sub(b" ", value.replace(b"\r\n", b"\n"))


def decoded(value: bytes) -> str:
    """Decode an unfolded value: raw UTF-8, and RFC 2047 encoded-words wherever they stand.

    White space between two encoded-words vanishes (RFC 2047 section 6.2), and a character
    may be split between two words of one charset, as many mailers do.

    Raises:
        JsonFault: not UTF-8, or an encoded-word that can't be decoded; the column counts
            characters of the unfolded value.
    """
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError as error:
        before = value[: error.start].decode("utf-8")
        raise JsonFault(before, len(before), "not valid UTF-8") from None
    if "?" not in text or "=?" not in text:  # one character is found faster than two
        return text
    return "".join(_pieces(text))


def _pieces(text: str) -> Iterator[str]:
    end = 0
    for run in _runs(text):
        yield text[end : run[0].start()]
        yield from _words(text, run)
        end = run[-1].end()
    yield text[end:]


def _runs(text: str) -> Iterator[list[re.Match[str]]]:
    run: list[re.Match[str]] = []
    for word in _ENCODED_WORD.finditer(text):
        if run and text[run[-1].end() : word.start()].strip(" \t"):
            yield run
            run = []
        run.append(word)
    if run:
        yield run


def _words(text: str, run: list[re.Match[str]]) -> Iterator[str]:
    charset, held = run[0]["charset"].lower(), bytearray()
    start = run[0].start()
    for word in run:
        if word["charset"].lower() != charset:
            yield _characters(text, start, charset, bytes(held))
            charset, held, start = word["charset"].lower(), bytearray(), word.start()
        held += _octets(text, word)
    yield _characters(text, start, charset, bytes(held))


def _octets(text: str, word: re.Match[str]) -> bytes:
    try:
        encoded = word["text"].encode("ascii")
        if word["encoding"] in "bB":
            return binascii.a2b_base64(encoded, strict_mode=True)
        return b"".join(map(_quoted_octets, _QUOTED.finditer(encoded)))
    except ValueError:
        raise JsonFault(text, word.start(), "malformed encoded-word") from None


def _quoted_octets(piece: re.Match[bytes]) -> bytes:
    if piece[2] is not None:
        return piece[2]
    if piece[1] is not None:
        return bytes.fromhex(piece[1].decode("ascii"))
    if piece[0] == b"_":
        return b" "
    raise ValueError("= without two hexadecimal digits")


def _characters(text: str, start: int, charset: str, octets: bytes) -> str:
    try:
        codec = codecs.lookup(charset).name
    except (LookupError, ValueError):
        codec = ""
    if not _CHARSET.fullmatch(codec):
        raise JsonFault(text, start, f"unknown charset {charset[:40]} in an encoded-word")
    try:
        return octets.decode(codec)
    except UnicodeError:
        raise JsonFault(text, start, f"encoded-word is not valid {charset[:40]}") from None
