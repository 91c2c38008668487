"""Events: what readers did, in the form of SparkPost's webhooks.

The tracker writes an event once; sinks and reports read it many times. The fields and their types
are SparkPost's, but for those in the object `msys_track` (`docs/events.md`). Nothing here knows
HTTP or files.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from math import isfinite
from typing import Any, Final, Literal, Self

from msys_track.keys.ring import Claims

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")

# The depth that X-MSYS-API may have. The limits of JSON's reader and writer depend on the stack
# that they are called from, so the writer could fail on what the reader accepts.
_MAX_NESTING = 64

# 9999-12-31T23:59:59Z. ISO 8601 has later dates only by agreement.
_LAST_DATE = 253_402_300_799

# SparkPost's word for a link that its sender gave no name.
_UNNAMED = "Raw URL"

# Apple's Mail Privacy Protection loads images ahead of the reader under exactly this name.
_PREFETCHER = "Mozilla/5.0"
_PROXY = re.compile(r"GoogleImageProxy|YahooMailProxy")

_OWN_OBJECT: Final = "msys_track"
_PARTS: Final = ("html", "text", "amp")


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

    @property
    def envelope(self) -> str:
        """The key below `msys` for events of this type."""
        if self in {EventType.LIST_UNSUBSCRIBE, EventType.LINK_UNSUBSCRIBE}:
            return "unsubscribe_event"
        return "track_event"


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
        target_link_position: Unknown for pixels, and for links of earlier releases.
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
    user_agent_parsed: Mapping[str, bool] = field(default_factory=dict)
    accept_language: str | None = None
    target_link_url: str | None = None
    target_link_name: str | None = None
    target_link_position: LinkPosition | None = None

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
        engagement = claims.engagement
        milliseconds = int(at * 1000)
        chance = os.urandom(10) if randomness is None else randomness
        position = None
        if claims.link_number is not None and claims.link_part is not None:
            position = LinkPosition(number=claims.link_number, part=claims.link_part)
        return cls(
            type=kind,
            event_id=make_event_id(milliseconds, chance),
            timestamp=milliseconds // 1000,
            message_id=engagement.message_id,
            raw_rcpt_to=engagement.recipient,
            customer_id=engagement.customer_id,
            injection_time=engagement.injected_at,
            subaccount_id=engagement.subaccount_id,
            transmission_id=engagement.transmission_id or None,
            campaign_id=engagement.campaign_id,
            rcpt_type=None if engagement.recipient_type == "to" else engagement.recipient_type,
            rcpt_meta=parse_metadata(engagement.metadata),
            rcpt_tags=tuple(engagement.tags),
            open_tracking=engagement.open_tracking,
            click_tracking=engagement.click_tracking,
            initial_pixel=engagement.initial_pixel,
            amp_enabled=engagement.amp_enabled,
            transactional=engagement.transactional,
            ip_address=ip_address,
            user_agent=user_agent,
            # SparkPost's unsubscribes have the name alone.
            user_agent_parsed=(
                parse_user_agent(user_agent) if kind.envelope == "track_event" else {}
            ),
            accept_language=accept_language,
            target_link_url=claims.target,
            target_link_name=None if claims.target is None else claims.link_name or _UNNAMED,
            target_link_position=position,
        )

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
        injected = None
        if self.injection_time is not None and self.injection_time <= _LAST_DATE:
            moment = datetime.fromtimestamp(self.injection_time, UTC)
            injected = moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
        known = {
            "type": self.type.value,
            "event_id": self.event_id,
            "timestamp": str(self.timestamp),
            "message_id": self.message_id,
            "transmission_id": _format_number(self.transmission_id),
            "customer_id": str(self.customer_id),
            "subaccount_id": _format_number(self.subaccount_id),
            "campaign_id": self.campaign_id,
            "rcpt_to": self.rcpt_to,
            "raw_rcpt_to": self.raw_rcpt_to,
            "rcpt_type": self.rcpt_type,
            "rcpt_meta": self.rcpt_meta,
            "rcpt_tags": list(self.rcpt_tags),
            "recipient_domain": self.recipient_domain,
            "injection_time": injected,
            "open_tracking": self.open_tracking,
            "click_tracking": self.click_tracking,
            "initial_pixel": self.initial_pixel,
            "amp_enabled": self.amp_enabled,
            "transactional": "1" if self.transactional else "0",
            "delv_method": self.delv_method,
            "ip_address": self.ip_address,
            "user_agent": self.user_agent,
            "user_agent_parsed": self.user_agent_parsed,
            "accept_language": self.accept_language,
            "target_link_url": self.target_link_url,
            "target_link_name": self.target_link_name,
            _OWN_OBJECT: self._own_fields(),
        }
        # False is a value; None, "", [] and {} are not.
        return {name: value for name, value in known.items() if value or value is False}

    def _own_fields(self) -> dict[str, Any]:
        position = self.target_link_position
        if position is None:
            return {}
        return {"target_link_position": {"number": position.number, "part": position.part}}

    def as_sparkpost(self) -> dict[str, Any]:
        """Return one element of a webhook's batch: `{"msys": {"track_event": {…}}}`."""
        return {"msys": {self.type.envelope: self.fields()}}

    def as_json(self) -> str:
        """Return `as_sparkpost` on one line, always valid JSON and valid UTF-8."""
        text = json.dumps(
            self.as_sparkpost(), ensure_ascii=False, allow_nan=False, separators=(",", ":")
        )
        # A sender may escape half of a surrogate pair in metadata: that is JSON, but not UTF-8.
        return _LONE_SURROGATE.sub("\ufffd", text)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `as_json` wrote. Unknown fields are ignored.

        Raises:
            ValueError: the text is not an event in SparkPost's form.
        """
        try:
            ((envelope, fields),) = json.loads(text)["msys"].items()
            known = {name: value for name, value in fields.items() if name in cls.__slots__}
            known["type"] = EventType(known["type"])
            known["target_link_position"] = _read_position(fields.get(_OWN_OBJECT, {}))
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
            # The JSON leaves out an empty text.
            event = cls(**({"message_id": "", "raw_rcpt_to": ""} | known))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not an event: {error}") from error
        if envelope != event.type.envelope:
            raise ValueError(f"not an event: {event.type} in {envelope}")
        return event


def _read_position(own: Mapping[str, Any]) -> LinkPosition | None:
    position = own.get("target_link_position")
    # A part that a later release names is unknown, like its position.
    if position is None or position["part"] not in _PARTS:
        return None
    return LinkPosition(number=int(position["number"]), part=position["part"])


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


def _format_number(number: int | None) -> str | None:
    return str(number) if number else None
