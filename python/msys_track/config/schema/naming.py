"""Unknown names, and suggestions."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from msys_track.config.document import KeyPath
from msys_track.config.problems import nearest
from msys_track.config.schema.tables import FAMILIES, NESTED, TABLES, TOP, TOP_LEVEL, Key


class Unknown(NamedTuple):
    """What is wrong with an unknown name, and the keys that are present once it is corrected."""

    text: str
    likely: tuple[KeyPath, ...]


def judge_table(name: str) -> Unknown:
    """Check a name at the top of a file."""
    homes = [home for home, its in TABLES.items() if name in its]
    if homes:
        return _judge_misplaced(name, homes)
    near = nearest(name, TOP_LEVEL)
    if near is not None:
        return Unknown(f"unknown; did you mean {near}?", ((near,),))
    return Unknown(f"unknown; allowed: {', '.join(TOP_LEVEL)}", ())


def judge_key(
    table: KeyPath, name: str, keys: Mapping[str, Key], inner: Collection[str]
) -> Unknown:
    """Check a name in a table that may have these keys and inner tables."""
    homes = [home for home, its in TABLES.items() if name in its]
    if homes:
        return _judge_misplaced(name, homes)
    if name in TOP:
        text = "unknown here; it belongs at the top of the file, above the first [table]"
        return Unknown(text, ((name,),))
    if name in TABLES or name in FAMILIES or name in NESTED:
        return Unknown(f"unknown here; [{name}…] is a table of its own", ())
    # People first try a setting's name in our own code, or in the header.
    same = (each for each, key in keys.items() if name in key.fields)
    if near := next(same, None) or nearest(name, [*keys, *inner]):
        return Unknown(f"unknown; did you mean {near}?", ((*table, near),))
    return Unknown(f"unknown; allowed: {', '.join([*keys, *inner])}", ())


def _judge_misplaced(name: str, homes: Collection[str]) -> Unknown:
    tables = " or ".join(f"[{home}]" for home in homes)
    return Unknown(f"unknown here; it belongs in {tables}", tuple((home, name) for home in homes))
