"""`msys-track top` beside a running proxy."""

import json
import os
import pty
import re
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from click.testing import CliRunner
from tests.cli.terminals import Terminal
from tests.ports import find_free_ports
from tests.processes import COMMAND, PATIENCE_SECONDS, Run, Start, environment

from msys_track.cli import main
from msys_track.metrics import STAGES, Counters, Figures


@pytest.fixture
def shown(config: Path) -> Path:
    """A configuration whose proxy shows its figures."""
    (port,) = find_free_ports(1)
    text = config.read_text(encoding="utf-8")
    config.write_text(f'{text}[metrics]\nlisten = "127.0.0.1:{port}"\n', encoding="utf-8")
    return config


@pytest.mark.usefixtures("shown")
def test_one_look_has_totals_gauges_stages_and_workers(start: Start, run: Run) -> None:
    proxy = start("proxy")
    pid = proxy.event("worker.ready")["pid"]
    looked = run("top", "--once")
    assert looked.code == 0, looked.errors
    lines = [line.split() for line in looked.output.decode().splitlines()]
    assert ["mails", "accepted", "0"] in lines
    assert ["clients", "0"] in lines
    assert ["worker", "state", "seconds", "accepted", "clients"] in lines
    [worker] = [line for line in lines if line[:1] == [str(pid)]]
    assert worker[1] == "ready"


@pytest.mark.usefixtures("shown")
def test_json_is_one_object(start: Start, run: Run) -> None:
    start("proxy")
    looked = run("top", "--once", "--json")
    assert looked.code == 0
    assert json.loads(looked.output)["workers"][0]["state"] == "ready"


@pytest.mark.usefixtures("shown")
def test_it_goes_on_until_it_is_interrupted(config: Path, start: Start) -> None:
    start("proxy")
    own, terminal = pty.openpty()
    process = subprocess.Popen(  # noqa: S603 - our own command
        [COMMAND, "top", "--interval", "0.1"],
        cwd=config.parent,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**environment(), "TERM": "xterm", "COLUMNS": "80", "LINES": "40"},
    )
    os.close(terminal)
    read = b""
    while b"per second" not in read:
        read += os.read(own, 65_536)
    process.send_signal(signal.SIGINT)
    with suppress(OSError):  # it has left the terminal; until then it waits for us to read
        while more := os.read(own, 65_536):
            read += more
    assert process.wait(PATIENCE_SECONDS) == 1
    os.close(own)
    assert b"Traceback" not in read


@pytest.mark.usefixtures("config")
def test_without_metrics_it_says_what_to_write(run: Run) -> None:
    ended = run("top", "--once")
    assert (ended.code, ended.output) == (2, b"")
    assert ended.errors.startswith("msys-track.toml: no [metrics] table: nothing to read; add ")


@pytest.mark.usefixtures("shown")
def test_without_a_proxy_it_says_so(run: Run) -> None:
    ended = run("top", "--once")
    assert (ended.code, ended.output) == (1, b"")
    assert "does not answer: [Errno 111] Connection refused; does the proxy run" in ended.errors


class Answers:
    """Gives each of some figures once; then it has no more."""

    def __init__(self, *figures: Figures) -> None:
        self.left = [
            json.dumps({**each.as_json(), "workers": [WORKER]}).encode() for each in figures
        ]

    def __call__(self, _environ: Mapping[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "application/json")])
        return [self.left.pop(0) if self.left else b"gone"]


WORKER = {"pid": 7, "state": "ready", "seconds": 1, "accepted": 1, "sessions": 0}


def make_figures(*seconds: float) -> Figures:
    """Make those of a proxy whose mails took so long in the first stage."""
    counters = Counters()
    for each in seconds:
        counters.add("messages.accepted")
        counters.observe({STAGES[0]: each})
    return Figures(dict(counters.snapshot()), {"sessions": 2.0}, dict(counters.times()))


@contextmanager
def serving(config: Path, *figures: Figures) -> Iterator[None]:
    """Serve figures where a configuration says that they are."""

    class Silent(WSGIRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    server = make_server("127.0.0.1", 0, Answers(*figures), handler_class=Silent)
    text = config.read_text(encoding="utf-8")
    listen = f'[metrics]\nlisten = "127.0.0.1:{server.server_port}"\n'
    config.write_text(text + listen, encoding="utf-8")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_json_goes_on_line_by_line_until_the_proxy_is_gone(config: Path) -> None:
    with serving(config, make_figures(0.1), make_figures(0.1, 0.1, 0.1)):
        ended = CliRunner().invoke(
            main, ["top", "--json", "--interval", "0.1", "--config", str(config)]
        )
    shown = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [each["counters"]["messages.accepted"] for each in shown] == [1, 3]
    assert ended.exit_code == 1
    assert "does not answer: Expecting value" in ended.stderr


def test_later_looks_have_rates_and_the_times_since_the_last_one(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal(monkeypatch, "stdout")
    looks = make_figures(), make_figures(0.002), make_figures(0.002, 0.5)
    with serving(config, *looks), pytest.raises(SystemExit):
        main(["top", "--interval", "0.1", "--config", str(config)])
    rows = [
        row.split() for row in re.split(r"\r?\n", terminal.read()) if row.startswith(STAGES[0])
    ]
    # The first look knows of no mail; the third has the second one's alone.
    assert [row[1] for row in rows] == ["1.8", "375.0"]
