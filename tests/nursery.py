"""Processes of `msys-track` that need not import it: they are forked off one that has.

So are programs in Python that tests write (`python -c`).

Importing takes most of a short command's time. A process of the nursery is one as any other: its
own arguments, environment, folder, descriptors, signals and exit code. What a cold start alone
shows is for `make test-thorough`, where every command has one, and for the tests that start
commands by a shell.

Run as a program, this file is the process that the others are forked off. It ends with the
process that started it.
"""

import atexit
import contextlib
import gc
import importlib
import io
import json
import os
import pkgutil
import resource
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import types
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Final

PIPE: Final = subprocess.PIPE
DEVNULL: Final = subprocess.DEVNULL
COMMAND: Final = Path(sys.executable).with_name("msys-track")
FOLDER: Final = Path(tempfile.gettempdir(), f"msys-track-nursery-{os.getpid()}")
"""Where shells find a command that the nursery does, while there is one."""
OF_INTERPRETERS: Final = ("PYTHON", "LC_", "LANG", "LD_")
"""How variables begin that an interpreter reads as it starts, before it runs anything."""
_STANDARD: Final = (0, 1, 2)
_MOST_BYTES: Final = 1 << 20
_MOST_DESCRIPTORS: Final = 64


@dataclass(frozen=True, slots=True)
class _Start:
    """What a process is started with; its descriptors come beside it, standard ones first."""

    arguments: list[str]
    folder: str
    environment: dict[str, str]
    numbers: list[int]
    umask: int | None = None
    limits: dict[str, tuple[int, int]] = field(default_factory=dict)


