"""`msys-track demo` as a user has it: a process, its output, its exit code, what it leaves."""

import http.client
import re
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner
from tests import processes
from tests.processes import COMMAND, PATIENCE_SECONDS, Ended, Server, Start

from msys_track.cli import main
from msys_track.demo.stage import Stage
from msys_track.testing.sender import Answer

MAIL = b"Subject: x\nContent-Type: text/html\n\n<a href='http://a.example/?x=1'>a</a>\n"

# The command with one thing spoiled, as no option can do it.
SPOILED = """
from dataclasses import replace
from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.demo import stage
class WrapsNothing(Dispatcher):
    def __init__(self, *, keys, options, source):
        super().__init__(keys=keys, options=replace(options, click_tracking=False), source=source)
stage.Dispatcher = WrapsNothing
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


def python(code: str) -> list[str]:
    """Make a command line of ours with some code before it."""
    return [sys.executable, "-c", f"{code}\nfrom msys_track.cli import main\nmain()"]


def run(
    folder: Path, *arguments: str, command: Sequence[str] = (COMMAND,), **variables: str
) -> Ended:
    """Run the demo to its end, which leaves no file."""
    env = {"TMPDIR": str(folder / "tmp"), **variables}
    ended = processes.run(folder, *arguments, command=[*command, "demo"], env=env)
    assert list((folder / "tmp").iterdir()) == []
    return ended


def test_the_tour_ends_well_and_says_nothing_on_standard_error(folder: Path) -> None:
    done = run(folder)
    assert (done.code, done.errors) == (0, "")
    assert re.fullmatch(r"all \d+ expectations held", done.output.decode().splitlines()[-1])


def test_verbose_shows_logs_beside_the_page(folder: Path) -> None:
    done = run(folder, "--verbose")
    assert done.code == 0
    assert "message.relayed" in done.errors
    assert b"message.relayed" not in done.output


def test_the_tour_needs_no_unicode_of_the_terminal(folder: Path) -> None:
    done = run(folder, PYTHONIOENCODING="ascii", LC_ALL="C")
    assert done.code == 0
    assert b"concert \\u2013 June" in done.output


def test_a_spoiled_tour_ends_with_1_and_says_what_failed(folder: Path) -> None:
    done = run(folder, command=python(SPOILED))
    assert done.code == 1
    assert b"FAILED  newsletter.eml: https://shop.example.com/mail/7f3a?lang=en" in done.output
    assert re.fullmatch(r"\d+ of \d+ expectations failed", done.output.decode().splitlines()[-1])


def test_a_file_of_ones_own_goes_through(folder: Path) -> None:
    done = run(folder, "my.eml")
    assert (done.code, done.errors) == (0, "")
    assert b"   clicked      http://a.example/?x=1\n" in done.output
    assert "expectations held" in done.output.decode().splitlines()[-1]


def test_a_mail_that_is_too_large_ends_with_1(folder: Path) -> None:
    (folder / "my.eml").write_bytes(MAIL + b"<p>hello</p>\n" * 2_500_000)
    done = run(folder, "my.eml")
    assert done.code == 1
    assert b"   answered     552 " in done.output


def test_a_malformed_header_is_refused_as_it_must_be(folder: Path) -> None:
    (folder / "my.eml").write_bytes(b"X-MSYS-API: no JSON\n" + MAIL)
    done = run(folder, "my.eml")
    assert done.code == 0
    assert b"   answered     550 5.6.0 JSON parsing error in X-MSYS-API" in done.output
    assert b"   came out     nothing" in done.output


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
    assert (done.code, done.output) == (code, b"")
    assert said in done.errors


def test_output_that_nobody_reads_ends_in_one_line(folder: Path) -> None:
    line = f"{shlex.join([COMMAND, 'demo'])} | true; exit ${{PIPESTATUS[0]}}"
    done = processes.run(
        folder, line, command=["/bin/bash", "-c"], env={"TMPDIR": str(folder / "tmp")}
    )
    assert (done.code, done.errors) == (
        1,
        "msys-track: standard output was closed before everything was written\n",
    )
    assert list((folder / "tmp").iterdir()) == []


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Start a demo that goes on."""
    with ExitStack() as ends:

        def start_one(*arguments: str, command: Sequence[str] = (COMMAND,)) -> Server:
            env = {"TMPDIR": str(folder / "tmp")}
            server = Server(folder, *arguments, command=[*command, "demo"], env=env)
            ends.callback(server.kill)
            return server

        yield start_one


def test_what_is_kept_takes_mails_and_clicks_until_it_is_told_to_stop(
    folder: Path, start: Start
) -> None:
    kept = start("--keep", "my.eml")
    line = kept.line("python3 -c ").replace("python3", shlex.quote(sys.executable), 1)
    assert processes.shell(folder, line).code == 0
    arrived = kept.line("arrived  for me@example.net, 1 of 1 links wrapped: http://127.0.0.1:")
    url = urlsplit(arrived.rpartition(" ")[2])
    browser = http.client.HTTPConnection(url.netloc, timeout=PATIENCE_SECONDS)
    browser.request("GET", url.path)
    assert browser.getresponse().getheader("Location") == "http://a.example/?x=1"
    browser.close()
    kept.until(lambda: kept.printed[-1].startswith("event    click"))
    assert kept.printed[-1] == "event    click by me@example.net on http://a.example/?x=1"
    ended = kept.stop(signal.SIGINT)
    assert (ended.code, ended.errors) == (0, "")
    assert kept.printed[-1] == "stopped; what the demo stored has been removed"
    assert list((folder / "tmp").iterdir()) == []


def test_what_is_kept_tells_its_addresses_and_files(start: Start) -> None:
    kept = start("--keep", "my.eml")
    kept.line("python3 -c ")
    assert re.search(r" 127\.0\.0\.1:\d+$", kept.line("   proxy, SMTP"))
    assert re.search(r" http://127\.0\.0\.1:\d+$", kept.line("   tracker, HTTP"))
    store = kept.line("   event store").split()[-1]
    keys = kept.line("   keys").split()[-1]
    assert Path(store).exists()
    assert Path(keys).exists()
    assert kept.stop(signal.SIGTERM).code == 0
    assert not Path(store).exists()


def test_a_tour_that_is_interrupted_ends_in_one_line(folder: Path, start: Start) -> None:
    demo = start(command=python(SLOW))
    demo.line("   A click leads")
    ended = demo.stop(signal.SIGINT)
    assert ended.code == 1
    assert ended.errors == "msys-track: interrupted; the servers have been stopped\n"
    assert demo.printed[-1].startswith("   A click leads")
    assert list((folder / "tmp").iterdir()) == []


def test_what_is_kept_after_a_failure_ends_with_1_nevertheless(
    start: Start,
) -> None:
    demo = start("--keep", command=python(SPOILED))
    demo.line("python3 -c ")
    assert demo.stop(signal.SIGINT).code == 1


def test_an_expectation_that_does_not_hold_ends_with_1(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> Answer:
        return Answer(code=451, text="4.3.0 try again later")

    monkeypatch.setattr(Stage, "send", refuse)
    done = CliRunner().invoke(main, ["demo", str(folder / "my.eml")])
    assert done.exit_code == 1
    assert "answered     451 4.3.0 try again later" in done.stdout
    assert re.fullmatch(r"\d+ of \d+ expectations failed", done.stdout.splitlines()[-1])
