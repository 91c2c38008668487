"""Events as lines of a file, which is rotated and compressed, or of standard output."""

import asyncio
import fcntl
import gzip
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias, get_args

from msys_track.databases import identify_file
from msys_track.errors import SinkError, describe_os_error
from msys_track.logs import event_logger
from msys_track.private_files import sync_folder, write_all
from msys_track.settings.key import Key, check_settings
from msys_track.settings.kinds import COUNT, FILE_NAME, LARGE_BYTES, SWITCH, choice
from msys_track.sinks.delivery import EventBatch

log = event_logger(__name__)

Period: TypeAlias = Literal["hour", "day", "never"]

_SECONDS: Final = {"hour": 3_600, "day": 86_400}
_FILE_MODE: Final = 0o600
_STAMP: Final = "%Y%m%dT%H%M%SZ"
_STAMP_PATTERN: Final = r"-(\d{8}T\d{6}Z)(?:-(\d+))?"
_STDOUT: Final = 1
# A batch that was written before a crash is looked for in so much of the file's end.
_TAIL_BYTES: Final = 64 << 20
_READ_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSettings:
    """Where the lines go, and when a new file is begun.

    Raises:
        SettingsError: a value that no file could be written with.
    """

    path: Annotated[
        Path | None,
        Key(
            FILE_NAME,
            "the file; a finished one gets the time into its name, as in "
            "`events-20261128T000000Z.ndjson`",
            example="events.ndjson",
            unset="standard output",
        ),
    ] = None
    rotate: Annotated[
        Period,
        Key(choice(*get_args(Period)), "a new file is begun when a new one of these begins, UTC"),
    ] = "day"
    rotate_bytes: Annotated[
        int, Key(LARGE_BYTES, "a new file is begun once one has this size")
    ] = 1 << 30
    gzip: Annotated[bool, Key(SWITCH, "finished files are compressed")] = False
    keep_files: Annotated[
        int | None,
        Key(
            COUNT,
            "so many finished files are kept",
            example=30,
            unset="all are kept",
        ),
    ] = None

    def __post_init__(self) -> None:
        check_settings(self, "file: ")


