"""`msys-track.toml`: read whole and checked whole before anything starts."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from msys_track.config import kinds
from msys_track.config.kinds import Address, NotAllowedError
from msys_track.config.lines import KeyPath, key_lines, line_of
from msys_track.config.problems import ConfigurationError, Problem, nearest, shown
from msys_track.config.schema import TABLES, Key
from msys_track.config.syntax import parsed
from msys_track.errors import SettingsError
from msys_track.injection.settings import ProxySettings
from msys_track.options.tracking import TrackingOptions
from msys_track.relay.settings import UpstreamSettings
from msys_track.tracking.settings import TrackerSettings

_SERVERS: Final = ("proxy", "tracker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """A file's settings, each in its room's own form; None for a table that is not there."""

    path: Path
    tracking: TrackingOptions
    tracking_source: str
    """Where `tracking` comes from, such as `listener of msys-track.toml`."""
    keys: Path | None
    proxy: ProxySettings | None
    upstream: UpstreamSettings | None
    """Set whenever `proxy` is."""
    tracker: TrackerSettings | None


def load(path: Path) -> Configuration:
    """Read a configuration file; file names in it are relative to its folder.

    Raises:
        ConfigurationError: a `SettingsError` that tells every fault of the file at once.
        SettingsError: the file can't be read.
    """
    toml = parsed(_text(path))
    reading = _Reading(path.parent)
    reading.read(toml.members)
    if not toml.problems:  # else what looks missing may stand in a line that is no TOML
        reading.require(toml.members)
    problems = [*toml.problems, *reading.problems(key_lines(toml.text))]
    if problems:
        raise ConfigurationError(path, problems)
    return reading.configuration(path, toml.members)


class _Reading:
    """What one pass over a file's tables gathers: settings by dataclass, and faults by key."""

    __slots__ = ("_faults", "_folder", "_keys", "_values")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._faults: list[tuple[KeyPath, str]] = []
        self._keys: Path | None = None
        self._values: dict[type, dict[str, Any]] = {
            TrackingOptions: {},
            ProxySettings: {},
            UpstreamSettings: {},
            TrackerSettings: {},
        }

    def read(self, members: Mapping[str, object]) -> None:
        for name, member in members.items():
            if name == "keys":
                self._read_keys(member)
            elif name not in TABLES:
                self._fault((name,), _unknown(name, None))
            elif isinstance(member, dict):
                self._read_table(name, member)
            else:
                self._fault((name,), f"found {shown(member)}, allowed: a table, [{name}]")

    def require(self, members: Mapping[str, object]) -> None:
        for table in TABLES:
            given = members.get(table)
            if not isinstance(given, dict):
                continue
            for name, key in TABLES[table].items():
                if key.is_required and name not in given:
                    self._fault((table, name), f"missing; [{table}] can't do without")
        for table in _SERVERS:
            if table in members and "keys" not in members:
                self._fault(("keys",), f'missing; [{table}] needs keys = "keys.toml" at the top')
                return

    def problems(self, lines: Mapping[KeyPath, int]) -> list[Problem]:
        return [
            Problem(line=line_of(lines, path), key=_dotted(path), text=text)
            for path, text in self._faults
        ]

    def configuration(self, path: Path, members: Mapping[str, object]) -> Configuration:
        values, has_proxy = self._values, "proxy" in members
        return Configuration(
            path=path,
            tracking=TrackingOptions(**values[TrackingOptions]),
            tracking_source=f"listener of {path.name}",
            keys=self._keys,
            proxy=ProxySettings(**values[ProxySettings]) if has_proxy else None,
            upstream=UpstreamSettings(**values[UpstreamSettings]) if has_proxy else None,
            tracker=TrackerSettings(**values[TrackerSettings]) if "tracker" in members else None,
        )

    def _read_table(self, table: str, given: Mapping[str, object]) -> None:
        for name, value in given.items():
            key = TABLES[table].get(name)
            if key is None:
                self._fault((table, name), _unknown(name, table))
            else:
                self._read_key((table, name), key, value)

    def _read_key(self, path: KeyPath, key: Key, value: object) -> None:
        try:
            setting = key.kind(value)
        except NotAllowedError as error:
            item = () if error.item is None else (error.item,)
            self._fault((*path, *item), str(error))
            return
        if isinstance(setting, Path):
            setting = self._file(path, setting)
        parts = setting if isinstance(setting, Address) else (setting,)
        self._values[key.settings].update(zip(key.fields, parts, strict=True))

    def _read_keys(self, value: object) -> None:
        try:
            self._keys = self._folder / kinds.file_name(value)
        except NotAllowedError as error:
            self._fault(("keys",), str(error))
            return
        if not self._keys.is_file():
            make = f"msys-track keys new {self._keys}"
            self._fault(("keys",), f"found {shown(value)}, but there is no such file: {make}")

    def _file(self, path: KeyPath, name: Path) -> Path:
        file = self._folder / name
        if file.is_dir():
            self._fault(path, f"found {shown(str(name))}, a folder, allowed: a file")
        elif not file.parent.is_dir():
            self._fault(path, f"found {shown(str(name))}, but there is no folder {file.parent}")
        return file

    def _fault(self, path: KeyPath, text: str) -> None:
        self._faults.append((path, text))


def _text(path: Path) -> str:
    try:
        octets = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: can't be read: {error.strerror}") from error
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        problem = Problem(line=line, key="", text="not UTF-8, which TOML must be")
        raise ConfigurationError(path, [problem]) from error


def _unknown(name: str, table: str | None) -> str:
    keys = TABLES[table] if table else {}
    known = list(keys) or ["keys", *TABLES]
    homes = [f"[{home}]" for home, its in TABLES.items() if name in its]
    if homes:
        return f"unknown here; it belongs in {' or '.join(homes)}"
    # A setting's name in our own code, or in the header, is what people try first.
    same = (each for each, key in keys.items() if name in key.fields)
    if meant := next(same, None) or nearest(name, known):
        return f"unknown; did you mean {meant}?"
    return f"unknown; allowed: {', '.join(known)}"


def _dotted(path: KeyPath) -> str:
    names = (f"[{name}]" if isinstance(name, int) else f".{name}" for name in path)
    return "".join(names).removeprefix(".")
