"""Commands in a folder of the test's, and what they need there."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests import processes
from tests.processes import Run, Server, Start

from msys_track.keys.file import create


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run commands in the test's folder."""
    return partial(processes.run, tmp_path)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start servers in the test's folder; they end with the test."""
    with ExitStack() as ends:

        def start_one(*arguments: str | Path, **settings: Any) -> Server:
            server = Server(tmp_path, *arguments, **settings)
            ends.callback(server.kill)
            return server.listening()

        yield start_one


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A key file."""
    file = tmp_path / "keys.toml"
    create(file)
    return file


@pytest.fixture
def config(tmp_path: Path, keys: Path) -> Path:
    """A configuration with servers on free ports and an upstream where no server listens."""
    file = tmp_path / "msys-track.toml"
    text = """
keys = "keys.toml"
[listener]
open_tracking_enabled = true
click_tracking_enabled = true
allow_downgrade = true
tracking_domain = "click.example.com"
[proxy]
listen = "127.0.0.1:0"
upstream = "127.0.0.1:9"
[tracker]
listen = "127.0.0.1:0"
store = "events.sqlite"
"""
    assert keys.name in text
    file.write_text(text, encoding="utf-8")
    return file
