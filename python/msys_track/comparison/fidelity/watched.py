"""Runs one way over inputs in a process of its own, so that a crash or an endless loop is counted.

Time is the processor's, so that a busy machine changes nothing.
"""

import os
import resource
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Final, Literal, TypeAlias

from msys_track.comparison.damage import Damage
from msys_track.comparison.fidelity.ways import Way

SECONDS: Final = 5
"""Of processor time that a rewriting may take."""
MOST_MEMORY: Final = 4 * 2**30
"""Bytes of address space that a process may have."""
_JUDGE_SECONDS: Final = 60

Fate: TypeAlias = Literal["judged", "not judged", "error", "timeout", "crash"]


@dataclass(frozen=True, slots=True)
class Input:
    """A document or a message."""

    source: str
    """Which table it counts for."""
    name: str
    content: bytes
    is_message: bool = False
    is_judged: bool = True
    """Whether the judge can read it; if not, it is rewritten all the same."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one input."""

    fate: Fate
    damage: Damage | None = None
    error: str = ""


def run_way(way: Way, inputs: Iterable[Input]) -> Iterator[tuple[Input, Outcome]]:
    """Run one way over the inputs, one after the other; give what came of each."""
    runner: _Runner | None = None
    for each in inputs:
        if runner is None:
            runner = _Runner(way)
        outcome = runner.run(each)
        if outcome is None:
            outcome, runner = runner.bury(), None
        yield each, outcome
    if runner is not None:
        runner.stop()


class _Runner:
    def __init__(self, way: Way) -> None:
        context = get_context("fork")
        self._ours, theirs = context.Pipe()
        self._is_judging = context.Value("b", 0, lock=False)
        self._process = context.Process(
            target=_serve, args=(way, theirs, self._is_judging), daemon=True
        )
        self._process.start()
        theirs.close()

    def run(self, each: Input) -> Outcome | None:
        """Run one input; None if the process did not survive it."""
        try:
            self._ours.send(each)
            outcome: Outcome = self._ours.recv()
        except (EOFError, ConnectionError):
            return None
        return outcome

    def bury(self) -> Outcome:
        """Say how the process ended."""
        self._process.join()
        code = self._process.exitcode
        if self._is_judging.value:
            return Outcome("not judged", error="the judge gave up")
        if code == -signal.SIGPROF:
            return Outcome("timeout")
        return Outcome("crash", error=f"exit code {code}")

    def stop(self) -> None:
        """End the process."""
        self._ours.send(None)  # the child holds this end of the pipe too, so it sees no end
        self._process.join()


def _serve(way: Way, inputs: Connection, is_judging: "_Flag") -> None:
    # What a dying interpreter writes is nobody's matter: that it died is counted.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while True:
        each: Input | None = inputs.recv()
        if each is None:
            return
        inputs.send(_run(way, each, is_judging))


class _Flag:
    """What is used of a value that two processes share."""

    value: int


def _run(way: Way, each: Input, is_judging: _Flag) -> Outcome:
    # SIGPROF ends the process, also inside compiled code that never comes back to Python.
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        rewrite, judge = way.start(each.content, each.is_message)
        after = rewrite()
    except Exception as error:  # noqa: BLE001 - whatever a peer raises is what is counted
        return Outcome("error", error=type(error).__name__)  # its text may be the mail's
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    if not each.is_judged:
        return Outcome("not judged")
    is_judging.value = 1
    signal.setitimer(signal.ITIMER_PROF, _JUDGE_SECONDS)
    try:
        return Outcome("judged", judge(after))
    except Exception as error:  # noqa: BLE001 - a fault of the judge's, which the page shows
        return Outcome("not judged", error=type(error).__name__)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        is_judging.value = 0
