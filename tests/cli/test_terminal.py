"""At a terminal: lines fit it, and colours are there, or left out, by one rule."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.processes import COMMAND, PATIENCE_SECONDS, start_process

import msys_track
from msys_track.cli.streams import has_colour
from msys_track.keys.file import create

MAIL = (
    b"X-MSYS-API: {}\r\nContent-Type: text/html\r\n\r\n"
    b"<body><a href='http://shop.example/%b'>x</a></body>\r\n" % (b"spring/" * 20)
)
CONFIGURATION = """
keys = "keys.toml"
[policy]
files = ["policy.py"]
[proxy]
upstream = "127.0.0.1:1"
[tracker]
listen = "127.0.0.1:0"
store = "events.sqlite"
[webhook.crm]
url = "https://crm.example/"
"""
EXPLAIN = ("explain", "mail.eml", "--to", "jo@reader.example")
ESCAPE = "\x1b"
POLICY = """
def validate_data_spool_each_rcpt(transaction):
    transaction.contexts.message.set("smtpapi_open_tracking", "perhaps")
"""


def make_folder(folder: Path) -> None:
    """Make a folder with a mail of which policy says what is logged, and with a webhook."""
    if (folder / "keys.toml").exists():
        return
    create(folder / "keys.toml")
    (folder / "mail.eml").write_bytes(MAIL)
    (folder / "policy.py").write_text(POLICY, "utf-8")
    (folder / "msys-track.toml").write_text(CONFIGURATION, "utf-8")


def make_environment(variables: Mapping[str, str]) -> dict[str, str]:
    names = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "LC_CTYPE")
    return {name: os.environ[name] for name in names if name in os.environ} | dict(variables)


def at_a_terminal(
    folder: Path, columns: int, *arguments: str, **variables: str
) -> tuple[str, str]:
    """Run a command at a terminal; return what it wrote to standard output and error."""
    make_folder(folder)
    pairs = [pty.openpty() for _ in range(2)]
    for _, terminal in pairs:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    output, errors = (terminal for _, terminal in pairs)
    with open(output, "wb") as standard, open(errors, "wb") as error:  # noqa: PTH123
        process = start_process(
            [COMMAND, *arguments],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=standard,
            stderr=error,
            env=make_environment(variables),
        )
    written = tuple(_all_of(own) for own, _ in pairs)
    assert process.wait(PATIENCE_SECONDS) == 0, written
    return written[0], written[1]


def in_a_pipe(folder: Path, *arguments: str, **variables: str) -> tuple[str, str]:
    """Run a command in a pipe; return what it wrote to standard output and error."""
    make_folder(folder)
    process = start_process(
        [COMMAND, *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=make_environment(variables),
    )
    output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.wait() == 0, errors
    return output.decode(), errors.decode()


def _all_of(terminal: int) -> str:
    """Read until the other end is closed, which is an error on Linux."""
    read = b""
    try:
        while piece := os.read(terminal, 65_536):
            read += piece
    except OSError:
        pass
    os.close(terminal)
    return read.decode()


@pytest.mark.parametrize("columns", [60, 80, 132])
def test_a_table_fits_the_terminal(columns: int, tmp_path: Path) -> None:
    output, _ = at_a_terminal(tmp_path, columns, *EXPLAIN, TERM="xterm")
    lines = output.splitlines()
    assert len(lines) > 30
    assert max(map(len, lines)) <= columns
    assert ESCAPE not in output
    # What does not fit is on the next line, not gone.
    assert "http://shop.example/" + "spring/" * 14 in re.sub(r"\s+", "", output)


def test_what_is_wider_than_80_columns_has_them_where_there_are_more(tmp_path: Path) -> None:
    output, _ = at_a_terminal(tmp_path, 132, *EXPLAIN, TERM="xterm")
    assert max(map(len, output.splitlines())) > 80


@pytest.mark.parametrize(
    ("variables", "places"),
    [
        ({"TERM": "xterm"}, {"terminal"}),
        ({}, {"terminal"}),
        ({"TERM": "xterm", "NO_COLOR": ""}, {"terminal"}),
        ({"TERM": "xterm", "NO_COLOR": "1"}, set()),
        ({"TERM": "dumb"}, set()),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, {"terminal", "pipe"}),
        ({"TERM": "xterm", "FORCE_COLOR": "0"}, {"terminal", "pipe"}),
        ({"TERM": "xterm", "FORCE_COLOR": ""}, {"terminal"}),
        ({"TERM": "xterm", "FORCE_COLOR": "1", "NO_COLOR": "1"}, set()),
    ],
)
def test_colours_are_at_terminals_unless_the_environment_says_otherwise(
    variables: dict[str, str], places: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TERM", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for place, (own, other) in {"terminal": pty.openpty(), "pipe": os.pipe()}.items():
        with open(own), open(other, "w") as stream:  # noqa: PTH123 - they have no names
            assert has_colour(stream) == (place in places), place
    assert not has_colour(None)


@pytest.mark.parametrize(
    ("variables", "escapes"),
    [
        ({"TERM": "xterm"}, {ESCAPE}),
        ({"TERM": "xterm", "NO_COLOR": "1"}, set()),
        # What rich alone would heed.
        ({"TERM": "dumb", "TTY_COMPATIBLE": "1", "COLORTERM": "truecolor"}, set()),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, {ESCAPE}),
    ],
)
def test_logs_and_tables_at_a_terminal_follow_that_rule(
    variables: dict[str, str], escapes: set[str], tmp_path: Path
) -> None:
    output, errors = at_a_terminal(tmp_path, 80, *EXPLAIN, **variables)
    assert "policy.variable_ignored" in errors
    assert set(errors) & {ESCAPE} == escapes
    assert ESCAPE not in output
    output, _ = at_a_terminal(tmp_path, 80, "webhook", "list", **variables)
    assert "https://crm.example/" in output
    assert set(output) & {ESCAPE} == escapes


@pytest.mark.parametrize(
    ("variables", "escapes"),
    [({"TERM": "xterm"}, set()), ({"TERM": "xterm", "FORCE_COLOR": "1"}, {ESCAPE})],
)
def test_a_table_in_a_pipe_has_colours_only_if_they_are_forced(
    variables: dict[str, str], escapes: set[str], tmp_path: Path
) -> None:
    output, _ = in_a_pipe(tmp_path, "webhook", "list", **variables)
    assert "https://crm.example/" in output
    assert set(output) & {ESCAPE} == escapes


def test_json_has_no_colours_though_they_are_forced(tmp_path: Path) -> None:
    output, errors = in_a_pipe(tmp_path, *EXPLAIN, "--json", FORCE_COLOR="1")
    assert ESCAPE not in output + errors
    json.loads(output)
    events = [json.loads(line)["event"] for line in errors.splitlines()]
    assert "policy.variable_ignored" in events


@pytest.mark.parametrize("arguments", [("--help",), ("events", "--help")])
def test_help_has_no_colours(arguments: tuple[str, ...], tmp_path: Path) -> None:
    output, _ = at_a_terminal(tmp_path, 80, *arguments, TERM="xterm", FORCE_COLOR="1")
    assert output
    assert ESCAPE not in output


def test_only_one_place_says_what_a_console_may_do() -> None:
    folder = Path(msys_track.__file__).parent
    found = {
        each.relative_to(folder).as_posix()
        for each in folder.rglob("*.py")
        if re.search(r"\bConsole\(", each.read_text(encoding="utf-8"))
    }
    # The explanation is drawn in memory, without colours.
    assert found == {"cli/console.py", "cli/explanation.py"}
