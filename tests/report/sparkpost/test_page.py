"""docs/sparkpost-api.md is true: its commands print what it shows, its tables are the code's."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.report.sparkpost.served import Served, serve
from tests.report.sparkpost.test_clients import find_client
from tests.shown import DOCS, fits, read_blocks
from tests.sinks.store.events import AT, line

from msys_track.cli import main
from msys_track.config.load import load
from msys_track.keys.file import create
from msys_track.report.sparkpost import events, metrics
from msys_track.report.sparkpost.api_keys import Scope, make_api_key
from msys_track.report.sparkpost.routes import ROUTES

PAGE = (DOCS / "sparkpost-api.md").read_text(encoding="utf-8")
BLOCKS = list(read_blocks("sparkpost-api.md"))
LINES = (line("open", at=AT - 2), line(at=AT - 1), line(at=AT))


def find(language: str, role: str) -> str:
    (text,) = (each.text for each in BLOCKS if (each.language, each.role) == (language, role))
    return text


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serve(tmp_path_factory.mktemp("served"), LINES) as served:
        yield served


def test_keys_are_made_and_listed_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    printed = ""
    for command in re.findall(r"^\$ msys-track (.*)$", find("console", "keys"), re.MULTILINE):
        printed += f"$ msys-track {command}\n"
        result = CliRunner().invoke(main, command.split())
        assert result.exit_code == 0
        printed += result.stderr + result.stdout
    assert fits(find("console", "keys"), printed)


def test_the_configuration_is_read(tmp_path: Path) -> None:
    create(tmp_path / "keys.toml")
    make_api_key(tmp_path / "api-keys.toml", "all", Scope)
    file = tmp_path / "msys-track.toml"
    file.write_text(find("toml", "report"), encoding="utf-8")
    load(file)


@pytest.mark.parametrize("role", ["error", "events", "metrics"])
def test_a_command_prints_what_is_shown(served: Served, role: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl was not found; apt-get install curl")
    shown = find("console", role)
    command, _, answer = shown.removeprefix("$ ").partition("\n")
    done = subprocess.run(  # noqa: S602 - the page's own command
        command.replace("http://127.0.0.1:8026", f"https://127.0.0.1:{served.port}"),
        shell=True,
        env={
            **os.environ,
            "KEY": served.key,
            "CURL_CA_BUNDLE": str(served.certificate.certificate),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert fits(answer.removesuffix("\n"), done.stdout), done.stdout


def test_the_python_client_prints_the_campaigns(served: Served) -> None:
    pytest.importorskip("sparkpost", reason="sparkpost is in the group dev")
    program = find("python", "client").replace("report.example", f"127.0.0.1:{served.port}")
    done = subprocess.run(  # noqa: S603 - the page's own program
        [sys.executable, "-c", f"KEY = {served.key!r}\n{program}"],
        env={**os.environ, "REQUESTS_CA_BUNDLE": str(served.certificate.certificate)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "['Summer Sale']\n"


def test_the_node_client_prints_how_many_clicks_there_are(served: Served) -> None:
    modules = find_client() / "node_modules"
    if shutil.which("node") is None or not modules.is_dir():
        pytest.skip("npm's sparkpost was not found; scripts/sparkpost-client fetches it")
    program = find("js", "client").replace("report.example", f"127.0.0.1:{served.port}")
    done = subprocess.run(  # noqa: S603 - the page's own program
        ["node", "-e", f"const KEY = '{served.key}';\n{program}"],  # noqa: S607
        env={
            **os.environ,
            "NODE_PATH": str(modules),
            "NODE_EXTRA_CA_CERTS": str(served.certificate.certificate),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "2\n"


def test_the_page_says_of_each_metric_what_it_counts() -> None:
    shown = dict(re.findall(r"^\| `(count_\w+)` \| (.*) \|$", PAGE, re.MULTILINE))
    assert shown == {name: metric.meaning for name, metric in metrics.METRICS.items()}


def test_the_page_names_each_address() -> None:
    answered = {
        route.path  # type: ignore[attr-defined]
        for route in ROUTES
        if "GET" in (route.methods or ()) and "{" not in route.path  # type: ignore[attr-defined]
    }
    shown = set(re.findall(r"`(/api/v1/[\w/-]+)`", PAGE)) | {f"{metrics.PATH}/domains"}
    assert shown == {each.rstrip("/") for each in answered}


def test_the_page_names_each_parameter() -> None:
    known = {name for names in events._NAMES.values() for name in names}  # noqa: SLF001
    known |= {name for names in metrics._NAMES.values() for name in names}  # noqa: SLF001
    shown = {
        name
        for cells in re.findall(r"^\| (`[a-z_]+`(?:, (?:or )?`[a-z_]+`)*) \|", PAGE, re.MULTILINE)
        for name in re.findall(r"`([a-z_]+)`", cells)
    }
    assert known <= shown
