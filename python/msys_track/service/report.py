"""The report from a configuration: its one worker, which reads the store and the files it names.

One, since sessions are in its memory: nobody is logged in elsewhere, and an end is an end.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msys_track import logs
from msys_track.accounts.users import User, Users, read_users
from msys_track.config import checking
from msys_track.config.configuration import Configuration
from msys_track.config.problems import ConfigurationError
from msys_track.errors import SettingsError, TrackingError, UsersError
from msys_track.extras import needed_extra
from msys_track.logs import event_logger
from msys_track.metrics import REPORT, Counters, Figures
from msys_track.report.settings import ReportSettings
from msys_track.service.assembly import read_configuration
from msys_track.settings.certificate import Certificate
from msys_track.settings.watched import Watched
from msys_track.smtp.address import Address
from msys_track.supervision import loop
from msys_track.supervision.channel import take_orders
from msys_track.supervision.sockets import Sockets
from msys_track.supervision.supervisor import Supervisor
from msys_track.supervision.worker import Plan

if TYPE_CHECKING:
    from starlette.applications import Starlette

log = event_logger(__name__)

_BEAT_SECONDS: Final = 1.0
_LOOKS_AT_FILES_EVERY_BEATS: Final = 5
_HANG_SECONDS: Final = 60.0
_COUNTED: Final = ("report.requests", "report.logins", "report.failures")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedReport:
    """A configuration with a report, and where it finds what it shows.

    Attributes:
        read: The whole configuration.
        settings: The report's.
        store: What it shows.
        users: Who may log in; None: nobody, there are only read APIs.
    """

    read: Configuration
    settings: ReportSettings
    store: Path
    users: Path | None


def load_report(path: Path) -> LoadedReport | None:
    """Read what a report needs; None if the configuration has none.

    Raises:
        SettingsError: every fault of it, or users or a certificate that can't be used.
    """
    read = read_configuration(path, "report")
    if read.report is None or read.report_store is None:
        return None
    _check_extra()
    problems = list(checking.check_report_files(read.document, read.report))
    users = read.report_users
    if users is None and read.report.api_keys is None:
        hint = 'write it as in users = "users.toml"; `msys-track users add users.toml NAME` makes'
        text = f"nobody could log in; {hint} the file"
        problems.append(read.document.problem(("report", "users"), text))
    if problems:
        raise ConfigurationError(read.path, problems)
    if users is not None:
        _read_users(users)
    return LoadedReport(read=read, settings=read.report, store=read.report_store, users=users)


def plan_report(
    loaded: LoadedReport,
    load_again: Callable[[], LoadedReport | None],
    announce: Callable[[str], None],
) -> Plan:
    """Make the plan of a report: what its supervisor is to run."""
    read, settings = loaded.read, loaded.settings
    status = read.metrics.report_listen

    def announce_address(sockets: Sockets) -> None:
        sockname = Address(*sockets[settings.listen][0].getsockname()[:2])
        scheme = "http" if settings.tls_certificate is None else "https"
        announce(f"report listens on {scheme}://{sockname}, shows {loaded.store}")

    def serve(control: socket.socket, sockets: Sockets) -> None:
        with loop.make_runner() as runner:
            runner.run(serve_worker(loaded, load_again, control, sockets))

    return Plan(
        name="report",
        workers=1,
        addresses=(settings.listen,),
        drain_seconds=settings.close_timeout_seconds,
        hang_seconds=_HANG_SECONDS,
        status_addresses=(status,) if status else (),
        catalogue=REPORT,
        why_unready="the store is not there",
        settings=(settings, loaded.store, loaded.users, read.metrics),
        serve=serve,
        announce=announce_address,
    )


def supervise_report(
    loaded: LoadedReport,
    load_again: Callable[[], LoadedReport | None],
    announce: Callable[[str], None],
) -> None:
    """Show the store until SIGTERM or SIGINT.

    Args:
        loaded: What to begin with.
        load_again: Reads the configuration again at SIGHUP; None if it has faults.
        announce: Is called with a line that says where it listens.

    Raises:
        SettingsError: it can't listen on its address, or its worker can't start.
    """

    def plan_again() -> Plan | None:
        again = load_again()
        return None if again is None else plan_report(again, load_again, announce)

    Supervisor(plan_report(loaded, load_again, announce), plan_again).run()


async def serve_worker(
    loaded: LoadedReport,
    load_again: Callable[[], LoadedReport | None],
    control: socket.socket,
    sockets: Sockets,
) -> None:
    """Answer on these sockets until the supervisor, or SIGTERM, says to stop.

    Args:
        loaded: The configuration.
        load_again: Reads it again; None if it has faults.
        control: The channel to the supervisor.
        sockets: Where to listen.

    Raises:
        TrackingError: it can't start; the supervisor knows why.
    """
    from msys_track.report.server import ReportServer  # noqa: PLC0415 - an extra

    running_loop = asyncio.get_running_loop()
    channel, orders = await take_orders(control)
    counters = Counters(_COUNTED)
    settings = loaded.settings

    async with AsyncExitStack() as ends:
        ends.callback(channel.close)
        try:
            files = _Files(loaded)
            app = _make_app(loaded, files.users, counters)
            server = ReportServer(app, settings, files.certificate)
        except TrackingError as error:
            channel.report(failed=str(error))
            raise
        ends.callback(files.users.close)

        def report_figures() -> None:
            gauges = {
                "report.sessions": len(app.state.door.sessions),
                "report.watchers": app.state.live.watchers,
                "ready": loaded.store.is_file(),
            }
            counts = {**counters.snapshot(), "log.dropped": logs.count_dropped_lines()}
            channel.report(figures=Figures(counts, gauges).as_json())

        beats = 0

        def beat() -> None:
            nonlocal beats
            beats += 1
            if beats % _LOOKS_AT_FILES_EVERY_BEATS == 0:
                files.look()
            report_figures()
            running_loop.call_later(_BEAT_SECONDS, beat)

        ends.callback(report_figures)
        running = running_loop.create_task(server.run(sockets[settings.listen]))
        running.add_done_callback(lambda _: orders.put_nowait("stop"))
        await server.wait_until_started()
        channel.report(ready=True)
        beat()
        while await orders.get() == "reload":
            again = load_again()
            if again is not None:
                files.look()
            channel.report(reloaded=again is not None)
        server.stop()
        await running


class _Files:
    """The users and the certificate of a report, read again when they change.

    Raises:
        SettingsError: a file can't be used.
    """

    def __init__(self, loaded: LoadedReport) -> None:
        settings, file = loaded.settings, loaded.users
        self.certificate = (
            None
            if settings.tls_certificate is None
            else Certificate(settings.tls_certificate, settings.tls_key)
        )
        self._watched = None if file is None else Watched((file,), partial(_read_users, file))
        self._is_bad = False
        self.users = Users(self._watched.value if self._watched is not None else ())

    def look(self) -> None:
        """Read the files again if they have changed; what can't be used is logged once."""
        if self.certificate is not None:
            self.certificate.look()
        if self._watched is None:
            return
        file = str(self._watched.files[0])
        try:
            if self._watched.reload_if_changed():
                self.users.replace(self._watched.value)
                log.info("file.reloaded", file=file)
        except SettingsError as error:
            if not self._is_bad:
                log.error("file.not_reloaded", file=file, why=str(error))  # noqa: TRY400 - not ours
            self._is_bad = True
        else:
            self._is_bad = False


def _make_app(loaded: LoadedReport, users: Users, counters: Counters) -> "Starlette":
    # Extras: commands without a report run without them.
    from msys_track.report.app import make_app  # noqa: PLC0415
    from msys_track.report.routes import APIS, PAGES  # noqa: PLC0415

    return make_app(
        loaded.settings,
        loaded.store,
        PAGES,
        apis=APIS,
        users=users,
        kept_mail=loaded.read.kept_mail.folder,
        count=counters.add,
    )


def _check_extra() -> None:
    with needed_extra("report", "the report"):
        import jinja2  # noqa: F401, PLC0415
        import starlette  # noqa: F401, PLC0415
        import uvicorn  # noqa: F401, PLC0415


def _read_users(file: Path) -> Sequence[User]:
    try:
        return read_users(file)
    except UsersError as error:
        raise SettingsError(str(error)) from error
