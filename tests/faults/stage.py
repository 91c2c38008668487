"""A proxy and its upstream as real processes that a test kills, starves and starts again."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self

from tests import nursery, process_tree
from tests.faults.account import Account, draw_account, read_journal
from tests.faults.load import Clients
from tests.faults.mails import TRACKING_DOMAIN
from tests.ports import find_free_ports
from tests.processes import COMMAND, environment, start_process

from msys_track import KeyRing
from msys_track.keys.file import create

_PATIENCE_SECONDS = 60
_SETTLE_SECONDS = 60
_POLL_SECONDS = 0.02
_SPOOL_POLL_SECONDS = 1
_LOG_CHARACTERS = 4_000

_CONFIGURATION = """\
keys = "keys.toml"
[listener]
open_tracking_enabled = true
click_tracking_enabled = true
tracking_domain = "{domain}"
[proxy]
listen = "127.0.0.1:{port}"
upstream = "127.0.0.1:{upstream}"
upstream_connect_timeout_seconds = 2
{settings}
"""


# What remains of a mail is kept, and goes out soon.
SPOOL = """\
[spool]
mode = "partial"
path = "spool"
first_retry_seconds = 1
last_retry_seconds = 2
"""


class Child:
    """A process that is started again at will; what it writes is appended to a file."""

    def __init__(
        self,
        name: str,
        folder: Path,
        port: int,
        command: Sequence[str | Path],
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.port = port
        self.log = folder / f"{name}.log"
        self._folder = folder
        self._command = command
        self._env = env
        self._process: subprocess.Popen[bytes] | nursery.Process | None = None
        self.kills: list[float] = []
        """When a worker was killed, as the journal's clock has it."""

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def workers(self) -> list[int]:
        return process_tree.children(self.pid)

    async def start(self, *more: str) -> None:
        """Start it and wait until it greets."""
        with self.log.open("ab") as log:
            self._process = start_process(
                [*map(str, self._command), *more],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env=environment(self._env),
            )
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not await self._greets():
            assert self._process.poll() is None, self.written
            assert time.monotonic() < deadline, f"it does not greet: {self.written}"
            await asyncio.sleep(_POLL_SECONDS)

    @property
    def written(self) -> str:
        """The end of what it has written."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-_LOG_CHARACTERS:]

    async def kill(self) -> None:
        """End it as a crash does, and wait until its workers are gone too."""
        assert self._process is not None
        workers = self.workers
        self._process.kill()
        await asyncio.to_thread(self._process.wait)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while any(map(process_tree.is_alive, workers)):
            assert time.monotonic() < deadline, f"workers outlive their supervisor: {workers}"
            await asyncio.sleep(_POLL_SECONDS)

    def kill_worker(self, random: Random) -> None:
        """Kill one of its workers, if it has any just now."""
        if not (workers := self.workers):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(random.choice(workers), signal.SIGKILL)
            self.kills.append(time.time())

    async def stop(self) -> int:
        """Ask it to end; return its exit code."""
        assert self._process is not None
        self._process.terminate()
        return await asyncio.to_thread(self._process.wait, _PATIENCE_SECONDS)

    def clear_away(self) -> None:
        """End it with its workers if it still runs, and wait until all have ended.

        The supervisor first, which would start others in their place; a worker that outlived it
        would go on to hold the port.
        """
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(
            signal.SIGSTOP
        )  # it starts no worker after those that are listed
        workers = self.workers
        self._process.kill()
        self._process.wait()
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.kills.append(time.time())
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while any(map(process_tree.is_alive, workers)):
            assert time.monotonic() < deadline, f"workers outlive their supervisor: {workers}"
            time.sleep(_POLL_SECONDS)

    async def _greets(self) -> bool:
        # A supervisor listens before its workers take anybody.
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return (await reader.readline()).startswith(b"220")
        except (TimeoutError, ConnectionError):
            return False
        finally:
            writer.close()


class Stage:
    """Proxy, upstream, keys and journal in one folder; use it as a context."""

    def __init__(
        self,
        folder: Path,
        *settings: str,
        seed: int = 1,
        connections: int = 10,
        proxy_command: Sequence[str] = (COMMAND, "proxy", "--config", "proxy.toml"),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self._has_spool = any("[spool]" in each for each in settings)
        port, upstream = find_free_ports(2)
        text = _CONFIGURATION.format(
            domain=TRACKING_DOMAIN, port=port, upstream=upstream, settings="\n".join(settings)
        )
        (folder / "proxy.toml").write_text(text, encoding="utf-8")
        create(str(folder / "keys.toml"))
        self.journal = folder / "journal"
        self.journal.touch()
        self.proxy = Child("proxy", folder, port, proxy_command, env)
        root = Path(__file__).parents[2]
        self.upstream = Child(
            "sink",
            folder,
            upstream,
            (sys.executable, "-m", "tests.faults.sink", str(upstream), self.journal),
            {"PYTHONPATH": os.pathsep.join((str(root), os.environ.get("PYTHONPATH", "")))},
        )
        self.clients = Clients(port, connections=connections, seed=seed)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.proxy.clear_away()
        self.upstream.clear_away()

    async def start(self, *faults: str) -> None:
        """Start everything; the upstream fails as it is told."""
        await asyncio.gather(self.upstream.start(*faults), self.proxy.start())
        self.clients.start()

    async def until_accepted(self, more: int) -> None:
        """Let the clients go on until so many mails more were accepted or refused for good."""
        target = self.clients.accepted + more
        deadline = time.monotonic() + _SETTLE_SECONDS
        while self.clients.accepted < target:
            assert time.monotonic() < deadline, f"mail stands still: {self.proxy.written}"
            await asyncio.sleep(_POLL_SECONDS)

    async def settle(self) -> Account:
        """Let every mail end with nothing failing any more; stop, and draw the account.

        What the spool has is waited for: it counts when it has arrived.
        """
        await self.clients.settle(_SETTLE_SECONDS)
        deadline = time.monotonic() + _SETTLE_SECONDS
        while self._draw_account().lost and time.monotonic() < deadline:  # noqa: ASYNC110 - no event
            await asyncio.sleep(_SPOOL_POLL_SECONDS)
        code = await self.proxy.stop()
        assert code == 0, self.proxy.written
        await self.upstream.kill()
        return self._draw_account()

    def _draw_account(self) -> Account:
        keys = KeyRing.load(str(self.folder / "keys.toml"))
        journal = read_journal(self.journal)
        return draw_account(
            self.clients.sent,
            journal,
            keys,
            has_spool=self._has_spool,
            kills=self.proxy.kills,
        )
