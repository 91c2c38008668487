"""`msys-track top` beside a running proxy."""

import json
import os
import pty
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from tests.ports import find_free_ports
from tests.processes import COMMAND, PATIENCE_SECONDS, Run, Start, environment


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
