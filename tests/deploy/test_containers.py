"""The container's files agree with each other and with the project; its health check works.

Images are not built here: that needs a registry, and minutes. docs/operating.md says what was run.
"""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.ports import find_free_ports
from tests.processes import Server, environment

from msys_track.accounts.users import add_user
from msys_track.config.load import load
from msys_track.keys.file import create

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "docs" / "deploy"
CONTAINERFILE: Final = (DEPLOY / "container" / "Containerfile").read_text(encoding="utf-8")
COMPOSE: Final = (DEPLOY / "compose" / "compose.yaml").read_text(encoding="utf-8")
CONFIGURATION: Final = (DEPLOY / "compose" / "msys-track.toml").read_text(encoding="utf-8")
HEALTHY: Final = DEPLOY / "container" / "healthy.py"


def write_configuration(folder: Path, *changes: tuple[str, str]) -> Path:
    """Write the configuration of the compose file with its volume in a folder."""
    text = CONFIGURATION.replace("/var/lib/msys-track", str(folder))
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    create(folder / "keys.toml")
    add_user(folder / "users.toml", "amy", "correct horse battery staple")
    file = folder / "msys-track.toml"
    file.write_text(text, encoding="utf-8")
    return file


def ask_health(ports: str) -> int:
    """Run the health check as the image does; its exit code."""
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-I", "-S", str(HEALTHY)], env=environment({"HEALTH_PORTS": ports}),
        capture_output=True, check=False, timeout=30,
    )  # fmt: skip
    return done.returncode


def test_all_that_the_image_copies_is_there() -> None:
    named = re.findall(r"^COPY (?!--)(.*) \S+$", CONTAINERFILE, re.MULTILINE)
    sources = [source for line in named for source in line.split()]
    assert "rust" in sources
    assert [each for each in sources if not any(ROOT.glob(each))] == []


def test_a_bench_that_the_manifest_names_is_copied() -> None:
    named = re.findall(r'^path = "(\S+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    others = [each for each in named if not each.startswith("rust/")]
    assert others
    assert [each for each in others if not re.fullmatch(r"benches/\w+\.rs", each)] == []


def test_the_configuration_of_the_compose_file_has_no_fault(tmp_path: Path) -> None:
    read = load(write_configuration(tmp_path))
    assert None not in (read.proxy, read.tracker, read.report)
    assert read.notices == ()


def test_the_compose_file_publishes_what_the_configuration_listens_on() -> None:
    listens = re.findall(r'^listen = "0\.0\.0\.0:(\d+)"', CONFIGURATION, re.MULTILINE)
    published = re.findall(r'"127\.0\.0\.1:(\d+):\1"', COMPOSE)
    assert sorted([*published, "9464"]) == sorted(listens)
    exposed = re.search(r"^EXPOSE (.*)$", CONTAINERFILE, re.MULTILINE)
    assert exposed is not None
    assert exposed[1].split() == published


def test_the_health_check_asks_every_server_and_fails_without_one(tmp_path: Path) -> None:
    shown = ("2525", "8080", "8026", "9464", "9465", "9466")
    ports = dict(zip(shown, map(str, find_free_ports(len(shown))), strict=True))
    write_configuration(
        tmp_path, ('"postfix:25"', '"127.0.0.1:25"'), ('"interface"', '"192.0.2.0/24"'),
        *((f'"0.0.0.0:{old}"', f'"127.0.0.1:{new}"') for old, new in ports.items()),
    )  # fmt: skip
    asked = re.search(r'HEALTH_PORTS: "(.*)"', COMPOSE)
    assert asked is not None
    health = " ".join(ports[each] for each in asked[1].split())
    assert ask_health(health) == 1
    serve = Server(tmp_path, "serve")
    try:
        serve.listening(3)
        assert ask_health(health) == 0
    finally:
        serve.kill()
