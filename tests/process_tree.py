"""What a process and its descendants have used: a supervisor's workers count as one hop."""

import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_RESIDENT = re.compile(r"^(VmRSS|VmHWM):\s+(\d+) kB$", re.MULTILINE)


def cpu_seconds(root: int) -> float:
    """User and system time of a process and its living descendants so far.

    By their CPU clocks, as the ticks of /proc/PID/stat are 10 ms: longer than many a run.
    """
    # What clock_getcpuclockid(3) makes of a process id on Linux.
    return sum(time.clock_gettime(~pid << 3 | 2) for pid in _tree(root))


def resident_bytes(root: int) -> int:
    """Resident memory of a process and its living descendants."""
    return sum(_status(pid).get("VmRSS", 0) for pid in _tree(root))


def peak_resident_bytes(root: int) -> int:
    """The most that each of them had resident since `forget_peak`, added up."""
    return sum(_status(pid).get("VmHWM", 0) for pid in _tree(root))


def forget_peak(root: int) -> None:
    """Let the peaks begin anew."""
    for pid in _tree(root):
        (_PROC / str(pid) / "clear_refs").write_text("5")  # proc_pid_clear_refs(5)


def _status(pid: int) -> dict[str, int]:
    """Read what it has in memory; empty for one that has just ended."""
    try:
        text = (_PROC / str(pid) / "status").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {name: int(kilobytes) * 1024 for name, kilobytes in _RESIDENT.findall(text)}


def _tree(root: int) -> Iterator[int]:
    yield root
    found: list[str] = []
    with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
        for children in (_PROC / str(root) / "task").glob("*/children"):
            found += children.read_text(encoding="ascii").split()
    for child in found:
        yield from _tree(int(child))


def children(root: int) -> list[int]:
    """List the living descendants of a process."""
    return [pid for pid in _tree(root) if pid != root and is_alive(pid)]


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and was not waited for does not."""
    try:
        stat = (_PROC / str(pid) / "stat").read_text(encoding="ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return not stat.rpartition(")")[2].lstrip().startswith("Z")  # proc_pid_stat(5), field 3
