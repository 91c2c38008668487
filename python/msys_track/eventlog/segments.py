"""The files of one log: each is named by the sequence of its first line.

A sequence numbers the lines of a log from 1 on. It is never reused: the newest segment is never
removed, even if it is empty.
"""

from collections.abc import Iterator
from pathlib import Path

_SUFFIX = ".ndjson"
_DIGITS = 20


def list_segments(folder: Path) -> list[int]:
    """List the first sequences of a log's segments, in order; empty without the folder."""
    return sorted(_find_segments(folder))


def segment_path(folder: Path, first_sequence: int) -> Path:
    """Name the segment that begins with a line."""
    return folder / f"{first_sequence:0{_DIGITS}}{_SUFFIX}"


def _find_segments(folder: Path) -> Iterator[int]:
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.suffix == _SUFFIX and len(path.stem) == _DIGITS and path.stem.isdecimal():
            yield int(path.stem)
