"""`msys-track bench`: tables, a picture and figures. Nothing here says who is fast."""

import json
import os
import pty
import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result
from tests.processes import COMMAND, environment

from msys_track.cli import main
from msys_track.comparison.peers import find_peers

PAGE = b"<p><a href='http://e.com/1'>x</a></p>"


def bench(*arguments: str | Path, seconds: str = "0.01") -> Result:
    """Call the command in this process, which is quick."""
    named = ["bench", "--seconds", seconds, *map(str, arguments)]
    return CliRunner().invoke(main, named)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    file = tmp_path / "page.html"
    file.write_bytes(PAGE)
    return file


def test_it_prints_a_table_in_markdown_for_each_bundled_mail() -> None:
    result = bench()
    assert result.exit_code == 0, result.stderr
    titles = re.findall(r"^### (.*): [\d.]+ kB of HTML, (\d+) links", result.stdout, re.MULTILINE)
    assert titles == [
        ("newsletter", "26"),
        ("newsletter, quoted-printable", "26"),
        ("short newsletter", "4"),
        ("order confirmation", "12"),
    ]
    for peer in find_peers():
        assert result.stdout.count(f"\n| {peer.name} {peer.version}".rstrip()) == 4


def test_a_file_of_one_s_own_is_taken_alone(page: Path) -> None:
    result = bench(page)
    assert re.findall(r"^### (.*),", result.stdout, re.MULTILINE) == [
        "page.html: 0.0 kB of HTML, 1 links"
    ]


def test_bundled_mails_are_chosen_by_name_and_stand_behind_files(page: Path) -> None:
    result = bench("--mail", "order", page)
    assert re.findall(r"^### ([^:]*):", result.stdout, re.MULTILINE) == [
        "page.html",
        "order confirmation",
    ]


def test_where_it_was_measured_stands_below(page: Path) -> None:
    last = bench(page).stdout.splitlines()[-1]
    assert re.match(r"msys-track \S+, \d{4}-\d\d-\d\d, CPython [\d.]+, ", last)


def test_it_draws_and_writes_figures_where_it_is_told_to(page: Path, tmp_path: Path) -> None:
    picture, figures = tmp_path / "bench.svg", tmp_path / "bench.json"
    result = bench(page, "--svg", picture, "--json", figures)
    assert result.exit_code == 0, result.stderr
    assert ET.parse(picture).getroot().tag.endswith("svg")  # noqa: S314 - our own
    names = [each["name"] for each in json.loads(figures.read_bytes())["benchmarks"]]
    assert names[0] == "msys-track"


def test_a_picture_that_cannot_be_written_is_one_line(page: Path, tmp_path: Path) -> None:
    result = bench(page, "--svg", tmp_path / "none" / "bench.svg")
    assert result.exit_code == 1
    assert re.fullmatch(r"msys-track: .*bench\.svg: No such file or directory\n", result.stderr)


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    result = bench(tmp_path / "none.eml")
    assert result.exit_code == 1
    assert re.fullmatch(r"msys-track: .*none\.eml: No such file or directory\n", result.stderr)


def test_a_mail_without_links_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_bytes(b"<p>no links")
    result = bench(file)
    assert result.exit_code == 1
    assert result.stderr == (
        "msys-track: page.html: no link in its HTML is tracked, so there is nothing to compare; "
        "msys-track explain says why each link is left alone\n"
    )


def test_no_seconds_at_all_are_wrong_usage(page: Path) -> None:
    assert bench(page, seconds="0").exit_code == 2


def test_at_a_terminal_the_table_has_no_markdown(page: Path) -> None:
    own, terminal = pty.openpty()
    with subprocess.Popen(  # noqa: S603 - our own command
        [COMMAND, "bench", page, "--seconds", "0.01"],
        stdout=terminal,
        stderr=subprocess.PIPE,
        env=environment({"TERM": "xterm"}),
    ) as process:
        os.close(terminal)
        shown = b""
        try:
            while piece := os.read(own, 65_536):
                shown += piece
        except OSError:  # the other end is closed, which is an error on Linux
            pass
    assert process.returncode == 0
    assert b"page.html: 0.0 kB of HTML, 1 links" in shown
    assert b"|" not in shown


def test_peers_that_are_not_installed_are_named(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "msys_track.comparison.run.list_missing", lambda: ["lxml>=6", "pytracking"]
    )
    result = bench(page)
    assert result.exit_code == 0, result.stderr
    assert "Peers that are not installed: pip install 'lxml>=6' 'pytracking'" in result.stdout
