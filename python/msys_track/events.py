"""Events as values for programs: what readers did.

The fields that they are written as are in `event_fields`. Nothing here knows HTTP or files.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal, NamedTuple, Self

from msys_track.event_fields import (
    OPTIONS,
    OWN_OBJECT,
    PARTS,
    EventType,
    make_event_id,
    make_fields,
    make_hit,
    parse_user_agent,
    write_fields,
)
from msys_track.keys.ring import Claims


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
        options = [name for name in OPTIONS if getattr(self, name)]
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
    if position is not None and position["part"] in PARTS:
        known["target_link_position"] = LinkPosition(
            number=int(position["number"]), part=position["part"]
        )
    if own.get("class") in _CLASSES:
        rules = own.get("rules", ())
        findings = tuple(Finding(each["rule"], each["evidence"]) for each in rules)
        known["verdict"] = Verdict(ReaderClass(own["class"]), findings)
    return known


_CLASSES: Final = frozenset(ReaderClass)
