"""`msys-track` as users have it: real processes, what they print and log, signals to them."""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

from tests import nursery
from tests.thoroughness import IS_THOROUGH

COMMAND = str(nursery.COMMAND)
PATIENCE_SECONDS = 60
ProgramEnded: TypeAlias = subprocess.CompletedProcess[str]
_LISTENS = re.compile(r"listens on \S+:(\d+)")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended; it showed no stack trace."""

    code: int
    output: bytes
    errors: str

    def __post_init__(self) -> None:
        assert "Traceback" not in self.errors, self.errors

    @property
    def logged(self) -> list[dict[str, Any]]:
        """Its log: one JSON object a line."""
        return [json.loads(line) for line in self.errors.splitlines() if line.startswith("{")]


def environment(variables: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give the environment of the tests without what would set options, and with some more."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name == "PYTHONPATH" or not name.startswith(("MSYS_TRACK_", "PYTHON"))
    }
    return kept | dict(variables or {})


_IS_MEASURED = any(name.startswith("COVERAGE_") for name in os.environ)


def _has_nursery() -> bool:
    """Whether commands are forked off: elsewhere, and where it matters, each starts cold."""
    return not (IS_THOROUGH or _IS_MEASURED) and hasattr(os, "pidfd_open")


def find_command_of_shells() -> str:
    """Return the file that a shell shall run as `msys-track`: the nursery's if there is one."""
    if not _has_nursery():
        return COMMAND
    nursery.open_for_shells()
    return str(nursery.FOLDER / nursery.COMMAND.name)


def start_process(  # noqa: PLR0913 - as Popen takes them
    command: Sequence[str],
    *,
    stdin: int,
    stdout: int | IO[bytes],
    stderr: int | IO[bytes],
    cwd: Path,
    env: Mapping[str, str],
    pass_fds: Sequence[int] = (),
) -> "subprocess.Popen[bytes] | nursery.Process":
    """Start a process; `msys-track` itself is forked off one that has imported it already."""
    is_as_here = all(
        os.environ.get(name) == value
        for name, value in env.items()
        if name.startswith(nursery.OF_INTERPRETERS)
    )
    start: Any = subprocess.Popen
    if command[0] == COMMAND and is_as_here and _has_nursery():
        start = nursery.Process
    if tuple(command[:2]) == SHELL:
        find_command_of_shells()
    return start(  # type: ignore[no-any-return]
        command, stdin=stdin, stdout=stdout, stderr=stderr, cwd=cwd, env=env, pass_fds=pass_fds
    )


def run(
    folder: Path,
    *arguments: str | Path,
    given: bytes = b"",
    env: Mapping[str, str] | None = None,
    command: Sequence[str] = (COMMAND,),
) -> Ended:
    """Run a command to its end."""
    process = start_process(
        [*command, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        env=environment(env),
    )
    try:
        output, errors = process.communicate(given, timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
        process.wait()
    return Ended(process.wait(), output, errors.decode("utf-8"))


def run_program(program: str, folder: Path | None = None) -> ProgramEnded:
    """Run a program in Python to its end, as a process that this one knows nothing of.

    It may find the package imported already (tests/nursery.py).
    """
    command = [sys.executable, "-c", program]
    start: Any = nursery.Process if _has_nursery() else subprocess.Popen
    process = start(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder or Path.cwd(),
        env=environment(),
    )
    output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    return ProgramEnded(command, process.wait(), output.decode("utf-8"), errors.decode("utf-8"))


# A shell runs a line in which `msys-track` is our command.
SHELL = ("/bin/sh", "-c")
SHELL_VARIABLES = {
    "PATH": os.pathsep.join([str(nursery.FOLDER), str(nursery.COMMAND.parent), os.environ["PATH"]])
}


def shell(folder: Path, line: str) -> Ended:
    """Let a shell run a line to its end."""
    return run(folder, line, command=SHELL, env=SHELL_VARIABLES)


class Server:
    """A process that runs until it is stopped; what it writes is read as it comes."""

    def __init__(
        self,
        folder: Path,
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        command: Sequence[str] = (COMMAND,),
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.process = start_process(
            [*command, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=environment(env),
            pass_fds=pass_fds,
        )
        self._changed = threading.Condition()
        self._output: list[bytes] = []
        self._errors: list[bytes] = []
        self._open_pipes = 2
        pipes = ((self.process.stdout, self._output), (self.process.stderr, self._errors))
        self._readers = [
            threading.Thread(target=self._read, args=each, daemon=True) for each in pipes
        ]
        for reader in self._readers:
            reader.start()

    @property
    def printed(self) -> list[str]:
        """Its lines on standard output so far."""
        return b"".join(self._output).decode("utf-8").splitlines()

    @property
    def logged(self) -> list[dict[str, Any]]:
        """Its log so far: one JSON object a line."""
        return [json.loads(line) for line in self._errors if line.startswith(b"{")]

    @property
    def ports(self) -> list[int]:
        return [int(found[1]) for line in self.printed if (found := _LISTENS.search(line))]

    @property
    def port(self) -> int:
        return self.ports[0]

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until something that it writes makes it so; the process must not end before."""
        with self._changed:
            self._changed.wait_for(lambda: condition() or self._open_pipes == 0, PATIENCE_SECONDS)
        everything = b"".join([*self._output, *self._errors]).decode("utf-8")
        assert condition(), f"it never came; all that there was:\n{everything}"

    def event(self, name: str, count: int = 1) -> dict[str, Any]:
        """Wait until an event was logged so many times; the last of them."""
        found: list[dict[str, Any]] = []
        seen = 0

        def is_there() -> bool:
            # A busy server logs much: each line is read once, not again with each that follows.
            nonlocal seen
            lines = self._errors[seen:]
            seen += len(lines)
            logged = [json.loads(line) for line in lines if line.startswith(b"{")]
            found.extend(each for each in logged if each["event"] == name)
            return len(found) >= count

        self.until(is_there)
        return found[count - 1]

    def line(self, begin: str) -> str:
        """Wait for a printed line that begins so."""
        self.until(lambda: any(each.startswith(begin) for each in self.printed))
        return next(each for each in self.printed if each.startswith(begin))

    def listening(self, listeners: int = 1) -> "Server":
        self.until(lambda: len(self.ports) >= listeners)
        return self

    def hang_up(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def stop(self, number: int = signal.SIGTERM) -> Ended:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_SECONDS)
        for reader in self._readers:
            reader.join()
        return Ended(code, b"".join(self._output), b"".join(self._errors).decode("utf-8"))

    def kill(self) -> None:
        if _IS_MEASURED:  # what is killed tells nothing of the lines that it has reached
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE_SECONDS)
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join()

    def _read(self, pipe: IO[bytes], lines: list[bytes]) -> None:
        with pipe:
            for line in pipe:
                with self._changed:
                    lines.append(line)
                    self._changed.notify_all()
        with self._changed:
            self._open_pipes -= 1
            self._changed.notify_all()


# Fixtures do either in the test's folder.
Run: TypeAlias = Callable[..., Ended]
Start: TypeAlias = Callable[..., Server]


@contextlib.asynccontextmanager
async def running(
    *arguments: str | Path, listeners: int = 1, **variables: str
) -> AsyncIterator[Server]:
    """Run a server until the block ends; it must end well."""
    server = Server(Path.cwd(), *arguments, env=variables)
    try:
        yield await asyncio.to_thread(server.listening, listeners)
        ended = await asyncio.to_thread(server.stop)
    finally:
        await asyncio.to_thread(server.kill)
    assert ended.code == 0, ended.errors
