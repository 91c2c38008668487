"""All faults of a file, reported together."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from msys_track.errors import SettingsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One fault; `key` is empty where the text could not be parsed."""

    line: int
    """From 1; 0 where no file is at fault."""
    key: str
    text: str
    file: Path | None = None
    """The file at fault, if it is not the configuration itself but one that it includes."""

    def format_line(self, path: Path) -> str:
        """Write it on one line; `path` is the configuration's own file."""
        key = f"{self.key}: " if self.key else ""
        place = f"{self.file or path}:{self.line}" if self.line else f"{self.file or path}"
        # A file's name may have a line break, which must not make one fault look like two.
        return f"{place}: {key}{self.text}".replace("\n", r"\n")


class ConfigurationError(SettingsError):
    """All faults of one file, a line each: `file:line: key: what`."""

    def __init__(self, path: Path, problems: Sequence[Problem]) -> None:
        self.path = path
        self.problems = in_order(problems)
        super().__init__("\n".join(problem.format_line(path) for problem in self.problems))


_RENAMED: Final = {"unprotected": "open_relay"}


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Sort by file, the configuration's own first, and line."""
    return tuple(sorted(problems, key=lambda each: (str(each.file or ""), each.line)))


def nearest(name: str, known: Collection[str]) -> str | None:
    """Find the known name that a wrong one most likely meant, or that an old one has now."""
    if _RENAMED.get(name) in known:
        return _RENAMED[name]
    by_folded = {each.casefold(): each for each in known}
    folded = name.casefold().replace("-", "_")
    close = get_close_matches(folded, by_folded, n=1, cutoff=0.7)
    return by_folded[close[0]] if close else None
