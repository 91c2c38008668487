"""Memory that large mails took, given back to the system.

glibc's malloc keeps what is freed. It takes blocks above a threshold from the system one by one
and gives them back at once, but raises that threshold to 32 MiB as it sees such blocks freed; and
what lies in small blocks, such as the links of a large mail, it keeps until it is told to look
(mallopt(3), malloc_trim(3)). Another libc has its own ways, and is left alone.
"""

import asyncio
import ctypes
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from msys_track.logs import event_logger

log = event_logger(__name__)

# <malloc.h>
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8

# A block from the system costs a page fault for each of its pages, every time. At 512 KiB that was
# a quarter of the CPU of a mail of 1 MB.
_MAPPED_FROM_BYTES: Final = 2 << 20
# Who sets one threshold has no other that adapts; the default would give back and take again the
# memory of each mail.
_TRIMMED_FROM_BYTES: Final = 16 << 20
_ARENAS: Final = 2
# A mail from this size on leaves something to give back.
_LARGE_BYTES: Final = 512 * 1024
_PAUSE_SECONDS: Final = 1.0


def set_up_allocator() -> None:
    """Have large blocks given back when they are freed; call it before there are threads."""
    with suppress(AttributeError):  # another libc
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _TRIMMED_FROM_BYTES)
        mallopt(_M_ARENA_MAX, _ARENAS)


class MemoryReturn:
    """Gives memory back a while after a large mail, once for all that came meanwhile."""

    __slots__ = ("_timer", "_trim")

    def __init__(self) -> None:
        self._trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
        self._timer: asyncio.TimerHandle | None = None

    def note(self, message_bytes: int) -> None:
        """Note that a mail of that size is done with."""
        if message_bytes < _LARGE_BYTES or self._timer is not None or self._trim is None:
            return
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_PAUSE_SECONDS, self._give_back, loop, self._trim)

    def _give_back(self, loop: asyncio.AbstractEventLoop, trim: Callable[[int], int]) -> None:
        self._timer = None
        # Without the interpreter's lock, as every call through ctypes.
        loop.run_in_executor(None, trim, 0)
