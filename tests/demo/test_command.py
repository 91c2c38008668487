"""`msys-track demo` as a user has it: a process, its output, its exit code, what it leaves."""

import http.client
import os
import re
import selectors
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

COMMAND = Path(sys.executable).with_name("msys-track")
PATIENCE_SECONDS = 20
MAIL = b"Subject: x\nContent-Type: text/html\n\n<a href='http://a.example/?x=1'>a</a>\n"

# The command with one thing spoiled, as no option can do it.
SPOILED = """
from dataclasses import replace
from msys_track.dispatch.rewriter import Rewriter
from msys_track.demo import stage
class WrapsNothing(Rewriter):
    def __init__(self, *, keys, options, source):
        super().__init__(keys=keys, options=replace(options, click_tracking=False), source=source)
stage.Rewriter = WrapsNothing
"""
SLOW = """
import asyncio
from msys_track.demo import tour
async def slow(*_):
    await asyncio.sleep(60)
tour.travel = slow
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder to work in; its `tmp` takes temporary files and must be empty at the end."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "my.eml").write_bytes(MAIL)
    return tmp_path


def environment(folder: Path, **variables: str) -> dict[str, str]:
    kept = {name: it for name, it in os.environ.items() if not name.startswith("MSYS_TRACK_")}
    return kept | {"TMPDIR": str(folder / "tmp")} | variables


def python(code: str) -> list[str]:
    """Make a command line of ours with some code before it."""
    return [sys.executable, "-c", f"{code}\nfrom msys_track.cli import main\nmain()"]


def run(
    folder: Path, *arguments: str, command: list[str] | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the demo to its end, which leaves no file and shows no stack trace."""
    done = subprocess.run(  # noqa: S603 - our own command
        [*(command or [str(COMMAND)]), "demo", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=folder,
        env=environment(folder, **variables),
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert list((folder / "tmp").iterdir()) == []
    return done


def test_the_tour_ends_well_and_says_nothing_on_standard_error(folder: Path) -> None:
    done = run(folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"all \d+ expectations held", done.stdout.splitlines()[-1])


def test_verbose_shows_logs_beside_the_page(folder: Path) -> None:
    done = run(folder, "--verbose")
    assert done.returncode == 0
    assert "message.relayed" in done.stderr
    assert "message.relayed" not in done.stdout


def test_the_tour_needs_no_unicode_of_the_terminal(folder: Path) -> None:
    done = run(folder, PYTHONIOENCODING="ascii", LC_ALL="C")
    assert done.returncode == 0
    assert "concert \\u2013 June" in done.stdout


def test_a_spoiled_tour_ends_with_1_and_says_what_failed(folder: Path) -> None:
    done = run(folder, command=python(SPOILED))
    assert done.returncode == 1
    assert "FAILED  newsletter.eml: https://shop.example.com/mail/7f3a?lang=en" in done.stdout
    assert re.fullmatch(r"\d+ of \d+ expectations failed", done.stdout.splitlines()[-1])


def test_a_file_of_ones_own_goes_through(folder: Path) -> None:
    done = run(folder, "my.eml")
    assert (done.returncode, done.stderr) == (0, "")
    assert "   clicked      http://a.example/?x=1\n" in done.stdout
    assert "expectations held" in done.stdout.splitlines()[-1]


def test_a_mail_that_is_too_large_ends_with_1(folder: Path) -> None:
    (folder / "my.eml").write_bytes(MAIL + b"<p>hello</p>\n" * 2_500_000)
    done = run(folder, "my.eml")
    assert done.returncode == 1
    assert "   answered     552 " in done.stdout


def test_a_malformed_header_is_refused_as_it_must_be(folder: Path) -> None:
    (folder / "my.eml").write_bytes(b"X-MSYS-API: no JSON\n" + MAIL)
    done = run(folder, "my.eml")
    assert done.returncode == 0
    assert "   answered     550 5.6.0 JSON parsing error in X-MSYS-API" in done.stdout


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("missing.eml", 1, "msys-track: missing.eml: No such file or directory\n"),
        ("/proc/self/mem", 1, "msys-track: /proc/self/mem: Input/output error\n"),
        ("tmp", 2, "'tmp' is a directory"),
    ],
)
def test_a_file_that_can_not_be_read_is_named(
    folder: Path, name: str, code: int, said: str
) -> None:
    done = run(folder, name)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr


