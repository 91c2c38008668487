"""Clients of other projects log in over TLS that they verify, as they do at any provider."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.certificates import Certificate, make_certificate
from tests.clients.stock import STOCK_CLIENTS, Letter, Login
from tests.processes import Server
from tests.proxied import find_tracked_urls
from tests.users import PASSWORD, write_users

from msys_track.keys.file import create
from msys_track.keys.ring import KeyRing
from msys_track.testing.mailbox import MailServer

pytestmark = pytest.mark.timeout(180)

HTML = b'<html><body>\n<a href="https://client.example/">Your order</a>\n</body></html>\n'
MESSAGE = (
    b"From: <shop@client.example>\r\nTo: <jo@reader.example>\r\nSubject: x\r\n"
    b"Date: Tue, 24 Nov 2026 09:00:00 +0000\r\nMessage-ID: <1@client.example>\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/html\r\n\r\n" + HTML.replace(b"\n", b"\r\n")
)
CONFIGURATION = """\
keys = "keys.toml"
[listener]
open_tracking_enabled = true
click_tracking_enabled = true
tracking_domain = "click.client.example"
[proxy]
listen = "localhost:0"
upstream = "127.0.0.1:{upstream}"
networks = ["192.0.2.0/24"]
auth_users = "users.toml"
tls_certificate = "server.crt"
tls_key = "server.key"
"""


@pytest.fixture
def mailbox() -> Iterator[MailServer]:
    with MailServer() as server:
        yield server


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path)


@pytest.fixture
def proxy(mailbox: MailServer, tmp_path: Path, certificate: Certificate) -> Iterator[Server]:
    """A proxy where nobody may send without a password."""
    create(str(tmp_path / "keys.toml"))
    write_users(tmp_path / "users.toml", "SMTP_Injection")
    assert certificate.key.name in CONFIGURATION
    text = CONFIGURATION.format(upstream=mailbox.port)
    (tmp_path / "proxy.toml").write_text(text, encoding="utf-8")
    server = Server(tmp_path, "proxy", "--config", "proxy.toml")
    try:
        yield server.listening()
    finally:
        server.kill()


@pytest.mark.parametrize("name", STOCK_CLIENTS)
def test_a_stock_client_logs_in_as_at_sparkpost(
    name: str, mailbox: MailServer, proxy: Server, tmp_path: Path, certificate: Certificate
) -> None:
    login = Login(
        user="SMTP_Injection:X-MSYS-SUBACCOUNT=123",
        password=PASSWORD,
        certificate=certificate.certificate,
    )
    STOCK_CLIENTS[name].send(
        Letter(
            folder=tmp_path,
            port=proxy.port,
            sender="shop@client.example",
            recipients=("jo@reader.example",),
            message=MESSAGE,
            html=HTML,
            login=login,
        )
    )
    assert proxy.stop().code == 0
    (arrived,) = mailbox.arrivals
    keys = KeyRing.load(str(tmp_path / "keys.toml"))
    found = find_tracked_urls(arrived.message.replace(b"=\r\n", b""), keys)
    assert {each.claims.engagement.subaccount_id for each in found} == {123}
