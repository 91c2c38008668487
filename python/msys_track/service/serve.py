"""All servers of one configuration in one process tree: each has its own supervisor.

The process at the top starts them, passes signals on, begins one again that died, and stops them
in order. It reads no mail and no request, so that there is little that could end it.
"""

import asyncio
import os
import signal
import socket
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Final

from msys_track.errors import SettingsError
from msys_track.logs import event_logger
from msys_track.supervision import systemd
from msys_track.supervision.signal_queue import PARENT_VARIABLE

log = event_logger(__name__)

START_ORDER: Final = ("tracker", "report", "proxy")
"""Links are answered before mail with links goes out; they stop in the other order."""

_STABLE_SECONDS: Final = 10.0
_FIRST_PAUSE_SECONDS: Final = 0.5
_LAST_PAUSE_SECONDS: Final = 30.0
_WATCHDOG_SHARE: Final = 0.5
_MESSAGE_BYTES: Final = 4_096


class ServerProcess:
    """One server: its supervisor's process, which says over a socket when it is ready.

    Args:
        name: As in its command.
        arguments: Start it.
        folder: Where its socket is.
        parent_pipe: Ends when we do.
    """

    def __init__(
        self, name: str, arguments: Sequence[str], folder: Path, parent_pipe: int
    ) -> None:
        self.name = name
        self.is_up = asyncio.Event()
        self.heard_at = 0.0
        self.failure_code: int | None = None
        self._arguments = arguments
        self._parent_pipe = parent_pipe
        self._path = folder / name
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._path))
        self._socket.setblocking(False)  # noqa: FBT003 - the standard library's
        self._process: asyncio.subprocess.Process | None = None
        self._is_ready = False
        self._stopping = asyncio.Event()
        self._waiting: list[int] = []

    async def run(self) -> None:
        """Keep it running until it is stopped, or until it could not start at all."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._socket, self._hear)
        pause = _FIRST_PAUSE_SECONDS
        try:
            while not self._stopping.is_set():
                started_at = loop.time()
                self._is_ready = False
                code = await self._run_once()
                if self._stopping.is_set():
                    return
                if not self.is_up.is_set():
                    self.failure_code = code
                    return
                if loop.time() - started_at >= _STABLE_SECONDS:
                    pause = _FIRST_PAUSE_SECONDS
                log.error("server.died", server=self.name, code=code, again_in_seconds=pause)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), pause)
                pause = min(2 * pause, _LAST_PAUSE_SECONDS)
        finally:
            loop.remove_reader(self._socket)
            self._socket.close()

    def pass_on(self, number: int) -> None:
        """Send a signal to it, as soon as it can take one."""
        if self._is_ready:
            self._send(number)
        elif number not in self._waiting:
            self._waiting.append(number)

    def stop(self) -> None:
        """Let it end in its own time."""
        self._stopping.set()
        self._send(signal.SIGTERM)

    def hurry(self) -> None:
        """Let it end at once: its second SIGTERM says so."""
        self._send(signal.SIGTERM)

    def _send(self, number: int) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _run_once(self) -> int:
        """Run it to its end; return its code, 1 where the system gives no process for it."""
        try:
            self._process = await self._start()
        except OSError as error:
            log.error("server.no_process", server=self.name, why=str(error))  # noqa: TRY400 - not ours
            return 1
        if self._stopping.is_set():  # while it was made
            self._send(signal.SIGTERM)
        return await self._process.wait()

    async def _start(self) -> asyncio.subprocess.Process:
        environment = {
            **os.environ,
            "NOTIFY_SOCKET": str(self._path),
            PARENT_VARIABLE: str(self._parent_pipe),
        }
        environment.pop("WATCHDOG_PID", None)
        return await asyncio.create_subprocess_exec(
            *self._arguments,
            env=environment,
            pass_fds=(self._parent_pipe,),
            # A terminal's Ctrl-C is for us alone, who stop them in order.
            start_new_session=True,
        )

    def _hear(self) -> None:
        with suppress(OSError):
            states = self._socket.recv(_MESSAGE_BYTES).split(b"\n")
            self.heard_at = asyncio.get_running_loop().time()
            if b"READY=1" in states:
                self._is_ready = True
                self.is_up.set()
                while self._waiting:
                    self._send(self._waiting.pop(0))


async def serve_all(commands: Sequence[tuple[str, Sequence[str]]]) -> int:
    """Run servers until SIGTERM or SIGINT; return the exit code.

    Args:
        commands: The name and the command line of each, in the order in which they start.

    Raises:
        SettingsError: the system gives no pipe or socket.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    async with AsyncExitStack() as ends:
        try:
            folder = ends.enter_context(tempfile.TemporaryDirectory(prefix="msys-track-"))
            reader, writer = os.pipe()
            ends.callback(os.close, reader)
            ends.callback(os.close, writer)
            servers = [
                ServerProcess(name, arguments, Path(folder), reader)
                for name, arguments in commands
            ]
        except OSError as error:
            raise SettingsError(f"the servers can't be started: {error}") from error

        running: dict[ServerProcess, asyncio.Task[None]] = {}

        def on_stop() -> None:
            if stop.is_set():  # the second time: at once
                for server in running:
                    server.hurry()
            stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_stop)
        for number in (signal.SIGHUP, signal.SIGUSR2):
            loop.add_signal_handler(number, _pass_on, servers, number)
        code = await _start_in_order(servers, running, stop)
        if code is None:
            systemd.notify("READY=1")
            watching = loop.create_task(_feed_watchdog(servers))
            await stop.wait()
            watching.cancel()
            code = 0
        log.info("servers.stopping")
        systemd.notify("STOPPING=1")
        for server in reversed(servers):
            if server in running:
                server.stop()
                await running[server]
    return code


async def _start_in_order(
    servers: Sequence[ServerProcess],
    running: dict[ServerProcess, asyncio.Task[None]],
    stop: asyncio.Event,
) -> int | None:
    """Start one after the other; return the exit code of one that could not, if one could not."""
    loop = asyncio.get_running_loop()
    stopped = loop.create_task(stop.wait())
    for server in servers:
        running[server] = loop.create_task(server.run(), name=server.name)
        ready = loop.create_task(server.is_up.wait())
        await asyncio.wait([ready, running[server], stopped], return_when=asyncio.FIRST_COMPLETED)
        ready.cancel()
        if stop.is_set():
            return 0
        if running[server].done():
            running[server].result()
            log.error("server.not_started", server=server.name, hint="its error is above")
            return server.failure_code or 1
    stopped.cancel()
    return None


def _pass_on(servers: Sequence[ServerProcess], number: int) -> None:
    for server in servers:
        server.pass_on(number)


async def _feed_watchdog(servers: Sequence[ServerProcess]) -> None:
    """Tell systemd that all is well while every server says so."""
    seconds = systemd.watchdog_seconds()
    if not seconds:
        return
    while True:
        now = asyncio.get_running_loop().time()
        if all(now - server.heard_at < seconds for server in servers):
            systemd.notify("WATCHDOG=1")
        await asyncio.sleep(_WATCHDOG_SHARE * seconds / 2)
