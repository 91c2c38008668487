"""Momentum's `ecelerity.conf` with all that it includes, read into one tree of stanzas.

Whoever moves from Momentum has such files; a converter by hand would lose lines in silence. The
tree knows file and line of everything, and nothing of what a stanza means: see `momentum`.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from msys_track.config.document import Place
from msys_track.config.momentum.stanzas import Item, Option, Text, stanzas
from msys_track.config.problems import Problem
from msys_track.errors import SettingsError
from msys_track.settings.kinds import shown

_ETC: Final = Path("/opt/msys/ecelerity/etc")
DEFAULT_SEARCH_PATH: Final = (_ETC, _ETC / "conf" / "global", _ETC / "conf" / "default")
"""Where Momentum looks for an included file that is not beside the one that includes it."""

_MAX_PROBLEMS: Final = 100
_MAX_FILES: Final = 1_000
_MAX_BYTES: Final = 64 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A configuration; what was included stands where its include stood."""

    path: Path
    body: tuple[Item, ...]
    files: tuple[Path, ...]
    """Every file that was read, in order."""
    problems: tuple[Problem, ...]
    """Faults of syntax and of includes."""


def parse(path: Path, *, search_path: Sequence[Path] = DEFAULT_SEARCH_PATH) -> Tree:
    """Read `ecelerity.conf` and its includes; around a fault of syntax the rest is still read.

    A relative include is looked for in the folder of the file that includes it, then in the
    folder of `path`, then in `search_path`.

    Raises:
        SettingsError: `path` can't be read.
    """
    reading = _Reading(path, search_path)
    body = reading.read_main()
    return Tree(
        path=path,
        body=tuple(body),
        files=tuple(reading.files),
        problems=tuple(reading.problems)[:_MAX_PROBLEMS],
    )


def search_path(environment: Mapping[str, str]) -> Sequence[Path]:
    """Momentum's search path: `EC_CONF_SEARCH_PATH` where that is set, else its default."""
    folders = environment.get("EC_CONF_SEARCH_PATH", "").split(os.pathsep)
    return tuple(Path(folder) for folder in folders if folder) or DEFAULT_SEARCH_PATH


class _Reading:
    __slots__ = ("_bytes", "_open", "_path", "_reads", "_search_path", "files", "problems")

    def __init__(self, path: Path, search_path: Sequence[Path]) -> None:
        self._path = path
        self._search_path = search_path
        self._open: list[Path] = []
        self._reads = self._bytes = 0
        # Dictionaries as ordered sets: a file that is included twice has its faults once.
        self.files: dict[Path, None] = {}
        self.problems: dict[Problem, None] = {}

    def read_main(self) -> Sequence[Item]:
        try:
            octets = self._path.read_bytes()
        except OSError as error:
            raise SettingsError(f"{self._path}: can't be read: {error.strerror}") from error
        body = self._read(self._path, octets, depth=0)
        return [*body, *self._local_changes(body)]

    def _local_changes(self, body: Sequence[Item]) -> Sequence[Item]:
        """Read what `config set` saved: it holds after all else, and may not be there yet."""
        named = [item for item in body if isinstance(item, Option) and _names_local_changes(item)]
        value = named[-1].value if named else None
        if not isinstance(value, Text) or self._find(self._path, value.text) is None:
            return ()
        return self._include(value.place, value.text, 1)

    def _include(self, place: Place, name: str, depth: int) -> Sequence[Item]:
        found = self._find(place.file, name)
        if found is None:
            folders = ", ".join(str(folder) for folder in self._folders(place.file))
            where = "" if Path(name).is_absolute() else f" in {folders}"
            self._problem(place, f"include {shown(name)}: there is no such file{where}")
            return ()
        try:
            files = list(_files(found))
        except OSError as error:
            self._problem(place, f"include {shown(name)}: can't be read: {error.strerror}")
            return ()
        return [item for file in files for item in self._include_file(place, file, depth)]

    def _include_file(self, place: Place, file: Path, depth: int) -> Sequence[Item]:
        if file.resolve() in self._open:
            self._problem(place, f"include {shown(str(file))}: the includes form a circle")
            return ()
        try:
            octets = file.read_bytes()
        except OSError as error:
            self._problem(place, f"include {shown(str(file))}: can't be read: {error.strerror}")
            return ()
        if self._reads >= _MAX_FILES or self._bytes + len(octets) > _MAX_BYTES:
            limits = f"{_MAX_FILES} files, {_MAX_BYTES} bytes"
            self._problem(place, f"include {shown(str(file))}: too much is included ({limits})")
            return ()
        return self._read(file, octets, depth)

    def _read(self, file: Path, octets: bytes, depth: int) -> Sequence[Item]:
        self.files.setdefault(file)
        self._reads += 1
        self._bytes += len(octets)
        self._open.append(file.resolve())
        # What is not UTF-8 is a fault where it is part of a value, and none in a comment.
        text = octets.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
        items, flaws = stanzas(text, file, self._include, depth=depth)
        self._open.pop()
        for flaw in flaws:
            self._problem(Place(file, flaw.line), flaw.text)
        return items

    def _find(self, including: Path, name: str) -> Path | None:
        written = Path(name.removeprefix("file://"))
        candidates = (folder / written for folder in self._folders(including))
        return next((path for path in candidates if name and _exists(path)), None)

    def _folders(self, including: Path) -> Sequence[Path]:
        return tuple(dict.fromkeys((including.parent, self._path.parent, *self._search_path)))

    def _problem(self, place: Place, text: str) -> None:
        file = None if place.file == self._path else place.file
        self.problems.setdefault(Problem(line=place.line, key="", text=text, file=file))


def _names_local_changes(option: Option) -> bool:
    return option.name == "local_changes_file"


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for file in sorted(path.iterdir()):
        if file.is_file() and not file.name.startswith("."):
            yield file


def _exists(path: Path) -> bool:
    try:
        return path.is_file() or path.is_dir()
    except (OSError, ValueError):
        return False
