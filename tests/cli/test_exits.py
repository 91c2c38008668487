"""However a command ends, a person reads one line and a script has its code."""

from pathlib import Path

import pytest
from tests.processes import Run, shell

import msys_track

REWRITE = "msys-track rewrite --to jo@e.com --open-tracking"


@pytest.fixture
def mail(tmp_path: Path) -> Path:
    """A mail that is larger than any pipe holds."""
    file = tmp_path / "mail.eml"
    file.write_bytes(b"Content-Type: text/html\r\n\r\n" + b"<p>text</p>\r\n" * 100_000)
    return file


COMMANDS = (
    f"{REWRITE} < mail.eml",
    "msys-track open-link /f/a/x --keys keys.toml",
    "msys-track --help",
    "msys-track config check msys-track.toml",
)


@pytest.mark.parametrize("streams", [">&-", ">/dev/full", "| true", ">&- 2>&-", "<&- >&-"])
@pytest.mark.usefixtures("mail", "config")
def test_no_state_of_the_streams_shows_a_stack_trace(streams: str, tmp_path: Path) -> None:
    for command in COMMANDS:
        ended = shell(tmp_path, f"{command} {streams}")
        assert ended.code in (0, 1, 2)
        assert "Exception ignored" not in ended.errors


@pytest.mark.usefixtures("mail")
def test_a_full_disk_is_told_and_exits_1(tmp_path: Path) -> None:
    for command in (f"{REWRITE} < mail.eml >/dev/full", "msys-track --help >/dev/full"):
        ended = shell(tmp_path, command)
        assert ended.code == 1
        assert ended.errors == "msys-track: standard output: No space left on device\n"
    ended = shell(tmp_path, f"{REWRITE} --edits /dev/full < mail.eml")
    assert (ended.code, ended.output) == (1, b"")
    assert ended.errors == "msys-track: /dev/full: No space left on device\n"


@pytest.mark.usefixtures("mail")
def test_a_closed_output_is_told_and_exits_1(tmp_path: Path) -> None:
    ended = shell(tmp_path, f"{REWRITE} < mail.eml >&-")
    assert (ended.code, ended.errors) == (1, "msys-track: standard output is closed\n")
    ended = shell(tmp_path, f"({REWRITE} < mail.eml; echo $? >&2) | true")
    assert ended.errors.splitlines()[-2:] == [
        "msys-track: standard output was closed before everything was written",
        "1",
    ]


@pytest.mark.usefixtures("mail")
def test_a_closed_standard_error_costs_the_report_and_nothing_else(tmp_path: Path) -> None:
    ended = shell(tmp_path, f"{REWRITE} --edits edits.json < mail.eml 2>&-")
    assert (ended.code, ended.errors) == (0, "")
    assert len(ended.output) > 1_300_000
    assert (tmp_path / "edits.json").read_text("ascii").startswith("[")


def test_a_command_that_is_not_there_is_wrong_usage(run: Run) -> None:
    for arguments in (["nope"], ["keys", "nope"], ["--nope"], ["config"], []):
        ended = run(*arguments)
        assert (ended.code, ended.output) == (2, b"")
        assert ended.errors.startswith("Usage: msys-track")


def test_the_version_is_the_package_s(run: Run) -> None:
    assert run("--version").output.decode() == f"msys-track {msys_track.__version__}\n"
