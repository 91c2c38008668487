"""Adds up what came of each input, and writes it as tables of Markdown."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from msys_track.comparison import damage
from msys_track.comparison.fidelity import judge
from msys_track.comparison.fidelity.watched import Input, Outcome

_SHOWN: Final = 3
"""Examples of a kind of damage."""
_KINDS: Final = ("links", *damage.KINDS, *judge.KINDS)


@dataclass(slots=True)
class Row:
    """What one way did to the inputs of one source."""

    counts: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    """Inputs by the kind of damage."""
    reasons: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Names of inputs by the kind of damage, and of those with errors."""

    def add(self, each: Input, outcome: Outcome) -> None:
        """Count one input."""
        self.counts["inputs"] += 1
        self.counts[outcome.fate] += 1
        if outcome.damage is None:
            self._show(
                outcome.fate, f"{each.name} ({outcome.error})" if outcome.error else each.name
            )
            return
        found = outcome.damage
        for name in ("wrapped", "missed", "broken", "bytes_changed", "structures", "pixels"):
            self.counts[name] += getattr(found, name)
        self.counts["hidden_wrapped"] += found.hidden_wrapped
        self.counts["hidden_missed"] += found.hidden_missed
        self.counts["damaged"] += found.is_damaged
        self.counts["changed"] += bool(found.bytes_changed)
        self.reasons.update(found.reasons)
        kinds = [*found.kinds, *["links"] * bool(found.broken)]
        for kind in kinds:
            self.kinds[kind] += 1
            self._show(kind, each.name)
        if found.missed or found.hidden_missed:
            self._show("missed", each.name)
        if found.bytes_changed:
            self._show("bytes", each.name)

    def _show(self, kind: str, name: str) -> None:
        if len(self.examples[kind]) < _SHOWN:
            self.examples[kind].append(name)


@dataclass(slots=True)
class Tally:
    """What all ways did to all inputs."""

    rows: dict[tuple[str, str], Row] = field(default_factory=lambda: defaultdict(Row))
    """By source and way, in the order of their first inputs."""

    def add(self, way: str, each: Input, outcome: Outcome) -> None:
        """Count what a way did to one input."""
        self.rows[each.source, way].add(each, outcome)

    def list_faults(self, ways: Sequence[str]) -> Iterator[str]:
        """Say what these ways, which promise to do no damage, did wrong."""
        for (source, way), row in self.rows.items():
            if way not in ways:
                continue
            for count in ("missed", "hidden_missed", "broken", "bytes_changed", "structures"):
                if row.counts[count]:
                    shown = {kind: names for kind, names in row.examples.items() if names}
                    yield f"{way}, {source}: {count} {row.counts[count]}: {shown}"
            if row.counts["crash"]:
                yield f"{way}, {source}: crash: {', '.join(row.examples['crash'])}"

    def write(self, sources: Mapping[str, str]) -> Iterator[str]:
        """Yield the lines of the tables of these sources."""
        rows = {key: row for key, row in self.rows.items() if key[0] in sources}
        for source, what in sources.items():
            here = {way: row for (name, way), row in rows.items() if name == source}
            if here:
                yield from _write_source(source, what, here)
        yield from _write_kinds(rows)
        yield from _write_examples(rows)


def _write_source(source: str, what: str, rows: Mapping[str, Row]) -> Iterator[str]:
    inputs = max(row.counts["inputs"] for row in rows.values())
    yield f"#### {source[0].upper()}{source[1:]}: {inputs:,} inputs"
    yield ""
    yield f"{what[0].upper()}{what[1:]}."
    yield ""
    head = (
        "way", "links wrapped", "missed", "left for a reason", "broken", "for Outlook, wrapped",
        "for Outlook, missed", "bytes changed", "structures", "inputs damaged", "failed",
    )  # fmt: skip
    yield from _write_head(head)
    for way, row in rows.items():
        counts = row.counts
        failed = [
            f"{fate}: {counts[fate]}" for fate in ("error", "timeout", "crash") if counts[fate]
        ]
        numbers = (
            counts["wrapped"], counts["missed"], row.reasons.total(), counts["broken"],
            counts["hidden_wrapped"], counts["hidden_missed"], counts["bytes_changed"],
            counts["structures"], counts["damaged"],
        )  # fmt: skip
        cells = [way, *[f"{number:,}" for number in numbers], ", ".join(failed) or "0"]
        yield f"| {' | '.join(cells)} |"
    yield ""
    unjudged = max(row.counts["not judged"] for row in rows.values())
    if unjudged:
        yield f"Rewritten and not judged: {unjudged}, which the judge can't read or not in time."
        yield ""


def _write_kinds(rows: Mapping[tuple[str, str], Row]) -> Iterator[str]:
    by_way: dict[str, Counter[str]] = defaultdict(Counter)
    for (_, way), row in rows.items():
        by_way[way].update(row.kinds)
    kinds = [kind for kind in _KINDS if any(found[kind] for found in by_way.values())]
    if not kinds:
        return
    yield "#### Inputs damaged, by kind"
    yield ""
    yield from _write_head(("way", *kinds))
    for way, found in by_way.items():
        yield f"| {way} | {' | '.join(f'{found[kind]:,}' for kind in kinds)} |"
    yield ""


def _write_examples(rows: Mapping[tuple[str, str], Row]) -> Iterator[str]:
    by_way: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for (_, way), row in rows.items():
        for kind, names in row.examples.items():
            by_way[way][kind] += names
    yield "#### Examples"
    yield ""
    yield from _write_head(("way", "kind", "inputs"), numbers=False)
    for way, examples in by_way.items():
        for kind in ("missed", "bytes", *_KINDS, "error", "timeout", "crash"):
            if names := examples.get(kind, []):
                shown = ", ".join(f"`{name.replace('|', ' ')}`" for name in names[:_SHOWN])
                yield f"| {way} | {kind} | {shown} |"
    yield ""


def _write_head(cells: Sequence[str], *, numbers: bool = True) -> Iterator[str]:
    yield f"| {' | '.join(cells)} |"
    yield f"| --- |{(' ---: |' if numbers else ' --- |') * (len(cells) - 1)}"
