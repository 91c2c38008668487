"""TOML for a package without the compiled core: the standard library's, and no lines of keys."""

import re
import tomllib
from typing import Any, Final

_LINE: Final = re.compile(r" \(at line (\d+), column \d+\)\Z")

Fault = tuple[int, tuple[str, ...], str, tuple[str, ...] | None]


def read_toml(
    text: str, /
) -> tuple[dict[str, object], dict[tuple[str | int, ...], int], list[Fault]]:
    """Read a text: its members, the line of each key (1 for all), and its one fault.

    After a fault nothing is read.
    """
    try:
        members = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = _LINE.search(str(error))
        line = text.count("\n") + 1 if place is None else int(place[1])
        what = _LINE.sub("", str(error))
        return {}, {}, [(line, (), f"not TOML: {what[:1].lower()}{what[1:]}", None)]
    places: dict[tuple[str | int, ...], int] = {}
    _note_places(members, (), places)
    return members, places, []


def _note_places(
    value: Any, path: tuple[str | int, ...], places: dict[tuple[str | int, ...], int]
) -> None:
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            places[*path, key] = 1
            _note_places(inner, (*path, key), places)
