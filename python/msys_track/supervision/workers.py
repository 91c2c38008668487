"""The processes of a server: begins them, hears them, gives them orders, and kills the late."""

import json
import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final, NoReturn

from msys_track.errors import TrackingError
from msys_track.logs import event_logger
from msys_track.metrics import Figures
from msys_track.supervision.restarts import START_SECONDS
from msys_track.supervision.sockets import Sockets, share_out
from msys_track.supervision.worker import RECORDER, Plan, Worker

log = event_logger(__name__)

TICK_SECONDS: Final = 1.0
"""How long nothing is looked after at most."""

# For one that was to be gone already: until it is killed again.
_END_SECONDS: Final = 10.0
_READ_BYTES: Final = 65_536


class Workers:
    """Has a server's workers, by process number; iterates over all that have not been reaped.

    Args:
        selector: Tells when a worker says something; the data of each key is a function to call.
        on_report: Is called with each report of a worker.
        release: Lets go, in a process that was forked, of what is the supervisor's alone.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        on_report: Callable[[Worker, dict[str, Any]], None],
        release: Callable[[], None],
    ) -> None:
        self._selector = selector
        self._on_report = on_report
        self._release = release
        self._by_pid: dict[int, Worker] = {}
        self._checked_at = time.monotonic()

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._by_pid)

    def __iter__(self) -> Iterator[Worker]:
        """Iterate over them, as they are now."""
        return iter(list(self._by_pid.values()))

    def fork(self, plan: Plan, slot: int, sockets: Sockets) -> Worker:
        """Fork a worker.

        Args:
            plan: What it does.
            slot: Its number among the workers of the plan, or `RECORDER`.
            sockets: All that the server has; it closes those that are not its own.

        Raises:
            OSError: the system has no process or no files for it.
        """
        ours, theirs = socket.socketpair()
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            theirs.close()
            raise
        if pid == 0:
            ours.close()
            self._become_worker(plan, slot, theirs, sockets)
        theirs.close()
        return self._keep(pid, slot, plan, ours)

    def take_over(self, pid: int, plan: Plan, control: socket.socket) -> None:
        """Keep a worker of the program that was here before, until one of this plan is ready."""
        worker = self._keep(pid, RECORDER, plan, control)
        worker.is_former = worker.is_ready = True

    def retire(self, worker: Worker) -> None:
        """Let a worker end that others have taken the place of: its clients may go on."""
        if worker.ends_by is None:
            seconds = 2 * worker.plan.drain_seconds + worker.plan.end_seconds
            self.order(worker, "retire", time.monotonic() + seconds)

    def stop(self, worker: Worker) -> None:
        """Let a worker end soon."""
        seconds = worker.plan.drain_seconds + worker.plan.end_seconds
        self.order(worker, "stop", time.monotonic() + seconds)

    def order(self, worker: Worker, order: str, ends_by: float | None = None) -> None:
        """Send an order; a worker that has not ended by then is killed, where a time is given."""
        if ends_by is not None:
            worker.ends_by = ends_by
        with suppress(OSError):  # it has just ended, or hangs: both are noticed elsewhere
            worker.control.send(order.encode() + b"\n")

    def kill(self, worker: Worker) -> None:
        """End a worker at once."""
        worker.ends_by = time.monotonic() + _END_SECONDS
        os.kill(worker.pid, signal.SIGKILL)

    def take(self, pid: int) -> Worker | None:
        """Take out one that has ended, its last reports heard; None where it is none of them."""
        worker = self._by_pid.pop(pid, None)
        while worker is not None and worker.control.fileno() >= 0:
            self._hear(worker)
        return worker

    def kill_late(self) -> None:
        """Kill those that show no sign of life, or should have ended; call it at each tick."""
        now = time.monotonic()
        if now - self._checked_at > 3 * TICK_SECONDS:
            # The machine or all of us stood still; nobody could be heard.
            for worker in self:
                worker.heard_at = now
        self._checked_at = now
        for worker in self:
            patience = worker.plan.hang_seconds
            if not worker.is_ready:
                patience = max(patience, START_SECONDS)
            is_late = worker.ends_by is not None and now > worker.ends_by
            if is_late:
                worker.ends_by = now + _END_SECONDS
            if is_late or now - worker.heard_at > patience:
                log.error("worker.killed", pid=worker.pid, why="late" if is_late else "hangs")
                os.kill(worker.pid, signal.SIGKILL)
                worker.heard_at = now + _END_SECONDS

    def _keep(self, pid: int, slot: int, plan: Plan, control: socket.socket) -> Worker:
        now = time.monotonic()
        control.setblocking(False)  # noqa: FBT003 - the standard library's
        worker = Worker(
            pid=pid, slot=slot, plan=plan, control=control, started_at=now, heard_at=now
        )  # fmt: skip
        self._by_pid[pid] = worker
        self._selector.register(control, selectors.EVENT_READ, lambda: self._hear(worker))
        return worker

    def _become_worker(
        self, plan: Plan, slot: int, control: socket.socket, sockets: Sockets
    ) -> NoReturn:
        code = 1
        try:
            self._release()
            # Held here, the channel of another worker would not end with the supervisor.
            for other in self:
                other.control.close()
            shares = {} if slot == RECORDER else share_out(sockets, slot, plan.workers)
            own = {address: shares[address] for address in plan.addresses if address in shares}
            kept = {each for shared in own.values() for each in shared}
            for each in (each for shared in sockets.values() for each in shared):
                if each not in kept:
                    each.close()
            if slot == RECORDER and plan.record is not None:
                plan.record(control)
            else:
                plan.serve(control, own)
            code = 0
        except TrackingError as error:  # the supervisor was told as well
            log.error("worker.failed", why=str(error))  # noqa: TRY400 - no defect of ours
        except BaseException:
            log.exception("worker.failed")
        finally:
            logging.shutdown()
            os._exit(code)

    def _hear(self, worker: Worker) -> None:
        try:
            data = worker.control.recv(_READ_BYTES)
        except OSError:
            data = b""
        if not data:
            self._selector.unregister(worker.control)
            worker.control.close()
            return
        worker.heard_at = time.monotonic()
        *lines, worker.unread = (worker.unread + data).split(b"\n")
        for line in lines:
            report = json.loads(line)
            if "figures" in report:
                worker.figures = Figures.of_json(report["figures"])
            worker.failure = report.get("failed", worker.failure)
            self._on_report(worker, report)
