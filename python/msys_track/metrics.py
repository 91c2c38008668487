"""The registry of what happens, in numbers: counters, times of stages, and how they are shown.

Each process has one. A proxy's workers report theirs to the supervisor, which adds them up
(`Figures`) and shows them to Prometheus and to people.
"""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Self, TypeVar

_Number = TypeVar("_Number", int, float)

TRACKER_COUNTERS: Final[Mapping[str, str]] = {
    "requests": "Whole requests, whatever the answer.",
    "clicks": "Redirects to a target, expired and HEAD included.",
    "opens": "Pixels of an authentic link, expired and HEAD included.",
    "heads": "Authentic links and pixels fetched by HEAD: recorded, no event.",
    "unsubscribes": "Readers who left by a POST: one click, or the button of our page.",
    "withdrawn": "Authentic links of who has withdrawn: answered as usual, no event.",
    "expired": "Authentic links past their time: answered as usual, no event.",
    "invalid_tokens": "Links and pixels whose token is not ours, or was changed.",
    "handed_on": "Links of another tracker that were sent on to it, HEAD included.",
    "not_found": "Paths that are not a tracked URL.",
    "refused_methods": "Anything but GET and HEAD, and POST where it unsubscribes.",
    "bad_requests": "Not HTTP, over a limit, or without a Host.",
    "timeouts": "Requests that did not arrive in time.",
    "refused_connections": "Connections for which there was no room.",
    "displaced_connections": "Idle connections that were closed to make room for others.",
    "tls_failed": "TLS handshakes that failed.",
    "proxy_headers_refused": "Connections of a front without a good PROXY header.",
    "failures": "Defects of ours: each cost a connection, an event, or a Location its exact form.",
}
"""What a tracker counts, with a text for each."""

STAGES: Final = ("receive", "decide", "rewrite", "relay", "total")
"""What a mail's time goes to; `total` is from its first byte to the answer."""

BOUNDS: Final = (
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0,
)  # fmt: skip
"""Seconds: each bucket of a histogram holds what took no longer; one more holds the rest."""


class Metric(NamedTuple):
    """What a counter or a gauge says."""

    text: str
    label: str = ""
    """What the rest of a counter's name tells apart, as `why` in `messages.refused.header`."""


COUNTERS: Final[Mapping[str, Metric]] = {
    "access.logged_in": Metric("Clients that logged in."),
    "access.refused": Metric("Clients and commands refused by rules of access.", "why"),
    "connections.accepted": Metric("Clients that were greeted."),
    "connections.dropped": Metric("Connections that broke before their client left."),
    "connections.refused": Metric("Clients refused with 421 for lack of room."),
    "connections.rejected": Metric("Clients refused by policy in place of the greeting."),
    "connections.tls_failed": Metric("TLS handshakes that failed."),
    "copies.links": Metric("Wrapped links in relayed copies."),
    "copies.pixels": Metric("Pixels in relayed copies."),
    "copies.relayed": Metric("Copies that an upstream has taken."),
    "dkim.failed": Metric("Copies that went out unsigned because signing failed."),
    "dkim.signed": Metric("Copies that were signed."),
    "dkim.unsigned": Metric("Copies whose author's domain has no key."),
    "left_alone": Metric("Mails with something left alone.", "reason"),
    "log.dropped": Metric("Lines of the log that standard error did not take."),
    "kept_mail.kept": Metric("Mails that were kept for click maps."),
    "kept_mail.failed": Metric("Mails that could not be kept for click maps; they went out."),
    "events.failed": Metric("Events of mail that a defect of ours kept from being made."),
    "messages.accepted": Metric("Mails that were accepted."),
    "messages.discarded": Metric("Mails that policy discarded for all of their recipients."),
    "messages.partly_relayed": Metric("Mails of which some readers will never have a copy."),
    "messages.refused": Metric("Mails that were refused.", "why"),
    "messages.repeated": Metric("Mails repeated by clients that had not waited for the answer."),
    "notices": Metric("Mails for which something could not be had.", "notice"),
    "policy.continued": Metric("Mails that went on although policy failed."),
    "policy.refused": Metric("Mails refused because policy failed."),
    "policy.rejected": Metric("Commands that policy refused."),
    "recipients.discarded": Metric("Recipients for whom policy discarded a mail."),
    "recipients.refused": Metric("Recipients that the upstream refused."),
    "sessions.ended": Metric("Sessions that a limit ended.", "why"),
    "sessions.failed": Metric("Sessions that a defect of ours ended."),
    "spool.deferred": Metric("Tries of kept copies that failed for now."),
    "spool.failed": Metric("Kept copies that were given up."),
    "spool.kept": Metric("Mails of which copies were kept."),
    "spool.refused": Metric("Mails that the spool could not keep."),
    "spool.relayed": Metric("Kept copies that an upstream has taken."),
    "spool.reported": Metric("Mails whose sender was sent a report at once."),
    "upstreams.came_up": Metric("Times that an upstream came back."),
    "upstreams.failed_over": Metric("Mails that went to another upstream than the first choice."),
    "upstreams.loops": Metric("Connections to upstreams that would send the mail back."),
    "upstreams.went_down": Metric("Times that an upstream was found down."),
    "workers.died": Metric("Workers that ended unasked, or were killed, and were replaced."),
}
"""The proxy's counters."""

