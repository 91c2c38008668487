"""What holds and where it comes from, written for people as TOML and for programs as JSON."""

from collections.abc import Iterator, Mapping
from typing import Any

from msys_track.config.document import KeyPath
from msys_track.config.effective import Effective, Table, Way
from msys_track.config.schema.scope_keys import ENGAGEMENT_TRACKER
from msys_track.config.toml.writing import header_text, key_text, value_text


def as_toml(tables: Mapping[str, Table], by_way: Mapping[Way, Table]) -> str:
    """Write TOML with a comment for each value's source; scopes stand before the other tables."""
    return "".join(f"{line}\n" for line in _lines(tables, by_way))


def as_json(tables: Mapping[str, Table], by_way: Mapping[Way, Table]) -> dict[str, Any]:
    """Make what JSON can hold: each value as `{"value": …, "source": …}`."""
    ways = [
        {
            "listen": way.listen,
            "peer": None if way.peer is None else str(way.peer),
            "pathway": way.pathway,
            "options": _members(options),
        }
        for way, options in by_way.items()
    ]
    named = {name: _members(table) for name, table in tables.items() if name}
    return {**_members(tables[""]), "ways": ways, **named}


def _members(table: Table) -> dict[str, Any]:
    return {name: each._asdict() for name, each in table.items()}


def _lines(tables: Mapping[str, Table], by_way: Mapping[Way, Table]) -> Iterator[str]:
    yield from _table((), tables[""])
    for way, options in by_way.items():
        scope = {name: each for name, each in options.items() if name not in ENGAGEMENT_TRACKER}
        path = ("listener",) if len(by_way) == 1 or way == Way() else ("listen", str(way.listen))
        yield from ("", *_told(way), *_table(path, scope))
    # Links carry the same whichever way their mail came in.
    first = next(iter(by_way.values()))
    yield ""
    yield from _table(("engagement_tracker",), {name: first[name] for name in ENGAGEMENT_TRACKER})
    for name in filter(None, tables):
        yield from ("", *_table((name,), tables[name]))


def _told(way: Way) -> Iterator[str]:
    if way.peer is None and way.pathway is None:
        return
    listen = way.listen or "any address"
    peer = f" from {way.peer}" if way.peer is not None else ""
    pathway = f", on pathway {way.pathway}" if way.pathway is not None else ""
    yield f"# for mail that comes in at {listen}{peer}{pathway}"


def _table(path: KeyPath, table: Table) -> Iterator[str]:
    if path:
        yield header_text(path)
    for name, each in table.items():
        yield _line(name, each)


def _line(name: str, each: Effective) -> str:
    if each.value is None:
        return f"# {name} is not set: {each.source}"
    return f"{key_text(name)} = {value_text(each.value)}  # {each.source}"
