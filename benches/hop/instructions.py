"""How many instructions a mail takes in the proxy: a measure that no neighbour can blur.

valgrind's callgrind counts what runs outside the kernel, by shared object; two runs differ by a
thousandth. It says nothing of caches and of the kernel: CPU falls less than instructions do.
"""

import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

from benches.hop.bars import say
from benches.hop.hops import TRACKING, Hop
from benches.hop.load import Load
from benches.hop.measures import Side
from tests import process_tree

_MAILS = 300
_CONNECTIONS = 10
_SHOWN_OBJECTS = 6
# The worker is forked from the supervisor, so both run in valgrind.
_CALLGRIND = ("valgrind", "-q", "--tool=callgrind", "--trace-children=yes", "--instr-atstart=no")
_COST = re.compile(r"^\s*([\d,]+) \([ \d.]+%\)\s+\S+:.+?(?: \[(.+)\])?$", re.MULTILINE)


def measure_instructions(side: Side) -> None:
    """Instructions of a small mail, by shared object; no bar."""
    if shutil.which("valgrind") is None:
        say("skipped: valgrind was not found, so instructions are not counted")
        return
    out = side.files["3.8 KB"].with_name("callgrind")
    prefix = (*_CALLGRIND, f"--callgrind-out-file={out}.%p")
    hop = side.bench.start_proxy("counted", side.sink.port, tracking=True, prefix=prefix)
    costs = _count(side, hop, out)
    rows = [["all", f"{costs.total() / _MAILS:,.0f}"]]
    rows += [
        [Path(name).name, f"{cost / _MAILS:,.0f}"]
        for name, cost in costs.most_common(_SHOWN_OBJECTS)
    ]
    title = f"Instructions of a mail of 3.8 KB, C = {_CONNECTIONS}, {TRACKING}"
    side.report.table(title, ["where", "instructions a mail"], rows)


def _count(side: Side, hop: Hop, out: Path) -> Counter[str]:
    """Send mails, and return the instructions of the worker by shared object."""
    assert hop.pid is not None
    load = Load(
        source=side.bench.programs.source,
        sink=side.sink,
        hop=hop,
        mail=side.files["3.8 KB"],
        connections=_CONNECTIONS,
    )
    load.seconds(_MAILS)
    [worker] = process_tree.children(hop.pid)
    _control(worker, "--instr=on")
    load.seconds(_MAILS)  # what is translated for the first time is counted otherwise
    _control(worker, "--zero")
    load.seconds(_MAILS)
    _control(worker, "--dump")
    said = subprocess.run(  # noqa: S603 - a tool of the system
        ["callgrind_annotate", "--threshold=100", f"{out}.{worker}.1"],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    costs: Counter[str] = Counter()
    for cost, name in _COST.findall(said):
        costs[name or "elsewhere"] += int(cost.replace(",", ""))
    return costs


def _control(worker: int, order: str) -> None:
    command = ["callgrind_control", order, str(worker)]
    subprocess.run(command, capture_output=True, check=True)  # noqa: S603 - a tool of the system
