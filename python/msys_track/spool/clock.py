"""A clock that all workers of a machine share and that nobody can set.

The time of day jumps: at a restart without a battery, at a correction, by hand. Retries and ages
are therefore counted in seconds since the machine started.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def _read_uptime() -> float:
    # On Linux the sleep of a laptop or of a virtual machine counts too.
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


def _read_boot_id() -> str:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""  # other systems: that uptime went back shows a restart


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Seconds since a start of the machine, and the name of this start."""

    boot_id: str
    uptime: Callable[[], float] = _read_uptime
    wall: Callable[[], float] = time.time
    """The time of day as a Unix time, for people only."""

    @classmethod
    def of_machine(cls) -> "Clock":
        """Return the clock of this machine."""
        return cls(boot_id=_read_boot_id())
