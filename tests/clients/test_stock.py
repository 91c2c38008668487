"""Clients of other projects send through the proxy as they send to any server."""

import email
from email import policy
from functools import partial
from pathlib import Path

import pytest
from tests import oracle
from tests.clients.conftest import SENDER, compose_mail
from tests.clients.stock import STOCK_CLIENTS, Letter
from tests.processes import Server
from tests.proxied import find_tracked_urls

from msys_track.keys.ring import KeyRing
from msys_track.testing.fidelity import split_received
from msys_track.testing.mailbox import MailServer

pytestmark = pytest.mark.timeout(180)

RECIPIENTS = ("jo@reader.example", "amy@reader.example")
TARGET = "https://client.example/a?b=1&c=2"
HTML = (
    '<html><body>\n<p>Grüße, Jo</p>\n.\n..dots\n<a href="https://client.example/a?b=1&amp;c=2">'
    "Your order</a>\n</body></html>\n"
).encode()
MESSAGE = compose_mail(
    HTML, b"Content-Type: text/html; charset=utf-8", b"Content-Transfer-Encoding: 8bit"
)


@pytest.mark.parametrize("name", STOCK_CLIENTS)
def test_a_stock_client_s_mail_arrives_tracked_and_else_as_it_was_sent(
    name: str, mailbox: MailServer, proxy: Server, tmp_path: Path
) -> None:
    client = STOCK_CLIENTS[name]
    letter = partial(
        Letter,
        folder=tmp_path,
        sender=SENDER,
        recipients=RECIPIENTS,
        message=MESSAGE,
        html=HTML,
    )
    client.send(letter(port=mailbox.port))
    client.send(letter(port=proxy.port))
    assert proxy.stop().code == 0
    direct, *tracked = mailbox.arrivals
    assert direct.recipients == RECIPIENTS
    assert [each.recipients for each in tracked] == [(each,) for each in RECIPIENTS]
    assert {each.sender for each in tracked} == {SENDER}
    keys = KeyRing.load(str(tmp_path / "keys.toml"))
    for copy in tracked:
        claims = [each.claims for each in find_tracked_urls(_decode(copy.message), keys)]
        assert [each.target for each in claims] == [TARGET, None]
        assert {each.engagement.recipient for each in claims} == set(copy.recipients)
        if client.composes:
            assert _subject(copy.message) == _subject(direct.message)
        else:
            received, below = split_received(copy.message)
            assert received
            difference = oracle.difference(direct.message, below)
            assert len(difference.links) == len(difference.pixels) == 1


def _decode(message: bytes) -> bytes:
    parsed = email.message_from_bytes(message, policy=policy.default)
    body = parsed.get_body(("html",))
    assert body is not None
    decoded = body.get_payload(decode=True)
    assert isinstance(decoded, bytes)
    return decoded


def _subject(message: bytes) -> str:
    return str(email.message_from_bytes(message, policy=policy.default)["Subject"])
