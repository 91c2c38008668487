"""Erases lines of a log in place, so that no reader loses its position.

A line that was erased keeps its length and its number: it is a mark and spaces.
"""

import mmap
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from msys_track.errors import SinkError, describe_os_error
from msys_track.eventlog.segments import list_segments, segment_path

ERASED_EVENT: Final = b'{"msys":{}}'
"""What stands for an event: SparkPost's consumers know it from tests of a webhook."""
ERASED_HIT: Final = b"{}"

_MARKS: Final = (ERASED_EVENT, ERASED_HIT)

_PLAIN: Final = re.compile(r"[a-z0-9.!#$&'*+=?^_`{|}~@-]+")


def is_erased(line: bytes) -> bool:
    """Whether a line of a log of events or of hits was erased."""
    return line.startswith(_MARKS) and line.rstrip() in _MARKS


class Recipient:
    """Whose lines are erased.

    Args:
        address: Theirs; case is ignored.
    """

    __slots__ = ("_address", "_sign")

    def __init__(self, address: str) -> None:
        self._address = address.lower()
        # Text that stands in each of their lines as it is, whatever JSON escapes.
        wholes = (self._address, self._address.rpartition("@")[2], "@")
        sign = next((each for each in wholes if _PLAIN.fullmatch(each)), "")
        self._sign = re.compile(re.escape(sign).encode(), re.IGNORECASE)

    def may_own(self, line: bytes) -> bool:
        """Whether it is worth asking whether a line is theirs; this is fast."""
        return self._sign.search(line) is not None

    def owns(self, line: bytes) -> bool:
        """Whether an event or a hit is theirs."""
        try:
            found = orjson.loads(line)
            if "msys" in found:
                (found,) = found["msys"].values()
            return self._is_in(found)
        except (AttributeError, TypeError, ValueError):
            return False

    def _is_in(self, fields: dict[str, Any]) -> bool:
        return any(
            str(fields.get(name, "")).lower() == self._address
            for name in ("rcpt_to", "raw_rcpt_to", "recipient")
        )

    def find_lines(self, data: bytes | mmap.mmap) -> Iterator[tuple[int, int]]:
        """Find where their lines begin and end; what follows the last line end is no line."""
        last = data.rfind(b"\n")
        end = 0
        for match in self._sign.finditer(data):
            if match.start() < end:
                continue
            if match.start() > last:
                return
            start = data.rfind(b"\n", 0, match.start()) + 1
            end = data.find(b"\n", start)
            if self.owns(data[start:end]):
                yield start, end


def erase_in_log(folder: Path, recipient: Recipient, note: Callable[[int], None]) -> int:
    """Erase a recipient's lines in the log of events or of hits; return how many.

    Args:
        folder: The log's.
        recipient: Theirs are erased.
        note: Called after each file with its size in bytes.

    Raises:
        SinkError: a file can't be read or written.
    """
    mark = ERASED_HIT if folder.parent.name == "hits" else ERASED_EVENT
    erased = 0
    for first in list_segments(folder):
        erased += erase_in_file(segment_path(folder, first), recipient, note, mark)
    return erased


def erase_in_file(
    path: Path, recipient: Recipient, note: Callable[[int], None], mark: bytes = ERASED_EVENT
) -> int:
    """Erase a recipient's lines in a file that others may append to; return how many.

    Raises:
        SinkError: it can't be read or written.
    """
    erased = 0
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return 0  # removed meanwhile
    except OSError as error:
        raise SinkError(f"{path}: can't be written: {describe_os_error(error)}") from error
    try:
        size = os.fstat(descriptor).st_size
        if size:
            with mmap.mmap(descriptor, size, access=mmap.ACCESS_READ) as data:
                found = list(recipient.find_lines(data))
            for start, end in found:
                os.pwrite(descriptor, mark.ljust(end - start), start)
            erased = len(found)
        if erased:
            os.fdatasync(descriptor)
    except OSError as error:
        raise SinkError(f"{path}: can't be erased: {describe_os_error(error)}") from error
    finally:
        os.close(descriptor)
    note(size)
    return erased
