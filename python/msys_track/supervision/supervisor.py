"""The process that keeps a server's workers: forks, replaces, reloads, upgrades and stops them.

It holds the listening sockets and what was read of the configuration, and nothing that a fork
would break: no event loop, no thread, no connection. Whatever happens to a worker, another one
goes on with the same sockets. If the supervisor is killed, its workers finish what they began.
"""

import os
import selectors
import signal
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from msys_track.errors import SettingsError, describe_os_error
from msys_track.logs import event_logger
from msys_track.metrics import Figures
from msys_track.supervision import systemd
from msys_track.supervision.handover import Handover, is_rehearsal, rehearse, replace_program
from msys_track.supervision.restarts import Restarts
from msys_track.supervision.signal_queue import CAUGHT, SignalQueue
from msys_track.supervision.sockets import Sockets, bind_addresses, close_unwanted
from msys_track.supervision.status import answer_status
from msys_track.supervision.status_server import Answer, StatusServer
from msys_track.supervision.stop import Stop
from msys_track.supervision.worker import RECORDER, Plan, Worker
from msys_track.supervision.workers import TICK_SECONDS, Workers

log = event_logger(__name__)


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
        self._next: Plan | None = None
        self._sockets: Sockets = {}
        self._selector = selectors.DefaultSelector()
        self._signals = SignalQueue(self._selector)
        self._workers = Workers(self._selector, self._note_report, self._release)
        self._restarts = Restarts()
        self._status = StatusServer(self._selector, self._answer)
        self._past = Figures()
        self._is_up = False
        self._stop: Stop | None = None
        self._failure = ""
        self._wanted: list[int] = []
        self._reloading: set[int] = set()
        self._rehearsal: int | None = None
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
        self._signals.catch()
        for pid, control in handover.workers.items():
            self._workers.take_over(pid, self._plan, control)
        try:
            self._fork_workers(self._plan)
        except OSError as error:
            self._failure = f"{self._plan.name}: {_explain_no_start(error)}"
            self._begin_stop()
        while len(self._workers) or self._stop is None:
            for key, _ in self._selector.select(self._restarts.find_pause(TICK_SECONDS)):
                key.data()
            self._obey_signals()
            self._note_ends()
            self._check_times()
        if self._failure:
            raise SettingsError(self._failure)

    # Signals

    def _obey_signals(self) -> None:
        for number in self._signals.take():
            if number in (signal.SIGTERM, signal.SIGINT):
                self._obey_stop(number)
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
            and self._stop is None
            and self._next is None
            and self._rehearsal is None
            and not self._reloading
        )

    def _obey_stop(self, number: int) -> None:
        if self._stop is not None:
            # The second time: at once, by the signal itself.
            for worker in self._workers:
                self._workers.kill(worker)
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        log.info("server.stopping")
        systemd.notify("STOPPING=1")
        self._begin_stop()

    def _begin_stop(self) -> None:
        fork_recorder = None
        if self._plan.record is not None and not self._failure:
            fork_recorder = partial(self._fork, self._plan, RECORDER)
        self._stop = Stop(self._plan, self._workers, fork_recorder)
        self._stop.begin()

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
                    self._workers.retire(worker)
                else:
                    self._reloading.add(worker.pid)
                    self._workers.order(worker, "reload")
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
            self._workers.retire(worker)
            self._begin_again(worker.slot)
        if not self._reloading:
            log.info("configuration.reloaded", workers="kept")
            systemd.notify("READY=1")

    def _use_next(self, plan: Plan) -> None:
        """Let those workers go on that are ready with the new configuration; stop the others."""
        self._plan, self._next = plan, None
        self._restarts.clear()
        for worker in self._workers:
            if worker.plan is not self._plan:
                self._workers.retire(worker)
        self._use_sockets(self._sockets, self._sockets)
        log.info("configuration.reloaded", workers="replaced")
        systemd.notify("READY=1")

    def _give_up_next(self, why: str) -> None:
        """Go on with the workers that there are, as those that were to replace them failed."""
        plan, self._next = self._next, None
        for worker in self._workers:
            if worker.plan is plan:
                self._workers.kill(worker)
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
        elif self._stop is None:
            log.info("program.replaced", workers=len(self._workers))
            workers = {worker.pid: worker.control for worker in self._workers}
            handover = Handover(sockets=self._sockets, workers=workers, past=self._past)
            replace_program(handover, CAUGHT)
        systemd.notify("READY=1")

    # Workers

    def _answer(self, path: str) -> Answer | None:
        own = () if self._stop is not None else self._list_own()
        return answer_status(path, self._plan, own, self._workers, self._past)

    def _list_own(self) -> list[Worker]:
        """List the workers that are to stay."""
        return [
            each
            for each in self._workers
            if not each.is_former and each.plan is not self._next and each.ends_by is None
        ]

    def _fork(self, plan: Plan, slot: int) -> Worker:
        return self._workers.fork(plan, slot, self._sockets)

    def _fork_workers(self, plan: Plan) -> None:
        for slot in range(plan.workers):
            self._fork(plan, slot)
        if plan.record is not None:
            self._fork(plan, RECORDER)

    def _begin_again(self, slot: int) -> None:
        """Fork a worker of the plan in use; later, if the system has no room for one now."""
        if self._stop is not None:
            return
        try:
            self._fork(self._plan, slot)
        except OSError as error:
            log.error("worker.not_started", slot=slot, why=_explain_no_start(error))  # noqa: TRY400 - not ours
            self._restarts.postpone(slot)

    def _release(self) -> None:
        """Let go of all that is the supervisor's alone, in a worker."""
        self._signals.release()
        self._selector.close()
        self._status.close_inherited()

    def _note_report(self, worker: Worker, report: dict[str, Any]) -> None:
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
        if any(each.plan is plan and not each.is_ready for each in self._workers):
            return
        if self._stop is not None:
            return
        if plan is self._next:
            self._use_next(plan)
        elif not self._is_up:
            self._is_up = True
            self._plan.announce(self._sockets)
            for each in self._workers:
                if each.is_former:
                    self._workers.retire(each)
            systemd.notify("READY=1")

    def _note_ends(self) -> None:
        for pid, code in _reap_children():
            worker = self._workers.take(pid)
            if pid == self._rehearsal:
                self._rehearsal = None
                self._replace_program(code)
            elif worker is not None:
                self._note_end(worker, code)

    def _note_end(self, worker: Worker, code: int) -> None:
        self._past.add(worker.figures, is_over=True)
        if worker.pid in self._reloading:
            self._note_reloaded(worker, is_done=True)
        if self._stop is not None:
            self._stop.note_end(worker, code)
        role = "recorder" if worker.is_recorder else "worker"
        if worker.ends_by is not None or worker.is_former:
            log.info("worker.stopped", pid=worker.pid, code=code, role=role)
            return
        log.error("worker.died", pid=worker.pid, code=code, role=role)
        self._past.add(Figures(counters={"workers.died": 1}))
        failure = worker.failure or f"{worker.plan.name}: {_explain_early_end(code)}"
        if worker.plan is self._next:
            self._give_up_next(failure)
        elif self._stop is not None:
            pass
        elif not self._is_up and not self._may_start_again(worker, code):
            self._failure = failure
            self._begin_stop()
        else:
            self._restarts.note_death(worker)

    def _may_start_again(self, worker: Worker, code: int) -> bool:
        # The workers of the program that was here before go on meanwhile.
        has_former = any(each.is_former for each in self._workers)
        return has_former or self._restarts.allow_start(worker, code)

    # Time

    def _check_times(self) -> None:
        self._status.check_times()
        self._workers.kill_late()
        for slot in self._restarts.take_due():
            self._begin_again(slot)
        seconds = self._watchdog_seconds
        if seconds and any(each.is_heard(seconds / 2) for each in self._list_own()):
            systemd.notify("WATCHDOG=1")


def _reap_children() -> Iterator[tuple[int, int]]:
    """Give the process number and exit code of each child that has ended."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, os.waitstatus_to_exitcode(status)


def _explain_no_start(error: OSError) -> str:
    return f"a worker can't be started: {describe_os_error(error)}"


def _explain_early_end(code: int) -> str:
    if code >= 0:
        return f"a worker ended with {code} before it was ready; its error is above"
    return (
        f"a worker was ended by signal {-code} before it was ready, time after time; the kernel's "
        "log says whether it lacked memory"
    )