class Process:
    """A process of the nursery, with what tests use of `subprocess.Popen`."""

    def __init__(  # noqa: PLR0913 - as Popen takes them
        self,
        arguments: Sequence[str],
        *,
        stdin: int | IO[bytes],
        stdout: int | IO[bytes],
        stderr: int | IO[bytes],
        cwd: Path,
        env: Mapping[str, str],
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.returncode: int | None = None
        self._ending = threading.Lock()
        with contextlib.ExitStack() as theirs:

            def connect(given: int | IO[bytes], *, is_read: bool) -> tuple[int, IO[bytes] | None]:
                if not isinstance(given, int):
                    return given.fileno(), None
                if given != PIPE:
                    assert given == DEVNULL
                    number = os.open(os.devnull, os.O_RDWR)
                    theirs.callback(os.close, number)
                    return number, None
                reading, writing = os.pipe()
                number, own = (reading, writing) if is_read else (writing, reading)
                theirs.callback(os.close, number)
                return number, open(own, "wb" if is_read else "rb")  # noqa: PTH123

            (taken, self.stdin), (printed, self.stdout), (told, self.stderr) = (
                connect(stdin, is_read=True),
                connect(stdout, is_read=False),
                connect(stderr, is_read=False),
            )
            self._status, reported = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            theirs.callback(reported.close)
            start = _Start(
                arguments=list(arguments),
                folder=os.fspath(cwd),
                environment=dict(env),
                numbers=[*_STANDARD, *pass_fds],
            )
            _nursery().start(start, [reported.fileno(), taken, printed, told, *pass_fds])
        self.pid = int(self._status.recv(_MOST_BYTES))

    def poll(self) -> int | None:
        """Return its exit code if it has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; return its exit code, or the negative number of a signal.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        with self._ending:
            if self.returncode is None:
                self._status.settimeout(timeout)
                try:
                    self.returncode = int(self._status.recv(_MOST_BYTES))
                except (TimeoutError, BlockingIOError):
                    raise subprocess.TimeoutExpired("msys-track", timeout or 0) from None
                self._status.close()
            return self.returncode

    def communicate(
        self, given: bytes | None = None, timeout: float | None = None
    ) -> tuple[bytes, bytes]:
        """Give it all of its input; return all that it wrote once it has ended.

        Raises:
            subprocess.TimeoutExpired: it did not end in so many seconds, and was killed.
        """
        found: dict[IO[bytes], bytes] = {}

        def read(pipe: IO[bytes]) -> None:
            found[pipe] = pipe.read()
            pipe.close()

        pipes = [pipe for pipe in (self.stdout, self.stderr) if pipe is not None]
        readers = [threading.Thread(target=read, args=(pipe,), daemon=True) for pipe in pipes]
        for reader in readers:
            reader.start()
        if self.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self.stdin.write(given or b"")
            with contextlib.suppress(BrokenPipeError):
                self.stdin.close()
        try:
            self.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise
        for reader in readers:
            reader.join(timeout)
        output, errors = (b"" if p is None else found[p] for p in (self.stdout, self.stderr))
        return output, errors

    def send_signal(self, number: int) -> None:
        """Send a signal if it still runs."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


class _Nursery:
    """The process that the others are forked off."""

    def __init__(self) -> None:
        self._asking, asked = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        with asked:
            own = {
                name: value
                for name, value in os.environ.items()
                if name == "PYTHONPATH" or not name.startswith(("MSYS_TRACK_", "PYTHON"))
            }
            shutil.rmtree(FOLDER, ignore_errors=True)  # left by one that was killed
            FOLDER.mkdir(mode=0o700)
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
                listener.bind(str(FOLDER / "socket"))
                listener.listen(64)
                self._process = subprocess.Popen(  # noqa: S603 - this file
                    [sys.executable, __file__, str(asked.fileno()), str(listener.fileno())],
                    cwd="/",  # the folder of the test that comes first goes with that test
                    env=own,
                    pass_fds=[asked.fileno(), listener.fileno()],
                )
            self._write_command(own)

    def start(self, start: _Start, descriptors: Sequence[int]) -> None:
        """Let a process be forked off."""
        content = json.dumps(asdict(start)).encode()
        with self._lock:
            socket.send_fds(self._asking, [content], list(descriptors))

    def close(self) -> None:
        """Let it end; what was forked off goes on."""
        self._asking.close()
        self._process.wait()
        shutil.rmtree(FOLDER)

    def _write_command(self, own: Mapping[str, str]) -> None:
        """Write the command that shells find; without site-packages it starts sooner."""
        of_interpreters = {k: v for k, v in own.items() if k.startswith(OF_INTERPRETERS)}
        facts = (str(COMMAND), str(FOLDER / "socket"), of_interpreters)
        code = (Path(__file__).parent / "nursery_client.py").read_text(encoding="utf-8")
        command = FOLDER / COMMAND.name
        command.write_text(f"#!{sys.executable} -IS\n{code}\n\nmain(*{facts!r})\n", "utf-8")
        command.chmod(0o755)


@cache
def _nursery() -> _Nursery:
    return _Nursery()


def open_for_shells() -> None:
    """Let there be a nursery, and in `FOLDER` the command that shells shall find."""
    _nursery()


def close() -> None:
    """End the nursery if there is one."""
    if _nursery.cache_info().currsize:
        _nursery().close()
        _nursery.cache_clear()


def _preload() -> None:
    """Import what commands import, in one thread."""
    package = importlib.import_module("msys_track")
    not_wanted = ("msys_track.demo", "msys_track.testing", "msys_track.comparison")
    for found in pkgutil.walk_packages(package.__path__, "msys_track."):
        if not found.name.startswith(not_wanted) and not found.name.endswith("__main__"):
            # What an extra that is not there brings is missing in the commands as well.
            with contextlib.suppress(ImportError):
                importlib.import_module(found.name)
    assert len(os.listdir("/proc/self/task")) == 1, "a module that is imported starts threads"  # noqa: PTH208
    gc.collect()
    gc.freeze()


def _fork_off(asked: socket.socket, listener: socket.socket) -> tuple[_Start, list[int]]:
    """Fork a process off for each message; return in each what it is.

    Messages come from the process that started this one, and from commands that shells start.

    Raises:
        EOFError: the process that started this one has ended.
    """
    with selectors.DefaultSelector() as selector:
        selector.register(asked, selectors.EVENT_READ)
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.data is not None:
                    selector.unregister(key.fd)
                    os.close(key.fd)
                    _report_end(*key.data)
                    continue
                content, descriptors = _receive(asked if key.fileobj is asked else listener)
                if not content:  # who asked has been killed
                    continue
                reported = socket.socket(fileno=descriptors.pop(0))
                pid = os.fork()
                if pid == 0:
                    for other in selector.get_map().values():
                        if other.data is not None:
                            os.close(other.fd)
                            other.data[1].close()
                    for own in (reported, asked, listener):
                        own.close()
                    return _Start(**json.loads(content)), descriptors
                selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, reported))
                for number in descriptors:
                    os.close(number)
                with contextlib.suppress(BrokenPipeError):
                    reported.send(b"%d" % pid)


