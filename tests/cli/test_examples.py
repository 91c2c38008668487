"""The examples in the help of each command: they are there, they parse, and they run."""

import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Final

import click
import pytest
from tests.cli.test_spool import keep
from tests.manual.sandbox import Sandbox, copy_folder, make_folder
from tests.rewriting import plans
from tests.users import PASSWORD

from msys_track import Claims, KeyRing
from msys_track.cli import main
from msys_track.cli.commands import Command, Commands
from msys_track.config.load import load

_COLUMNS: Final = 80
_INDENT: Final = 2
_QUEUE_ID: Final = "K7XW2MBQ4P"
_LINK: Final = "http://click.example.com/f/a/…"
# What has to be there before; the folder has mails, keys, users, events and a configuration.
_BEFORE: Final = {
    "api-keys list": "msys-track api-keys new api-keys.toml crm",
    "api-keys remove": "msys-track api-keys new api-keys.toml crm",
    "check": "msys-track serve",
    "events import": "msys-track events export > events.ndjson; cp events.sqlite old.sqlite",
    "top": "msys-track proxy",
    "users": "rm users.toml",
}
_NOT_RUN: Final = {
    "": "its examples are those of other commands",
    "bench": "takes a minute; tests/cli/test_bench.py runs it for less",
    "demo": "stays with --keep; tests/demo runs it",
    "events consume": "needs Kafka, and runs until it is stopped",
    "proxy": "runs until it is stopped; other tests of this folder run it",
    "report": "runs until it is stopped; other tests of this folder run it",
    "serve": "runs until it is stopped; other tests of this folder run it",
    "tracker": "runs until it is stopped; other tests of this folder run it",
}


def list_commands(
    command: click.Command, path: Sequence[str] = ()
) -> Iterator[tuple[str, Command | Commands]]:
    """List the commands below one and itself, by what is typed behind `msys-track`."""
    assert isinstance(command, Command | Commands), f"{path} has no examples: set its `cls`"
    yield " ".join(path), command
    if isinstance(command, Commands):
        context = click.Context(command, info_name="msys-track")
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from list_commands(below, (*path, name))


COMMANDS: Final = dict(list_commands(main))
# Groups show what their commands show too.
EXAMPLES: Final = dict.fromkeys(each for command in COMMANDS.values() for each in command.examples)


@pytest.mark.parametrize("path", COMMANDS)
def test_each_command_shows_how_it_is_typed(path: str) -> None:
    examples = COMMANDS[path].examples
    assert 1 <= len(examples) <= 4
    assert len(set(examples)) == len(examples)
    assert all(path in example for example in examples)
    lines = "\n".join(examples).splitlines()
    assert max(map(len, lines)) + _INDENT < _COLUMNS


@pytest.mark.parametrize("path", COMMANDS)
def test_the_help_shows_each_line_as_it_is_typed(path: str) -> None:
    settings = {**main.context_settings, "terminal_width": _COLUMNS}
    context = click.Context(COMMANDS[path], info_name=path, **settings)
    text = COMMANDS[path].get_help(context)
    lines = "\n".join(COMMANDS[path].examples).splitlines()
    shown = "".join(f"{'':{_INDENT}}{line}\n" for line in lines)
    assert f"\n\nExamples:\n{shown}\nOptions:\n" in text


def parse(example: str) -> None:
    """Let the command's own parser read an example.

    Raises:
        click.UsageError: the command, an option or a value is wrong.
    """
    found = re.search(r'msys-track [^"#|<>&)]*', example.replace("\\\n", " "))
    assert found is not None
    words = shlex.split(found[0])[1:]
    command: click.Command = main
    context: click.Context | None = None
    while isinstance(command, click.Group):
        context = command.make_context(command.name, words, parent=context)
        if not (words := [*context._protected_args, *context.args]):  # noqa: SLF001 - as click does
            break
        name, below, words = command.resolve_command(context, words)
        assert name is not None
        assert below is not None
        command = below
    else:
        command.make_context(command.name, words, parent=context)


@pytest.mark.parametrize("example", [each for each in EXAMPLES if "--help" not in each])
def test_an_example_parses(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    parse(example)


@pytest.mark.parametrize(
    "spoiled",
    [
        "msys-track events list --campaigns x",
        "msys-track keys new",
        "msys-track keys make keys.toml",
        "msys-track --configuration x proxy",
        "msys-track rewrite --to jo < mail.eml",
    ],
)
def test_an_example_that_is_wrong_does_not_parse(spoiled: str) -> None:
    with pytest.raises(click.UsageError):
        parse(spoiled)


class _Taker(BaseHTTPRequestHandler):
    """A webhook's receiver that takes everything."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name there
        """Stay silent."""


@pytest.fixture(scope="module")
def receiver() -> Iterator[str]:
    """The address of a receiver of events."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Taker) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, receiver: str) -> Path:
    folder = make_folder(tmp_path_factory.mktemp("examples") / "folder")
    with (folder / "msys-track.toml").open("a") as file:
        file.write(f'[metrics]\nlisten = "127.0.0.1:9464"\n[webhook.shop]\nurl = "{receiver}"\n')
        file.write("allow_private = true\n")
    (folder / "password.txt").write_text(f"{PASSWORD}\n")
    return folder


@pytest.fixture
def sandbox(made: Path, tmp_path: Path) -> Iterator[Sandbox]:
    with copy_folder(made, tmp_path / "folder") as sandbox:
        yield sandbox


def fill_in(examples: Sequence[str], folder: Path) -> str:
    """Put a mail of this folder's spool and a link of its keys where examples show others."""
    text = "\n".join(examples)
    if _QUEUE_ID in text or "spool" in text:
        text = text.replace(_QUEUE_ID, keep(load(folder / "msys-track.toml").spool.path))
    claims = Claims(kind="click", engagement=plans.engagement(), target="https://shop.example/")
    path = KeyRing.load(folder / "keys.toml").seal(claims)
    return text.replace(_LINK, f"http://click.example.com/{path}")


@pytest.mark.parametrize("path", [each for each in COMMANDS if each not in _NOT_RUN])
def test_the_examples_of_a_command_run_one_after_the_other(path: str, sandbox: Sandbox) -> None:
    home = "export HOME=$PWD XDG_DATA_HOME= XDG_CONFIG_HOME="
    script = fill_in(COMMANDS[path].examples, sandbox.folder)
    printed = sandbox.shell(f"{home}\n{_BEFORE.get(path, ':')}\n{script}")
    assert printed.code == 0, printed.text


def test_what_is_said_of_commands_is_of_commands_that_there_are() -> None:
    assert {*_BEFORE, *_NOT_RUN} <= {*COMMANDS}
    assert shutil.which("sh")
