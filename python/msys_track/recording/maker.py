"""Makes events of hits: who it was, what else is known, and what follows from it."""

import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import orjson

from msys_track.event_fields import (
    OPENS,
    OWN_OBJECT,
    UNSUBSCRIBES,
    EventType,
    derive_event_id,
    link_key,
    make_fields,
    write_fields,
)
from msys_track.events import ReaderClass, Verdict
from msys_track.recording.first_seen import FirstSeen
from msys_track.tracking.classify.classifier import Classifier, describe_agent, is_machine
from msys_track.tracking.classify.windows import (
    Late,
    Link,
    Windows,
    is_click,
    name_mailing,
    read_link,
)

_TYPES: Final = {each.value: each for each in EventType}
_LINK_KEYS: Final = frozenset({"target", "link_name", "link_number", "link_part", "request"})
_JUDGED: Final = frozenset({"class", "rules", "first"})
_MILLISECOND_BITS: Final = 80
_MACHINES: Final = frozenset(each.value for each in ReaderClass if is_machine(each))


class EventMaker:
    """Makes the lines of the event log.

    Args:
        classifier: Judges hits, with the same `windows`.
        windows: What came lately.
        first_seen: What came first.
        also_click: A link that unsubscribes makes a `click` as well.
        infer_opens: A person's click of a message without an open makes an `open` too.
    """

    def __init__(
        self,
        classifier: Classifier,
        windows: Windows,
        first_seen: FirstSeen,
        *,
        also_click: bool = False,
        infer_opens: bool = False,
    ) -> None:
        self._classifier = classifier
        self._windows = windows
        self._first_seen = first_seen
        self._also_click = also_click
        self._infer_opens = infer_opens

    def make(self, line: bytes, members: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
        """Yield the events of a line of a hit log, each with its id.

        Raises:
            KeyError, TypeError, ValueError: it is neither a hit nor an event.
        """
        if "msys" in members:
            yield self._pass_on(line, members["msys"])
        elif members.get("request", _NOTHING).get("method") == "HEAD":
            self._windows.note_head(members)
            return
        else:
            yield from self._make_events(members)
        for late in self._windows.take_late():
            for earlier in late.entry.lines:
                yield _reclassify(earlier, late)

    def remember(self, line: bytes) -> int:
        """Take in an event that was made before, as if it were made now; return its time.

        What is no event of this form is passed over, and has the time 0.
        """
        try:
            ((envelope, fields),) = orjson.loads(line)["msys"].items()
            at = _read_time(fields["event_id"])
            kind, message_id = fields["type"], fields.get("message_id", "")
            if envelope == "message_event":
                self._windows.note_accepted(message_id, at)
                self._windows.take_late()
                return at
            own = fields.get(OWN_OBJECT, _NOTHING)
            if kind == EventType.RECLASSIFIED.value:
                self._windows.mark_machine(message_id, own["reclassifies"].encode())
                return at
            if own.get("privacy") == "aggregate":
                return at
            link = None
            if is_click(kind):
                position = own.get("target_link_position", _NOTHING)
                mailing = name_mailing(fields, position.get("part", ""))
                number = position.get("number", 0)
                link = Link(link_key(fields) or "", mailing if number else "", number)
            machine = own.get("class") in _MACHINES
            if own.get("inferred"):
                self._windows.attach(message_id, line)
            else:
                self._windows.remember(message_id, at, link, line, is_machine=machine)
            self._first_seen.note(message_id, _TYPES[kind], link_key(fields), at, at // 1000 + 1)
        except (AttributeError, KeyError, TypeError, ValueError):
            return 0
        return at

    def _make_events(self, hit: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
        verdict = self._classifier.classify(hit)
        kind = _TYPES[hit["kind"]]
        event_id: str = hit["id"]
        yield event_id, self._make_event(hit, kind, event_id, verdict)
        if self._also_click and kind is EventType.LINK_UNSUBSCRIBE:
            of = derive_event_id(event_id, "click")
            yield of, self._make_event(hit, EventType.CLICK, of, verdict, follows=True)
        if (
            self._infer_opens
            and kind in _CLICKED
            and verdict.reader_class is ReaderClass.HUMAN
            and hit.get("privacy") != "aggregate"
            and self._first_seen.has_opened(hit.get("message_id", ""), hit.get("injected_at", 0))
            is False
        ):
            of = derive_event_id(event_id, "open")
            kept = {name: value for name, value in hit.items() if name not in _LINK_KEYS}
            yield (
                of,
                self._make_event(
                    kept, _CLICKED[kind], of, verdict, follows=True, is_inferred=True
                ),
            )

    def _make_event(  # noqa: PLR0913 - what decides an event
        self,
        hit: Mapping[str, Any],
        kind: EventType,
        event_id: str,
        verdict: Verdict,
        *,
        follows: bool = False,
        is_inferred: bool = False,
    ) -> bytes:
        """Make an event, and remember it; with `follows` together with the one before it."""
        own = verdict.fields()
        privacy = hit.get("privacy")
        at, message_id, injected_at = (
            hit["at"],
            hit.get("message_id", ""),
            hit.get("injected_at", 0),
        )
        is_link = kind not in OPENS
        link = read_link(hit) if is_link else None
        if privacy != "aggregate" and (
            first := self._first_seen.note(
                message_id, kind, None if link is None else link.name, at, injected_at
            )
        ):
            own["first"] = first
        if is_inferred:
            own["inferred"] = True
        if privacy is not None:
            own["privacy"] = privacy
        request = hit.get("request")
        if request is not None and "redirected_to" in request:
            own["redirected_to"] = request["redirected_to"]
        agent, address = hit.get("agent"), hit.get("address")
        parsed = geo_ip = _NOTHING
        if kind not in UNSUBSCRIBES:  # SparkPost's have neither
            if agent is not None:
                parsed = describe_agent(self._classifier.agents(agent), verdict.reader_class)
            if address is not None and self._classifier.knows_places:
                geo_ip = self._classifier.places(address).geo_ip or _NOTHING
        fields = make_fields(
            hit,
            kind,
            event_id,
            user_agent_parsed=parsed,
            geo_ip=geo_ip,
            own=own,
        )
        line = write_fields(kind, fields)
        if follows:
            self._windows.attach(message_id, line)
        elif privacy != "aggregate":
            machine = verdict.reader_class.value in _MACHINES
            is_wish = request is not None and "confirmed" in request
            followed = link if is_click(kind.value) and not is_wish else None
            self._windows.remember(message_id, at, followed, line, is_machine=machine)
        return line

    def _pass_on(self, line: bytes, envelopes: Mapping[str, Any]) -> tuple[str, bytes]:
        """Return an event that another room has made, and remember when its mail was accepted."""
        ((_, fields),) = envelopes.items()
        event_id: str = fields["event_id"]
        if fields["type"] == "injection" and "message_id" in fields:
            self._windows.note_accepted(fields["message_id"], _read_time(event_id))
        return event_id, line


def read_ids(lines: Iterable[bytes]) -> Iterator[str]:
    """Yield the ids of events that have one."""
    for line in lines:
        try:
            ((_, fields),) = orjson.loads(line)["msys"].items()
            yield fields["event_id"]
        except (AttributeError, KeyError, TypeError, ValueError):
            continue


def _reclassify(line: bytes, late: Late) -> tuple[str, bytes]:
    """Make the later verdict on an event; it has the event's time, so totals can be mended."""
    ((_, fields),) = orjson.loads(line)["msys"].items()
    first_id = fields["event_id"]
    event_id = derive_event_id(first_id, "reclassified")
    own = fields.get(OWN_OBJECT, {})
    verdict = Verdict(ReaderClass.SCANNER, (late.finding,))
    kept = {name: value for name, value in own.items() if name not in _JUDGED}
    later = {"reclassifies": first_id, "reclassified_type": fields["type"]}
    fields |= {
        "type": EventType.RECLASSIFIED.value,
        "event_id": event_id,
        OWN_OBJECT: {**verdict.fields(), **kept, **later},
    }
    return event_id, write_fields(EventType.RECLASSIFIED, fields)


def _read_time(event_id: str) -> int:
    """Return when an event happened, Unix time in milliseconds: its id is a UUID version 7."""
    return uuid.UUID(event_id).int >> _MILLISECOND_BITS


_NOTHING: Final[Mapping[str, Any]] = {}
_CLICKED: Final = {
    EventType.CLICK: EventType.OPEN,
    EventType.AMP_CLICK: EventType.AMP_OPEN,
}