GAUGES: Final[Mapping[str, Metric]] = {
    "bytes_in_flight": Metric("Bytes of mail in memory, as the budget counts them."),
    "ready": Metric("Workers whose mail an upstream, or else the spool, would take now."),
    "sessions": Metric("Clients that are connected."),
    "spool.bytes": Metric("Bytes of kept mail."),
    "spool.copies": Metric("Kept copies."),
    "spool.oldest_seconds": Metric("Age of the oldest kept copy that waits, in seconds."),
    "upstream.connections": Metric("Open connections to upstreams."),
    "upstream.idle": Metric("Open connections to upstreams that are not in use."),
    "upstream.waiting": Metric("Mails that wait for a connection to an upstream."),
    "workers": Metric("Workers that take mail."),
}
"""What goes up and down in a proxy."""


class Catalogue(NamedTuple):
    """What the figures of one server mean."""

    counters: Mapping[str, Metric]
    gauges: Mapping[str, Metric]
    stages: Sequence[str] = ()


_RECORDING: Final = Catalogue(
    counters={
        "hits.accepted": Metric("Lines that the log of hits has taken."),
        "hits.written": Metric("Lines of the log of hits that are on disk."),
        "hits.dropped": Metric("Lines that were lost because too many waited for the disk."),
        "hits.failures": Metric("Writes to the log of hits that failed and are tried again."),
        "recorder.recorded": Metric("Hits, or events of a topic, that are in the event log."),
        "recorder.repeated": Metric("Events of a topic that came again and were left out."),
        "sinks.delivered": Metric("Events that a sink has taken.", "sink"),
        "sinks.failed": Metric("Times that a sink did not take events; they are kept.", "sink"),
        "sinks.dead": Metric("Events that a sink has given up; they are dead letters.", "sink"),
        "sinks.gone": Metric("Events that were deleted before a sink had them.", "sink"),
    },
    gauges={
        "hits.waiting": Metric("Lines that wait for the disk, in memory."),
        "recorder.lag_events": Metric("Hits on disk that are no events yet."),
        "recorder.lag_seconds": Metric("Age of the oldest of them, in seconds."),
        "sinks.lag_events": Metric("Events that a sink has not taken yet.", "sink"),
        "sinks.lag_seconds": Metric("Age of the oldest of them, in seconds.", "sink"),
        "recorders": Metric("Processes that record."),
    },
)

PROXY: Final = Catalogue(
    {**COUNTERS, **_RECORDING.counters}, {**GAUGES, **_RECORDING.gauges}, STAGES
)
"""A proxy's figures."""

TRACKER: Final = Catalogue(
    counters={
        **{f"tracker.{name}": Metric(text) for name, text in TRACKER_COUNTERS.items()},
        **_RECORDING.counters,
        "log.dropped": COUNTERS["log.dropped"],
        "workers.died": COUNTERS["workers.died"],
    },
    gauges={
        "tracker.connections": Metric("Clients that are connected."),
        **_RECORDING.gauges,
        "ready": Metric("Workers that answer readers and have room for their events."),
        "workers": Metric("Workers that answer readers."),
    },
)
"""A tracker's figures."""

