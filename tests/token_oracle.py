"""A second implementation of tokens, written from `docs/tokens.md` and nothing else.

It proves that the page is enough to write one. The dictionary is read out of the page, so the
page can't be wrong about it either.
"""

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

PAGE = (Path(__file__).parents[1] / "docs" / "tokens.md").read_text(encoding="utf-8")

NONCE = bytes(12)
VERSION = 1
LONGEST_TEXT = 16_384
KINDS = {
    "click": "f", "open": "q", "initial_open": "q", "amp_click": "f", "amp_open": "q",
    "amp_initial_open": "q", "list_unsubscribe": "u", "link_unsubscribe": "f",
}  # fmt: skip
"""In the order of their numbers, with the first letter of their paths."""
PARTS = ("html", "text", "amp")
POSITION = 2
RECIPIENT_TYPES = ("to", "cc", "bcc", "archive")
FLAGS = ("open_tracking", "click_tracking", "initial_pixel", "amp_enabled", "transactional")
FIELDS = (
    ("transmission_id", 64, None), ("injected_at", 64, None), ("lifetime", 64, None),
    ("customer_id", 32, None), ("subaccount_id", 32, 10), ("recipient", 0, None),
    ("campaign_id", 0, 8), ("metadata", 0, 9),
)  # fmt: skip
"""In their order, with a number's bits, 0 for a text, and the flag of one that may be absent."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{36,65536}(?![A-Za-z0-9_-])")
_CLICK = re.compile(r"f/(?P<rest>[A-Za-z0-9_.\-/]*)")
_SUBLINK = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9_.-]{1,64}")


class UnreadableError(Exception):
    """A path that gives no claims; the text says at which step of the page it failed."""


class Located(NamedTuple):
    """A path in its parts."""

    prefix: str
    token: str


def open_path(path: str, keys: Mapping[int, bytes]) -> dict[str, Any]:
    """The claims of a tracked URL's path, by name."""
    located = locate(path)
    claims = read_claims(unseal(located, keys))
    if KINDS[claims["kind"]] != located.prefix[0]:
        raise UnreadableError("kind")
    return claims


def seal(claims: Mapping[str, Any], key_id: int, key: bytes, prefix: str | None = None) -> str:
    """The path of a tracked URL that says `claims`."""
    letter = KINDS[claims["kind"]]
    prefix = prefix or ("f/a" if letter == "f" else letter)
    return encrypt(write_claims(claims), key_id, key, prefix)


# The path


def locate(path: str) -> Located:
    """Find prefix and token."""
    path = path.removeprefix("/")
    if path.startswith(("q/", "u/")):
        token = _TOKEN.match(path, 2)
        if token:
            return Located(path[0], token[0])
    click = _CLICK.match(path)
    if click:
        found = None
        for slash in re.finditer("/", click["rest"]):
            token = _TOKEN.match(click["rest"], slash.end())
            found = (slash.start(), token[0]) if token else found
        if found and all(map(_SUBLINK.fullmatch, click["rest"][: found[0]].split("/"))):
            return Located(f"f/{click['rest'][: found[0]]}", found[1])
    raise UnreadableError("path")


# The token


def unseal(located: Located, keys: Mapping[int, bytes]) -> bytes:
    """The claims' bytes of a token."""
    token = located.token
    if len(token) % 4 == 1:
        raise UnreadableError("base64url")
    sealed_bytes = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    if _base64url(sealed_bytes) != token:
        raise UnreadableError("base64url")
    version, key_id = sealed_bytes[:2]
    if version != VERSION:
        raise UnreadableError("version")
    if key_id not in keys:
        raise UnreadableError("key")
    associated = sealed_bytes[:2] + located.prefix.encode("ascii")
    try:
        return AESGCMSIV(keys[key_id]).decrypt(NONCE, sealed_bytes[2:], associated)
    except InvalidTag as error:
        raise UnreadableError("tag") from error


def encrypt(claims: bytes, key_id: int, key: bytes, prefix: str) -> str:
    """The path whose token has these bytes for claims, whatever they say."""
    head = bytes([VERSION, key_id])
    body = AESGCMSIV(key).encrypt(NONCE, claims, head + prefix.encode("ascii"))
    return f"{prefix}/{_base64url(head + body)}"


def _base64url(plain: bytes) -> str:
    return base64.urlsafe_b64encode(plain).decode("ascii").rstrip("=")


# The claims


class ClaimsReader:
    """Takes numbers and texts off the front of some bytes."""

    def __init__(self, claims: bytes) -> None:
        self.rest = claims
        self.text_left = LONGEST_TEXT

    def take(self, count: int) -> bytes:
        """The next bytes."""
        if count > len(self.rest):
            raise UnreadableError("cut off")
        taken, self.rest = self.rest[:count], self.rest[count:]
        return taken

    def number(self, bits: int = 64) -> int:
        """The next number."""
        number = shift = 0
        while True:
            (byte,) = self.take(1)
            number |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        if number >= 2**bits or (byte == 0 and shift > 7):
            raise UnreadableError("number")
        return number

    def text(self) -> str:
        """The next text."""
        length, is_packed = divmod(self.number(), 2)
        stored = self.take(length)
        text = unpack(stored) if is_packed else stored
        self.text_left -= len(text)
        if self.text_left < 0:
            raise UnreadableError("too much text")
        try:
            return text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UnreadableError("text") from error


