"""Claims as bytes (`docs/tokens.md`, "The claims"): two blocks, each written once."""

import re
from collections.abc import Sequence
from typing import Final, TypeAlias

from msys_track.keys.plain import packed
from msys_track.keys.plain.values import (
    KINDS,
    LINK_PARTS,
    PRIVACY,
    RECIPIENT_TYPES,
    Claims,
    Engagement,
    Kind,
    LinkPart,
)

_BITS: Final = 7
_SEVEN_BITS: Final = 0x7F
_MORE: Final = 0x80
_MAX_TEXT: Final = 16_384
_MAX_TAGS: Final = 255
_ID_BYTES: Final = 10
_ID: Final = re.compile(r"[0-9a-f]{20}")
_KINDS: Final[tuple[Kind, ...]] = tuple(KINDS)

FLAGS: Final = (
    "open_tracking",
    "click_tracking",
    "initial_pixel",
    "amp_enabled",
    "transactional",
)
"""In the order of their bits."""
_RECIPIENT_TYPE_SHIFT: Final = 5
_TEXT_ID: Final = 1 << 7
_HAS_CAMPAIGN: Final = 1 << 8
_HAS_METADATA: Final = 1 << 9
_HAS_SUBACCOUNT: Final = 1 << 10
_HAS_TAGS: Final = 1 << 11
_HAS_EXTENSIONS: Final = 1 << 12
_PRIVACY_SHIFT: Final = 13
_KNOWN_FLAGS: Final = (1 << 15) - 1

_SALT: Final = 1
_POSITION: Final = 2
_POSITION_BITS: Final = 34

Position: TypeAlias = tuple[int, LinkPart]
"""A link's number among those of its kind of part, from 1, and that kind."""

_KIND_MASK: Final = 0x0F
_HAS_TARGET: Final = 1 << 4
_HAS_NAME: Final = 1 << 5
_KNOWN_LINK_BITS: Final = _KIND_MASK | _HAS_TARGET | _HAS_NAME


class ClaimsError(Exception):
    """Bytes that are not claims, or claims that no token can hold."""


def encode_engagement(engagement: Engagement, *, with_metadata: bool = True) -> bytes:
    """Encode the engagement block, without the metadata for links that are too long with it.

    Raises:
        ClaimsError: it holds more than a reader takes.
    """
    metadata = engagement.metadata if with_metadata else None
    block = _Block()
    raw_id = bytes.fromhex(engagement.message_id) if _is_id(engagement.message_id) else None
    flags = (
        sum(getattr(engagement, name) << bit for bit, name in enumerate(FLAGS))
        | RECIPIENT_TYPES.index(engagement.recipient_type) << _RECIPIENT_TYPE_SHIFT
        | PRIVACY.index(engagement.privacy) << _PRIVACY_SHIFT
        | (raw_id is None) * _TEXT_ID
        | (engagement.campaign_id is not None) * _HAS_CAMPAIGN
        | (metadata is not None) * _HAS_METADATA
        | (engagement.subaccount_id is not None) * _HAS_SUBACCOUNT
        | bool(engagement.tags) * _HAS_TAGS
    )
    block.add_number(flags)
    if raw_id is None:
        block.add_text(engagement.message_id)
    else:
        block.out += raw_id
    block.add_number(engagement.transmission_id)
    block.add_number(engagement.injected_at)
    block.add_number(engagement.expires_at - engagement.injected_at)
    block.add_number(engagement.customer_id)
    if engagement.subaccount_id is not None:
        block.add_number(engagement.subaccount_id)
    block.add_text(engagement.recipient)
    for text in (engagement.campaign_id, metadata):
        if text is not None:
            block.add_text(text)
    if engagement.tags:
        block.add_tags(engagement.tags)
    return block.finish()


def add_extensions(
    block: bytes, *, salt: int | None = None, position: Position | None = None
) -> bytes:
    """Add what is one link's own to an engagement block that has no extensions.

    Args:
        block: the block.
        salt: a byte without meaning that makes the token another one.
        position: which link of the message it is.
    """
    extensions = [] if salt is None else [(_SALT, bytes((salt,)))]
    if position is not None:
        number, part = position
        extensions.append((_POSITION, _encode_number(4 * number + LINK_PARTS.index(part))))
    if not extensions:
        return block
    reader = _Reader(block)
    flags = reader.read_number() | _HAS_EXTENSIONS
    out = _encode_number(flags) + block[reader.at :] + _encode_number(len(extensions))
    for name, value in extensions:
        out += _encode_number(name) + _encode_number(len(value)) + value
    return out


def encode_link(kind: Kind, target: str | None, name: str | None) -> bytes:
    """Encode the link block.

    Raises:
        ClaimsError: it holds more than a reader takes.
    """
    block = _Block()
    head = _KINDS.index(kind)
    head |= (target is not None) * _HAS_TARGET | (name is not None) * _HAS_NAME
    block.out.append(head)
    for text in (target, name):
        if text is not None:
            block.add_text(text)
    return block.finish()


def _is_id(message_id: str) -> bool:
    return _ID.fullmatch(message_id) is not None


def _encode_number(number: int) -> bytes:
    out = bytearray()
    while number > _SEVEN_BITS:
        out.append(number & _SEVEN_BITS | _MORE)
        number >>= 7
    out.append(number)
    return bytes(out)


