"""When a batch is tried again, and when it is given up; kept in a file over restarts.

Seconds are counted as they pass, not read off a clock that somebody may set.
"""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final

from msys_track.errors import SinkError, describe_os_error
from msys_track.private_files import make_folder

_FIRST_GAP_SECONDS: Final = 2.0
LONGEST_GAP_SECONDS: Final = 300.0
# Of the batch itself, not of the receiver (RFC 9110 sections 15.5.1, 15.5.14, 15.5.16, 15.5.21).
_REFUSALS: Final = frozenset({400, 413, 415, 422})
REFUSED_ATTEMPTS: Final = 6
"""So often a batch is tried whose content the receiver refuses; about a minute."""


@dataclass(slots=True)
class Retries:
    """What is known of the batch that is being delivered, and of its receiver.

    Attributes:
        first_sequence: Where the batch begins in the log.
        count: Events in it, those that are not sent included; a batch is cut in the same places
            after a restart, so that its id stays.
        attempts: How often it was tried in vain.
        refused: How many of them in a row the receiver refused its content.
        waited_seconds: Since its first try.
        outage_seconds: Since the first failure after the last success, whatever the batch.
        last_error: Of the last failure.
        last_status: Of the last failure; None where there was no answer.
        failed_at: When that was, in Unix seconds.
    """

    first_sequence: int = 0
    count: int = 0
    attempts: int = 0
    refused: int = 0
    waited_seconds: float = 0.0
    outage_seconds: float = 0.0
    last_error: str = ""
    last_status: int | None = None
    failed_at: int = 0

    def begin(self, first_sequence: int, count: int) -> None:
        """Take up a batch, if it is not the one that is known already."""
        if (self.first_sequence, self.count) != (first_sequence, count):
            self.first_sequence, self.count = first_sequence, count
            self.attempts = self.refused = 0
            self.waited_seconds = 0.0

    def note_success(self) -> None:
        """Take the receiver as good again."""
        self.attempts = self.refused = 0
        self.waited_seconds = self.outage_seconds = 0.0
        self.last_error, self.last_status, self.failed_at = "", None, 0

    def note_failure(self, status: int | None, error: str, at: int) -> None:
        """Count a try in vain."""
        self.attempts += 1
        self.refused = self.refused + 1 if status in _REFUSALS else 0
        self.last_error, self.last_status, self.failed_at = error, status, at

    def note_wait(self, seconds: float) -> None:
        """Count time that has passed with a batch undelivered."""
        self.waited_seconds += seconds
        self.outage_seconds += seconds

    def find_gap(self, retry_after_seconds: float = 0.0) -> float:
        """Find the seconds until the next try: they double, up to five minutes."""
        gap = _FIRST_GAP_SECONDS * (1 << min(self.attempts - 1, 16))
        return max(min(gap, LONGEST_GAP_SECONDS), retry_after_seconds)

    def is_refused(self) -> bool:
        """Whether the receiver will not have this batch, though it answers."""
        return self.refused >= REFUSED_ATTEMPTS

    def is_over(self, retry_seconds: float, age_seconds: float) -> bool:
        """Whether the batch has waited long enough.

        In an outage that lasts longer than `retry_seconds`, so old a batch has waited in the log.

        Args:
            retry_seconds: For so long a batch is tried.
            age_seconds: Of its newest event.
        """
        if self.waited_seconds >= retry_seconds:
            return True
        return self.outage_seconds >= retry_seconds and age_seconds >= retry_seconds


def load_retries(path: Path) -> Retries:
    """Read what was kept; nothing where the file is missing or was cut off by a power cut.

    Raises:
        SinkError: the file can't be read.
    """
    try:
        known = json.loads(path.read_text("utf-8"))
        return Retries(**{each.name: known[each.name] for each in fields(Retries)})
    except FileNotFoundError:
        return Retries()
    except OSError as error:
        raise SinkError(f"{path}: can't be read: {describe_os_error(error)}") from error
    except (ValueError, TypeError, KeyError):
        return Retries()


def save_retries(path: Path, retries: Retries) -> None:
    """Keep it; it survives the end of the process, though perhaps no power cut.

    Raises:
        SinkError: it could not be written.
    """
    new = path.with_suffix(".new")
    try:
        make_folder(path.parent)
        new.write_text(json.dumps(asdict(retries)), "utf-8")
        new.replace(path)
    except OSError as error:
        raise SinkError(f"{path}: can't be written: {describe_os_error(error)}") from error
