"""What readers did, in SparkPost's words, so that every consumer of its webhooks understands us.

An event is written once, by the tracker, and read many times, by sinks and reports: the fields
and their types are SparkPost's (`docs/events.md`), and nothing here knows HTTP, tokens or files.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from itertools import chain
from typing import Any, Self

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")

# As deep as X-MSYS-API may nest. JSON's reader and writer give up at depths that depend on the
# stack they are called from, so what the one takes could be too deep for the other.
_MAX_NESTING = 64

# 9999-12-31T23:59:59Z: no later date has a form in ISO 8601 without an agreement.
_LAST_DATE = 253_402_300_799


class EventType(StrEnum):
    """What happened; the names are those of a token's kind."""

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
        """The key below `msys` that holds events of this type."""
        if self in {EventType.LIST_UNSUBSCRIBE, EventType.LINK_UNSUBSCRIBE}:
            return "unsubscribe_event"
        return "track_event"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One open, click or unsubscribe, in SparkPost's field names.

    A field that is None or empty is unknown and is left out of the JSON.

    Attributes:
        type: What happened.
        event_id: Unique over all trackers; see `event_id`.
        timestamp: When it happened, Unix seconds.
        message_id: 20 hex digits, one for each copy of a mail.
        raw_rcpt_to: The recipient as in RCPT TO.
        customer_id: Whose mail it was.
        injection_time: When the mail came in, Unix seconds; past the year 9999 it is unknown.
        rcpt_type: `cc`, `bcc` or `archive`; None for a recipient in `To`.
        rcpt_meta: The sender's metadata, a JSON object.
        delv_method: How the mail went out.
        ip_address: The HTTP client's.
        user_agent_parsed: What is known of the client, see `tracking/client.py`.
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

    @property
    def rcpt_to(self) -> str:
        """The recipient in lower case, as SparkPost groups by it."""
        return self.raw_rcpt_to.lower()

    @property
    def recipient_domain(self) -> str:
        """What follows the last `@`, in lower case; empty for an address without one."""
        return self.rcpt_to.rpartition("@")[2] if "@" in self.raw_rcpt_to else ""

    def fields(self) -> dict[str, Any]:
        """The event's fields in SparkPost's types, without those that have no value."""
        known = {
            "type": self.type.value,
            "event_id": self.event_id,
            "timestamp": str(self.timestamp),
            "message_id": self.message_id,
            "transmission_id": _number_as_text(self.transmission_id),
            "customer_id": str(self.customer_id),
            "subaccount_id": _number_as_text(self.subaccount_id),
            "campaign_id": self.campaign_id,
            "rcpt_to": self.rcpt_to,
            "raw_rcpt_to": self.raw_rcpt_to,
            "rcpt_type": self.rcpt_type,
            "rcpt_meta": self.rcpt_meta,
            "rcpt_tags": list(self.rcpt_tags),
            "recipient_domain": self.recipient_domain,
            "injection_time": _iso_8601(self.injection_time),
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
        }
        # False says something; None, "", [] and {} do not.
        return {name: value for name, value in known.items() if value or value is False}

    def as_sparkpost(self) -> dict[str, Any]:
        """One element of a webhook's batch: `{"msys": {"track_event": {…}}}`."""
        return {"msys": {self.type.envelope: self.fields()}}

    def as_json(self) -> str:
        """`as_sparkpost` on one line; valid JSON and valid UTF-8 whatever the event holds."""
        text = json.dumps(
            self.as_sparkpost(), ensure_ascii=False, allow_nan=False, separators=(",", ":")
        )
        # A sender may escape half a surrogate pair in metadata: JSON takes it, UTF-8 does not.
        return _LONE_SURROGATE.sub("\ufffd", text)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `as_json` wrote; fields that this version does not know are ignored.

        Raises:
            ValueError: not an event in SparkPost's form.
        """
        try:
            ((envelope, fields),) = json.loads(text)["msys"].items()
            event = cls(**_typed(fields))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not an event: {error}") from error
        if envelope != event.type.envelope:
            raise ValueError(f"not an event: {event.type} in {envelope}")
        return event


def event_id(milliseconds: int, randomness: bytes) -> str:
    """A UUID version 7 (RFC 9562 section 5.7): Unix milliseconds, then 74 random bits.

    No two trackers need to know each other, and ids sort roughly by time. 64 bits, as in
    SparkPost's samples, would leave about 22 for chance: a collision is a lost event, because
    stores drop an id that they have.

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


def metadata(text: str | None) -> Mapping[str, Any]:
    """The metadata of a token as a JSON object; empty when there is none or it is not an object.

    Empty too when it nests deeper than the 64 levels that X-MSYS-API may have. Numbers that JSON
    can't write again (`1e999`, `NaN`) stay as text, so that an event is never lost or invalid
    because of what a sender wrote.
    """
    if text is None:
        return {}
    try:
        value = json.loads(text, parse_float=_finite, parse_constant=str)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) and _nesting(value) <= _MAX_NESTING else {}


def _nesting(value: Any) -> int:
    """How many objects and arrays lie in each other, the outermost included."""
    levels, level = 0, [value]
    while level := [one for one in level if isinstance(one, dict | list)]:
        levels += 1
        level = list(chain.from_iterable(map(_inner, level)))
    return levels


def _inner(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _finite(literal: str) -> float | str:
    number = float(literal)
    return number if math.isfinite(number) else literal


def _number_as_text(number: int | None) -> str | None:
    return str(number) if number else None


def _iso_8601(unix_seconds: int | None) -> str | None:
    if unix_seconds is None or unix_seconds > _LAST_DATE:
        return None
    moment = datetime.fromtimestamp(unix_seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _typed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """SparkPost's types back into ours."""
    known = {name: value for name, value in fields.items() if name in Event.__slots__}
    known["type"] = EventType(known["type"])
    known["transactional"] = known.get("transactional") == "1"
    known["rcpt_tags"] = tuple(known.get("rcpt_tags", ()))
    known["delv_method"] = known.get("delv_method")
    # An empty text is left out when written.
    known = {"message_id": "", "raw_rcpt_to": ""} | known
    injected = known.get("injection_time")
    known["injection_time"] = (
        None if injected is None else int(datetime.fromisoformat(injected).timestamp())
    )
    for name in ("timestamp", "customer_id", "subaccount_id", "transmission_id"):
        if name in known:
            known[name] = int(known[name])
    return known
