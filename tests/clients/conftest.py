"""A proxy between a stock client and a mailbox, and the mail that the client is given."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.processes import Server

from msys_track.keys.file import create
from msys_track.testing.mailbox import MailServer

SENDER = "shop@client.example"
_CONFIGURATION = """\
keys = "keys.toml"
[listener]
open_tracking_enabled = true
click_tracking_enabled = true
tracking_domain = "click.client.example"
[proxy]
listen = "localhost:0"
upstream = "127.0.0.1:{upstream}"
"""


def compose_mail(html: bytes, *fields: bytes) -> bytes:
    """Compose a mail whose one part is this HTML, with further fields of its header."""
    head = (
        b"From: <shop@client.example>",
        b"To: <jo@reader.example>",
        b"Subject: x",
        b"Date: Tue, 24 Nov 2026 09:00:00 +0000",
        b"Message-ID: <1@client.example>",
        b"MIME-Version: 1.0",
        *fields,
    )
    return b"\r\n".join((*head, b"", html.replace(b"\n", b"\r\n")))


@pytest.fixture
def mailbox() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture
def access() -> str:
    """Say who may send: lines more in `[proxy]`."""
    return ""


@pytest.fixture
def proxy(mailbox: MailServer, tmp_path: Path, access: str) -> Iterator[Server]:
    create(str(tmp_path / "keys.toml"))
    text = _CONFIGURATION.format(upstream=mailbox.port)
    (tmp_path / "proxy.toml").write_text(text + access, encoding="utf-8")
    server = Server(tmp_path, "proxy", "--config", "proxy.toml")
    try:
        yield server.listening()
    finally:
        server.kill()
