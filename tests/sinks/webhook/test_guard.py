"""Where a webhook may not lead: private addresses, at configuration and at delivery; bad TLS."""

import asyncio
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
from tests.certificates import make_certificate
from tests.sinks.webhook.conftest import make_settings
from tests.sinks.webhook.receiver import Receiver, receiving

from msys_track.errors import SettingsError
from msys_track.settings.key import ConflictError
from msys_track.sinks.webhook.addresses import is_private_host, is_public
from msys_track.sinks.webhook.client import Answer, WebhookClient
from msys_track.sinks.webhook.guard import GuardedResolver, PrivateAddressError
from msys_track.sinks.webhook.settings import WebhookSettings

pytestmark = pytest.mark.anyio

PRIVATE = (
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1",  # noqa: S104
    "169.254.169.254", "100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192",
    "198.18.0.1", "224.0.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
)  # fmt: skip
PUBLIC = ("93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "64:ff9b::5db8:d70e")


def test_private_addresses_are_known_in_every_form() -> None:
    assert [each for each in PRIVATE if is_public(each)] == []
    assert [each for each in PUBLIC if not is_public(each)] == []
    assert not is_public("example.com")
    hosts = (
        *PRIVATE, "localhost", "LOCALHOST.", "a.localhost", "metadata.google.internal",
        "printer.local", "127.1", "0x7f000001", "2130706433", "017700000001", "[::1]",
    )  # fmt: skip
    assert [each for each in hosts if not is_private_host(each)] == []
    names = ("example.com", "localhost.example.com", "1.example", *PUBLIC)
    assert [each for each in names if is_private_host(each)] == []


@pytest.mark.parametrize("key", ["url", "oauth_url"])
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]:8443", "localhost", "0x7f.1", "10.0.0.1"])
def test_a_private_url_is_refused_at_configuration_unless_allowed(key: str, host: str) -> None:
    fields: dict[str, Any] = {"url": "https://example.com/", "oauth_body": {"a": "b"}}
    fields |= {"auth": "oauth2", "oauth_url": "https://example.com/", key: f"https://{host}/x"}
    with pytest.raises(ConflictError, match="is not on the public internet") as refused:
        WebhookSettings(**fields)
    assert refused.value.field == key
    assert WebhookSettings(**fields, allow_private=True).url == fields["url"]


@pytest.mark.parametrize("url", [
    "ftp://example.com/", "example.com", "https://", "https://jo:pw@example.com/",
    "https://example.com/#x", "https://example.com/a b", "https://exämple.com/",
    "https://example.com:0/", "https://example.com:99999/", "https://a\\b/", "https://a/\n",
])  # fmt: skip
def test_what_is_no_url_of_a_webhook_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="url: found"):
        WebhookSettings(url=url)


async def test_a_name_that_leads_to_a_private_address_is_not_connected_to(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver = GuardedResolver()
    with pytest.raises(PrivateAddressError, match=r"localhost is .*not on the public internet"):
        await resolver.resolve("localhost", 80)
    await resolver.close()
    # Names of the internet may have such addresses; here one stands for them that says it too.
    name, port = "localhost", receiver.url.split(":")[2]
    for room in ("client", "settings"):
        target = f"msys_track.sinks.webhook.{room}.is_private_host"
        monkeypatch.setattr(target, lambda host: host != name)
    answer = await post_once(WebhookSettings(url=f"http://{name}:{port}"))
    assert "which is not on the public internet" in answer.error
    assert receiver.requests == []


async def test_a_public_address_may_be_connected_to() -> None:
    resolver = GuardedResolver()
    (found,) = await resolver.resolve("1.1.1.1", 443, socket.AF_INET)
    await resolver.close()
    assert (found["host"], found["port"]) == ("1.1.1.1", 443)


async def test_a_private_address_is_not_connected_to_even_where_configuration_missed_it(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("msys_track.sinks.webhook.settings.is_private_host", lambda _: False)
    answer = await post_once(WebhookSettings(url=receiver.url))
    assert answer == Answer(None, "127.0.0.1 is not on the public internet")
    assert receiver.requests == []


async def test_tls_is_verified(tmp_path: Path) -> None:
    good = make_certificate(tmp_path, "localhost", stem="good")
    bad = make_certificate(tmp_path, "other.example", stem="bad")
    expired = make_certificate(tmp_path, "localhost", stem="expired", is_expired=True)
    for certificate, trusted, why in (
        (good, good, ""),
        (good, None, "certificate verify failed"),
        (good, bad, "certificate verify failed"),
        (bad, bad, "certificate verify failed"),
        (expired, expired, "certificate verify failed"),
    ):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.certificate, certificate.key)
        async with receiving(context) as receiver:
            url = receiver.url.replace("127.0.0.1", "localhost")
            file = None if trusted is None else trusted.certificate
            answer = await post_once(make_settings(url, tls_ca_file=file))
            assert why in answer.error
            assert answer.is_taken == (not why) == bool(receiver.requests)


async def test_an_endless_answer_is_not_read_to_its_end() -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65_536)
                await writer.drain()
        except ConnectionError:
            writer.close()

    server = await asyncio.start_server(flood, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        started_at = time.monotonic()
        answer = await post_once(make_settings(f"http://127.0.0.1:{port}/"))
    assert answer.is_taken
    assert len(answer.text) <= 65_536
    assert time.monotonic() - started_at < 9


async def test_what_is_no_answer_of_http_is_not_told_as_a_status() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 mail.test ESMTP\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        answer = await post_once(make_settings(f"http://127.0.0.1:{port}/"))
    assert answer.status is None
    assert answer.error.startswith("no valid HTTP answer: Bad status line")


async def post_once(settings: WebhookSettings) -> Answer:
    async with WebhookClient(settings) as client:
        return await client.post("an-id", b"[]")
