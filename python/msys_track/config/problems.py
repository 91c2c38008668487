"""The faults of a file, told all at once: nobody wants to repair it fault by fault."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from msys_track.errors import SettingsError

_MAX_SHOWN: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One fault; `key` is empty where the text is no TOML."""

    line: int
    key: str
    text: str


class ConfigurationError(SettingsError):
    """Everything that is wrong with one file, a line each: `file:line: key: what`."""

    def __init__(self, path: Path, problems: Sequence[Problem]) -> None:
        self.path = path
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line))
        super().__init__("\n".join(self._line(problem) for problem in self.problems))

    def _line(self, problem: Problem) -> str:
        key = f"{problem.key}: " if problem.key else ""
        return f"{self.path}:{problem.line}: {key}{problem.text}"


def shown(value: object) -> str:
    """Write a value on one line, about as the file does, cut where it is long."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, bool | int | float | str | list):
        text = json.dumps(value, default=str, ensure_ascii=False)
    else:
        text = str(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def nearest(name: str, known: Collection[str]) -> str | None:
    """Find the known name that a wrong one most likely meant."""
    by_folded = {each.casefold(): each for each in known}
    folded = name.casefold().replace("-", "_")
    close = get_close_matches(folded, by_folded, n=1, cutoff=0.7)
    return by_folded[close[0]] if close else None
