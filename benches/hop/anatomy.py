"""Where a mail's time goes in a hop: system calls by strace, CPU by shared object by perf.

Neither changes what it looks at by being another build of it; strace slows it down, so only its
counts are used.
"""

import re
import shutil
import signal
import subprocess
from collections import Counter
from pathlib import Path

from benches.hop.bars import say
from benches.hop.hops import HAPROXY, PASSING, TRACKING, Hop
from benches.hop.measures import Side
from tests import process_tree

_MAILS = 2_000
_CONNECTIONS = 10
_SHOWN_CALLS = 8
_LEAST_SHARE = 0.01
_CALL = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", re.MULTILINE)
_OBJECT = re.compile(r"^\s*([\d.]+)%\s+(\S+)", re.MULTILINE)
_ATTACH_SECONDS = 1
_PERF_RECORD = ("perf", "record", "-q", "-F", "997", "-e", "cpu-clock")
_NAMES = {"_core.abi3.so": "the core, in Rust", "[kernel.kallsyms]": "the kernel"}


def measure_anatomy(side: Side) -> None:
    """System calls a mail, and the CPU of a mail by what spends it; no bar."""
    for size in ("3.8 KB", "40 KB"):
        calls, objects = [], []
        for name in (HAPROXY, PASSING, TRACKING):
            hop = side.hops[name]
            load = side.load(name, size, _CONNECTIONS)
            load.seconds(_MAILS)
            if shutil.which("strace"):
                calls.append([name, *_count_calls(side, hop, size)])
            if shutil.which("perf"):
                objects += [[name, *row] for row in _share_cpu(side, hop, size)]
        if calls:
            head = ["hop", "all", "by name"]
            side.report.table(f"System calls a mail of {size}, C = {_CONNECTIONS}", head, calls)
        else:
            say("skipped: strace was not found, so system calls are not counted")
        if objects:
            head = ["hop", "where", "share of its CPU", "µs a mail"]
            side.report.table(f"CPU of a mail of {size}, C = {_CONNECTIONS}", head, objects)
        else:
            say("skipped: perf was not found, so CPU is not divided")


def _count_calls(side: Side, hop: Hop, size: str) -> list[str]:
    file = side.files[size].with_name("strace")
    with subprocess.Popen(  # noqa: S603 - a tool of the system
        ["strace", "-c", "-f", "-q", "-o", str(file), "-p", _list_processes(hop)],  # noqa: S607
        stderr=subprocess.DEVNULL,
    ) as strace:
        _wait_until_attached(strace)
        side.load(hop.name, size, _CONNECTIONS).seconds(_MAILS)
        strace.send_signal(signal.SIGINT)
        strace.wait()
    text = file.read_text(encoding="ascii", errors="replace")
    counts = Counter({call: int(times) for times, call in _CALL.findall(text) if call != "total"})
    shown = ", ".join(
        f"{call} {times / _MAILS:.1f}" for call, times in counts.most_common(_SHOWN_CALLS)
    )
    return [f"{counts.total() / _MAILS:.1f}", shown]


def _share_cpu(side: Side, hop: Hop, size: str) -> list[list[str]]:
    data = side.files[size].with_name("perf.data")
    load = side.load(hop.name, size, _CONNECTIONS)
    with subprocess.Popen(  # noqa: S603 - a tool of the system
        [*_PERF_RECORD, "-o", str(data), "-p", _list_processes(hop)], stderr=subprocess.DEVNULL
    ) as perf:
        _wait_until_attached(perf)
        load.seconds(_MAILS)
        perf.send_signal(signal.SIGINT)
        perf.wait()
    said = subprocess.run(  # noqa: S603 - a tool of the system
        ["perf", "report", "-i", str(data), "--sort", "dso", "--stdio"],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    [cpu] = load.cpu_seconds
    return [
        [_NAMES.get(Path(name).name, Path(name).name), f"{float(share):.0f} %",
         f"{float(share) / 100 * cpu * 1e6:.0f}"]
        for share, name in _OBJECT.findall(said)
        if float(share) / 100 >= _LEAST_SHARE
    ]  # fmt: skip


def _list_processes(hop: Hop) -> str:
    """Name a hop's process and its workers, as both tools take them."""
    assert hop.pid is not None
    return ",".join(map(str, (hop.pid, *process_tree.children(hop.pid))))


def _wait_until_attached(tool: subprocess.Popen[bytes]) -> None:
    try:
        code = tool.wait(_ATTACH_SECONDS)
    except subprocess.TimeoutExpired:
        return
    raise AssertionError(f"{tool.args!r} ended with {code}")
