"""The fields of an event, in the form of SparkPost's webhooks: from a hit to JSON.

The tracker writes an event once; sinks and reports read it many times. The fields and their types
are SparkPost's, but for those in the object `x_msys_track` (`docs/events.md`). Nothing here knows
HTTP or files.
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache, lru_cache
from hashlib import blake2b
from ipaddress import ip_address as read_address
from ipaddress import ip_network
from math import isfinite
from types import ModuleType
from typing import Any, Final

from msys_track.extras import needed_extra
from msys_track.keys.ring import Claims

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")

# The depth that X-MSYS-API may have. The limits of JSON's reader and writer depend on the stack
# that they are called from, so the writer could fail on what the reader accepts.
_MAX_NESTING = 64

# 9999-12-31T23:59:59Z. ISO 8601 has later dates only by agreement.
_LAST_DATE = 253_402_300_799

# SparkPost's word for a link that its sender gave no name.
UNNAMED = "Raw URL"

# Apple's Mail Privacy Protection loads images ahead of the reader under exactly this name.
_PREFETCHER = "Mozilla/5.0"
_PROXY = re.compile(r"GoogleImageProxy|YahooMailProxy")

OWN_OBJECT: Final = "x_msys_track"
NO_MESSAGE_ID: Final = "0" * 20
"""The id that all mail has whose events have no reader: it tells no message from another."""

PARTS: Final = ("html", "text", "amp")
_TIME_DIGITS: Final = 12
_KEPT_BITS: Final = {4: 24, 6: 48}

# A number that may not fit into 64 bits.
_LARGE: Final = re.compile("[0-9]{19}")
_NOTHING: Final[Mapping[str, Any]] = {}


class EventType(StrEnum):
    """Types of events. The names are those of the kinds of a token."""

    OPEN = "open"
    INITIAL_OPEN = "initial_open"
    CLICK = "click"
    AMP_OPEN = "amp_open"
    AMP_INITIAL_OPEN = "amp_initial_open"
    AMP_CLICK = "amp_click"
    LIST_UNSUBSCRIBE = "list_unsubscribe"
    LINK_UNSUBSCRIBE = "link_unsubscribe"
    # Ours: a later verdict on an event, which itself stays as it is.
    RECLASSIFIED = "reclassified"

    @property
    def envelope(self) -> str:
        """The key below `msys` for events of this type."""
        return "unsubscribe_event" if self in UNSUBSCRIBES else "track_event"


OPENS: Final = frozenset(
    {
        EventType.OPEN,
        EventType.INITIAL_OPEN,
        EventType.AMP_OPEN,
        EventType.AMP_INITIAL_OPEN,
    }
)
"""What a pixel makes."""

UNSUBSCRIBES: Final = frozenset({EventType.LIST_UNSUBSCRIBE, EventType.LINK_UNSUBSCRIBE})
"""What an unsubscription makes."""

MESSAGE_EVENTS: Final = ("injection", "policy_rejection")
"""Types of the events that the proxy makes of mail, in the envelope `message_event`."""


def make_hit(
    claims: Claims,
    at: int,
    address: str | None = None,
    agent: str | None = None,
    language: str | None = None,
) -> dict[str, Any]:
    """Describe a fetch of a link as a line of a hit log does, but for its id.

    What the link's sender wants left out of events is left out here.

    Args:
        claims: What the link's token says.
        at: When it was fetched, Unix time in milliseconds.
        address: The client's.
        agent: The header `User-Agent`.
        language: The header `Accept-Language`.
    """
    engagement = claims.engagement
    recipient_type, privacy = engagement.recipient_type, engagement.privacy
    if privacy == "aggregate":
        address = agent = language = None
    elif privacy == "truncated":
        address = truncate_address(address)
    hit = {
        "at": at,
        "kind": claims.kind,
        "message_id": engagement.message_id,
        "recipient": engagement.recipient,
        "recipient_type": None if recipient_type == "to" else recipient_type,
        "injected_at": engagement.injected_at,
        "expires_at": engagement.expires_at,
        "customer_id": engagement.customer_id,
        "subaccount_id": engagement.subaccount_id,
        "transmission_id": engagement.transmission_id or None,
        "campaign_id": engagement.campaign_id,
        "metadata": engagement.metadata,
        "tags": list(engagement.tags),
        "options": [name for name in OPTIONS if getattr(engagement, name)],
        "privacy": None if privacy == "full" else privacy,
        "target": claims.target,
        "link_name": claims.link_name,
        "link_number": claims.link_number,
        "link_part": claims.link_part,
        "address": address,
        "agent": agent,
        "language": language,
    }
    return {name: value for name, value in hit.items() if value is not None}


def truncate_address(address: str | None) -> str | None:
    """Return the network that an address is in: /24, or /48 of IPv6; None for what is none.

    An address with a zone is none: it means something on one machine only.
    """
    try:
        ip = read_address(address or "")
    except ValueError:
        return None
    if "%" in str(ip):
        return None
    return str(ip_network((ip, _KEPT_BITS[ip.version]), strict=False).network_address)


def make_fields(  # noqa: PLR0913 - what is found out about a hit
    hit: Mapping[str, Any],
    kind: EventType,
    event_id: str,
    *,
    metadata: Mapping[str, Any] | None = None,
    delv_method: str | None = "esmtp",
    user_agent_parsed: Mapping[str, str | bool] = _NOTHING,
    geo_ip: Mapping[str, str | float] = _NOTHING,
    own: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Make the fields of an event in SparkPost's types, without those that have no value.

    Args:
        hit: A line of a hit log: what the link says, and who fetched it.
        kind: The event's type.
        event_id: The event's.
        metadata: In place of the hit's, which is text.
        delv_method: How the mail went out.
        user_agent_parsed: What is known of the user agent.
        geo_ip: Where the address is.
        own: Members of our own object, beside those that the hit decides.

    Raises:
        KeyError: the hit lacks what every hit has.
    """
    get = hit.get
    address = get("recipient", "")
    lower = address.lower()
    at = lower.rfind("@")
    target = get("target")
    own = {} if own is None else own
    if get("link_number") and get("link_part") in PARTS:
        own["target_link_position"] = {"number": hit["link_number"], "part": hit["link_part"]}
    options = get("options", ())
    known = {
        "type": kind.value,
        "event_id": event_id,
        "timestamp": str(hit["at"] // 1000),
        "message_id": get("message_id"),
        "transmission_id": _format_number(get("transmission_id")),
        "customer_id": str(hit["customer_id"]),
        "subaccount_id": _format_number(get("subaccount_id")),
        "campaign_id": get("campaign_id"),
        "rcpt_to": lower,
        "raw_rcpt_to": address,
        "rcpt_type": get("recipient_type"),
        "rcpt_meta": parse_metadata(get("metadata")) if metadata is None else metadata,
        "rcpt_tags": list(get("tags", ())),
        "recipient_domain": lower[at + 1 :] if at >= 0 else None,
        "injection_time": _format_time(get("injected_at")),
        "open_tracking": "open_tracking" in options,
        "click_tracking": "click_tracking" in options,
        "initial_pixel": "initial_pixel" in options,
        "amp_enabled": "amp_enabled" in options,
        "transactional": "1" if "transactional" in options else "0",
        "delv_method": delv_method,
        "ip_address": get("address"),
        "user_agent": get("agent"),
        "user_agent_parsed": user_agent_parsed,
        "geo_ip": geo_ip,
        "accept_language": get("language"),
        "target_link_url": target,
        "target_link_name": get("link_name", None if target is None else UNNAMED),
        OWN_OBJECT: own,
    }
    # False is a value; None, "", [] and {} are not.
    return {name: value for name, value in known.items() if value or value is False}


def write_fields(kind: EventType, fields: Mapping[str, Any]) -> bytes:
    """Write an event of its fields as a webhook has it: JSON on one line, always valid UTF-8.

    Raises:
        MissingExtraError: the extra `tracker` is not installed.
    """
    event = {"msys": {kind.envelope: fields}}
    try:
        written: bytes = _import_orjson().dumps(event)
    except TypeError:
        # A whole number of more than 64 bits in metadata, or half of a surrogate pair, which a
        # sender may escape: that is JSON, but not UTF-8.
        text = json.dumps(event, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return _LONE_SURROGATE.sub("\ufffd", text).encode()
    return written


def link_key(fields: Mapping[str, Any]) -> str | None:
    """Name the link of an event among those of its message; None where it has none.

    It is the link's position as in `html:3`, or its target where no position is known.

    Args:
        fields: Those of the event, as `Event.fields` returns them.
    """
    position = fields.get(OWN_OBJECT, {}).get("target_link_position")
    if position is None:
        target: str | None = fields.get("target_link_url")
        return target
    return f"{position['part']}:{position['number']}"


def derive_event_id(event_id: str, purpose: str) -> str:
    """Make the id of an event that follows from another one: the same whenever it is made.

    It has the other's time, so ids still sort by it.

    Args:
        event_id: The other event's, a UUID.
        purpose: Tells apart what follows from one event.
    """
    digits = event_id.replace("-", "")[:_TIME_DIGITS]
    digest = blake2b(f"{purpose}:{event_id}".encode(), digest_size=10).digest()
    return make_event_id(int(digits, 16), digest)


def make_event_id(milliseconds: int, randomness: bytes) -> str:
    """Make a UUID version 7 (RFC 9562 section 5.7): Unix milliseconds, then 74 random bits.

    Trackers need not know each other, and ids sort roughly by time. The 64 bits of SparkPost's
    samples would leave about 22 random ones. A collision would lose an event, because a store
    drops an event whose id it has.

    Raises:
        ValueError: `randomness` is not 10 bytes.
    """
    expected = 10
    if len(randomness) != expected:
        raise ValueError(f"{len(randomness)} random bytes instead of {expected}")
    chance = int.from_bytes(randomness)
    digits = (
        f"{milliseconds & 0xFFFF_FFFF_FFFF:012x}"
        f"{0x7000 | chance >> 62 & 0x0FFF:04x}"
        f"{0x8000_0000_0000_0000 | chance & 0x3FFF_FFFF_FFFF_FFFF:016x}"
    )
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def parse_user_agent(user_agent: str | None) -> Mapping[str, bool]:
    """Return SparkPost's object, with the two members that a name decides; empty without one."""
    if user_agent is None:
        return {}
    return {
        "is_prefetched": user_agent == _PREFETCHER,
        "is_proxy": _PROXY.search(user_agent) is not None,
    }


def parse_metadata(text: str | None) -> Mapping[str, Any]:
    """Parse the metadata of a token; empty if there is none or it is not a JSON object.

    The result is also empty if the object nests deeper than 64 levels, the limit of X-MSYS-API.
    A number that JSON can't write (`1e999`, `NaN`) stays text, so that no metadata makes an event
    invalid.
    """
    if text is None:
        return {}
    if text.startswith("{") and "[" not in text and text.count("{") == 1:
        # The quick reader makes a float of a large number, and refuses what the other one allows.
        with suppress(ValueError):
            if not _LARGE.search(text):
                flat: dict[str, Any] = _import_orjson().loads(text)
                return flat
    try:
        value = json.loads(
            text,
            parse_float=lambda literal: number if isfinite(number := float(literal)) else literal,
            parse_constant=str,
        )
    except (ValueError, RecursionError):
        return {}
    if not isinstance(value, dict):
        return {}
    level: list[Any] = [value]
    levels = 0
    while level := [each for each in level if isinstance(each, dict | list)]:
        levels += 1
        if levels > _MAX_NESTING:
            return {}
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
    return value


@cache
def _import_orjson() -> ModuleType:
    """Import what reads and writes events; the library rewrites mail without it."""
    with needed_extra("tracker", "the JSON of events"):
        import orjson  # noqa: PLC0415
    return orjson


def _format_number(number: int | None) -> str | None:
    return str(number) if number else None


@lru_cache(maxsize=4_096)
def _format_time(seconds: int | None) -> str | None:
    if seconds is None or seconds > _LAST_DATE:
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


OPTIONS: Final = (
    "open_tracking", "click_tracking", "initial_pixel", "amp_enabled", "transactional",
)  # fmt: skip
