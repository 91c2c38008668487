"""Events: what readers did, in the form of SparkPost's webhooks.

The tracker writes an event once; sinks and reports read it many times. The fields and their types
are SparkPost's, but for those in the object `x_msys_track` (`docs/events.md`). Nothing here knows
HTTP or files.
"""

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache, lru_cache
from hashlib import blake2b
from ipaddress import ip_address as read_address
from ipaddress import ip_network
from math import isfinite
from types import ModuleType
from typing import Any, Final, Literal, NamedTuple, Self

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

_PARTS: Final = ("html", "text", "amp")
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


class ReaderClass(StrEnum):
    """Who made an event, as far as a tracker can tell."""

    HUMAN = "human"
    PREFETCH = "prefetch"
    PROXY = "proxy"
    SCANNER = "scanner"
    BOT = "bot"
    UNKNOWN = "unknown"


class Finding(NamedTuple):
    """A rule of classification that fitted."""

    rule: str
    evidence: str
    """What it saw, in a few words."""


class Verdict(NamedTuple):
    """Who made an event, and the rules that led there; the one that decided is the first."""

    reader_class: ReaderClass
    findings: tuple[Finding, ...] = ()

    def fields(self) -> dict[str, Any]:
        """Return its members of our own object."""
        own: dict[str, Any] = {"class": self.reader_class.value}
        if self.findings:
            own["rules"] = [
                {"rule": rule, "evidence": evidence} for rule, evidence in self.findings
            ]
        return own


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkPosition:
    """Which link of the message was followed.

    Attributes:
        number: From 1 on, in the order of the message, among the links of that kind of part.
        part: The kind of part.
    """

    number: int
    part: Literal["html", "text", "amp"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One open, click or unsubscribe, in SparkPost's field names.

    A field that is None or empty is unknown, and left out of the JSON.

    Attributes:
        type: What happened.
        event_id: Unique over all trackers; see `make_event_id`.
        timestamp: When it happened, in Unix seconds.
        message_id: 20 hex digits, one for each copy of a mail.
        raw_rcpt_to: The recipient as in RCPT TO.
        customer_id: The customer who sent the mail.
        injection_time: When the mail was injected, in Unix seconds; unknown after the year 9999.
        rcpt_type: `cc`, `bcc` or `archive`; None for a recipient in `To`.
        rcpt_meta: The sender's metadata, a JSON object.
        delv_method: How the mail went out.
        ip_address: The address of the HTTP client.
        user_agent_parsed: What the user agent's name says; see `parse_user_agent`.
        geo_ip: Where the address is, in SparkPost's form.
        target_link_position: Unknown for pixels, and for links of earlier releases.
        verdict: Who made the event; None where nobody has judged it.
        first: Whether it is the first of its type, of its `message` and of its `link`; what is
            not known is not there.
        inferred: Whether it was not seen, but follows from another event.
        reclassifies: The id of the event that this one is a later verdict on.
        redirected_to: Where the reader was sent in place of the link's target.
        privacy: What was left out of the event on the sender's wish; None: nothing.
    """

    type: EventType
    event_id: str
    timestamp: int
    message_id: str
    raw_rcpt_to: str
    customer_id: int
    injection_time: int | None
    subaccount_id: int | None = None
    transmission_id: int | None = None
    campaign_id: str | None = None
    rcpt_type: str | None = None
    rcpt_meta: Mapping[str, Any] = field(default_factory=dict)
    rcpt_tags: tuple[str, ...] = ()
    open_tracking: bool = False
    click_tracking: bool = False
    initial_pixel: bool = False
    amp_enabled: bool = False
    transactional: bool = False
    delv_method: str | None = "esmtp"
    ip_address: str | None = None
    user_agent: str | None = None
    user_agent_parsed: Mapping[str, str | bool] = field(default_factory=dict)
    geo_ip: Mapping[str, str | float] = field(default_factory=dict)
    accept_language: str | None = None
    target_link_url: str | None = None
    target_link_name: str | None = None
    target_link_position: LinkPosition | None = None
    verdict: Verdict | None = None
    first: Mapping[str, bool] = field(default_factory=dict)
    inferred: bool = False
    reclassifies: str | None = None
    redirected_to: str | None = None
    privacy: str | None = None

    @classmethod
    def from_claims(  # noqa: PLR0913 - what is known of a request
        cls,
        claims: Claims,
        *,
        at: float,
        ip_address: str | None = None,
        user_agent: str | None = None,
        accept_language: str | None = None,
        as_type: EventType | None = None,
        randomness: bytes | None = None,
    ) -> Self:
        """Make the event of a link that was fetched; whether it has expired is not asked.

        Args:
            claims: What the link's token says.
            at: When it was fetched, in Unix seconds.
            ip_address: The address of the HTTP client.
            user_agent: The header.
            accept_language: The header.
            as_type: The event's type; that of the link's kind unless given.
            randomness: 10 bytes for the event's id, fresh ones unless given.

        Raises:
            ValueError: `randomness` is not 10 bytes.
        """
        kind = as_type or EventType(claims.kind)
        chance = os.urandom(10) if randomness is None else randomness
        privacy = claims.engagement.privacy
        hit = make_hit(claims, int(at * 1000), ip_address, user_agent, accept_language)
        fields = make_fields(
            hit,
            kind,
            make_event_id(hit["at"], chance),
            # SparkPost's unsubscribes have the name alone.
            user_agent_parsed=(
                parse_user_agent(hit.get("agent")) if kind.envelope == "track_event" else {}
            ),
            own={} if privacy == "full" else {"privacy": privacy},
        )
        return cls.from_fields(fields)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Read what `fields` returns. Unknown fields are ignored.

        Raises:
            ValueError: these are not the fields of an event.
        """
        try:
            known = {name: value for name, value in fields.items() if name in cls.__slots__}
            known["type"] = EventType(known["type"])
            known |= _read_own_object(fields.get(OWN_OBJECT, {}))
            known["transactional"] = known.get("transactional") == "1"
            known["rcpt_tags"] = tuple(known.get("rcpt_tags", ()))
            known["delv_method"] = known.get("delv_method")
            injected = known.get("injection_time")
            known["injection_time"] = (
                None if injected is None else int(datetime.fromisoformat(injected).timestamp())
            )
            for name in ("timestamp", "customer_id", "subaccount_id", "transmission_id"):
                if name in known:
                    known[name] = int(known[name])
            # The fields leave out an empty text.
            return cls(**({"message_id": "", "raw_rcpt_to": ""} | known))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not an event: {error}") from error

    @property
    def rcpt_to(self) -> str:
        """The recipient in lower case, as SparkPost groups by it."""
        return self.raw_rcpt_to.lower()

    @property
    def recipient_domain(self) -> str:
        """The part after the last `@`, in lower case; empty for an address without `@`."""
        return self.rcpt_to.rpartition("@")[2] if "@" in self.raw_rcpt_to else ""

    def fields(self) -> dict[str, Any]:
        """Return the fields in SparkPost's types, without those that have no value."""
        options = [name for name in _OPTIONS if getattr(self, name)]
        known = {
            "at": self.timestamp * 1000,
            "message_id": self.message_id,
            "recipient": self.raw_rcpt_to,
            "recipient_type": self.rcpt_type,
            "injected_at": self.injection_time,
            "customer_id": self.customer_id,
            "subaccount_id": self.subaccount_id,
            "transmission_id": self.transmission_id,
            "campaign_id": self.campaign_id,
            "tags": self.rcpt_tags,
            "options": options,
            "target": self.target_link_url,
            # None: without a name, where a hit that has none gets one.
            "link_name": self.target_link_name or "",
            "address": self.ip_address,
            "agent": self.user_agent,
            "language": self.accept_language,
        }
        return make_fields(
            {name: value for name, value in known.items() if value is not None},
            self.type,
            self.event_id,
            metadata=self.rcpt_meta,
            delv_method=self.delv_method,
            user_agent_parsed=self.user_agent_parsed,
            geo_ip=self.geo_ip,
            own=self._own_fields(),
        )

    def _own_fields(self) -> dict[str, Any]:
        own = {} if self.verdict is None else self.verdict.fields()
        if self.first:
            own["first"] = self.first
        position = self.target_link_position
        if position is not None:
            own["target_link_position"] = {"number": position.number, "part": position.part}
        if self.inferred:
            own["inferred"] = True
        if self.reclassifies:
            own["reclassifies"] = self.reclassifies
        if self.redirected_to:
            own["redirected_to"] = self.redirected_to
        if self.privacy:
            own["privacy"] = self.privacy
        return own

    def as_sparkpost(self) -> dict[str, Any]:
        """Return one element of a webhook's batch: `{"msys": {"track_event": {…}}}`."""
        return {"msys": {self.type.envelope: self.fields()}}

    def as_json(self) -> str:
        """Return `as_sparkpost` on one line, always valid JSON and valid UTF-8."""
        return write_fields(self.type, self.fields()).decode()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `as_json` wrote. Unknown fields are ignored.

        Raises:
            ValueError: the text is not an event in SparkPost's form.
        """
        try:
            ((envelope, fields),) = json.loads(text)["msys"].items()
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not an event: {error}") from error
        event = cls.from_fields(fields)
        if envelope != event.type.envelope:
            raise ValueError(f"not an event: {event.type} in {envelope}")
        return event


def _read_own_object(own: Mapping[str, Any]) -> dict[str, Any]:
    known: dict[str, Any] = {
        "first": own.get("first", {}),
        "inferred": own.get("inferred", False),
        "reclassifies": own.get("reclassifies"),
        "redirected_to": own.get("redirected_to"),
        "privacy": own.get("privacy"),
    }
    position = own.get("target_link_position")
    # A part that a later release names is unknown, like its position; so is a class.
    if position is not None and position["part"] in _PARTS:
        known["target_link_position"] = LinkPosition(
            number=int(position["number"]), part=position["part"]
        )
    if own.get("class") in _CLASSES:
        rules = own.get("rules", ())
        findings = tuple(Finding(each["rule"], each["evidence"]) for each in rules)
        known["verdict"] = Verdict(ReaderClass(own["class"]), findings)
    return known


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
        "options": [name for name in _OPTIONS if getattr(engagement, name)],
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
    if get("link_number") and get("link_part") in _PARTS:
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


_CLASSES: Final = frozenset(ReaderClass)
_OPTIONS: Final = (
    "open_tracking", "click_tracking", "initial_pixel", "amp_enabled", "transactional",
)  # fmt: skip
