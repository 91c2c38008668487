"""Clients of other projects log in over TLS that they verify, as they do at any provider."""

from pathlib import Path

import pytest
from tests.certificates import Certificate, make_certificate
from tests.clients.conftest import SENDER, compose_mail
from tests.clients.stock import STOCK_CLIENTS, Letter, Login
from tests.processes import Server
from tests.proxied import find_tracked_urls
from tests.users import PASSWORD, write_users

from msys_track.keys.ring import KeyRing
from msys_track.testing.mailbox import MailServer

pytestmark = pytest.mark.timeout(180)

HTML = b'<html><body>\n<a href="https://client.example/">Your order</a>\n</body></html>\n'
MESSAGE = compose_mail(HTML, b"Content-Type: text/html")


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path)


@pytest.fixture
def access(tmp_path: Path, certificate: Certificate) -> str:
    """Nobody may send without a password."""
    users = write_users(tmp_path / "users.toml", "SMTP_Injection")
    return (
        'networks = ["192.0.2.0/24"]\n'
        f'auth_users = "{users}"\n'
        f'tls_certificate = "{certificate.certificate}"\n'
        f'tls_key = "{certificate.key}"\n'
    )


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
            sender=SENDER,
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
