"""A package without the compiled core still tracks mail, with the engine in pure Python."""

import importlib.machinery
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "python" / "msys_track"

MESSAGE = b"""\
Subject: x
Content-Type: text/html; charset=utf-8

<body><a href="http://e.com/?a=1&amp;b">x</a></body>
"""

LIBRARY = """
import sys
from msys_track import KeyRing, TrackingOptions, rewrite
keys = KeyRing.temporary()
options = TrackingOptions(
    open_tracking=True, click_tracking=True, tracking_domain="click.example.com"
)
message = sys.stdin.buffer.read()
copy = rewrite(
    message, recipient="jo@example.com", options=options, keys=keys, engine="reference"
)
url = copy.decode().partition('href="http://click.example.com/')[2].partition('"')[0]
print(keys.open(url).target, copy.count(b"<img"))
try:
    rewrite(message, recipient="jo@example.com", options=options, keys=keys)
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a copy of the package that has no compiled module."""
    folder = tmp_path_factory.mktemp("bare")
    shutil.copytree(
        PACKAGE, folder / PACKAGE.name, ignore=shutil.ignore_patterns("_core*", "__pycache__")
    )
    return folder


def run(bare: Path, *arguments: str, text: bytes = MESSAGE) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(  # noqa: S603
        [sys.executable, *arguments],
        input=text,
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(bare)},
    )


def test_the_library_tracks_by_the_reference_engine(bare: Path) -> None:
    done = run(bare, "-c", LIBRARY)
    assert done.returncode == 0, done.stderr.decode()
    tracked, refused = done.stdout.decode().splitlines()
    assert tracked == "http://e.com/?a=1&b 1"
    assert refused.startswith("SettingsError engine: the compiled core is not part")
    assert 'engine="reference"' in refused


@pytest.mark.parametrize("command", [["rewrite", "--click-tracking"], ["explain", "-"]])
def test_the_commands_track_by_the_reference_engine(bare: Path, command: list[str]) -> None:
    main = "from msys_track.cli import main; main()"
    arguments = ["-c", main, *command, "--to", "jo@example.com"]
    done = run(bare, *arguments, "--engine", "reference")
    assert done.returncode == 0, done.stderr.decode()
    refused = run(bare, *arguments)
    assert refused.returncode == 2
    assert b"the compiled core is not part of this installation" in refused.stderr


def test_a_core_that_cannot_be_loaded_is_not_taken_for_one_that_is_not_there(
    bare: Path, tmp_path: Path
) -> None:
    broken = tmp_path / PACKAGE.name
    shutil.copytree(bare / PACKAGE.name, broken)
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    (broken / f"_core{suffix}").write_bytes(b"no library")
    done = run(tmp_path, "-c", LIBRARY)
    assert done.returncode != 0
    assert b"_core" in done.stderr
    assert b"ImportError" in done.stderr
    assert b"not part of this installation" not in done.stdout + done.stderr


def test_a_configuration_is_read_without_the_lines_of_its_keys(bare: Path, tmp_path: Path) -> None:
    file = tmp_path / "msys-track.toml"
    file.write_text('[listener]\nopen_tracking = "perhaps"\n')
    main = "from msys_track.cli import main; main()"
    checked = run(bare, "-c", main, "config", "check", str(file))
    assert b"open_tracking" in checked.stdout + checked.stderr
    file.write_text("[tracking\n")
    checked = run(bare, "-c", main, "config", "check", str(file))
    assert b"not TOML" in checked.stdout + checked.stderr