def test_output_that_nobody_reads_ends_in_one_line(folder: Path) -> None:
    line = shlex.join([str(COMMAND), "demo"])
    done = subprocess.run(  # noqa: S603
        ["/bin/bash", "-c", f"{line} | true; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        env=environment(folder),
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "msys-track: standard output was closed before everything was written\n"
    )
    assert list((folder / "tmp").iterdir()) == []


class Kept:
    """A demo that goes on; its output is read line by line."""

    def __init__(self, folder: Path, *arguments: str, command: list[str] | None = None) -> None:
        self.folder = folder
        self.process = subprocess.Popen(  # noqa: S603
            [*(command or [str(COMMAND)]), "demo", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=environment(folder),
        )
        self.lines = self._lines()

    def wait_for(self, begin: str) -> str:
        """Read on until a line begins so."""
        return next(line for line in self.lines if line.startswith(begin))

    def _lines(self) -> Iterator[str]:
        """Read lines; a line that does not come fails the test."""
        assert self.process.stdout is not None
        descriptor, rest = self.process.stdout.fileno(), b""
        deadline = time.monotonic() + PATIENCE_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while selector.select(max(deadline - time.monotonic(), 0)):
                piece = os.read(descriptor, 65_536)
                if not piece:
                    return
                *whole, rest = (rest + piece).split(b"\n")
                yield from (line.decode("utf-8") for line in whole)


def stopped(demo: Kept, number: int) -> tuple[int, str, str]:
    """Stop a demo, reading what it says to the end."""
    demo.process.send_signal(number)
    rest = list(demo.lines)
    errors = demo.process.communicate(timeout=PATIENCE_SECONDS)[1].decode("utf-8")
    assert list((demo.folder / "tmp").iterdir()) == []
    return demo.process.returncode, rest[-1] if rest else "", errors


@pytest.fixture
def kept(folder: Path) -> Iterator[Kept]:
    demo = Kept(folder, "--keep", "my.eml")
    yield demo
    demo.process.kill()
    demo.process.communicate()


def test_what_is_kept_takes_mails_and_clicks_until_it_is_told_to_stop(kept: Kept) -> None:
    send = kept.wait_for("python3 -c ")
    subprocess.run(  # noqa: S603 - the line that it tells users to copy
        ["/bin/sh", "-c", send.replace("python3", shlex.quote(sys.executable), 1)],
        cwd=kept.folder,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    arrived = kept.wait_for("arrived  for me@example.net, 1 of 1 links wrapped: http://127.0.0.1:")
    url = urlsplit(arrived.rpartition(" ")[2])
    browser = http.client.HTTPConnection(url.netloc, timeout=PATIENCE_SECONDS)
    browser.request("GET", url.path)
    assert browser.getresponse().getheader("Location") == "http://a.example/?x=1"
    browser.close()
    assert kept.wait_for("event") == "event    click by me@example.net on http://a.example/?x=1"
    assert stopped(kept, signal.SIGINT) == (
        0,
        "stopped; what the demo stored has been removed",
        "",
    )


def test_what_is_kept_tells_its_addresses_and_files(kept: Kept) -> None:
    assert re.search(r" 127\.0\.0\.1:\d+$", kept.wait_for("   proxy, SMTP"))
    assert re.search(r" http://127\.0\.0\.1:\d+$", kept.wait_for("   tracker, HTTP"))
    store = kept.wait_for("   event store").split()[-1]
    keys = kept.wait_for("   keys").split()[-1]
    assert Path(store).exists()
    assert Path(keys).exists()
    kept.wait_for("python3 -c ")
    assert stopped(kept, signal.SIGTERM)[0] == 0


def test_a_tour_that_is_interrupted_ends_in_one_line(folder: Path) -> None:
    demo = Kept(folder, command=python(SLOW))
    demo.wait_for("   readers")
    assert stopped(demo, signal.SIGINT) == (
        1,
        "   A click leads to the tracker, and from there (302) to the address shown.",
        "msys-track: interrupted; the servers have been stopped\n",
    )


def test_what_is_kept_after_a_failure_ends_with_1_nevertheless(folder: Path) -> None:
    demo = Kept(folder, "--keep", command=python(SPOILED))
    demo.wait_for("python3 -c ")
    assert stopped(demo, signal.SIGINT)[0] == 1
