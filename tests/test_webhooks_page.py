"""docs/webhooks.md is true: its configurations load, its commands print what it shows."""

import asyncio
import base64
import re
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.shown import fits, read_blocks
from tests.sinks.webhook.conftest import Stepping, deliver_all, make_event, write_log
from tests.sinks.webhook.receiver import Receiver, receiving

from msys_track.cli import main
from msys_track.config.load import load
from msys_track.keys.file import create
from msys_track.sinks.webhook.sink import make_client

pytestmark = pytest.mark.anyio

BLOCKS = list(read_blocks("webhooks.md"))
CONFIGURATIONS = [block.text for block in BLOCKS if block.language == "toml"]
START = 'keys = "keys.toml"\n[tracker]\nstore = "events.sqlite"\n'
NAMES = ("WEBHOOK_PASSWORD", "WEBHOOK_TOKEN", "OAUTH", "API_KEY")


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


def find(role: str) -> str:
    (text,) = (block.text for block in BLOCKS if block.role == role)
    return text


def find_console(heading: str) -> list[str]:
    """The console blocks below a heading."""
    return [
        block.text for block in BLOCKS if block.language == "console" and block.heading == heading
    ]


def write(folder: Path, text: str, receiver: Receiver | None = None) -> Path:
    """Write a configuration of the page; its receiver may be one on loopback."""
    if not (folder / "keys.toml").exists():
        create(folder / "keys.toml")
    (folder / "webhooks.json").write_text(find("webhooks.json"))
    if receiver is not None:
        text = text.replace("https://shop.example/events", receiver.url) + "allow_private = true\n"
    path = folder / "msys-track.toml"
    path.write_text(START + text)
    return path


@pytest.mark.parametrize("text", CONFIGURATIONS)
def test_each_configuration_is_good_and_its_secrets_are_found(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, "value")
    secret = tmp_path / "webhook.secret"
    secret.write_text(f"whsec_{base64.b64encode(bytes(32)).decode()}\n")
    secret.chmod(0o600)
    read = load(write(tmp_path, text))
    assert len(read.webhooks) == len(tomllib.loads(text).get("webhook", ["of Momentum's file"]))
    for settings in read.webhooks.values():
        assert make_client(settings, lambda: 0.0) is not None


def test_momentums_example_has_the_name_that_the_page_says(tmp_path: Path) -> None:
    (text,) = (each for each in CONFIGURATIONS if "webhooks_json" in each)
    ((name, webhook),) = load(write(tmp_path, text)).webhooks.items()
    assert (name, webhook.types) == ("My-example-webhook", ("open", "click"))


async def test_a_batch_looks_as_shown(tmp_path: Path, receiver: Receiver) -> None:
    path = write(tmp_path, CONFIGURATIONS[0], receiver)
    write_log(tmp_path, [make_event(1), make_event(2)])
    await deliver_all(tmp_path, load(path).webhooks["shop"], Stepping())
    (request,) = receiver.requests
    host = receiver.url.split("/")[2]
    head = "".join(f"{name}: {value}\n" for name, value in request.headers.items())
    head = head.replace(host, "shop.example")
    shown = find("batch")
    for line, found in zip(
        sorted(shown.split("\n\n")[0].splitlines()[1:]), sorted(head.splitlines()), strict=True
    ):
        assert fits(line, found)
    assert fits(shown.split("\n\n")[1].strip(), request.body.decode())


def run(path: Path, line: str) -> Result:
    command = [*line.removeprefix("msys-track ").split(), "--config", str(path)]
    return CliRunner().invoke(main, command, env={"COLUMNS": "80"})


async def test_commands_print_what_is_shown(tmp_path: Path, receiver: Receiver) -> None:
    path = write(tmp_path, f'[events]\nfolder = "log"\n{CONFIGURATIONS[0]}', receiver)
    log = tmp_path / "log"
    write_log(log, [make_event(1), make_event(2)])
    receiver.answer = lambda _: 400
    await deliver_all(log, load(path).webhooks["shop"], Stepping())
    (letter,) = (log / "dead" / "webhook.shop.ndjson").read_text().splitlines()
    assert fits(find("dead letter").strip(), letter)
    receiver.answer = lambda _: 200
    count = 0
    for text in find_console("Commands"):
        for line, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
            result = await asyncio.to_thread(run, path, line)
            assert result.exit_code == 0, result.stderr
            wanted = [re.sub(r" {2,}", " ", each) for each in output.splitlines() if each != "…"]
            found = [re.sub(r" {2,}", " ", each).rstrip() for each in result.stdout.splitlines()]
            for each in wanted:
                assert any(fits(each, it) for it in found), (each, found)
            count += 1
    assert count == 4


async def test_the_receiver_of_the_page_verifies_what_we_sign_with_the_command_of_the_page(
    tmp_path: Path, receiver: Receiver
) -> None:
    (command,) = find_console("Signatures")
    process = await asyncio.create_subprocess_shell(command.removeprefix("$ "), cwd=tmp_path)
    assert await process.wait() == 0
    (text,) = (each for each in CONFIGURATIONS if "signing_secret" in each)
    path = write(tmp_path, text, receiver)
    write_log(tmp_path, [make_event(1)])
    await deliver_all(tmp_path, load(path).webhooks["signed"])
    (code,) = (block.text for block in BLOCKS if block.language == "python")
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - the page's own
    (request,) = receiver.requests
    secret = (tmp_path / "webhook.secret").read_text().strip()
    (event,) = names["receive"](dict(request.headers), request.body, secret)
    assert event["event_id"] == "event-1"
