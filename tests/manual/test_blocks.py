"""Every block of the manual is run: by the tests of its page, or here, one after the other.

How a block is run here follows from the words behind its fence, as CONTRIBUTING.md says.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from tests.manual import registry
from tests.manual.sandbox import Sandbox, copy_folder, make_folder
from tests.shown import ROOT, Block, read_blocks

from msys_track.config.checking import check_configuration

PAGES: Final = {
    registry.name_page(page): list(read_blocks(page)) for page in registry.list_pages()
}
_PICTURE: Final = re.compile("[─│├└┐┘┌►▼▲→←]")
_COMMAND: Final = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
_TALK: Final = re.compile(r"(?:127\.0\.0\.1|localhost):(?:2525|8080|8026)\b")
_STARTED: Final = re.compile(r"\bmsys-track (?:serve|proxy|tracker|report|explain)\b")
_MADE: Final = re.compile(r"\bmsys-track (?:keys new|users add|api-keys new) (\S+)")
_VARIABLES: Final = re.compile(r'"env:(\w+)"')
_SERVED_FROM: Final = re.compile(r'"/(?:etc|opt|var|run|srv)/(?:[^"/]+/)*([^"/]+)"')
# What a part of a configuration has to have beside it, by its table.
_NEEDED: Final[Mapping[str, Mapping[str, str]]] = {
    "proxy": {"upstream": 'upstream = "127.0.0.1:25"'},
    "tracker": {"store": 'store = "events.sqlite"'},
    "report": {"users": 'users = "users.toml"'},
}

_NEEDED_STANZAS: Final[Mapping[str, str]] = {
    "gateway": 'Gateway = "10.0.0.25"\n',
    "keys =": 'msys_track { keys = "keys.toml" }\n',
}


def _is_run_here(page: str, block: Block) -> bool:
    return registry.find_test(page, block) is None and registry.find_reason(page, block) is None


HERE: Final = [
    page for page, blocks in PAGES.items() if any(_is_run_here(page, each) for each in blocks)
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("manual") / "folder")


@pytest.fixture
def sandbox(made: Path, tmp_path: Path) -> Iterator[Sandbox]:
    sandbox = copy_folder(made, tmp_path / "folder")
    yield sandbox
    sandbox.stop()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("page", HERE)
def test_the_blocks_of_a_page_do_what_it_shows(
    page: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(sandbox.folder)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(sandbox.folder))
    for name in _VARIABLES.findall((ROOT / page).read_text(encoding="utf-8")):
        monkeypatch.setenv(name, "secret")
    run = _Run(page, sandbox)
    blocks = [each for each in PAGES[page] if _is_run_here(page, each)]
    for block in PAGES[page]:
        run.write(block)
    run.start_servers(blocks)
    for block in blocks:
        run.follow(block)
    if run.faults:
        pytest.fail("\n\n".join(run.faults), pytrace=False)


def test_the_tests_and_reasons_that_are_named_are_of_blocks_that_there_are() -> None:
    assert registry.list_unused() == []


@pytest.mark.parametrize("page", registry.RUN_BY)
def test_the_test_of_a_page_reads_the_page(page: str) -> None:
    names = {page, Path(page).name, Path(page).stem}
    for test in registry.RUN_BY[page]:
        text = (ROOT / test).read_text(encoding="utf-8")
        imported = re.findall(r"^from tests\.([\w.]+) import", text, re.MULTILINE)
        others = [ROOT / "tests" / f"{each.replace('.', '/')}.py" for each in imported]
        texts = [text, *(each.read_text(encoding="utf-8") for each in others if each.exists())]
        assert any(f'"{name}"' in each or f"/{name}" in each for name in names for each in texts)


@dataclass(slots=True)
class _Run:
    """Somebody who follows a page from its top to its end."""

    page: str
    sandbox: Sandbox
    faults: list[str] = field(default_factory=list)
    removed: set[str] = field(default_factory=set)
    """Files of the folder that the page makes anew."""
    printed: str | None = None
    """What the block before it printed, if it was a command."""

    def write(self, block: Block) -> None:
        """Write a block that is a file."""
        if _is_file(block):
            path = self.sandbox.folder / block.role
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.sandbox.here(block.text), encoding="utf-8")

    def start_servers(self, blocks: Sequence[Block]) -> None:
        """Start what a page talks to and does not start itself."""
        text = "".join(each.text for each in blocks if each.language in {"sh", "console"})
        if _TALK.search(text) and not _STARTED.search(text):
            assert self.sandbox.shell("msys-track serve").code == 0

    def follow(self, block: Block) -> None:
        """Do what a block says; note where it does not do what the page shows."""
        printed, self.printed = self.printed, None
        followers: Mapping[str, Callable[[Block], None]] = {
            "sh": self._run_script,
            "console": self._run_session,
            "toml": self._judge_configuration,
            "json": self._parse_json,
            "python": self._run_program,
        }
        if block.language in followers:
            followers[block.language](block)
        elif block.language in {"", "text"} and printed is not None:
            self._compare(block, block.text, printed)
        elif _is_file(block):
            others = [each.text for each in PAGES[self.page] if each is not block]
            if block.role.endswith(".conf"):
                self._judge_stanzas(block)
            elif not any(block.role in text for text in others):
                self._blame(block, "is a file that no other block of its page uses")
        elif block.language not in {"", "text"}:
            self._blame(block, "is run by no test")
        elif not _PICTURE.search(block.text):
            self._blame(block, "shows something, but follows no command that prints it")

    def _run_script(self, block: Block) -> None:
        self._remove_what_is_made(block)
        done = self.sandbox.shell(block.text)
        if done.code != 0:
            self._blame(block, f"ended with {done.code}:\n{done.text}")
        self.printed = done.text

    def _run_session(self, block: Block) -> None:
        self._remove_what_is_made(block)
        for line, shown in _COMMAND.findall(block.text):
            done = self.sandbox.type(line)
            if done.code != 0:
                self._blame(block, f"{line} ended with {done.code}:\n{done.text}")
            if shown:
                self._compare(block, shown, done.text)

    def _remove_what_is_made(self, block: Block) -> None:
        for name in _MADE.findall(block.text):
            if name not in self.removed:
                (self.sandbox.folder / name).unlink(missing_ok=True)
                self.removed.add(name)

    def _judge_configuration(self, block: Block) -> None:
        path = self.sandbox.folder / (block.role if _is_file(block) else "shown.toml")
        text = _SERVED_FROM.sub(r'"\1"', self.sandbox.here(_complete(block.text)))
        path.write_text(text, encoding="utf-8")
        self._check(block, path)

    def _judge_stanzas(self, block: Block) -> None:
        path = self.sandbox.folder / block.role
        text = path.read_text(encoding="utf-8")
        for beginning, line in _NEEDED_STANZAS.items():
            if beginning not in text.lower():
                text += line
        path.write_text(text, encoding="utf-8")
        self._check(block, path)

    def _check(self, block: Block, path: Path) -> None:
        problems = check_configuration(path).problems
        if problems:
            lines = [each.format_line(Path(path.name)) for each in problems]
            self._blame(block, "has faults:\n" + "\n".join(lines))

    def _parse_json(self, block: Block) -> None:
        json.loads(re.sub(",…|…,", "", block.text))

    def _run_program(self, block: Block) -> None:
        done = subprocess.run(  # noqa: S603 - the manual's own program
            [sys.executable, "-W", "error", "-c", block.text],
            cwd=self.sandbox.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            self._blame(block, done.stderr)
        self.printed = done.stdout

    def _compare(self, block: Block, shown: str, printed: str) -> None:
        wanted = [line.rstrip() for line in self.sandbox.here(shown).splitlines()]
        found = [line.rstrip() for line in printed.splitlines()]
        pattern = "".join(
            "(?:.*\n)*" if line == "…" else ".*".join(map(re.escape, line.split("…"))) + "\n"
            for line in wanted
        )
        if not re.fullmatch(pattern, "".join(f"{line}\n" for line in found)):
            self._blame(block, f"shows\n{shown}\nbut printed was\n{printed}")

    def _blame(self, block: Block, what: str) -> None:
        words = f"{block.language} {block.role}".strip()
        self.faults.append(
            f"{self.page}:{block.line} [{words}] {what}\n"
            '  hint: CONTRIBUTING.md, "The manual", says how blocks are run'
        )


def _is_file(block: Block) -> bool:
    return re.fullmatch(r"[\w./-]+\.\w+", block.role) is not None


def _complete(text: str) -> str:
    """Give a part of a configuration what it needs to be one."""
    read = tomllib.loads(text)
    for table, needed in _NEEDED.items():
        for key, line in needed.items():
            if table in read and key not in read[table] and not (key == "upstream" in read):
                text = re.sub(rf"^\[{table}\]\n", rf"\g<0>{line}\n", text, flags=re.MULTILINE)
    if "report" in read and "tracker" not in read:
        text += '[tracker]\nstore = "events.sqlite"\n'
    if "upstream" in read and "proxy" not in read:
        text += "[proxy]\n"
    return text if "keys" in read else f'keys = "keys.toml"\n{text}'
