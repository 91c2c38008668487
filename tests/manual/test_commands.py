"""Every command that a document shows exists, with its options: in blocks and within sentences."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from typing import Final

import click
import pytest
from tests.manual import registry
from tests.shown import ROOT, read_blocks

from msys_track.cli import main

_FENCED: Final = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
_INLINE: Final = re.compile(r"`(msys-track [^`]+|make [^`]+)`")
_END: Final = {"|", ">", "<", ">>", ";", "&&", "&", "2>", "||", ")"}
_PAGES: Final = [registry.name_page(page) for page in registry.list_pages()]


@pytest.mark.parametrize("page", _PAGES)
def test_commands_and_options_of_a_page_are_there(page: str) -> None:
    faults = [
        f"{page}: {line}: {fault}" for line in list_commands(page) if (fault := find_fault(line))
    ]
    assert faults == []


@pytest.mark.parametrize("page", _PAGES)
def test_what_a_page_lets_a_shell_do_is_shell(page: str) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash was not found")
    for block in read_blocks(ROOT / page):
        if block.language == "sh":
            done = subprocess.run(  # noqa: S603 - it reads, and runs nothing
                [bash, "-n"], input=block.text, capture_output=True, text=True, check=False
            )
            assert (done.returncode, done.stderr) == (0, ""), f"{page}:{block.line}"


def list_commands(page: str) -> Iterator[str]:
    """List the lines of a page that call `msys-track` or `make`, or say so in a comment."""
    for block in read_blocks(ROOT / page):
        if block.language == "toml":
            yield from re.findall(r"#.*?\b(msys-track [a-z].*)", block.text)
        if block.language in {"sh", "console"}:
            for line in block.text.replace("\\\n", " ").splitlines():
                start = re.search(r"(?:^|[;&|(] *|\$ )(msys-track|make) ", line)
                if start is not None:
                    yield line[start.start(1) :]
    text = _FENCED.sub("", (ROOT / page).read_text(encoding="utf-8"))
    yield from _INLINE.findall(text.replace("\n", " "))


def find_fault(line: str) -> str | None:
    """Say what is wrong with a command; None where nothing is."""
    words = split(line)
    return find_missing_target(words[1:]) if words[0] == "make" else find_unknown(words[1:])


def split(line: str) -> list[str]:
    lexer = shlex.shlex(
        line.replace("…", "").replace("'s ", " "), posix=True, punctuation_chars=True
    )
    lexer.whitespace_split = True
    words = []
    for word in lexer:
        if word in _END or word.startswith("#"):
            break
        words.append(word)
    return words


def find_missing_target(words: Sequence[str]) -> str | None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for word in words:
        if "=" not in word and not re.search(
            rf"^([\w -]+ )?{re.escape(word)}( [\w -]+)?:", makefile, re.MULTILINE
        ):
            return f"the Makefile has no target {word}"
    return None


def find_unknown(words: Sequence[str]) -> str | None:
    """Find a command or an option that there is not."""
    command: click.Command = main
    # A command keeps the names of its help option, which these settings say.
    context = click.Context(main, info_name="msys-track", **main.context_settings)
    given = iter(words)
    for word in given:
        if word.startswith("-") and len(word) > 1:
            name = word.partition("=")[0]
            options = {
                each: option
                for option in command.get_params(context)
                for each in (*option.opts, *option.secondary_opts)
            }
            if name not in {*options, "-h", "--help"}:
                return f"{command.name} has no option {name}"
            option = options.get(name)
            if isinstance(option, click.Option) and not option.is_flag and "=" not in word:
                next(given, None)
        elif isinstance(command, click.Group):
            found = command.get_command(context, word)
            if found is None:
                # A placeholder stands for any command, a shortened list for several.
                return None if word.isupper() else f"there is no command {word}"
            command, context = found, click.Context(found, parent=context, info_name=word)
    return None