REPORT: Final = Catalogue(
    counters={
        "report.requests": Metric("Requests that were answered, whatever the answer."),
        "report.logins": Metric("People who logged in."),
        "report.login_refused": Metric("Logins that were refused.", "why"),
        "report.failures": Metric("Requests that a defect of ours ended."),
        "log.dropped": COUNTERS["log.dropped"],
        "workers.died": COUNTERS["workers.died"],
    },
    gauges={
        "report.sessions": Metric("People who are logged in."),
        "report.watchers": Metric("Pages that show live numbers."),
        "ready": Metric("Workers whose store is there."),
        "workers": Metric("Workers that answer."),
        "recorders": Metric("Processes that record: a report has none."),
    },
)
"""A report's figures."""

_SORTED_AT_ONCE: Final = 256

# All workers see the same spool.
_SHARED: Final = frozenset({"spool.bytes", "spool.copies", "spool.oldest_seconds"})


class Counters:
    """Numbers that only grow, by name; each server has its own.

    The proxy's counters are in `COUNTERS`, `messages.refused` and the like with a reason behind
    them. The tracker counts `TRACKER_COUNTERS`. The event writer counts the events that it
    `accepted`, those `written` to its sink, and those `dropped` at a full queue or after its end.

    Args:
        names: Counters that a snapshot has before anything is counted.
    """

    __slots__ = ("_counts", "_groups", "_observed", "_sources", "_times")

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._counts: Counter[str] = Counter(dict.fromkeys(names, 0))
        self._groups: dict[tuple[tuple[str, int], ...], int] = {}
        self._times: dict[str, list[float]] = {}
        self._observed: list[Mapping[str, float]] = []
        self._sources: list[Callable[[], None]] = []

    def __getitem__(self, name: str) -> int:
        """Return one number; 0 for a name that was never counted."""
        self._add_groups()
        return self._counts[name]

    def add(self, name: str, count: int = 1) -> None:
        """Count something."""
        self._counts[name] += count

    def add_each(self, counts: tuple[tuple[str, int], ...]) -> None:
        """Count several things; best where the same are counted again and again."""
        self._groups[counts] = self._groups.get(counts, 0) + 1
        if len(self._groups) >= _SORTED_AT_ONCE:
            self._add_groups()

    def add_source(self, count: Callable[[], None]) -> None:
        """Call this before numbers are looked at: it adds what was counted elsewhere."""
        self._sources.append(count)

    def observe(self, stages: Mapping[str, float]) -> None:
        """Note the seconds that each stage of one mail took; the mapping is kept for a while."""
        self._observed.append(stages)
        if len(self._observed) >= _SORTED_AT_ONCE:
            self._sort()

    def snapshot(self) -> Mapping[str, int]:
        """Return the numbers as they are now; they don't change later."""
        self._add_groups()
        return MappingProxyType(dict(self._counts))

    def times(self) -> Mapping[str, list[float]]:
        """Return the histogram of each stage: a number for each bucket, and the sum of seconds."""
        self._sort()
        return {name: row[:] for name, row in self._times.items()}

    def _add_groups(self) -> None:
        """Count what `add_each` has put off, and what sources have."""
        for count_elsewhere in self._sources:
            count_elsewhere()
        groups, self._groups = self._groups, {}
        for counts, times in groups.items():
            for name, count in counts:
                self._counts[name] += count * times

    def _sort(self) -> None:
        """Put what was observed into the buckets: for many mails at once it costs a fifth."""
        observed, self._observed = self._observed, []
        for name in dict.fromkeys(chain.from_iterable(observed)):
            seconds = [stages[name] for stages in observed if name in stages]
            row = self._times.setdefault(name, _make_row())
            for bucket, count in Counter(map(bisect_left, repeat(BOUNDS), seconds)).items():
                row[bucket] += count
            row[-1] += sum(seconds)


