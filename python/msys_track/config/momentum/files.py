"""Momentum's `ecelerity.conf` with its includes, read into one tree of stanzas.

The tree has the file and line of everything, but does not know what a stanza means: see
`document.py`.
"""

import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from msys_track.config.document import Place
from msys_track.config.momentum.stanzas import Item, Option, Text, read_stanzas
from msys_track.config.problems import Problem
from msys_track.errors import SettingsError, describe_os_error
from msys_track.settings.kinds import write_found

_ETC: Final = Path("/opt/msys/ecelerity/etc")
NODE: Final = "{NODENAME}"
"""Stands in a search path for the name of this machine."""
DEFAULT_SEARCH_PATH: Final = (
    _ETC,
    *(_ETC / "conf" / folder for folder in ("global", NODE, "default")),
)
"""Where Momentum looks for an included file that is not beside the one that includes it."""

_MAX_PROBLEMS: Final = 100
_MAX_FILES: Final = 1_000
_MAX_BYTES: Final = 64 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A configuration; each include is replaced by the content of its file."""

    body: tuple[Item, ...]
    problems: tuple[Problem, ...]
    """Faults of syntax and of includes."""


def parse(path: Path, *, search_path: Sequence[Path] = DEFAULT_SEARCH_PATH) -> Tree:
    """Read `ecelerity.conf` and its includes; around a fault of syntax the rest is still read.

    A relative include is looked for in the folder of the file that includes it, then in the
    folder of `path`, then in `search_path`.

    Raises:
        SettingsError: `path` can't be read.
    """
    try:
        octets = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: can't be read: {describe_os_error(error)}") from error
    reading = _FileReader(path, search_path)
    body = reading.read_file(path, octets, depth=0)
    # What `config set` saved overrides all else; the file may not exist yet.
    options = [item for item in body if isinstance(item, Option)]
    saved = [option.value for option in options if option.name == "local_changes_file"][-1:]
    for value in saved:
        if isinstance(value, Text) and reading.find_file(path, value.text):
            body += reading.include(value.place, value.text, 1)
    return Tree(body=tuple(body), problems=tuple(reading.problems)[:_MAX_PROBLEMS])


def search_path(environment: Mapping[str, str]) -> Sequence[Path]:
    """Momentum's search path: `EC_CONF_SEARCH_PATH` where that is set, else its default.

    `{NODENAME}` in it is the variable `NODENAME`, or else this machine's name, whole or up to its
    first dot.
    """
    written = environment.get("EC_CONF_SEARCH_PATH", "").split(os.pathsep)
    folders = [folder for folder in written if folder] or [*map(str, DEFAULT_SEARCH_PATH)]
    host = socket.gethostname()
    given = environment.get("NODENAME")
    nodes = (given,) if given else (host, host.partition(".")[0])
    return tuple(
        dict.fromkeys(Path(folder.replace(NODE, node)) for folder in folders for node in nodes)
    )


class _FileReader:
    __slots__ = ("_bytes", "_files", "_open", "_path", "_search_path", "problems")

    def __init__(self, path: Path, search_path: Sequence[Path]) -> None:
        self._path = path
        self._search_path = search_path
        self._open: list[Path] = []
        self._files = self._bytes = 0
        # As an ordered set: a file that is included twice has its faults once.
        self.problems: dict[Problem, None] = {}

    def read_file(self, file: Path, octets: bytes, depth: int) -> list[Item]:
        self._files += 1
        self._bytes += len(octets)
        self._open.append(file.resolve())
        # Bytes that are not UTF-8 are a fault in a value, but not in a comment.
        text = octets.decode("utf-8", "surrogateescape").removeprefix("\ufeff")
        items, flaws = read_stanzas(text, file, self.include, depth=depth)
        self._open.pop()
        for flaw in flaws:
            self._add_problem(Place(file, flaw.line), flaw.text)
        return items

    def include(self, place: Place, name: str, depth: int) -> list[Item]:
        """Read the file that an include names, or each file in the folder."""
        found = self.find_file(place.file, name)
        if found is None:
            folders = ", ".join(map(str, self._folders(place.file)))
            where = "" if Path(name).is_absolute() else f" in {folders}"
            self._add_problem(place, f"include {write_found(name)}: there is no such file{where}")
            return []
        try:
            files = [found]
            if found.is_dir():
                visible = (each for each in found.iterdir() if each.name[:1] != ".")
                files = sorted(each for each in visible if each.is_file())
        except OSError as error:
            self._add_problem(
                place, f"include {write_found(name)}: can't be read: {describe_os_error(error)}"
            )
            return []
        items: list[Item] = []
        for file in files:
            include = f"include {write_found(str(file))}"
            if file.resolve() in self._open:
                self._add_problem(place, f"{include}: the includes form a circle")
                continue
            try:
                octets = file.read_bytes()
            except OSError as error:
                self._add_problem(place, f"{include}: can't be read: {describe_os_error(error)}")
                continue
            if self._files >= _MAX_FILES or self._bytes + len(octets) > _MAX_BYTES:
                limits = f"{_MAX_FILES} files, {_MAX_BYTES} bytes"
                self._add_problem(place, f"{include}: too much is included ({limits})")
                continue
            items += self.read_file(file, octets, depth)
        return items

    def find_file(self, including: Path, name: str) -> Path | None:
        """Find the file or folder that an include names."""
        for folder in self._folders(including) if name else ():
            path = folder / name.removeprefix("file://")
            with suppress(OSError, ValueError):
                if path.is_file() or path.is_dir():
                    return path
        return None

    def _folders(self, including: Path) -> Sequence[Path]:
        return tuple(dict.fromkeys((including.parent, self._path.parent, *self._search_path)))

    def _add_problem(self, place: Place, text: str) -> None:
        file = None if place.file == self._path else place.file
        self.problems.setdefault(Problem(line=place.line, key="", text=text, file=file))
