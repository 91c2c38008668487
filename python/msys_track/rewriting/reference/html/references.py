"""Character references in the value of an attribute (HTML Standard, section 13.2.5.72 and on).

`html.unescape` follows the rule for text: it takes the `&copy` of `?a=1&copy=2` for a sign.
"""

import re
from html.entities import html5
from typing import Final

_REFERENCE: Final = re.compile(
    r"&(?:#(?:[xX](?P<hex>[0-9A-Fa-f]++)|(?P<decimal>[0-9]++));?|(?P<name>[A-Za-z][0-9A-Za-z]*+;?))"
)
_LONGEST_NAME: Final = max(map(len, html5))
_GOES_ON: Final = re.compile(r"[=0-9A-Za-z]")
_REPLACEMENT: Final = "\ufffd"
_LAST_CODE_POINT: Final = 0x10FFFF
_MOST_DIGITS: Final = len(str(_LAST_CODE_POINT))
_SURROGATES: Final = range(0xD800, 0xE000)
# "Numeric character reference end state": C1 controls mean what windows-1252 has there.
_C1: Final = {
    code: bytes([code]).decode("windows-1252", "replace")
    for code in range(0x80, 0xA0)
    if code not in {0x81, 0x8D, 0x8F, 0x90, 0x9D}
}


def decode_references(value: str) -> str:
    """Decode an attribute's value as it stands between its quotes; NUL becomes U+FFFD."""
    if "\0" in value:
        value = value.replace("\0", _REPLACEMENT)
    return _REFERENCE.sub(_decode_reference, value) if "&" in value else value


def _decode_reference(reference: re.Match[str]) -> str:
    if name := reference["name"]:
        return _decode_name(name, reference)
    if digits := reference["decimal"]:
        return _decode_number(digits, 10)
    return _decode_number(reference["hex"], 16)


def _decode_name(name: str, reference: re.Match[str]) -> str:
    """Take the longest name of the table; one without its semicolon must not go on."""
    for length in range(min(len(name), _LONGEST_NAME), 1, -1):
        known = html5.get(name[:length])
        if known is None:
            continue
        end = reference.start("name") + length
        if name[length - 1] != ";" and _GOES_ON.match(reference.string, end):
            break
        return known + name[length:]
    return reference[0]


def _decode_number(digits: str, base: int) -> str:
    significant = digits.lstrip("0") or "0"
    if len(significant) > _MOST_DIGITS:
        return _REPLACEMENT
    code = int(significant, base)
    if code == 0 or code > _LAST_CODE_POINT or code in _SURROGATES:
        return _REPLACEMENT
    return _C1.get(code) or chr(code)
