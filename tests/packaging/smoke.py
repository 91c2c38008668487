"""Installs what `make wheel` has built as a stranger does, and uses it: on every CPython here.

`python -m tests.packaging.smoke dist` makes a clean environment for each interpreter, from 3.11
on, with no Rust on PATH, and installs the wheel of that interpreter: first alone, then with its
servers. Where Rust is on PATH, one interpreter installs the source as well. `--python` names other
interpreters, `--bars` fails where the library or the command starts too slowly. It runs on any
Python without other packages.
"""

import argparse
import json
import os
import platform
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

if sys.platform != "win32":
    import resource

from tests.packaging.contents import ROOT, read_version

IMPORT_BAR_MS: Final = 60
VERSION_BAR_MS: Final = 150
_ROUNDS: Final = 20
_WINDOWS: Final = sys.platform == "win32"
_SERVERS: Final = "proxy,tracker,report"
_NAMES: Final = tuple(f"python3.{minor}{kind}" for minor in range(11, 20) for kind in ("", "t"))
_START_SECONDS: Final = 60
_COMMAND_SECONDS: Final = 900  # a source is compiled

MESSAGE: Final = b"""\
From: news@example.com\r
To: jo@example.com\r
Subject: News\r
Content-Type: text/html; charset=utf-8\r
\r
<body><a href="https://shop.example.com/?a=1&amp;b=2">Shop</a></body>\r
"""

# Behind the README's lines, in the same program.
_CHECK: Final = """
import re, sys
from importlib.metadata import distribution
import msys_track, msys_track._core
from msys_track import open_link
[url] = re.findall(rb'href="(http://click[^"]+)"', tracked)
assert keys.open(url.decode().partition("example.com/")[2]).target == (
    "https://shop.example.com/?a=1&b=2"
)
own = distribution("msys-track")
names = {str(name).replace("\\\\", "/") for name in own.files}
assert "msys_track/py.typed" in names, "no types"
assert any(name.endswith("/licenses/LICENSE") for name in names), "no licence"
assert not [name for name in names if name.startswith("tests")], "tests"
assert msys_track.__version__ == own.version
assert own.metadata["License-Expression"] == "Apache-2.0"
gil = getattr(sys, "_is_gil_enabled", lambda: True)()
print(own.version, "with the GIL" if gil else "without the GIL")
"""