def read_claims(claims: bytes) -> dict[str, Any]:
    """Claims by name, out of their bytes."""
    reader = ClaimsReader(claims)
    fields = _engagement(reader)
    reader.text_left = LONGEST_TEXT
    (head,) = reader.take(1)
    kind = head & 0x0F
    if head & 0xC0 or kind >= len(KINDS):
        raise UnreadableError("link")
    fields["kind"] = [*KINDS][kind]
    fields["target"] = reader.text() if head & 0x10 else None
    fields["link_name"] = reader.text() if head & 0x20 else None
    if reader.rest:
        raise UnreadableError("more than claims")
    return fields


def _engagement(reader: ClaimsReader) -> dict[str, Any]:
    flags = reader.number()
    if flags >> 13:
        raise UnreadableError("flags")

    def has(bit: int) -> bool:
        return bool(flags >> bit & 1)

    fields: dict[str, Any] = {name: has(bit) for bit, name in enumerate(FLAGS)}
    fields["recipient_type"] = RECIPIENT_TYPES[flags >> 5 & 3]
    fields["message_id"] = reader.text() if has(7) else reader.take(10).hex()
    for name, bits, flag in FIELDS:
        is_there = flag is None or has(flag)
        fields[name] = (reader.number(bits) if bits else reader.text()) if is_there else None
    count = reader.number() if has(11) else 0
    if count > 255:
        raise UnreadableError("tags")
    fields["tags"] = [reader.text() for _ in range(count)]
    fields |= {"link_number": None, "link_part": None}
    for _ in range(reader.number() if has(12) else 0):
        extension = reader.number()
        value = reader.take(reader.number())
        if extension == POSITION:
            fields |= _position(value)
    return fields


def _position(value: bytes) -> dict[str, Any]:
    reader = ClaimsReader(value)
    try:
        number, part = divmod(reader.number(34), 4)
    except UnreadableError:
        number = part = 0
    if reader.rest or number == 0 or part >= len(PARTS):
        return {"link_number": None, "link_part": None}
    return {"link_number": number, "link_part": PARTS[part]}


def write_claims(claims: Mapping[str, Any]) -> bytes:
    """The bytes of claims, as a writer that has the choice writes them."""
    is_hexadecimal = re.fullmatch(r"[0-9a-f]{20}", claims["message_id"])
    flags = sum(claims[name] << bit for bit, name in enumerate(FLAGS))
    flags |= RECIPIENT_TYPES.index(claims["recipient_type"]) << 5
    flags |= (not is_hexadecimal) << 7
    flags |= bool(claims["tags"]) << 11
    out = [bytes.fromhex(claims["message_id"]) if is_hexadecimal else _text(claims["message_id"])]
    for name, bits, flag in FIELDS:
        if claims[name] is not None:
            flags |= 0 if flag is None else 1 << flag
            out.append(_number(claims[name]) if bits else _text(claims[name]))
    if claims["tags"]:
        out += [_number(len(claims["tags"])), *map(_text, claims["tags"])]
    if claims["link_number"] is not None:
        flags |= 1 << 12
        value = _number(4 * claims["link_number"] + PARTS.index(claims["link_part"]))
        out += [_number(1), _number(POSITION), _number(len(value)), value]
    link = [claims["target"], claims["link_name"]]
    head = [*KINDS].index(claims["kind"]) | (link[0] is not None) << 4 | (link[1] is not None) << 5
    out += [bytes([head]), *(_text(each) for each in link if each is not None)]
    return _number(flags) + b"".join(out)


def _number(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _text(text: str) -> bytes:
    plain = text.encode("utf-8")
    short = pack(plain)
    if len(short) < len(plain):
        return _number(2 * len(short) + 1) + short
    return _number(2 * len(plain)) + plain


# Packed texts


def read_dictionary(page: str) -> dict[int, bytes]:
    """The strings of the page's dictionary by their codes."""
    (block,) = re.findall(r"^```dictionary\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    entries: dict[int, bytes] = {}
    for line in block.splitlines():
        first, *strings = line.split()
        codes = range(int(first, 16), 256)
        entries |= dict(zip(codes, (one.encode("ascii") for one in strings), strict=False))
    return entries


STRINGS = read_dictionary(PAGE)
_LONGEST_FIRST = sorted(STRINGS.items(), key=lambda entry: -len(entry[1]))


def unpack(short: bytes) -> bytes:
    """The text that packed bytes stand for."""
    reader, text = ClaimsReader(short), bytearray()
    while reader.rest:
        (code,) = reader.take(1)
        if code == 0:
            text += reader.take(*reader.take(1))
        elif 0x20 <= code <= 0x7E:
            text.append(code)
        else:
            text += STRINGS[code]
        if len(text) > LONGEST_TEXT:
            raise UnreadableError("too much text")
    return bytes(text)


def pack(text: bytes) -> bytes:
    """A text in codes: the longest string of the dictionary at each place."""
    out, at = bytearray(), 0
    while at < len(text):
        run = re.compile(rb"[^\x20-\x7e]{1,255}").match(text, at)
        if run:
            out += bytes([0, len(run[0])]) + run[0]
            at = run.end()
            continue
        fitting = (entry for entry in _LONGEST_FIRST if text.startswith(entry[1], at))
        code, string = next(fitting, (text[at], text[at : at + 1]))
        out.append(code)
        at += len(string)
    return bytes(out)
