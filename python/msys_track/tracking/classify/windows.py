"""What several requests show together: a HEAD before a GET, a burst over the links of a message.

Memory is bounded. Time is that of the requests, so a clock that was set back does no harm but to
the windows that it cuts.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

from msys_track.events import Finding
from msys_track.tracking.classify.rules import Rule
from msys_track.tracking.classify.settings import ClassificationSettings

_MAX_HEADS: Final = 10_000
_MAX_MAILINGS: Final = 10_000
_MAX_ACCEPTED: Final = 100_000
_MAX_ENTRIES_OF_ONE_MESSAGE: Final = 200

_CLICKS: Final = frozenset({"click", "amp_click", "link_unsubscribe"})

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Link(NamedTuple):
    """A link of a message.

    Attributes:
        name: Tells it apart from the others.
        mailing: Tells apart mailings and the kinds of parts in them; empty: not known.
        number: Its number in such a part; 0: not known.
    """

    name: str
    mailing: str
    number: int


@dataclass(slots=True)
class Entry:
    """An event that a later one may show to be a machine's.

    Attributes:
        at: When, Unix time in milliseconds.
        link: None for what is no click.
        is_machine: Whether it was judged to be a machine's.
        lines: The event as it was written, and those that follow from it; empty where no other
            verdict can follow.
    """

    at: int
    link: Link | None
    is_machine: bool
    lines: list[bytes]


class Late(NamedTuple):
    """An event that was a machine's after all."""

    entry: Entry
    rule: Rule
    finding: Finding


class Windows:
    """Remembers what came lately, by message."""

    def __init__(self, settings: ClassificationSettings) -> None:
        self._burst_links = settings.burst_links
        self._burst_hits = settings.burst_hits
        self._fewest = min(settings.burst_links, settings.burst_hits)
        self._head_ms = settings.head_seconds * 1000
        self._burst_ms = settings.burst_seconds * 1000
        self._all_ms = settings.all_links_seconds * 1000
        self._kept_ms = max(self._burst_ms, self._all_ms)
        self._wants_bursts = Rule.BURST not in settings.off
        self._wants_all_links = Rule.ALL_LINKS not in settings.off
        self._wants_deliveries = Rule.BEFORE_DELIVERY not in settings.off
        self._max_entries = settings.max_remembered
        self._count = 0
        self._messages: OrderedDict[str, list[Entry]] = OrderedDict()
        self._heads: OrderedDict[tuple[str, str], int] = OrderedDict()
        # The highest number of a link that was seen in a mailing, so many links it has at least;
        # and the first message that showed it, which is no measure for itself.
        self._links: OrderedDict[str, tuple[int, str]] = OrderedDict()
        self._accepted: OrderedDict[str, int] = OrderedDict()
        self._late: list[Late] = []

    def note_head(self, hit: Mapping[str, Any]) -> None:
        """Remember a HEAD."""
        if "address" in hit:
            key = (hit.get("message_id", ""), find_network(hit["address"]))
            _put(self._heads, key, hit["at"], _MAX_HEADS)

    def note_accepted(self, message_id: str, at: int) -> None:
        """Remember when an upstream had accepted a message; events before that are late."""
        if not self._wants_deliveries:
            return
        _put(self._accepted, message_id, at, _MAX_ACCEPTED)
        for entry in self._messages.get(message_id, ()):
            if entry.at < at:
                self._add_late(entry, Rule.BEFORE_DELIVERY, _tell_before(at, entry.at))

    def find(self, hit: Mapping[str, Any]) -> list[tuple[Rule, Finding]]:
        """Find the rules that a hit fits together with what came before it."""
        at, message_id = hit["at"], hit.get("message_id", "")
        found: list[tuple[Rule, Finding]] = []
        if self._heads and "address" in hit:
            network = find_network(hit["address"])
            head = self._heads.get((message_id, network))
            if head is not None and abs(at - head) <= self._head_ms:
                evidence = f"HEAD from {network} {abs(at - head) / 1000:.1f} s before"
                found.append(_find(Rule.HEAD_BEFORE_GET, evidence))
        entries = self._messages.get(message_id)
        if entries and hit["kind"] in _CLICKS:
            link = read_link(hit)
            if self._wants_bursts and (evidence := self._find_burst(at, link, entries)):
                found.append(_find(Rule.BURST, evidence))
            if self._wants_all_links and (
                evidence := self._find_all_links(message_id, at, link, entries)
            ):
                found.append(_find(Rule.ALL_LINKS, evidence))
        if self._accepted:
            accepted = self._accepted.get(message_id)
            if accepted is not None and at < accepted:
                found.append(_find(Rule.BEFORE_DELIVERY, _tell_before(accepted, at)))
        return found

    def remember(
        self, message_id: str, at: int, link: Link | None, line: bytes, *, is_machine: bool
    ) -> None:
        """Remember an event.

        Args:
            message_id: The event's.
            at: When, Unix time in milliseconds.
            link: None for what is no click.
            line: The event as it was written.
            is_machine: How it was judged.
        """
        if link is None and (is_machine or not self._accepted):
            return
        if link is not None and link.mailing:
            seen = self._links.get(link.mailing)
            if seen is None or link.number > seen[0]:
                _put(self._links, link.mailing, (link.number, message_id), _MAX_MAILINGS)
        entries = self._messages.get(message_id)
        if entries is None:
            entries = self._messages[message_id] = []
            self._forget(at)
        elif len(entries) >= _MAX_ENTRIES_OF_ONE_MESSAGE:
            del entries[0]
            self._count -= 1
        entries.append(Entry(at, link, is_machine, [] if is_machine else [line]))
        self._count += 1

    def attach(self, message_id: str, line: bytes) -> None:
        """Remember an event that follows from the last one of its message, and shares its fate."""
        entries = self._messages.get(message_id)
        if entries and not entries[-1].is_machine:
            entries[-1].lines.append(line)

    def take_late(self) -> list[Late]:
        """Return the events that are a machine's, as became known since the last call."""
        late, self._late = self._late, []
        return late

    def mark_machine(self, message_id: str, line_id: bytes) -> None:
        """Note that an event has its later verdict already; `line_id` is in its line."""
        for entry in self._messages.get(message_id, ()):
            if any(line_id in line for line in entry.lines):
                entry.is_machine = True

    def _find_burst(self, at: int, link: Link, entries: list[Entry]) -> str:
        """Find many links, or hits, in a short time; return what was seen, or nothing."""
        near = [e for e in entries if e.link is not None and abs(at - e.at) <= self._burst_ms]
        if len(near) + 1 < self._fewest:
            return ""
        names = {entry.link.name for entry in near if entry.link is not None} | {link.name}
        if len(names) >= self._burst_links:
            what = f"{len(names)} links"
        elif len(near) + 1 >= self._burst_hits:
            what = f"{len(near) + 1} clicks"
        else:
            return ""
        evidence = f"{what} in {_measure_span(at, near):.1f} s"
        for entry in near:
            self._add_late(entry, Rule.BURST, evidence)
        return evidence

    def _find_all_links(self, message_id: str, at: int, link: Link, entries: list[Entry]) -> str:
        """Find every link of a message; return what was seen, or nothing."""
        total, shown_by = self._links.get(link.mailing, (0, message_id))
        if shown_by == message_id or not self._burst_links <= total <= len(entries) + 1:
            return ""
        near = [
            entry
            for entry in entries
            if entry.link is not None
            and entry.link.mailing == link.mailing
            and abs(at - entry.at) <= self._all_ms
        ]
        numbers = {entry.link.number for entry in near if entry.link is not None}
        if len(numbers | {link.number}) < total:
            return ""
        evidence = f"all {total} links in {_measure_span(at, near):.1f} s"
        for entry in near:
            self._add_late(entry, Rule.ALL_LINKS, evidence)
        return evidence

    def _add_late(self, entry: Entry, rule: Rule, evidence: str) -> None:
        if not entry.is_machine:
            self._late.append(Late(entry, *_find(rule, evidence)))
            entry.is_machine = True

    def _forget(self, now: int) -> None:
        """Forget messages that no window reaches any more, and the oldest where there are many."""
        while len(self._messages) > 1:  # the newest is about to get its first entry
            oldest = next(iter(self._messages.values()))
            is_within_reach = oldest[-1].at >= now - self._kept_ms
            if is_within_reach and self._count <= self._max_entries:
                return
            self._count -= len(self._messages.popitem(last=False)[1])


