"""What tokens say and where tracked URLs lead, as plain values with the core's names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv6Address
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal[
    "click",
    "open",
    "initial_open",
    "amp_click",
    "amp_open",
    "amp_initial_open",
    "list_unsubscribe",
    "link_unsubscribe",
]
RecipientType: TypeAlias = Literal["to", "cc", "bcc", "archive"]
Privacy: TypeAlias = Literal["full", "truncated", "aggregate"]
LinkPart: TypeAlias = Literal["html", "text", "amp"]

KINDS: Final[dict[Kind, Literal["f", "q", "u"]]] = {
    "click": "f",
    "open": "q",
    "initial_open": "q",
    "amp_click": "f",
    "amp_open": "q",
    "amp_initial_open": "q",
    "list_unsubscribe": "u",
    "link_unsubscribe": "f",
}
"""In the order of their numbers, with the first letter of their paths."""

RECIPIENT_TYPES: Final[tuple[RecipientType, ...]] = ("to", "cc", "bcc", "archive")
"""In the order of their numbers."""

PRIVACY: Final[tuple[Privacy, ...]] = ("full", "truncated", "aggregate")
"""In the order of their numbers."""

LINK_PARTS: Final[tuple[LinkPart, ...]] = ("html", "text", "amp")
"""In the order of their numbers."""

_MAX_LINK_NUMBER: Final = (1 << 32) - 1
_SCHEMES: Final = ("http", "https")
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+")
_PORT: Final = re.compile(r"\+?0*[1-9][0-9]{0,4}")
_MAX_PORT: Final = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class Engagement:
    """What all links of one recipient's copy say."""

    message_id: str
    recipient: str
    injected_at: int
    expires_at: int
    customer_id: int
    transmission_id: int = 0
    recipient_type: RecipientType = "to"
    campaign_id: str | None = None
    metadata: str | None = None
    tags: Sequence[str] = ()
    subaccount_id: int | None = None
    open_tracking: bool = False
    click_tracking: bool = False
    initial_pixel: bool = False
    amp_enabled: bool = False
    transactional: bool = False
    privacy: Privacy = "full"

    def __post_init__(self) -> None:
        if self.expires_at < self.injected_at:
            raise ValueError("expires_at is before injected_at")
        _check_word(self.recipient_type, RECIPIENT_TYPES)
        _check_word(self.privacy, PRIVACY)
        for number, bits in (
            (self.transmission_id, 64),
            (self.injected_at, 64),
            (self.expires_at, 64),
            (self.customer_id, 32),
            (self.subaccount_id or 0, 32),
        ):
            if not 0 <= number < 1 << bits:
                raise OverflowError(f"{number} is not an unsigned number of {bits} bits")
        object.__setattr__(self, "tags", tuple(self.tags))


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """Everything that one link says."""

    kind: Kind
    engagement: Engagement
    target: str | None = None
    link_name: str | None = None
    link_number: int | None = None
    link_part: LinkPart | None = None

    def __post_init__(self) -> None:
        _check_word(self.kind, tuple(KINDS))
        if (self.link_number is None) != (self.link_part is None):
            raise ValueError("link_number and link_part go together")
        if self.link_number is not None and not 0 < self.link_number <= _MAX_LINK_NUMBER:
            raise ValueError("link_number begins with 1 and has 32 bits")
        if self.link_part is not None:
            _check_word(self.link_part, LINK_PARTS)

    def is_expired(self, now: float, /) -> bool:
        """Whether the link makes no events any more at that time, in Unix seconds."""
        return now >= self.engagement.expires_at


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedUrls:
    """Scheme and domain of the tracker that a copy's links lead to."""

    domain: str
    click_scheme: str
    open_scheme: str
    click_metadata: bool
    allow_downgrade: bool = True

    def __post_init__(self) -> None:
        if not _is_host_and_port(self.domain):
            raise ValueError(f'tracking domain "{self.domain}" is not host or host:port')
        if self.click_scheme.lower() not in (*_SCHEMES, "same"):
            raise ValueError(f'scheme "{self.click_scheme}" of clicks is not http, https or same')
        if self.open_scheme.lower() not in _SCHEMES:
            raise ValueError(f'scheme "{self.open_scheme}" is neither http nor https')


def _check_word(word: str, allowed: Sequence[str]) -> None:
    if word not in allowed:
        raise ValueError(f'"{word}" is none of {", ".join(allowed)}')


def _is_host_and_port(domain: str) -> bool:
    host, colon, port = domain.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = domain, "1"
    if _PORT.fullmatch(port) is None or int(port) > _MAX_PORT:
        return False
    if not (host.startswith("[") and host.endswith("]")):
        return _HOST.fullmatch(host) is not None
    try:
        IPv6Address(host[1:-1])
    except AddressValueError:
        return False
    return "%" not in host
