"""Somebody who follows a page of the manual, block by block."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.manual.sandbox import Sandbox
from tests.shown import Block

from msys_track.config.checking import check_configuration

_PICTURE: Final = re.compile("[─│├└┐┘┌►▼▲→←]")
_COMMAND: Final = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
_TALK: Final = re.compile(r"\b(?:2525|8080|8026)\b")
_CONFIGURATIONS: Final = {"toml", "text", "json", ""}
_STARTED: Final = re.compile(r"\bmsys-track (?:serve|proxy|tracker|report|explain)\b")
_MADE: Final = re.compile(r"\bmsys-track (?:keys new|users add|api-keys new) (\S+)")
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


@dataclass(slots=True)
class Follower:
    """Somebody who follows a page from its top to its end."""

    page: str
    blocks: Sequence[Block]
    sandbox: Sandbox
    faults: list[str] = field(default_factory=list)
    removed: set[str] = field(default_factory=set)
    """Files of the folder that the page makes anew."""
    printed: str | None = None
    """What the block before it printed, if it was a command."""

    def follow(self, blocks: Sequence[Block]) -> None:
        """Follow some blocks of the page; what goes wrong is in `faults`."""
        for block in self.blocks:
            self._write(block)
        self._start_servers(blocks)
        for block in blocks:
            self._follow(block)
            self.sandbox.read_mail()

    def _write(self, block: Block) -> None:
        if _is_file(block):
            path = self.sandbox.folder / block.role
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.sandbox.here(block.text), encoding="utf-8")

    def _start_servers(self, blocks: Sequence[Block]) -> None:
        # A page may talk to what another one says how to start.
        text = "".join(each.text for each in blocks if each.language not in _CONFIGURATIONS)
        if _TALK.search(text) and not _STARTED.search(text):
            # As `serve` does, which starts each from nothing: that takes twice as long.
            names = ["tracker", "proxy", *(["report"] if "8026" in text else [])]
            started = self.sandbox.shell("\n".join(f"msys-track {each}" for each in names))
            assert started.code == 0, started.text

    def _follow(self, block: Block) -> None:
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
            others = [each.text for each in self.blocks if each is not block]
            name = Path(block.role)
            if block.role.endswith(".conf"):
                self._judge_stanzas(block)
            elif not any(str(name) in text or f'"{name.stem}"' in text for text in others):
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
            done = self.sandbox.type_line(line)
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
        found = [line.rstrip() for line in printed.rstrip().splitlines()]
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