def read_link(hit: Mapping[str, Any]) -> Link:
    """Return the link that a hit followed."""
    number = hit.get("link_number", 0)
    if not number:
        return Link(hit.get("target", ""), "", 0)
    part = hit.get("link_part", "")
    return Link(f"{part}:{number}", name_mailing(hit, part), number)


def name_mailing(known: Mapping[str, Any], part: str) -> str:
    """Name the mailing of a hit or an event, and the kind of part; empty if it is not known."""
    mailing = known.get("transmission_id") or known.get("campaign_id")
    return f"{mailing}:{part}" if mailing else ""


def find_network(address: str) -> str:
    """Return the network that an address is in, about a /24, or a /48 of IPv6."""
    if ":" in address:
        return ":".join(address.split(":", 3)[:3])
    return address.rpartition(".")[0]


def is_click(kind: str) -> bool:
    """Whether an event of a type, or a hit of a kind, follows a link."""
    return kind in _CLICKS


def _find(rule: Rule, evidence: str) -> tuple[Rule, Finding]:
    return rule, Finding(rule.value, evidence)


def _tell_before(accepted: int, at: int) -> str:
    return f"{(accepted - at) / 1000:.1f} s before the upstream had it"


def _measure_span(at: int, near: list[Entry]) -> float:
    """Return over how many seconds hits are spread."""
    times = [at, *(entry.at for entry in near)]
    return (max(times) - min(times)) / 1000


def _put(known: OrderedDict[_Key, _Value], key: _Key, value: _Value, limit: int) -> None:
    known[key] = value
    known.move_to_end(key)
    if len(known) > limit:
        known.popitem(last=False)
