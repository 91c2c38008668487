"""The README is run: its commands, its program, its configuration."""

import json
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from tests import oracle, processes
from tests.processes import shell

from msys_track.smtpapi import header

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)#]+)")
MESSAGE = (
    b"From: news@example.com\r\nTo: jo@example.com\r\nSubject: News\r\n"
    b"Content-Type: text/html; charset=utf-8\r\n\r\n"
    b'<body><a href="https://shop.example.com/?a=1&amp;b=2">Shop</a></body>\r\n'
)


def blocks(language: str) -> list[str]:
    return [text for found, text in BLOCK.findall(README) if found == language]


def shell_block(start: str) -> str:
    [block] = [text for text in blocks("sh") if text.startswith(start)]
    return block.replace("\\\n", "")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a reader of the README would try it."""
    (tmp_path / "newsletter.eml").write_bytes(MESSAGE)
    return tmp_path


def test_the_first_lines_begin_a_folder_and_serve_it(folder: Path) -> None:
    building, *rest = shell_block("make wheel").splitlines()
    found = re.fullmatch(r'make (\w+) && pip install "\$\(ls dist/(.*)\)\[(\w+)\]"', building)
    assert found is not None
    target, wheel, extra = found.groups()
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert fnmatch("msys_track-0.1.0-cp311-abi3-manylinux_2_17_x86_64.whl", wheel)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert extra in project["optional-dependencies"]
    init, serve = (line.partition("#")[0].split() for line in rest)
    assert shell(folder, " ".join(init)).code == 0
    configuration = folder / "msys-track.toml"
    text = configuration.read_text(encoding="utf-8")
    free = re.sub(r'listen = "127\.0\.0\.1:\d+"', 'listen = "127.0.0.1:0"', text)
    configuration.write_text(free, encoding="utf-8")
    server = processes.Server(folder, *serve[1:])
    try:
        server.listening(3)
        assert server.stop().code == 0
    finally:
        server.kill()


def test_the_filter_s_lines_do_what_they_say(folder: Path) -> None:
    lines = shell_block("msys-track keys new").splitlines()
    *making, opening = lines
    for line in making:
        ended = shell(folder, line)
        assert (ended.code, ended.output) == (0, b""), ended.errors
    tracked = (folder / "tracked.eml").read_bytes()
    found = oracle.difference(MESSAGE, tracked)
    [(_, url)], [_] = found.links, found.pixels
    assert url.startswith("http://click.example.com/f/a/")
    assert "'http://click.example.com/f/a/…'" in opening
    ended = shell(folder, opening.replace("http://click.example.com/f/a/…", url))
    claims = json.loads(ended.output)
    assert claims["target"] == "https://shop.example.com/?a=1&b=2"
    assert claims["recipient"] == "jo@example.com"


def test_the_library_s_lines_do_what_they_say(folder: Path) -> None:
    [program] = blocks("python")
    assert len([line for line in program.splitlines() if line.strip()]) <= 10
    made = re.search(r"# made by: (msys-track .*)", program)
    assert made is not None
    assert shell(folder, made[1]).code == 0
    check = "\nimport sys\nsys.stdout.buffer.write(tracked)\n"
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-W", "error", "-c", program + check],
        cwd=folder,
        capture_output=True,
        timeout=processes.PATIENCE_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    found = oracle.difference(MESSAGE, done.stdout)
    assert (len(found.links), len(found.pixels)) == (1, 1)


@pytest.fixture
def configuration_file(folder: Path) -> Path:
    """The README's configuration and its key file."""
    [configuration] = blocks("toml")
    name = configuration.splitlines()[0].removeprefix("# ")
    (folder / name).write_text(configuration, encoding="utf-8")
    assert shell(folder, shell_block("msys-track keys new").splitlines()[0]).code == 0
    return folder / name


def test_the_configuration_has_no_faults(configuration_file: Path) -> None:
    ended = shell(configuration_file.parent, f"msys-track config check {configuration_file.name}")
    assert (ended.code, ended.errors) == (0, "")


def test_the_servers_lines_start_what_they_say(configuration_file: Path) -> None:
    text = configuration_file.read_text(encoding="utf-8")
    for address in ('"127.0.0.1:2525"', '"127.0.0.1:8080"'):
        assert f"listen = {address}" in text
        text = text.replace(address, '"127.0.0.1:0"')
    configuration_file.write_text(text, encoding="utf-8")
    lines = shell_block("msys-track serve").splitlines()
    serve, check, events = (line.partition("#")[0].split()[1:] for line in lines)
    assert [serve, check, events[:1]] == [["serve"], ["check"], ["events"]]
    server = processes.Server(configuration_file.parent, *serve)
    try:
        server.listening(2)
        shown = json.loads(processes.run(configuration_file.parent, *check).output)
        assert "https://click.example.com" in {each["what"] for each in shown["findings"]}
        assert server.stop().code == 0
    finally:
        server.kill()
    assert processes.run(configuration_file.parent, *events).code == 0


def test_the_header_that_it_shows_is_a_good_one() -> None:
    [line] = [text for text in blocks("") if text.startswith("X-MSYS-API:")]
    parsed = header.parse_header([line.removeprefix("X-MSYS-API:").encode()])
    assert parsed is not None
    assert (parsed.open_tracking, parsed.campaign_id) == (False, "spring")
    assert parsed.metadata == '{"user":7}'
    assert parsed.ignored_keys == ()


def test_its_two_commands_are_targets() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^make (\w+)", shell_block("make demo"), re.MULTILINE)
    assert targets == ["demo", "test"]
    for target in [*targets, "build"]:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_it_leads_to_the_first_page_of_the_manual() -> None:
    assert "docs/index.md" in LINK.findall(README)


def test_it_says_which_python_the_build_asks_for() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    [python] = re.findall(r"Python (3\.\d+) or newer", README)
    assert f'requires-python = ">={python}"' in pyproject
