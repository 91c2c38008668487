"""Dead letters: batches that a sink has given up, kept in a file until an owner sends them again.

A line each, `{"batch_id": …, "at": …, "first_sequence": …, "attempts": …, "status": …,
"error": …, "events": [{"msys": …}, …]}`; what is not known is null.
"""

import fcntl
import json
import os
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from msys_track.errors import SinkError, describe_os_error
from msys_track.private_files import make_folder, sync_folder, write_all

_FILE_MODE: Final = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A batch that a sink has given up.

    Attributes:
        batch_id: The id that it was sent with, or as good as one.
        events: JSON of the events, one each.
        first_sequence: Where it began in the log.
        attempts: How often it was tried.
        status: The last answer's, where there was one.
        error: Why it was given up.
        at: When; ISO 8601 in UTC.
    """

    batch_id: str
    events: tuple[bytes, ...]
    first_sequence: int
    attempts: int
    status: int | None
    error: str
    at: str

    def as_line(self) -> bytes:
        """Write it as a line of the file, without the line end."""
        facts = {
            "batch_id": self.batch_id,
            "at": self.at,
            "first_sequence": self.first_sequence,
            "attempts": self.attempts,
            "status": self.status,
            "error": self.error,
        }
        start = json.dumps(facts, separators=(",", ":")).encode()[:-1]
        return start + b',"events":[' + b",".join(self.events) + b"]}"

    @classmethod
    def from_line(cls, line: bytes) -> "DeadLetter":
        """Read what `as_line` wrote.

        Raises:
            ValueError: something else.
        """
        try:
            known: dict[str, Any] = json.loads(line)
            events = [
                json.dumps(each, ensure_ascii=False, separators=(",", ":")).encode()
                for each in known.pop("events")
            ]
            return cls(**known, events=tuple(events))
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"not a dead letter: {error}") from error


class DeadLetters:
    """The dead letters of one sink: appended by it, taken out by an owner's command at any time.

    Attributes:
        path: The file that batches are appended to.
    """

    __slots__ = ("_lock_path", "path")

    def __init__(self, events_folder: Path, sink_name: str) -> None:
        self.path = events_folder / "dead" / f"{sink_name}.ndjson"
        self._lock_path = self.path.with_suffix(".lock")

    def append(  # noqa: PLR0913 - what is known of a batch
        self,
        batch_id: str,
        events: Sequence[bytes],
        *,
        first_sequence: int,
        attempts: int,
        status: int | None,
        error: str,
    ) -> None:
        """Keep a batch; it survives a power cut when this returns.

        Raises:
            SinkError: it could not be written.
        """
        letter = DeadLetter(
            batch_id=batch_id,
            events=tuple(events),
            first_sequence=first_sequence,
            attempts=attempts,
            status=status,
            error=error,
            at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        )
        with self._locked():
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, _FILE_MODE)
            try:
                size = os.fstat(descriptor).st_size
                # A line that a crash cut off ends here, so that it spoils no other.
                is_cut = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
                line = (b"\n" if is_cut else b"") + letter.as_line() + b"\n"
                try:
                    write_all(descriptor, line)
                    os.fdatasync(descriptor)
                except OSError:
                    os.ftruncate(descriptor, size)
                    raise
            finally:
                os.close(descriptor)
            sync_folder(self.path.parent)

    def read(self) -> Iterator[DeadLetter]:
        """Read all, the oldest first; the same batch is read once.

        Raises:
            SinkError: the file can't be read.
        """
        seen = set[str]()
        for line in self._read_lines():
            try:
                letter = DeadLetter.from_line(line)
            except ValueError:
                continue  # cut off by a crash
            if letter.batch_id not in seen:
                seen.add(letter.batch_id)
                yield letter

    def count(self) -> tuple[int, int]:
        """Count batches, and events in them.

        Raises:
            SinkError: the file can't be read.
        """
        batches = events = 0
        for letter in self.read():
            batches, events = batches + 1, events + len(letter.events)
        return batches, events

    def remove(self, batch_ids: Container[str]) -> None:
        """Remove batches that were sent after all.

        Raises:
            SinkError: the file can't be written.
        """
        self._replace(lambda letter: None if letter.batch_id in batch_ids else letter)

    def rewrite(self, keep: Callable[[bytes], bool]) -> int:
        """Remove events for good; return how many.

        Args:
            keep: Called with the JSON of each event.

        Raises:
            SinkError: the file can't be written.
        """
        removed = 0

        def keep_some(letter: DeadLetter) -> DeadLetter | None:
            nonlocal removed
            events = tuple(filter(keep, letter.events))
            removed += len(letter.events) - len(events)
            if len(events) == len(letter.events):
                return letter
            facts = {name: getattr(letter, name) for name in DeadLetter.__slots__}
            return DeadLetter(**{**facts, "events": events}) if events else None

        self._replace(keep_some)
        return removed

    def _replace(self, change: Callable[[DeadLetter], DeadLetter | None]) -> None:
        if not self.path.exists():
            return
        with self._locked():
            new = self.path.with_suffix(".new")
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _FILE_MODE)
            try:
                for letter in self.read():
                    changed = change(letter)
                    if changed is not None:
                        write_all(descriptor, changed.as_line() + b"\n")
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)
            new.replace(self.path)
            sync_folder(self.path.parent)

    def _read_lines(self) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as file:
                for line in file:
                    if line.strip():
                        yield line
        except FileNotFoundError:
            return
        except OSError as error:
            raise SinkError(f"{self.path}: can't be read: {describe_os_error(error)}") from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes from writing the file."""
        try:
            make_folder(self.path.parent)
            lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT, _FILE_MODE)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
            finally:
                os.close(lock)
        except OSError as error:
            raise SinkError(
                f"{self.path}: can't be written: {describe_os_error(error)}"
            ) from error