@dataclass(slots=True)
class Figures:
    """Numbers of one or several processes at one time."""

    counters: dict[str, int] = field(default_factory=dict)
    gauges: dict[str, float] = field(default_factory=dict)
    times: dict[str, list[float]] = field(default_factory=dict)
    """The histogram of each stage, as `Counters.times` has it."""

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> Self:
        """Read what `as_json` wrote."""
        return cls(told["counters"], told["gauges"], told["times"])

    def as_json(self) -> dict[str, Any]:
        """Make data that JSON can hold."""
        return {"counters": self.counters, "gauges": self.gauges, "times": self.times}

    def add(self, other: "Figures", *, is_over: bool = False) -> None:
        """Add those of another process; of one that is over, only what it has counted."""
        for name, count in other.counters.items():
            self.counters[name] = self.counters.get(name, 0) + count
        for name, row in other.times.items():
            own = self.times.get(name) or _make_row()
            self.times[name] = [a + b for a, b in zip(own, row, strict=True)]
        for name, value in () if is_over else other.gauges.items():
            had = self.gauges.get(name, 0)
            self.gauges[name] = max(had, value) if name in _SHARED else had + value


def write_exposition(figures: Figures, catalogue: Catalogue = PROXY) -> str:
    """Write figures as Prometheus reads them (text format 0.0.4)."""
    lines: list[str] = []
    for family, metric, samples in _group(figures.counters, catalogue.counters):
        name = f"msys_track_{_write_name(family)}_total"
        lines += [f"# HELP {name} {metric.text}", f"# TYPE {name} counter"]
        lines += [f"{name}{_write_label(metric.label, rest)} {count}" for rest, count in samples]
    for family, metric, values in _group(figures.gauges, catalogue.gauges, is_whole=False):
        name = f"msys_track_{_write_name(family)}"
        lines += [f"# HELP {name} {metric.text}", f"# TYPE {name} gauge"]
        lines += [
            f"{name}{_write_label(metric.label, rest)} {_write_number(value)}"
            for rest, value in values
        ]
    if catalogue.stages:
        lines += _write_stages(figures, catalogue.stages)
    return "\n".join(lines) + "\n"


def _write_stages(figures: Figures, stages: Sequence[str]) -> Iterator[str]:
    name = "msys_track_stage_seconds"
    yield f"# HELP {name} Seconds that a stage of a mail took."
    yield f"# TYPE {name} histogram"
    for stage in stages:
        row, seen = figures.times.get(stage) or _make_row(), 0
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), row[:-1], strict=True):
            seen += int(count)
            yield f'{name}_bucket{{stage="{stage}",le="{bound}"}} {seen}'
        yield f'{name}_sum{{stage="{stage}"}} {_write_number(row[-1])}'
        yield f'{name}_count{{stage="{stage}"}} {seen}'


def find_quantile(row: list[float], share: float) -> float | None:
    """Find below which time a share of all mails was, about; None without mails.

    Within a bucket times are taken to be spread evenly; beyond the last bound is the last bound.
    """
    total = sum(row[:-1])
    wanted, seen, lower = share * total, 0.0, 0.0
    for bound, count in zip(BOUNDS, row, strict=False):
        if count and seen + count >= wanted:
            return lower + (bound - lower) * (wanted - seen) / count
        seen, lower = seen + count, bound
    return BOUNDS[-1] if total else None


def _make_row() -> list[float]:
    return [0] * (len(BOUNDS) + 1) + [0.0]


def _group(
    values: Mapping[str, _Number], known: Mapping[str, Metric], *, is_whole: bool = True
) -> Iterator[tuple[str, Metric, list[tuple[str, _Number]]]]:
    """Yield each metric with its samples: counters without a label are there from the start."""
    families: dict[str, list[tuple[str, _Number]]] = {name: [] for name in known}
    for name, value in sorted(values.items()):
        family = next(
            (each for each, metric in known.items()
             if name == each or (metric.label and name.startswith(f"{each}."))),
            name,
        )  # fmt: skip
        families.setdefault(family, []).append((name[len(family) + 1 :], value))
    for family, samples in families.items():
        metric = known.get(family, Metric("Not described."))
        if not samples and is_whole and not metric.label:
            samples = [("", 0)]  # noqa: PLW2901 - what was never counted
        if samples or is_whole:
            yield family, metric, samples


def _write_name(name: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_]", "_", name)


def _write_label(label: str, value: str) -> str:
    if not label:
        return ""
    escaped = value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'{{{label}="{escaped}"}}'


def _write_number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
