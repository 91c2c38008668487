"""The process that keeps a server's workers: forks, replaces, reloads, upgrades and stops them.

It holds the listening sockets and what was read of the configuration, and nothing that a fork
would break: no event loop, no thread, no connection. Whatever happens to a worker, another one
goes on with the same sockets. If the supervisor is killed, its workers finish what they began.
"""

import json
import logging
import os
import selectors
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, NoReturn

from msys_track.errors import SettingsError, TrackingError, describe_os_error
from msys_track.logs import event_logger
from msys_track.metrics import Figures
from msys_track.supervision import systemd
from msys_track.supervision.handover import Handover, is_rehearsal, rehearse, replace_program
from msys_track.supervision.sockets import Sockets, bind_addresses, close_unwanted, share_out
from msys_track.supervision.status import answer_status
from msys_track.supervision.status_server import Answer, StatusServer
from msys_track.supervision.worker import RECORDER, Plan, Worker

log = event_logger(__name__)

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2, signal.SIGCHLD)
PARENT_VARIABLE: Final = "MSYS_TRACK_PARENT"
"""Has the number of a pipe that ends when the process above us does, where there is one."""

_TICK_SECONDS: Final = 1.0
# A worker that was there for so long is replaced at once; others after a pause that doubles.
# Connections that the kernel gives to its socket wait meanwhile, so that the pause stays short.
_STABLE_SECONDS: Final = 10.0
_LONGEST_PAUSE_SECONDS: Final = 5.0
_START_SECONDS: Final = 60.0
# A first worker that a signal ends before all are ready is begun again, so often in all. One that
# exits has found a fault that the next one would find too.
_START_TRIES: Final = 5
# For one that was to be gone already: until it is killed again.
_END_SECONDS: Final = 10.0
# Of the time in which a process is to end: what it needs for that once its work is over.
_END_SHARE: Final = 0.4
# A recorder that dies during the stop is begun again, so often in all.
_STOP_TRIES: Final = 3
_READ_BYTES: Final = 65_536


