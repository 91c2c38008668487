"""Replaces the running program by what is installed now, in the same process (execve(2)).

The process keeps its number, so that systemd, a container or a shell sees no change. It keeps its
children, its listening sockets and its channels to the workers, which go on until the new program
has workers of its own. Before that a trial start in another process shows that it can start.
"""

import json
import os
import signal
import socket
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from msys_track.logs import event_logger
from msys_track.metrics import Figures
from msys_track.smtp.address import Address
from msys_track.supervision.sockets import Sockets

log = event_logger(__name__)

_VARIABLE: Final = "MSYS_TRACK_HANDOVER"
_REHEARSAL: Final = "rehearsal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """What a program leaves to the one that takes its place."""

    sockets: Sockets = field(default_factory=dict)
    workers: Mapping[int, socket.socket] = field(default_factory=dict)
    """The channel to each worker, by the worker's process number."""
    past: Figures = field(default_factory=Figures)
    """What workers that are over have counted."""

    @classmethod
    def take(cls) -> "Handover":
        """Take what the program before has left; nothing if there was none."""
        text = os.environ.get(_VARIABLE, "")
        if text in ("", _REHEARSAL):
            return cls()
        del os.environ[_VARIABLE]
        left = json.loads(text)
        return cls(
            sockets={
                Address(host, port): [_take_socket(number) for number in numbers]
                for host, port, numbers in left["sockets"]
            },
            workers={pid: _take_socket(number) for pid, number in left["workers"]},
            past=Figures.of_json(left["past"]),
        )

    def as_json(self) -> str:
        """Write it for the program that comes."""
        sockets = [
            [*address, [each.fileno() for each in own]] for address, own in self.sockets.items()
        ]
        workers = [[pid, control.fileno()] for pid, control in self.workers.items()]
        past = self.past.as_json()
        return json.dumps({"sockets": sockets, "workers": workers, "past": past})


def is_rehearsal() -> bool:
    """Whether this process is only to show that it could start."""
    return os.environ.get(_VARIABLE) == _REHEARSAL


def rehearse() -> int:
    """Start the installed program for trial; return its process number."""
    environment = {**os.environ, _VARIABLE: _REHEARSAL}
    return os.posix_spawn(sys.executable, _find_arguments(), environment, setsigmask=())


def replace_program(handover: Handover, signals: Collection[int]) -> None:
    """Become the installed program; return only if the system refuses that.

    Args:
        handover: What it takes over.
        signals: Wait meanwhile: until the new program catches them, each would end it.
    """
    given = [each for own in handover.sockets.values() for each in own]
    given += handover.workers.values()
    for each in given:
        each.set_inheritable(True)
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    environment = {**os.environ, _VARIABLE: handover.as_json()}
    try:
        os.execve(sys.executable, _find_arguments(), environment)  # noqa: S606 - ourselves
    except OSError as error:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
        log.error("program.not_replaced", why=str(error))  # noqa: TRY400 - not ours


def _find_arguments() -> list[str]:
    return [sys.executable, *sys.orig_argv[1:]]


def _take_socket(number: int) -> socket.socket:
    taken = socket.socket(fileno=number)
    taken.set_inheritable(False)
    return taken