class Failed(Exception):  # noqa: N818 - what this program is about
    """A step that did not do what it should."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A CPython of this machine: `tag` is that of wheels without a stable ABI (`cp314t`)."""

    path: str
    version: str
    tag: str


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment, and what its commands see."""

    folder: Path
    variables: dict[str, str]

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.folder / ("Scripts/python.exe" if _WINDOWS else "bin/python"))

    @property
    def command(self) -> str:
        """`msys-track`, once it is installed."""
        return str(self.folder / ("Scripts/msys-track.exe" if _WINDOWS else "bin/msys-track"))

    def run(self, *command: str, at: Path, given: bytes = b"") -> bytes:
        """Run a command to its end; return its output.

        Raises:
            Failed: it exited with another code than 0.
        """
        done = subprocess.run(  # noqa: S603 - ours
            command, cwd=at, env=self.variables, input=given, capture_output=True,
            timeout=_COMMAND_SECONDS, check=False,
        )  # fmt: skip
        if done.returncode:
            shown = (done.stdout + done.stderr).decode(errors="replace")
            raise Failed(f"{' '.join(command)}\n{shown}")
        return done.stdout


def find_interpreters(named: Sequence[str]) -> list[Interpreter]:
    """Find each CPython from 3.11 on: those named, else those of PATH and of pyenv.

    A name on PATH may be a shim of a version that is not there, so each is run.
    """
    candidates = list(named) or [
        *_NAMES,
        *map(str, sorted((_find_pyenv() / "versions").glob("*/bin/python"))),
        sys.executable,
    ]
    found: dict[str, Interpreter] = {}
    for name in candidates:
        path = shutil.which(name)
        about = None if path is None else _ask(path)
        if about is not None and path is not None:
            found.setdefault(about[0] + about[1], Interpreter(path, *about))
        elif named:
            raise Failed(f"{name} is no CPython from 3.11 on that runs here")
    return [found[key] for key in sorted(found)]


def _find_pyenv() -> Path:
    return Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))


def _ask(path: str) -> tuple[str, str] | None:
    program = (
        "import platform, sys, ensurepip, venv\n"
        "assert sys.implementation.name == 'cpython' and sys.version_info >= (3, 11)\n"
        "assert sys.prefix == sys.base_prefix\n"
        "print(platform.python_version(), 'cp%d%d%s' % (*sys.version_info[:2], sys.abiflags"
        " if hasattr(sys, 'abiflags') else ''))"
    )
    done = subprocess.run(  # noqa: S603 - an interpreter
        [path, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    if done.returncode:
        return None
    version, tag = done.stdout.split()
    return version, tag


def choose_wheel(wheels: Sequence[Path], interpreter: Interpreter) -> Path | None:
    """Choose the wheel that an interpreter takes: its own, or that of the stable ABI."""
    kind = interpreter.tag if interpreter.tag.endswith("t") else "abi3"
    fitting = [each for each in wheels if each.name.split("-")[3] == kind and _runs_here(each)]
    return fitting[0] if fitting else None


def _runs_here(wheel: Path) -> bool:
    tag = wheel.stem.split("-")[4]
    machine = platform.machine()
    if _WINDOWS:
        return tag == f"win_{machine.lower()}"
    if sys.platform == "darwin":
        return "macosx" in tag and (machine in tag or "universal2" in tag)
    family = "manylinux" if platform.libc_ver()[0] == "glibc" else "musllinux"
    return family in tag and tag.endswith(machine)


@contextmanager
def clean_environment(
    interpreter: Interpreter, *, with_rust: bool = False
) -> Iterator[Environment]:
    """Make a virtual environment in a new folder, and remove both.

    Only its own commands and the system's are on PATH; Rust's too if asked for.
    """
    with tempfile.TemporaryDirectory(prefix="msys-track-") as name:
        folder = Path(name) / "venv"
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("PYTHON", "MSYS_TRACK_", "VIRTUAL_ENV"))
        }
        if not with_rust:
            kept["PATH"] = os.pathsep.join(
                each
                for each in os.environ["PATH"].split(os.pathsep)
                if not any(shutil.which(tool, path=each) for tool in ("cargo", "rustc"))
            )
        subprocess.run([interpreter.path, "-m", "venv", str(folder)], check=True)  # noqa: S603
        yield Environment(folder, kept)


def use_library(environment: Environment, folder: Path) -> str:
    """Run the README's program; return what the package says of itself."""
    (folder / "newsletter.eml").write_bytes(MESSAGE)
    environment.run(environment.command, "keys", "new", "keys.toml", at=folder)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    programs = re.findall(r"^```python[^\n]*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    [program] = [each for each in programs if "tracked = rewrite(" in each]
    arguments = ("-W", "error", "-c", program + _CHECK)
    return environment.run(environment.python, *arguments, at=folder).decode().strip()


def use_filter(environment: Environment, folder: Path) -> None:
    """Track a mail by the command, and read a link of it."""
    arguments = ("--to", "jo@example.com", "--open-tracking", "--click-tracking")
    where = ("--domain", "click.example.com", "--keys", "keys.toml")
    tracked = environment.run(
        environment.command, "rewrite", *arguments, *where, at=folder, given=MESSAGE
    )
    links = re.findall(rb'href="(http://click[^"]+)"', tracked)
    if len(links) != 1:
        raise Failed(f"msys-track rewrite tracked {len(links)} links of one")
    shown = environment.run(
        environment.command, "open-link", links[0].decode(), "--keys", "keys.toml", at=folder
    )
    if json.loads(shown)["target"] != "https://shop.example.com/?a=1&b=2":
        raise Failed(f"msys-track open-link shows another link: {shown!r}")


def use_servers(environment: Environment, folder: Path) -> None:
    """Make an installation, start it, and let `msys-track check` look at it."""
    environment.run(environment.command, "init", "tracking", at=folder)
    tracking = folder / "tracking"
    file = tracking / "msys-track.toml"
    text = file.read_text(encoding="utf-8")
    ports = re.compile(r"(?<=127\.0\.0\.1:)(2525|8080|8026)\b")
    text = ports.sub(lambda _: str(_find_free_port()), text)
    file.write_text(text, encoding="utf-8")
    environment.run(environment.command, "config", "check", at=tracking)
    if _WINDOWS:
        return
    with (tracking / "log").open("wb") as log:
        server = subprocess.Popen(  # noqa: S603 - ours
            [environment.command, "serve"], cwd=tracking, env=environment.variables, stdout=log,
            stderr=log,
        )  # fmt: skip
        try:
            bad = _await_good_findings(environment, tracking)
        finally:
            server.terminate()
            code = server.wait(60)
    if bad or code:
        shown = (tracking / "log").read_text(encoding="utf-8", errors="replace")
        raise Failed(f"msys-track serve ended with {code}; check says {bad}\n{shown}")


def _await_good_findings(environment: Environment, tracking: Path) -> list[str]:
    """Wait until all of ours answers; there is no mail server behind it."""
    end = time.monotonic() + _START_SECONDS
    while True:
        done = subprocess.run(  # noqa: S603 - ours
            [environment.command, "check"], cwd=tracking, env=environment.variables,
            capture_output=True, check=False, timeout=60,
        )  # fmt: skip
        findings = json.loads(done.stdout)["findings"]
        bad = [
            f"{each['what']} {each['found']}"
            for each in findings
            if each["state"] == "fault" and not each["what"].startswith("upstream ")
        ]
        if not bad or time.monotonic() > end:
            return bad
        time.sleep(0.2)


def _find_free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


def measure_starts(environment: Environment, folder: Path) -> tuple[float, float]:
    """Measure `import msys_track` and `msys-track --version`: medians, in milliseconds.

    Of the import, what an empty program takes is taken off. It is the processor's time, where the
    system tells it: what else the machine does then does not count.
    """

    def time_median(*command: str) -> float:
        times = []
        for _ in range(_ROUNDS):
            begin = _read_clock()
            environment.run(*command, at=folder)
            times.append(1_000 * (_read_clock() - begin))
        return statistics.median(times)

    python = environment.python
    empty = time_median(python, "-c", "pass")
    return (
        time_median(python, "-c", "import msys_track") - empty,
        time_median(environment.command, "--version"),
    )


def _read_clock() -> float:
    if sys.platform == "win32":
        return time.perf_counter()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def try_wheel(wheel: Path, interpreter: Interpreter) -> bool:
    """Install a wheel and use it; return whether it starts within the bars."""
    with (
        clean_environment(interpreter) as environment,
        tempfile.TemporaryDirectory(prefix="msys-track-") as name,
    ):
        folder = Path(name)
        pip = (environment.python, "-m", "pip", "--disable-pip-version-check", "install", "-q")
        environment.run(*pip, "--only-binary", ":all:", str(wheel), at=folder)
        environment.run(environment.python, "-m", "pip", "check", at=folder)
        shown = environment.run(environment.command, "--version", at=folder).decode()
        if read_version() not in shown:
            raise Failed(f"msys-track --version prints {shown!r}")
        about = use_library(environment, folder)
        use_filter(environment, folder)
        for_import, for_version = measure_starts(environment, folder)
        servers = "servers run"
        try:
            environment.run(*pip, "--only-binary", ":all:", f"{wheel}[{_SERVERS}]", at=folder)
        except Failed as error:
            if not interpreter.tag.endswith("t") or "No matching distribution" not in str(error):
                raise
            [missing] = re.findall(r"No matching distribution found for ([\w-]+)", str(error))
            servers = f"no servers: there is no wheel of {missing} yet"
        else:
            use_servers(environment, folder)
    is_fast = for_import <= IMPORT_BAR_MS and for_version <= VERSION_BAR_MS
    sys.stdout.write(
        f"CPython {interpreter.version} ({interpreter.tag}): {about}; {servers}; "
        f"import {for_import:.0f} ms ({_judge(for_import, IMPORT_BAR_MS)}), "
        f"--version {for_version:.0f} ms ({_judge(for_version, VERSION_BAR_MS)})\n"
    )
    sys.stdout.flush()
    return is_fast


def _judge(milliseconds: float, bar: int) -> str:
    return f"bar {bar}: {'met' if milliseconds <= bar else 'missed'}"


def try_source(sdist: Path, interpreter: Interpreter) -> None:
    """Let pip build the source, and use the library."""
    with (
        clean_environment(interpreter, with_rust=True) as environment,
        tempfile.TemporaryDirectory(prefix="msys-track-") as name,
    ):
        folder = Path(name)
        pip = (environment.python, "-m", "pip", "--disable-pip-version-check", "install", "-q")
        environment.run(*pip, str(sdist), at=folder)
        about = use_library(environment, folder)
        use_filter(environment, folder)
    sys.stdout.write(f"CPython {interpreter.version} ({interpreter.tag}), source: {about}\n")


def main(arguments: Sequence[str]) -> int:
    """Try everything in a folder; return an exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.packaging.smoke")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", action="append", default=[], metavar="INTERPRETER")
    parser.add_argument("--bars", action="store_true", help="fail where a start is too slow")
    parser.add_argument("--no-source", action="store_true", help="do not build the source")
    given = parser.parse_args(arguments)
    wheels = sorted(path.resolve() for path in given.folder.glob("*.whl"))
    sdists = sorted(path.resolve() for path in given.folder.glob("*.tar.gz"))
    try:
        interpreters = find_interpreters(given.python)
        chosen = [(each, choose_wheel(wheels, each)) for each in interpreters]
        for interpreter, wheel in chosen:
            if wheel is None:
                sys.stdout.write(f"CPython {interpreter.version} ({interpreter.tag}): no wheel\n")
        tried = [(wheel, interpreter) for interpreter, wheel in chosen if wheel is not None]
        if not tried:
            sys.stderr.write(
                f"error: no wheel in {given.folder} is for a CPython of this machine\n"
            )
            return 1
        are_fast = [try_wheel(*each) for each in tried]
        if sdists and not given.no_source and shutil.which("cargo"):
            try_source(sdists[-1], tried[-1][1])
    except Failed as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 1 if given.bars and not all(are_fast) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
