"""At a terminal: lines fit it, and colours are left out on request."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from pathlib import Path

import pytest
from tests.processes import COMMAND

from msys_track.keys.file import create

MAIL = (
    b"X-MSYS-API: {}\r\nContent-Type: text/html\r\n\r\n"
    b"<body><a href='http://shop.example/%b'>x</a></body>\r\n" % (b"spring/" * 20)
)
POLICY = """
def validate_data_spool_each_rcpt(transaction):
    transaction.contexts.message.set("smtpapi_open_tracking", "perhaps")
"""


def at_a_terminal(folder: Path, columns: int, **variables: str) -> tuple[str, str]:
    """Explain a mail of which policy says what is logged; return standard output and error."""
    create(folder / "keys.toml")
    (folder / "mail.eml").write_bytes(MAIL)
    (folder / "policy.py").write_text(POLICY, "utf-8")
    config = '[policy]\nfiles = ["policy.py"]\n[proxy]\nupstream = "127.0.0.1:1"\n'
    (folder / "msys-track.toml").write_text(f'keys = "keys.toml"\n{config}', "utf-8")
    pairs = [pty.openpty() for _ in range(2)]
    for _, terminal in pairs:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    output, errors = (terminal for _, terminal in pairs)
    process = subprocess.Popen(  # noqa: S603 - our own command
        [COMMAND, "explain", "mail.eml", "--to", "jo@reader.example"],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        env={**kept, "LANG": "C.UTF-8", **variables},
    )
    for _, terminal in pairs:
        os.close(terminal)
    written = tuple(_all_of(own) for own, _ in pairs)
    assert process.wait(30) == 0, written
    return written[0], written[1]


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
    output, _ = at_a_terminal(tmp_path, columns, TERM="xterm")
    lines = output.splitlines()
    assert len(lines) > 30
    assert max(map(len, lines)) <= columns
    assert "\x1b" not in output
    # What does not fit is on the next line, not gone.
    assert "http://shop.example/" + "spring/" * 14 in re.sub(r"\s+", "", output)


def test_what_is_wider_than_80_columns_has_them_where_there_are_more(tmp_path: Path) -> None:
    output, _ = at_a_terminal(tmp_path, 132, TERM="xterm")
    assert max(map(len, output.splitlines())) > 80


@pytest.mark.parametrize(
    ("variables", "escapes"),
    [
        ({"TERM": "xterm"}, {"\x1b"}),
        ({"TERM": "xterm", "NO_COLOR": ""}, {"\x1b"}),
        ({"TERM": "xterm", "NO_COLOR": "1"}, set()),
        ({"TERM": "dumb"}, set()),
    ],
)
def test_logs_have_colours_for_whoever_wants_them(
    variables: dict[str, str], escapes: set[str], tmp_path: Path
) -> None:
    output, errors = at_a_terminal(tmp_path, 80, **variables)
    assert "policy.variable_ignored" in errors
    assert set(errors) & {"\x1b"} == escapes
    assert "\x1b" not in output
