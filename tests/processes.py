"""`msys-track` as a process of its own: what it prints and logs, and signals to it."""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

_LISTENS = re.compile(r"listens on \S+:(\d+)")
_SECONDS = 20


class Server:
    """A running `msys-track proxy` or `tracker`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._changed = asyncio.Condition()
        self._readers: list[asyncio.Task[None]] = []
        self.printed: list[str] = []
        self.errors: list[str] = []
        """What it wrote to standard error, line by line."""

    @property
    def logged(self) -> list[dict[str, Any]]:
        """Its log so far: one JSON object a line."""
        return [json.loads(line) for line in self.errors if line.startswith("{")]

    @property
    def ports(self) -> list[int]:
        return [int(found[1]) for line in self.printed if (found := _LISTENS.search(line))]

    @property
    def port(self) -> int:
        return self.ports[0]

    def begin(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        loop = asyncio.get_running_loop()
        self._readers = [
            loop.create_task(self._read(self._process.stdout, self.printed)),
            loop.create_task(self._read(self._process.stderr, self.errors)),
        ]

    async def event(self, name: str, count: int = 1) -> dict[str, Any]:
        """Wait until an event was logged so many times; the last of them."""
        found: list[dict[str, Any]] = []

        def is_there() -> bool:
            found[:] = [each for each in self.logged if each["event"] == name]
            return len(found) >= count

        await self._until(is_there)
        return found[count - 1]

    async def listening(self, listeners: int = 1) -> None:
        await self._until(lambda: len(self.ports) >= listeners)

    def hang_up(self) -> None:
        self._process.send_signal(signal.SIGHUP)

    async def end(self) -> int:
        """Send SIGTERM; the exit code."""
        if self._process.returncode is None:
            self._process.terminate()
        async with asyncio.timeout(_SECONDS):
            code = await self._process.wait()
            await asyncio.gather(*self._readers)
        return code

    async def _read(self, stream: asyncio.StreamReader, lines: list[str]) -> None:
        while line := await stream.readline():
            async with self._changed:
                lines.append(line.decode().removesuffix("\n"))
                self._changed.notify_all()

    async def _until(self, is_there: Any) -> None:
        try:
            async with asyncio.timeout(_SECONDS), self._changed:
                await self._changed.wait_for(is_there)
        except TimeoutError:
            told = "\n".join([*self.printed, *self.errors])
            raise AssertionError(f"it never came; all that there was:\n{told}") from None


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """Return ours without what would set options, and with some more."""
    kept = {name: value for name, value in os.environ.items() if "MSYS_TRACK" not in name}
    return {**kept, **more}


@contextlib.asynccontextmanager
async def running(
    *arguments: str | Path, listeners: int = 1, **variables: str
) -> AsyncIterator[Server]:
    """Run a server until the block ends; it must end well."""
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("msys-track")),
        *map(str, arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(variables),
        limit=2**24,
    )
    server = Server(process)
    server.begin()
    try:
        await server.listening(listeners)
        yield server
    finally:
        code = await server.end()
    assert code == 0, server.errors
    assert not any("Traceback" in line for line in server.errors), server.errors