def _report_end(pid: int, reported: socket.socket) -> None:
    _, status = os.waitpid(pid, 0)
    with contextlib.suppress(BrokenPipeError), reported:
        reported.send(b"%d" % os.waitstatus_to_exitcode(status))


def _receive(source: socket.socket) -> tuple[bytes, list[int]]:
    """Read a message and its descriptors; of one that listens, from who connects next."""
    if source.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        with source.accept()[0] as connection:
            content, descriptors, _, _ = socket.recv_fds(
                connection, _MOST_BYTES, _MOST_DESCRIPTORS
            )
        return content, descriptors
    content, descriptors, _, _ = socket.recv_fds(source, _MOST_BYTES, _MOST_DESCRIPTORS)
    if not content:
        raise EOFError
    return content, descriptors


def _is_program(start: _Start) -> bool:
    """Whether the interpreter itself was asked for, with a program as its argument."""
    return start.arguments[:2] == [sys.executable, "-c"]


def _run_program(program: str) -> None:
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    exec(compile(program, "<string>", "exec"), vars(main))  # noqa: S102 - a test's own program


def _become(start: _Start, descriptors: list[int]) -> None:
    """Take the place of a process that was started so."""
    # First out of the way of the numbers that they shall have.
    beyond = max(*descriptors, *start.numbers) + 1
    moved = [os.dup2(number, beyond + at) for at, number in enumerate(descriptors)]
    for number in descriptors:
        os.close(number)
    for number, wanted in zip(moved, start.numbers, strict=True):
        os.dup2(number, wanted, inheritable=True)
        os.close(number)
    os.chdir(start.folder)
    if start.umask is not None:
        os.umask(start.umask)
    for name, (soft, hard) in start.limits.items():
        resource.setrlimit(getattr(resource, name), (soft, hard))
    os.environ.clear()
    os.environ.update(start.environment)
    if _is_program(start):
        sys.argv, sys.orig_argv = start.arguments[1:2], start.arguments
    else:
        sys.argv = start.arguments
        sys.orig_argv = [sys.executable, *start.arguments]
        sys.path[0] = str(Path(start.arguments[0]).parent)
    sys.stdin = sys.__stdin__ = _reopen(sys.stdin, "r", is_line_buffered=False)  # type: ignore[misc]
    sys.stdout = sys.__stdout__ = _reopen(sys.stdout, "w", is_line_buffered=os.isatty(1))  # type: ignore[misc]
    sys.stderr = sys.__stderr__ = _reopen(sys.stderr, "w", is_line_buffered=True)  # type: ignore[misc]


def _reopen(stream: IO[str], mode: str, *, is_line_buffered: bool) -> io.TextIOWrapper:
    """Make a standard stream as the interpreter makes it, for what its number is now."""
    assert isinstance(stream, io.TextIOWrapper)
    return io.TextIOWrapper(
        open(stream.fileno(), f"{mode}b", closefd=False),
        encoding=stream.encoding,
        errors=stream.errors,
        newline=None if mode == "r" else "\n",
        line_buffering=is_line_buffered,
    )


def _main() -> None:
    sys.path.pop(0)  # this file's folder
    sys.path.insert(0, "")
    _preload()
    asked, listener = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    with asked, listener:
        try:
            started = _fork_off(asked, listener)
        except EOFError:
            return
    _become(*started)
    try:
        if _is_program(started[0]):
            _run_program(started[0].arguments[2])
            _end(0)
        else:
            importlib.import_module("msys_track.cli").main()
    except SystemExit as end:
        if isinstance(end.code, int):
            _end(end.code)
        raise


def _end(code: int) -> None:
    """End as an interpreter does that has nothing to say, but for taking its modules apart.

    That would copy all memory that is shared with the nursery: most of what a short command takes.
    """
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - as multiprocessing does
    atexit._run_exitfuncs()  # noqa: SLF001
    with contextlib.suppress(OSError):  # the interpreter tells of it
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _main()
