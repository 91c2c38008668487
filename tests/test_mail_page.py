"""docs/mail.md is sent: each of its examples goes through a proxy, and what it shows arrives."""

import json
import smtplib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.ports import find_free_ports
from tests.processes import running
from tests.proxied import find_tracked_urls, send_mail
from tests.shown import Block, fits, read_blocks
from tests.upstreams import ScriptedUpstream

from msys_track.events import Event
from msys_track.keys.file import create
from msys_track.keys.ring import KeyRing

pytestmark = pytest.mark.anyio

READER = "jo@reader.example"
BLOCKS = list(read_blocks("mail.md"))
(MAIL,) = (block.text for block in BLOCKS if block.role == "mail")
(CONFIGURATION,) = (block.text for block in BLOCKS if block.language == "toml")
EVENTS = {"click", "open", "initial_open", "link_unsubscribe"}


@dataclass(frozen=True, slots=True)
class Example:
    """A mail, and what the page shows of it."""

    name: str
    mail: bytes
    shown: list[Block] = field(default_factory=list)


def make_mail(block: Block) -> bytes:
    """The mail of the examples, with what one of them has instead."""
    fields, _, body = MAIL.partition("\n\n")
    if block.role == "header":
        # A field of an example stands in place of the one that has its name.
        names = {line.partition(":")[0] for line in block.text.splitlines()}
        kept = [line for line in fields.splitlines() if line.partition(":")[0] not in names]
        fields = "\n".join(kept) + "\n" + block.text.rstrip("\n")
    elif block.role == "body":
        fields = fields.replace(
            "text/html", "text/plain" if block.language == "text" else "text/html"
        )
        body = block.text
    return f"{fields}\n\n{body}".replace("\n", "\r\n").encode()


def read_examples() -> list[Example]:
    examples: list[Example] = []
    for block in BLOCKS:
        if block.role in {"mail", "header", "body"}:
            name = f"{len(examples) + 1} {block.heading}"
            examples.append(Example(name, make_mail(block)))
        elif block.language != "toml":
            examples[-1].shown.append(block)
    return examples


@dataclass(slots=True)
class Running:
    """A proxy with the page's configuration, and what is behind it."""

    port: int
    hop: ScriptedUpstream
    keys: KeyRing


@pytest.fixture(scope="module")
async def proxy(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("proxy")
    (port,) = find_free_ports(1)
    create(folder / "keys.toml")
    async with ScriptedUpstream() as hop:
        ports = {"127.0.0.1:2525": f"127.0.0.1:{port}", "127.0.0.1:25": f"127.0.0.1:{hop.port}"}
        text = CONFIGURATION
        for shown, here in ports.items():
            text = text.replace(f'"{shown}"', f'"{here}"')
        (folder / "msys-track.toml").write_text(text, encoding="utf-8")
        async with running("--config", folder / "msys-track.toml"):
            yield Running(port, hop, KeyRing.load(folder / "keys.toml"))


def find_events(message: bytes, keys: KeyRing) -> list[dict[str, Any]]:
    """The events that the tracked URLs of a copy make, in the order of their kinds' links."""
    return [
        Event.from_claims(each.claims, at=each.claims.engagement.injected_at + 1).fields()
        for each in find_tracked_urls(message, keys)
    ]


def assert_event(shown: Block, message: bytes, keys: KeyRing) -> None:
    """The first event of that type has the members that are shown."""
    kind = shown.role.split()[0]
    found = next(each for each in find_events(message, keys) if each["type"] == kind)
    wanted = json.loads(shown.text)
    assert {name: found.get(name) for name in wanted} == wanted


def assert_lines(shown: Block, message: bytes) -> None:
    """The lines that are shown stand in the message, one right after the other."""
    lines = message.decode().split("\r\n")
    wanted = shown.text.splitlines()
    assert any(
        all(map(fits, wanted, lines[start : start + len(wanted)]))
        for start in range(len(lines) - len(wanted) + 1)
    ), "\n".join(lines)


@pytest.mark.parametrize("example", read_examples(), ids=lambda example: example.name)
async def test_an_example_arrives_as_the_page_shows(proxy: Running, example: Example) -> None:
    before = len(proxy.hop.taken)
    reply = "250"
    try:
        await send_mail(proxy.port, example.mail, to=READER)
    except smtplib.SMTPDataError as refused:
        reply = f"{refused.smtp_code} {refused.smtp_error.decode()}"  # type: ignore[union-attr]
    copies = {to: each.message for each in proxy.hop.taken[before:] for to in each.recipients}
    assert example.shown, "an example shows something"
    for shown in example.shown:
        role, _, reader = shown.role.partition(" ")
        copy = copies.get(reader or READER, b"")
        if role == "reply":
            assert fits(shown.text.strip(), reply)
            assert copies == {}
        elif role in EVENTS:
            assert_event(shown, copy, proxy.keys)
        else:
            assert role == "arrives"
            assert_lines(shown, copy)
            assert b"X-MSYS-API" not in copy


def test_every_block_of_the_page_is_used() -> None:
    roles = {"msys-track.toml", "mail", "header", "body", "arrives", "reply", *EVENTS}
    assert {block.role.split()[0] for block in BLOCKS} <= roles
    assert len(read_examples()) > 30