class FileSink:
    """Appends events to a file, a line each as a webhook has it; they are on disk then.

    After a crash, a line that was cut off is dropped, and an event that is there already is not
    written again.

    Args:
        name: That of its table.
        settings: Where and how.
    """

    max_events: int = 10_000
    max_age_seconds: float = 0.1

    def __init__(self, name: str, settings: FileSettings) -> None:
        self.name = f"file.{name}"
        self._settings = settings
        self._descriptor = -1
        self._length = 0
        self._period = 0
        self._file: tuple[int, int] | None = None
        # What was written last, which may come again.
        self._recent: frozenset[bytes] = frozenset()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="event-file")
        self._compressing: asyncio.Task[None] | None = None
        self._is_untidy = False

    async def open(self) -> None:
        """Open the file, or make it.

        Raises:
            SinkError: it can't be written; the text says what to do.
        """
        await self._run_in_thread(self._open)
        self._compress()

    async def write(self, batch: EventBatch) -> None:
        """Append the events, all or none; returns when they are on disk.

        Raises:
            SinkError: none was written; the text says what to do.
        """
        if await self._run_in_thread(lambda: self._write(batch.lines)):
            self._compress()

    async def close(self) -> None:
        """Close the file, once those before it are compressed."""
        if self._compressing is not None:
            await asyncio.gather(self._compressing, return_exceptions=True)
        await self._run_in_thread(self._close)
        self._thread.shutdown(wait=False)

    async def _run_in_thread(self, call: Callable[[], bool | None]) -> bool | None:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _open(self) -> None:
        path = self._settings.path
        if path is None:
            if sys.stdout is None:
                raise SinkError("standard output is closed: open it, or give the file a path")
            return
        if self._descriptor >= 0 and self._file == identify_file(path):
            return
        self._close()
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, _FILE_MODE)
            # A second writer would truncate what this one has written.
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._file = identify_file(path)
            sync_folder(path.parent)
            self._recover()
            self._period = self._find_period(os.fstat(self._descriptor).st_mtime)
        except BlockingIOError as error:
            self._close()
            raise SinkError(f"{path}: another sink writes it; give each its own file") from error
        except OSError as error:
            self._close()
            raise _explain(path, error) from error

    def _recover(self) -> None:
        """Drop a line that was cut off, and read what may come again."""
        size = os.fstat(self._descriptor).st_size
        start = max(0, size - _TAIL_BYTES)
        tail = b"".join(
            os.pread(self._descriptor, _READ_BYTES, offset)
            for offset in range(start, size, _READ_BYTES)
        )
        self._length = start + tail.rfind(b"\n") + 1
        if self._length < size:
            os.ftruncate(self._descriptor, self._length)
        lines = tail.split(b"\n")[:-1]
        self._recent = frozenset(lines[-self.max_events :])

    def _write(self, lines: Sequence[bytes]) -> bool:
        """Write; return whether a file was finished."""
        self._open()
        fresh = [line for line in lines if line not in self._recent]
        if not fresh:
            return False
        path = self._settings.path
        data = b"\n".join(fresh) + b"\n"
        if path is None:
            try:
                write_all(_STDOUT, data)
            except OSError as error:
                raise SinkError(f"standard output: {describe_os_error(error)}") from error
            self._recent = frozenset(lines)
            return False
        try:
            is_finished = self._rotate(path)
            try:
                write_all(self._descriptor, data)
                os.fdatasync(self._descriptor)
            except OSError:
                os.ftruncate(self._descriptor, self._length)
                raise
        except OSError as error:
            self._close()
            raise _explain(path, error) from error
        self._length += len(data)
        self._recent = frozenset(lines)
        return is_finished

    def _rotate(self, path: Path) -> bool:
        """Begin a new file where that is due."""
        now = time.time()
        period = self._find_period(now)
        is_due = self._length >= self._settings.rotate_bytes or period > self._period
        if not is_due or not self._length:
            self._period = max(self._period, period)
            return False
        path.rename(_name_finished(path, now))
        recent = self._recent
        self._close()
        self._open()
        self._recent, self._period = recent, period
        return True

    def _find_period(self, at: float) -> int:
        seconds = _SECONDS.get(self._settings.rotate)
        return 0 if seconds is None else int(at // seconds)

    def _compress(self) -> None:
        """Compress and remove finished files meanwhile."""
        path = self._settings.path
        if path is None or not (self._settings.gzip or self._settings.keep_files):
            return
        self._is_untidy = True
        if self._compressing is None or self._compressing.done():
            self._compressing = asyncio.create_task(
                self._tidy_up(path), name=f"event-{self.name}-tidy"
            )

    async def _tidy_up(self, path: Path) -> None:
        while self._is_untidy:
            self._is_untidy = False
            await asyncio.to_thread(self._tidy, path)

    def _tidy(self, path: Path) -> None:
        try:
            if self._settings.gzip:
                for each in list_finished(path):
                    if each.suffix != ".gz":
                        compress(each)
            if self._settings.keep_files is not None:
                for each in list_finished(path)[: -self._settings.keep_files]:
                    each.unlink()
        except OSError as error:
            log.warning("file.not_compressed", sink=self.name, error=describe_os_error(error))

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def list_finished(path: Path) -> list[Path]:
    """List the finished files of a sink, the oldest first; empty without the folder."""
    return [each for _, _, each in sorted(_find_finished(path))]


def compress(path: Path) -> None:
    """Put a compressed file in place of one.

    Raises:
        OSError: it can't be.
    """
    with path.open("rb") as plain:
        write_compressed(
            path.with_name(f"{path.name}.gz"), iter(lambda: plain.read(_READ_BYTES), b"")
        )
    path.unlink()


def write_compressed(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a compressed file as a whole, or not at all.

    Raises:
        OSError: it can't be written.
    """
    new = path.with_name(f"{path.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _FILE_MODE)
    with os.fdopen(descriptor, "wb") as raw:
        with gzip.GzipFile(fileobj=raw, mode="wb", filename="") as file:
            for chunk in chunks:
                file.write(chunk)
        raw.flush()
        os.fdatasync(raw.fileno())
    new.replace(path)
    sync_folder(path.parent)


def _find_finished(path: Path) -> Iterator[tuple[str, int, Path]]:
    """Find finished files: when each was finished, and its number among those of that second."""
    pattern = re.compile(
        re.escape(path.stem) + _STAMP_PATTERN + re.escape(path.suffix) + r"(?:\.gz)?"
    )
    with suppress(FileNotFoundError):
        for each in path.parent.iterdir():
            if match := pattern.fullmatch(each.name):
                yield match[1], int(match[2] or 0), each


def _name_finished(path: Path, now: float) -> Path:
    stamp = time.strftime(_STAMP, time.gmtime(now))
    same = [number for other, number, _ in _find_finished(path) if other == stamp]
    # Behind the others, even if the first of these were removed.
    more = f"-{max(same) + 1}" if same else ""
    return path.with_name(f"{path.stem}-{stamp}{more}{path.suffix}")


def _explain(path: Path, error: OSError) -> SinkError:
    if not path.parent.is_dir():
        return SinkError(f"{path}: the folder {path.parent} does not exist; make it")
    return SinkError(f"{path}: can't be written: {describe_os_error(error)}")
