"""Removes segments of a log that nobody needs any more."""

from itertools import pairwise
from pathlib import Path

from msys_track.eventlog.segments import list_segments, segment_path


def remove_segments(folder: Path, before_sequence: int, *, written_before: float) -> int:
    """Remove whole segments; return how many.

    Args:
        folder: The log's.
        before_sequence: Segments stay that hold this line or a later one.
        written_before: Unix seconds; segments stay that were written to after this.

    The newest segment always stays: its name keeps the sequence.

    Raises:
        OSError: one can't be removed.
    """
    segments = list_segments(folder)
    removed = 0
    for first, following in pairwise(segments):
        path = segment_path(folder, first)
        if following > before_sequence or path.stat().st_mtime > written_before:
            break
        path.unlink()
        removed += 1
    return removed