class _Block:
    __slots__ = ("out", "text_bytes", "too_many_tags")

    def __init__(self) -> None:
        self.out = bytearray()
        self.text_bytes = 0
        self.too_many_tags = False

    def add_number(self, number: int) -> None:
        self.out += _encode_number(number)

    def add_text(self, text: str) -> None:
        plain = text.encode("utf-8")
        self.text_bytes += len(plain)
        short = packed.pack(plain)
        if len(short) < len(plain):
            self.add_number(len(short) << 1 | 1)
            self.out += short
        else:
            self.add_number(len(plain) << 1)
            self.out += plain

    def add_tags(self, tags: Sequence[str]) -> None:
        self.too_many_tags = len(tags) > _MAX_TAGS
        self.add_number(len(tags))
        for tag in tags:
            self.add_text(tag)

    def finish(self) -> bytes:
        if self.text_bytes > _MAX_TEXT or self.too_many_tags:
            raise ClaimsError("claims are too long for a token")
        return bytes(self.out)


def decode_claims(plaintext: bytes) -> Claims:
    """Read both blocks.

    Raises:
        ClaimsError: they are cut off, malformed, or hold more than they may.
    """
    reader = _Reader(plaintext)
    engagement, position = reader.read_engagement()
    reader.text_left = _MAX_TEXT
    (head,) = reader.take(1)
    if head & ~_KNOWN_LINK_BITS or head & _KIND_MASK >= len(_KINDS):
        raise ClaimsError("an unknown flag is set")
    claims = Claims(
        kind=_KINDS[head & _KIND_MASK],
        engagement=engagement,
        target=reader.read_text() if head & _HAS_TARGET else None,
        link_name=reader.read_text() if head & _HAS_NAME else None,
        link_number=None if position is None else position[0],
        link_part=None if position is None else position[1],
    )
    if reader.at != len(plaintext):
        raise ClaimsError("bytes follow the claims")
    return claims


class _Reader:
    __slots__ = ("at", "plaintext", "text_left")

    def __init__(self, plaintext: bytes) -> None:
        self.plaintext = plaintext
        self.at = 0
        self.text_left = _MAX_TEXT

    def read_engagement(self) -> tuple[Engagement, Position | None]:
        flags = self.read_number()
        privacy = flags >> _PRIVACY_SHIFT & 3
        if flags & ~_KNOWN_FLAGS or privacy >= len(PRIVACY):
            raise ClaimsError("an unknown flag is set")
        message_id = self.read_text() if flags & _TEXT_ID else self.take(_ID_BYTES).hex()
        transmission_id = self.read_number()
        injected_at = self.read_number()
        lifetime = self.read_number()
        engagement = Engagement(
            message_id=message_id,
            transmission_id=transmission_id,
            injected_at=injected_at,
            # The core has no number above.
            expires_at=min(injected_at + lifetime, (1 << 64) - 1),
            customer_id=self.read_number(32),
            subaccount_id=self.read_number(32) if flags & _HAS_SUBACCOUNT else None,
            recipient=self.read_text(),
            recipient_type=RECIPIENT_TYPES[flags >> _RECIPIENT_TYPE_SHIFT & 3],
            campaign_id=self.read_text() if flags & _HAS_CAMPAIGN else None,
            metadata=self.read_text() if flags & _HAS_METADATA else None,
            tags=self.read_tags() if flags & _HAS_TAGS else (),
            privacy=PRIVACY[privacy],
            **{name: bool(flags >> bit & 1) for bit, name in enumerate(FLAGS)},
        )
        return engagement, self.read_extensions() if flags & _HAS_EXTENSIONS else None

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.plaintext):
            raise ClaimsError("claims are cut off")
        taken = self.plaintext[self.at : end]
        self.at = end
        return taken

    def read_number(self, bits: int = 64) -> int:
        number = shift = 0
        while True:
            (byte,) = self.take(1)
            number |= (byte & _SEVEN_BITS) << shift
            shift += _BITS
            if not byte & _MORE:
                break
        if number >> bits or (byte == 0 and shift > _BITS):
            raise ClaimsError("a number is malformed")
        return number

    def read_text(self) -> str:
        length, is_packed = divmod(self.read_number(), 2)
        stored = self.take(length)
        try:
            text = packed.unpack(stored, self.text_left) if is_packed else stored
            self.text_left -= len(text)
            if self.text_left < 0:
                raise ClaimsError("there is more text than a token may hold")
            return text.decode("utf-8")
        except (packed.MalformedError, UnicodeDecodeError) as error:
            raise ClaimsError("a text is malformed") from error

    def read_tags(self) -> tuple[str, ...]:
        count = self.read_number()
        if count > _MAX_TAGS:
            raise ClaimsError("there is more text than a token may hold")
        return tuple(self.read_text() for _ in range(count))

    def read_extensions(self) -> Position | None:
        # Each is a number and bytes; what a later writer adds is skipped.
        position = None
        for _ in range(self.read_number()):
            name = self.read_number()
            value = self.take(self.read_number())
            if name == _POSITION:
                position = _read_position(value)
        return position


def _read_position(value: bytes) -> Position | None:
    reader = _Reader(value)
    try:
        number, part = divmod(reader.read_number(_POSITION_BITS), 4)
    except ClaimsError:
        return None
    if reader.at != len(value) or number == 0 or part >= len(LINK_PARTS):
        return None
    return number, LINK_PARTS[part]
