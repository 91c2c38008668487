"""Removes segments of a log that nobody needs any more."""

import time
from itertools import pairwise
from pathlib import Path

from msys_track.eventlog.segments import SEGMENT_SECONDS, list_segments, segment_path
from msys_track.eventlog.writer import LogWriter


def remove_old(writer: LogWriter, folder: Path, before_sequence: int, keep_seconds: float) -> None:
    """Remove lines that were written so long ago, at most a day later, however few they are.

    Args:
        writer: The log's.
        folder: The log's.
        before_sequence: Segments stay that hold this line or a later one.
        keep_seconds: How long lines stay in any case.

    Raises:
        OSError: a segment can't be removed.
        SinkError: a new one can't be begun.
    """
    now = time.time()
    writer.begin_segment(begun_before=now - min(keep_seconds, SEGMENT_SECONDS))
    remove_segments(folder, before_sequence, written_before=now - keep_seconds)


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
