"""Writes log lines to a stream that may be full, slow or gone, and never waits for it.

Lines that the stream does not take are dropped and counted, and a line says later how many. A
log must not decide an answer to a client, nor keep a server from stopping.
"""

import os
import select
import socket
import stat
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio

# So many bytes or fewer go into a pipe as a whole (POSIX, write()), so that the lines of several
# processes are not mixed.
_WHOLE_BYTES: Final = select.PIPE_BUF
_MAX_WAITING_BYTES = 1 << 20
# Opening this makes another open file of the same pipe or terminal (proc(5)).
_OWN_DESCRIPTION = "/proc/self/fd/{}"
# When a full stream is tried again: soon, as a pipe of 64 KiB fills in the time of 100 mails; then
# more and more seldom, as perhaps nobody reads it.
_FIRST_PAUSE_SECONDS: Final = 0.005
_LONGEST_PAUSE_SECONDS: Final = 0.16


class LogWriter:
    """Writes lines to a file descriptor: once a tick of the running loop, without one at once.

    Threads may share it. A child process that is forked begins with nothing that waits.

    Args:
        number: The file descriptor; None: the current `sys.stderr`, which has none.
        make_report: Makes the line about a number of lines that were dropped.
    """

    def __init__(self, number: int | None, make_report: Callable[[int], bytes]) -> None:
        self.dropped = 0
        """Lines that the stream never took."""
        self._reported = 0
        self._make_report = make_report
        self._write_some, self._own = _open_stream(number)
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._is_torn = False
        self._prefix = b""
        self._pause = _FIRST_PAUSE_SECONDS
        self._scheduled_in: asyncio.AbstractEventLoop | None = None
        self._lock = threading.RLock()
        os.register_at_fork(after_in_child=self._begin_again)

    def write_line(self, line: bytes) -> None:
        """Take a line, without its end; never waits, never raises."""
        with self._lock:
            if self._waiting_bytes + len(line) >= _MAX_WAITING_BYTES:
                self.dropped += 1
                return
            self._waiting.append(line + b"\n")
            self._waiting_bytes += len(line) + 1
            if self._scheduled_in is not None and self._scheduled_in.is_running():
                return
            loop = _find_running_loop()
            if loop is None:
                self._write_waiting()
                return
            self._scheduled_in = loop
            loop.call_soon(self._on_tick, loop)

    def flush(self, patience_seconds: float = 0.0) -> None:
        """Write what waits; give a stream that is full some time to take it."""
        end = time.monotonic() + patience_seconds
        with self._lock:
            self._write_waiting()
            while self._waiting and time.monotonic() < end:
                time.sleep(_FIRST_PAUSE_SECONDS)
                self._write_waiting()

    def close(self) -> None:
        """Write what waits, as far as the stream takes it."""
        self.flush()
        with self._lock:
            self._write_some = _refuse_all
            if self._own is not None:
                os.close(self._own)
                self._own = None

    def _on_tick(self, loop: "asyncio.AbstractEventLoop") -> None:
        with self._lock:
            self._scheduled_in = None
            self._write_waiting()
            if self._waiting:
                self._scheduled_in = loop
                loop.call_later(self._pause, self._on_tick, loop)
                self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)

    def _write_waiting(self) -> None:
        while self._waiting:
            piece = self._waiting.popleft()
            while self._waiting and len(piece) + len(self._waiting[0]) <= _WHOLE_BYTES:
                piece += self._waiting.popleft()
            try:
                written = self._write_some(self._prefix + piece) - len(self._prefix)
            except BlockingIOError:
                self._waiting.appendleft(piece)
                return
            except (OSError, ValueError):
                # The disk is full or the reader is gone; it may be otherwise for the next line.
                self._drop(piece)
                return
            self._prefix = b""
            self._pause = _FIRST_PAUSE_SECONDS
            self._waiting_bytes -= written
            self._is_torn = written < len(piece)
            if self._is_torn:
                self._waiting.appendleft(piece[written:])
        if self.dropped > self._reported:
            self._report()

    def _drop(self, piece: bytes) -> None:
        """Drop a piece and all that waits behind it."""
        self.dropped += piece.count(b"\n") + sum(each.count(b"\n") for each in self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        if self._is_torn:  # half a line is out
            self._prefix, self._is_torn = b"\n", False

    def _report(self) -> None:
        report = self._make_report(self.dropped - self._reported) + b"\n"
        with suppress(OSError, ValueError):
            self._write_some(report)
            self._reported = self.dropped

    def _begin_again(self) -> None:
        self._lock = threading.RLock()
        self._waiting.clear()
        self._waiting_bytes = self.dropped = self._reported = 0
        self._scheduled_in = None


def _find_running_loop() -> "asyncio.AbstractEventLoop | None":
    """Return the loop that runs in this thread; none can where nothing has imported asyncio."""
    if "asyncio" not in sys.modules:
        return None
    import asyncio  # noqa: PLC0415 - commands that end at once start in half the time without it

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _open_stream(number: int | None) -> tuple[Callable[[bytes], int], int | None]:
    """Return a function that writes some bytes at once or raises, and what it opened.

    Another process may share the open file: to set O_NONBLOCK there would change it for both
    (fcntl(2)). So a pipe or a terminal is opened once more, if Linux lets us.
    """
    if number is None:
        return _write_to_standard_error, None
    mode = os.fstat(number).st_mode
    if stat.S_ISREG(mode):
        return partial(os.write, number), None
    if stat.S_ISSOCK(mode):
        copy = os.dup(number)
        return partial(_send, copy), copy
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    with suppress(OSError):
        own = os.open(_OWN_DESCRIPTION.format(number), flags)
        return partial(os.write, own), own
    return partial(_write_if_ready, number), None


def _write_to_standard_error(piece: bytes) -> int:
    sys.stderr.write(piece.decode("utf-8", "backslashreplace"))
    return len(piece)


def _send(number: int, piece: bytes) -> int:
    stream = socket.socket(fileno=number)
    try:
        return stream.send(piece, socket.MSG_DONTWAIT)
    finally:
        stream.detach()


def _write_if_ready(number: int, piece: bytes) -> int:
    """Write a piece that a stream which is ready takes without waiting (pipe(7))."""
    poll = select.poll()
    poll.register(number, select.POLLOUT)
    if not poll.poll(0):
        raise BlockingIOError
    return os.write(number, piece[:_WHOLE_BYTES])


def _refuse_all(_: bytes) -> int:
    raise ValueError("the log is closed")
