"""A configuration as its text has it: values by key, and the place of each.

TOML and Momentum's form both become this, so that one set of checks serves both and every fault
has its file and line.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from msys_track.config.problems import Problem
from msys_track.config.toml.names import write_name

KeyPath: TypeAlias = tuple[str | int, ...]
"""Names from the root down; an array's items are numbers from 0."""


class Place(NamedTuple):
    """A line of a file, from 1; 0 if the text is not from a file."""

    file: Path
    line: int

    def format_from(self, folder: Path) -> str:
        """Write it as `conf.d/tracking.conf:14`; in full if the file is outside the folder."""
        if not self.line:
            return str(self.file)
        is_inside = self.file.is_relative_to(folder)
        return f"{self.file.relative_to(folder) if is_inside else self.file}:{self.line}"


COMMAND_LINE: Final = Place(Path("command line"), 0)
MOMENTUM_DEFAULT: Final = Place(Path("default of Momentum's configuration"), 0)


def write_path(path: KeyPath) -> str:
    """Write a key as TOML has it, names in quotes where it needs them."""
    names = (f"[{name}]" if isinstance(name, int) else f".{write_name(name)}" for name in path)
    return "".join(names).removeprefix(".")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One configuration, with the text of included files in place."""

    path: Path
    members: Mapping[str, object]
    places: Mapping[KeyPath, Place]
    problems: tuple[Problem, ...] = ()
    """Faults of the text itself."""
    notices: tuple[Problem, ...] = ()
    """What is ignored, and why."""
    unread: frozenset[KeyPath] = frozenset()
    """Keys and tables in unreadable lines, which do not count as missing; `()` stands for any."""
    hints: Mapping[KeyPath, str] = field(default_factory=dict)
    """What to write if a key is missing, in the file's own form."""
    made_at_start: frozenset[KeyPath] = frozenset()
    """Keys of files that a server makes if they do not exist."""
    write_key: Callable[[KeyPath], str] = write_path
    """Writes the path of a key in the file's own form."""
    write_text: Callable[[str], str] = str
    """Writes what is said of a key, in TOML's words, in the file's own."""

    def place(self, path: KeyPath) -> Place:
        """Find where a key stands, or the nearest table around it; line 1 for the file."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Place(self.path, 1))

    def format_place(self, path: KeyPath) -> str:
        """Write the place of a key, relative to the configuration's folder."""
        return self.place(path).format_from(self.path.parent)

    def problem(self, path: KeyPath, text: str) -> Problem:
        """Make a problem of a key, with its place, in the file's own words."""
        file, line = self.place(path)
        other = None if file == self.path else file
        key = self.write_key(path) if line else write_path(path)  # of the command line
        return Problem(line=line, key=key, text=self.write_text(text), file=other)
