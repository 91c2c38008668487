"""The signals that a supervisor obeys at a time of its own, as it has no event loop."""

import os
import selectors
import signal
import socket
from typing import Final

CAUGHT: Final = (
    signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2, signal.SIGCHLD,
)  # fmt: skip
PARENT_VARIABLE: Final = "MSYS_TRACK_PARENT"
"""Has the number of a pipe that ends when the process above us does, where there is one."""

_READ_BYTES: Final = 4096


class SignalQueue:
    """Keeps the supervisor's signals until it takes them, and wakes its selector for each.

    Args:
        selector: Tells when there are some; the data of each key is a function to call then.
    """

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._came: list[int] = []
        self._reader, self._writer = socket.socketpair()

    def catch(self) -> None:
        """Take the signals from now on, and the end of the process above us as SIGTERM."""
        for each in (self._reader, self._writer):
            each.setblocking(False)  # noqa: FBT003 - the standard library's
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in CAUGHT:
            signal.signal(number, lambda number, _: self._came.append(number))
        # The program that was here before has left them blocked.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, CAUGHT)
        self._selector.register(
            self._reader, selectors.EVENT_READ, lambda: self._reader.recv(_READ_BYTES)
        )
        self._watch_parent()

    def take(self) -> list[int]:
        """Take those that came, in their order."""
        taken = []
        while self._came:
            taken.append(self._came.pop(0))
        return taken

    def release(self) -> None:
        """Let go of them in a forked worker, whom only the supervisor and SIGTERM may end."""
        signal.set_wakeup_fd(-1)
        for number in CAUGHT:
            # A terminal sends SIGINT and SIGHUP to all; the supervisor decides what they mean.
            is_ours = number in (signal.SIGTERM, signal.SIGCHLD)
            signal.signal(number, signal.SIG_DFL if is_ours else signal.SIG_IGN)
        self._reader.close()
        self._writer.close()

    def _watch_parent(self) -> None:
        number = os.environ.get(PARENT_VARIABLE, "")
        if not number:
            return
        pipe = int(number)
        os.set_inheritable(pipe, True)  # noqa: FBT003 - for the program that takes our place

        def note_end() -> None:
            self._selector.unregister(pipe)
            self._came.append(signal.SIGTERM)

        self._selector.register(pipe, selectors.EVENT_READ, note_end)