class Supervisor:
    """Runs a server's workers until SIGTERM or SIGINT, and its recorder if it has one.

    A recorder is started, watched and replaced as a worker is, but it has no sockets. It is the
    last to stop, since it reads what workers write to their last moment.

    SIGHUP reads the configuration again: where all workers can take the change they go on with it,
    else others take their place. SIGUSR2 replaces the program by what is installed now.
    """

    def __init__(self, plan: Plan, load_again: Callable[[], Plan | None]) -> None:
        """Prepare to run.

        Args:
            plan: What to begin with.
            load_again: Reads the configuration again; None, and it was logged, if it has faults.
        """
        self._plan = plan
        self._load_again = load_again
        self._workers: dict[int, Worker] = {}
        self._sockets: Sockets = {}
        self._next: Plan | None = None
        self._reloading: set[int] = set()
        self._pauses: dict[int, float] = {}
        self._early_deaths: Counter[int] = Counter()
        self._due: dict[int, float] = {}
        self._rehearsal: int | None = None
        self._wanted: list[int] = []
        self._failure = ""
        self._is_stopping = False
        self._stopping_since = 0.0
        self._record_by: float | None = None
        self._recorder_deaths = 0
        self._last_recorder: int | None = None
        self._is_recorded = False
        self._is_up = False
        self._selector = selectors.DefaultSelector()
        self._status = StatusServer(self._selector, self._answer)
        self._past = Figures()
        self._signals: list[int] = []
        self._checked_at = time.monotonic()
        self._watchdog_seconds = systemd.watchdog_seconds()

    def run(self) -> None:
        """Run until a signal ends it and every worker has ended.

        Raises:
            SettingsError: an address can't be listened on, or no worker could start.
        """
        if is_rehearsal():
            return
        handover = Handover.take()
        self._past = handover.past
        given = handover.sockets or systemd.take_sockets(
            self._plan.name, (*self._plan.addresses, *self._plan.status_addresses)
        )
        self._use_sockets(self._bind(self._plan, given), given)
        self._catch_signals()
        self._watch_parent()
        for pid, control in handover.workers.items():
            self._keep_worker(pid, -1, None, control)
        try:
            self._fork_workers(self._plan)
        except OSError as error:
            self._failure = f"{self._plan.name}: {_explain_no_start(error)}"
            self._begin_stop()
        while self._workers or not self._is_stopping:
            for key, _ in self._selector.select(self._find_pause()):
                key.data()
            self._obey_signals()
            self._reap()
            self._check_times()
        if self._failure:
            raise SettingsError(self._failure)

    # Signals

    def _catch_signals(self) -> None:
        reader, writer = socket.socketpair()
        for each in (reader, writer):
            each.setblocking(False)  # noqa: FBT003 - the standard library's
        self._wake_ends = (reader, writer)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        for number in _SIGNALS:
            signal.signal(number, lambda number, _: self._signals.append(number))
        # The program that was here before has left them blocked.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        self._selector.register(reader, selectors.EVENT_READ, lambda: reader.recv(_READ_BYTES))

    def _watch_parent(self) -> None:
        """Stop when the process above us is gone, however it went."""
        number = os.environ.get(PARENT_VARIABLE, "")
        if not number:
            return
        pipe = int(number)
        os.set_inheritable(pipe, True)  # noqa: FBT003 - for the program that takes our place

        def note_end() -> None:
            self._selector.unregister(pipe)
            self._signals.append(signal.SIGTERM)

        self._selector.register(pipe, selectors.EVENT_READ, note_end)

    def _obey_signals(self) -> None:
        while self._signals:
            number = self._signals.pop(0)
            if number in (signal.SIGTERM, signal.SIGINT):
                self._stop(number)
            elif number in (signal.SIGHUP, signal.SIGUSR2) and number not in self._wanted:
                self._wanted.append(number)
        # One after the other: each ends with workers that are all alike.
        if self._wanted and self._is_settled():
            number = self._wanted.pop(0)
            if number == signal.SIGHUP:
                self._reload()
            else:
                systemd.notify_reloading()
                self._begin_rehearsal()

    def _is_settled(self) -> bool:
        return (
            self._is_up
            and not self._is_stopping
            and self._next is None
            and self._rehearsal is None
            and not self._reloading
        )

    def _stop(self, number: int) -> None:
        if self._is_stopping:
            # The second time: at once, by the signal itself.
            for worker in self._workers.values():
                os.kill(worker.pid, signal.SIGKILL)
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        log.info("server.stopping")
        systemd.notify("STOPPING=1")
        self._begin_stop()

    def _begin_stop(self) -> None:
        self._is_stopping = True
        self._stopping_since = time.monotonic()
        for worker in self._workers.values():
            if not worker.is_recorder:
                self._stop_worker(worker)
        self._stop_recorders()

    def _stop_recorders(self) -> None:
        """Let recorders finish once nobody writes any more, one after the other.

        One that was retired may have looked for the last time before workers wrote their last
        hits, and holds the lock still: the next one would leave the rest to it.
        """
        recorders = list(self._workers.values())
        if not all(each.is_recorder for each in recorders):
            return
        plan, now = self._plan, time.monotonic()
        if self._record_by is None:
            self._record_by = (
                now + plan.record_seconds + plan.end_seconds
                if plan.stop_seconds is None
                else self._stopping_since + plan.stop_seconds
            )
        if any(each.ends_by is not None for each in recorders):
            for each in recorders:
                if each.ends_by is not None:
                    each.ends_by = min(each.ends_by, self._record_by)
        elif recorders:
            self._stop_recorder(recorders[0], self._record_by)
        elif plan.record is not None and not self._is_recorded and not self._failure:
            recorder = None
            if self._recorder_deaths < _STOP_TRIES and now < self._record_by:
                with suppress(OSError):  # there is no room for it, and nobody to wait for that
                    recorder = self._fork_worker(plan, RECORDER)
            if recorder is not None:
                self._stop_recorder(recorder, self._record_by)
            else:
                log.error(
                    "recorder.not_done",
                    hint="what is not recorded stands in the log of hits; the next start goes on",
                )

    def _stop_recorder(self, recorder: Worker, ends_by: float) -> None:
        plan = recorder.plan or self._plan
        recorder.ends_by = ends_by
        self._last_recorder = recorder.pid
        self._order(recorder, f"stop {ends_by - _END_SHARE * plan.end_seconds}")

    def _note_end_of_recorder(self, recorder: Worker, code: int) -> None:
        if code != 0:
            self._recorder_deaths += 1
        elif recorder.pid == self._last_recorder and recorder.plan is self._plan:
            self._is_recorded = True

    # Reload

    def _reload(self) -> None:
        systemd.notify_reloading()
        plan = self._load_again()
        if plan is None:
            systemd.notify("READY=1")
        elif plan.settings == self._plan.settings:
            self._plan = plan
            for worker in self._list_own():
                if worker.is_recorder:
                    self._retire_worker(worker)
                else:
                    self._reloading.add(worker.pid)
                    self._order(worker, "reload")
            if plan.record is not None:
                self._begin_again(RECORDER)
        else:
            try:
                sockets = self._bind(plan, self._sockets)
            except SettingsError as error:
                log.error("configuration.not_reloaded", faults=str(error).split("\n"))  # noqa: TRY400
                systemd.notify("READY=1")
                return
            self._sockets, self._next = {**self._sockets, **sockets}, plan
            try:
                self._fork_workers(plan)
            except OSError as error:
                self._give_up_next(_explain_no_start(error))

    def _note_reloaded(self, worker: Worker, *, is_done: bool) -> None:
        """Note that a worker has the new configuration; replace one that could not read it."""
        self._reloading.discard(worker.pid)
        if not is_done:
            self._retire_worker(worker)
            self._begin_again(worker.slot)
        if not self._reloading:
            log.info("configuration.reloaded", workers="kept")
            systemd.notify("READY=1")

    def _use_next(self) -> None:
        """Let those workers go on that are ready with the new configuration; stop the others."""
        if self._next is None:
            return
        self._plan, self._next = self._next, None
        self._due.clear()
        for worker in self._workers.values():
            if worker.plan is not self._plan:
                self._retire_worker(worker)
        self._use_sockets(self._sockets, self._sockets)
        log.info("configuration.reloaded", workers="replaced")
        systemd.notify("READY=1")

    def _give_up_next(self, why: str) -> None:
        """Go on with the workers that there are, as those that were to replace them failed."""
        plan, self._next = self._next, None
        for worker in self._workers.values():
            if worker.plan is plan:
                worker.ends_by = time.monotonic() + _END_SECONDS
                os.kill(worker.pid, signal.SIGKILL)
        self._use_sockets(self._sockets, self._sockets)
        log.error("configuration.not_reloaded", faults=[why])
        systemd.notify("READY=1")

    # Sockets

    def _bind(self, plan: Plan, given: Sockets) -> Sockets:
        sockets = bind_addresses(plan.name, plan.addresses, plan.workers, given)
        try:
            return {**sockets, **bind_addresses("metrics", plan.status_addresses, 1, given)}
        except SettingsError:
            close_unwanted(sockets, given)
            raise

    def _use_sockets(self, sockets: Sockets, given: Sockets) -> None:
        """Keep the sockets that the plan wants, and close the others."""
        wanted = (*self._plan.addresses, *self._plan.status_addresses)
        self._sockets = {address: sockets[address] for address in wanted}
        close_unwanted(given, self._sockets)
        own = [self._sockets[address][0] for address in self._plan.status_addresses]
        self._status.use(own[0] if own else None)

    # Upgrade

    def _begin_rehearsal(self) -> None:
        try:
            self._rehearsal = rehearse()
        except OSError as error:
            log.error("program.not_replaced", why=describe_os_error(error))  # noqa: TRY400 - not ours
            systemd.notify("READY=1")

    def _replace_program(self, code: int) -> None:
        """Become what is installed now, if it has shown that it can start."""
        if code != 0:
            log.error(
                "program.not_replaced",
                why=f"a trial start of the new program ended with {code}; its error is above",
            )
        elif not self._is_stopping:
            log.info("program.replaced", workers=len(self._workers))
            workers = {worker.pid: worker.control for worker in self._workers.values()}
            handover = Handover(sockets=self._sockets, workers=workers, past=self._past)
            replace_program(handover, _SIGNALS)
        systemd.notify("READY=1")

    # Workers

    def _answer(self, path: str) -> Answer | None:
        workers = () if self._is_stopping else self._list_own()
        return answer_status(path, self._plan, workers, self._workers.values(), self._past)

    def _list_own(self) -> list[Worker]:
        """List the workers that are to stay."""
        return [
            each
            for each in self._workers.values()
            if each.plan is not None and each.plan is not self._next and each.ends_by is None
        ]

    def _fork_workers(self, plan: Plan) -> None:
        for slot in range(plan.workers):
            self._fork_worker(plan, slot)
        if plan.record is not None:
            self._fork_worker(plan, RECORDER)

    def _begin_again(self, slot: int) -> None:
        """Fork a worker of the plan in use; later, if the system has no room for one now."""
        try:
            self._fork_worker(self._plan, slot)
        except OSError as error:
            log.error("worker.not_started", slot=slot, why=_explain_no_start(error))  # noqa: TRY400 - not ours
            self._due[slot] = time.monotonic() + _LONGEST_PAUSE_SECONDS

    def _fork_worker(self, plan: Plan, slot: int) -> Worker:
        """Fork a worker.

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
            self._become_worker(plan, slot, theirs)
        theirs.close()
        return self._keep_worker(pid, slot, plan, ours)

    def _keep_worker(
        self, pid: int, slot: int, plan: Plan | None, control: socket.socket
    ) -> Worker:
        now = time.monotonic()
        control.setblocking(False)  # noqa: FBT003 - the standard library's
        worker = Worker(
            pid=pid, slot=slot, plan=plan, control=control, started_at=now, heard_at=now,
            is_ready=plan is None,
        )  # fmt: skip
        self._workers[pid] = worker
        self._selector.register(control, selectors.EVENT_READ, lambda: self._hear(worker))
        return worker

    def _become_worker(self, plan: Plan, slot: int, control: socket.socket) -> NoReturn:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in _SIGNALS:
                # A terminal sends SIGINT and SIGHUP to all; the supervisor decides what they mean.
                is_ours = number in (signal.SIGTERM, signal.SIGCHLD)
                signal.signal(number, signal.SIG_DFL if is_ours else signal.SIG_IGN)
            self._selector.close()
            self._status.close_inherited()
            # Held here, the channel of another worker would not end with the supervisor.
            for each in (*self._wake_ends, *(other.control for other in self._workers.values())):
                each.close()
            own: Sockets = {}
            if slot != RECORDER:
                shares = share_out(self._sockets, slot, plan.workers)
                own = {address: shares[address] for address in plan.addresses}
            kept = {each for sockets in own.values() for each in sockets}
            for each in (each for sockets in self._sockets.values() for each in sockets):
                if each not in kept:
                    each.close()
            if slot != RECORDER:
                plan.serve(control, own)
            elif plan.record is not None:
                plan.record(control)
            code = 0
        except TrackingError as error:  # the supervisor was told as well
            log.error("worker.failed", why=str(error))  # noqa: TRY400 - no defect of ours
        except BaseException:
            log.exception("worker.failed")
        finally:
            logging.shutdown()
            os._exit(code)

    def _order(self, worker: Worker, order: str) -> None:
        with suppress(OSError):  # it has just ended, or hangs: both are noticed elsewhere
            worker.control.send(order.encode() + b"\n")

    def _retire_worker(self, worker: Worker) -> None:
        """Let a worker end that others have taken the place of: its clients may go on."""
        if worker.ends_by is None:
            plan = worker.plan or self._plan
            worker.ends_by = time.monotonic() + 2 * plan.drain_seconds + plan.end_seconds
            self._order(worker, "retire")

    def _stop_worker(self, worker: Worker) -> None:
        plan = worker.plan or self._plan
        worker.ends_by = time.monotonic() + plan.drain_seconds + plan.end_seconds
        self._order(worker, "stop")

    def _hear(self, worker: Worker) -> None:
        """Read a worker's reports."""
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
            self._note_report(worker, json.loads(line))

    def _note_report(self, worker: Worker, report: dict[str, Any]) -> None:
        if "figures" in report:
            worker.figures = Figures.of_json(report["figures"])
        worker.failure = report.get("failed", worker.failure)
        if "reloaded" in report and worker.pid in self._reloading:
            self._note_reloaded(worker, is_done=report["reloaded"])
        if "ready" in report:
            worker.is_ready = True
            if worker.is_recorder:
                log.info("recorder.ready", pid=worker.pid)
            else:
                log.info("worker.ready", pid=worker.pid, slot=worker.slot)
            self._note_ready(worker)

    def _note_ready(self, worker: Worker) -> None:
        plan = worker.plan
        if any(each.plan is plan and not each.is_ready for each in self._workers.values()):
            return
        if self._is_stopping:
            return
        if plan is self._next:
            self._use_next()
        elif not self._is_up:
            self._is_up = True
            self._plan.announce(self._sockets)
            for each in self._workers.values():
                if each.plan is None:
                    self._retire_worker(each)
            systemd.notify("READY=1")

    def _reap(self) -> None:
        """Notice which children have ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            if pid == self._rehearsal:
                self._rehearsal = None
                self._replace_program(code)
            elif pid in self._workers:
                self._note_end(self._workers.pop(pid), code)

    def _note_end(self, worker: Worker, code: int) -> None:
        while worker.control.fileno() >= 0:  # its last reports
            self._hear(worker)
        self._past.add(worker.figures, is_over=True)
        plan = worker.plan
        if worker.pid in self._reloading:
            self._note_reloaded(worker, is_done=True)
        if self._is_stopping:
            if worker.is_recorder:
                self._note_end_of_recorder(worker, code)
            self._stop_recorders()
        role = "recorder" if worker.is_recorder else "worker"
        if worker.ends_by is not None or plan is None:
            log.info("worker.stopped", pid=worker.pid, code=code, role=role)
            return
        log.error("worker.died", pid=worker.pid, code=code, role=role)
        self._past.add(Figures(counters={"workers.died": 1}))
        failure = worker.failure or f"{plan.name}: {_explain_early_end(code)}"
        if plan is self._next:
            self._give_up_next(failure)
        elif self._is_stopping:
            pass
        elif not self._is_up and not self._may_start_again(worker, code):
            self._failure = self._failure or failure
            self._begin_stop()
        else:
            now = time.monotonic()
            pause = self._pauses.get(worker.slot, 0.0)
            if now - worker.started_at >= _STABLE_SECONDS:
                pause = 0.0
            self._due[worker.slot] = now + pause
            self._pauses[worker.slot] = min(max(0.5, 2 * pause), _LONGEST_PAUSE_SECONDS)

    def _may_start_again(self, worker: Worker, code: int) -> bool:
        """Whether another worker may do what this one could not: get ready."""
        if any(each.plan is None for each in self._workers.values()):
            return True  # the workers of the program that was here before go on meanwhile
        if code >= 0 or time.monotonic() - worker.started_at > _START_SECONDS:
            return False  # it has found a fault, or hung until it was killed
        self._early_deaths[worker.slot] += 1
        return self._early_deaths[worker.slot] < _START_TRIES

    # Time

    def _find_pause(self) -> float:
        """Find how long there is nothing to do."""
        now = time.monotonic()
        return max(0.0, min([_TICK_SECONDS, *(due - now for due in self._due.values())]))

    def _check_times(self) -> None:
        now = time.monotonic()
        if now - self._checked_at > 3 * _TICK_SECONDS:
            # The machine or all of us stood still; nobody could be heard.
            for worker in self._workers.values():
                worker.heard_at = now
        self._checked_at = now
        self._status.check_times()
        for worker in self._workers.values():
            patience = (worker.plan or self._plan).hang_seconds
            if not worker.is_ready:
                patience = max(patience, _START_SECONDS)
            is_late = worker.ends_by is not None and now > worker.ends_by
            if is_late:
                worker.ends_by = now + _END_SECONDS
            if is_late or now - worker.heard_at > patience:
                log.error("worker.killed", pid=worker.pid, why="late" if is_late else "hangs")
                os.kill(worker.pid, signal.SIGKILL)
                worker.heard_at = now + _END_SECONDS
        for slot in [slot for slot, due in self._due.items() if due <= now]:
            del self._due[slot]
            is_wanted = slot < self._plan.workers if slot != RECORDER else self._plan.record
            if is_wanted and not self._is_stopping:
                self._begin_again(slot)
        if self._watchdog_seconds and any(
            now - each.heard_at < self._watchdog_seconds / 2 for each in self._list_own()
        ):
            systemd.notify("WATCHDOG=1")


def _explain_no_start(error: OSError) -> str:
    return f"a worker can't be started: {describe_os_error(error)}"


def _explain_early_end(code: int) -> str:
    if code >= 0:
        return f"a worker ended with {code} before it was ready; its error is above"
    return (
        f"a worker was ended by signal {-code} before it was ready, time after time; the kernel's "
        "log says whether it lacked memory"
    )
