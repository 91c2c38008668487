"""A server's workers as its supervisor sees them: what they are to do, and what they last said."""

import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from msys_track.metrics import PROXY, Catalogue, Figures
from msys_track.smtp.address import Address
from msys_track.supervision.sockets import Sockets

RECORDER: Final = -1
"""The slot of the process that records what the workers log; theirs are 0, 1, …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What workers are to do: a server's configuration that was read and found good."""

    name: str
    """The server's, as in the configuration."""
    workers: int
    addresses: Sequence[Address]
    drain_seconds: float
    hang_seconds: float
    """A worker that shows no sign of life for so long is killed."""
    settings: object
    """What a running worker can't change; the rest it reads again when it is told to reload."""
    serve: Callable[[socket.socket, Sockets], None]
    """Runs one worker in a process of its own, with its channel, until it is told to stop."""
    announce: Callable[[Sockets], None]
    """Is called once the first workers listen."""
    status_addresses: Sequence[Address] = ()
    """Where the supervisor answers what its workers do, over HTTP."""
    catalogue: Catalogue = PROXY
    """What its figures mean."""
    why_unready: str = "no upstream can be reached"
    """Said where no worker is ready for its work."""
    end_seconds: float = 10.0
    """After `drain_seconds`, for closing connections and databases; then a worker is killed."""
    record: Callable[[socket.socket], None] | None = None
    """Runs the recorder in a process of its own, with its channel, until it is told to stop."""
    record_seconds: float = 0.0
    """How long the recorder may go on once all workers have stopped."""
    stop_seconds: float | None = None
    """How long stopping may take in all; the recorder has what the workers leave of it. None: it
    has `record_seconds`."""


@dataclass(slots=True, eq=False, kw_only=True)
class Worker:
    """A worker as the supervisor sees it."""

    pid: int
    slot: int
    plan: Plan
    control: socket.socket
    started_at: float
    heard_at: float
    is_former: bool = False
    """Whether it is of the program that was here before; its slot and plan say little then."""
    is_ready: bool = False
    ends_by: float | None = None
    """When a worker that was told to end is killed."""
    unread: bytes = b""
    failure: str = ""
    """Why it could not start, in its own words."""
    figures: Figures = field(default_factory=Figures)

    @property
    def is_recorder(self) -> bool:
        """Whether it is the recorder of the program that is here now."""
        return self.slot == RECORDER and not self.is_former

    def is_heard(self, seconds: float) -> bool:
        """Whether it has said something in the last seconds."""
        return time.monotonic() - self.heard_at < seconds
