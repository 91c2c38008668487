"""Access on real sockets: TLS, AUTH, PROXY headers, XCLIENT, and those who attack them."""

import asyncio
import base64
import contextlib
import smtplib
import socket
import ssl
import struct
import subprocess
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from tests.captured_logs import capture_logs
from tests.certificates import Certificate, make_certificate
from tests.injection.conftest import MESSAGE, TRACKING, Harness, Start
from tests.proxied import find_tracked_urls
from tests.smtp_client import Client, TlsClient, inside_tls
from tests.upstreams import ScriptedUpstream
from tests.users import PASSWORD, write_users
from tests.waiting import until

from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.injection import arrival
from msys_track.injection.access import handshake
from msys_track.injection.access.origin import Origin
from msys_track.injection.access.settings import AccessSettings, ClientSettings
from msys_track.keys.ring import KeyRing
from msys_track.policy.guard import Guard
from msys_track.policy.hooks import Hook, Rejection, Transaction
from msys_track.smtp.address import Address

pytestmark = pytest.mark.anyio

LOOPBACK = ip_network("127.0.0.0/8")
NOBODY = ip_network("192.0.2.0/24")
"""As `networks`: then even loopback must log in."""

PLAIN = base64.b64encode(f"\0shop\0{PASSWORD}".encode()).decode()
WRONG = base64.b64encode(b"\0shop\0wrong").decode()

Open: TypeAlias = Callable[..., Awaitable[Harness]]


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path)


@pytest.fixture
def open_proxy(start: Start, certificate: Certificate, tmp_path: Path) -> Open:
    """Start a proxy with TLS and a user called shop; `rules` are added."""
    users = write_users(tmp_path / "users.toml")

    async def open_one(
        *, settings: Mapping[str, Any] | None = None, rewriter: Any = None, **rules: Any
    ) -> Harness:
        access = AccessSettings(
            **{
                "auth_users": users,
                "tls_certificate": certificate.certificate,
                "tls_key": certificate.key,
                "auth_failure_delay_seconds": 0.001,
                **rules,
            }
        )
        return await start(access=access, rewriter=rewriter, **(settings or {}))

    return open_one


# STARTTLS


async def test_tls_starts_and_the_session_begins_anew(
    open_proxy: Open, certificate: Certificate
) -> None:
    harness = await open_proxy()
    async with TlsClient(harness.proxy.port, certificate) as client:
        assert "STARTTLS" in await client.say("EHLO client.test")
        await client.say("MAIL FROM:<before@example.com>")
        assert await client.start_tls() == "220 2.0.0 Ready to start TLS"
        assert (await client.say("MAIL FROM:<a@example.com>")).startswith("503 5.5.1 ")
        offered = await client.say("EHLO client.test")
        assert "STARTTLS" not in offered
        assert "AUTH PLAIN LOGIN" in offered
        assert (await client.say("STARTTLS")).startswith("502 ")
        assert (await client.deliver(MESSAGE)).startswith("250 ")


async def test_without_a_certificate_nothing_of_tls_is_offered(start: Start) -> None:
    harness = await start()
    client = await harness.client()
    offered = await client.say("EHLO client.test")
    assert "STARTTLS" not in offered
    assert "AUTH" not in offered
    assert (await client.say("STARTTLS")).startswith("502 ")
    assert (await client.say(f"AUTH PLAIN {PLAIN}")).startswith("502 ")


async def test_a_large_message_passes_tls_unchanged(
    open_proxy: Open, certificate: Certificate
) -> None:
    harness = await open_proxy()
    body = b"".join(b"line %06d of a large message\r\n" % number for number in range(50_000))
    async with inside_tls(harness.proxy.port, certificate) as client:
        assert (await client.deliver(b"Subject: x\r\n\r\n" + body)).startswith("250 ")
    assert harness.upstream.arrived[-1].endswith(body)


async def test_commands_sent_in_the_clear_behind_starttls_are_never_obeyed(
    open_proxy: Open, certificate: Certificate
) -> None:
    # CVE-2011-0411: someone on the line adds them, and they would run inside the client's TLS.
    harness = await open_proxy(settings={"hostname": "mx.test"})
    async with TlsClient(harness.proxy.port, certificate) as client:
        await client.say("EHLO client.test")
        client.send(b"STARTTLS\r\nEHLO mallory.test\r\nMAIL FROM:<mallory@example.com>\r\n")
        assert await client.reply() == "220 2.0.0 Ready to start TLS"
        await client.shake_hands()
        assert (await client.say("RCPT TO:<to@example.com>")).startswith("503 5.5.1 Send EHLO")
        assert (await client.say("NOOP")).startswith("250 ")


async def test_what_comes_in_one_packet_with_the_end_of_the_handshake_is_read(
    open_proxy: Open, certificate: Certificate
) -> None:
    harness = await open_proxy()
    replies = await asyncio.to_thread(say_at_once, harness.proxy.port, certificate)
    assert replies.startswith(b"250-")


def say_at_once(port: int, certificate: Certificate) -> bytes:
    """Send EHLO with the last bytes of the handshake, and return what is answered."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as raw:
        raw.recv(1000)
        raw.sendall(b"EHLO client.test\r\n")
        raw.recv(1000)
        raw.sendall(b"STARTTLS\r\n")
        assert raw.recv(1000).startswith(b"220 ")
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = certificate.trust().wrap_bio(incoming, outgoing, server_hostname="localhost")
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                raw.sendall(outgoing.read())
                incoming.write(raw.recv(65_536))
        tls.write(b"EHLO client.test\r\n")
        raw.sendall(outgoing.read())
        while True:
            try:
                return tls.read(1000)
            except ssl.SSLWantReadError:
                incoming.write(raw.recv(65_536))


async def test_a_handshake_that_fails_costs_its_own_connection_only(
    open_proxy: Open, certificate: Certificate
) -> None:
    harness = await open_proxy()
    async with TlsClient(harness.proxy.port, certificate) as client:
        await client.say("EHLO client.test")
        await client.say("STARTTLS")
        client.send(b"EHLO in.the.clear\r\nMAIL FROM:<a@example.com>\r\n" * 10)
        assert "250" not in await client.rest()
    assert harness.counts["connections.tls_failed"] == 1
    async with inside_tls(harness.proxy.port, certificate) as client:
        assert (await client.deliver(MESSAGE)).startswith("250 ")


async def test_where_tls_is_required_mail_in_the_clear_is_refused(
    open_proxy: Open, certificate: Certificate
) -> None:
    harness = await open_proxy(tls_required=True)
    client = await harness.client()
    await client.say("EHLO client.test")
    refused = await client.say("MAIL FROM:<a@example.com>")
    assert refused == "530 5.7.0 Must issue a STARTTLS command first"
    async with inside_tls(harness.proxy.port, certificate) as inside:
        assert (await inside.deliver(MESSAGE)).startswith("250 ")


async def test_tls_bytes_on_a_plain_port_end_the_connection(open_proxy: Open) -> None:
    harness = await open_proxy()
    client = await harness.client()
    client.send(bytes.fromhex("16030100c8010000c40303") + bytes(190))
    assert (await client.rest()).startswith("421 ")


# TLS from the first byte


async def test_tls_begins_at_once_on_its_own_listener(
    open_proxy: Open, certificate: Certificate
) -> None:
    harness = await open_proxy(listen_tls=(Address("127.0.0.1", 0),))
    port = harness.proxy.socknames[-1].port
    result = await asyncio.to_thread(send_by_smtplib, port, certificate, implicit=True)
    assert result == {}
    assert len(harness.upstream.arrived) == 1


async def test_smtp_in_the_clear_on_a_tls_listener_gets_no_answer(open_proxy: Open) -> None:
    harness = await open_proxy(listen_tls=(Address("127.0.0.1", 0),))
    reader, writer = await asyncio.open_connection("127.0.0.1", harness.proxy.socknames[-1].port)
    writer.write(b"EHLO client.test\r\n")
    assert b"220" not in await reader.read()
    writer.close()
    assert harness.counts["connections.tls_failed"] == 1


async def test_a_renewed_certificate_serves_new_connections(
    open_proxy: Open, certificate: Certificate, tmp_path: Path
) -> None:
    harness = await open_proxy()
    old = certificate.certificate.read_bytes()
    renewed = make_certificate(tmp_path)
    assert renewed.certificate.read_bytes() != old
    harness.proxy.reload_access()
    async with inside_tls(harness.proxy.port, renewed) as client:
        assert (await client.say("NOOP")).startswith("250 ")


# AUTH


@pytest.mark.parametrize(
    "dialogue",
    [
        [(f"AUTH PLAIN {PLAIN}", "235 2.7.0 ")],
        [("auth plain", "334 "), (PLAIN, "235 2.7.0 ")],
        [
            ("AUTH LOGIN", "334 VXNlcm5hbWU6"),
            (base64.b64encode(b"SHOP").decode(), "334 UGFzc3dvcmQ6"),
            (base64.b64encode(PASSWORD.encode()).decode(), "235 2.7.0 "),
        ],
        [("AUTH PLAIN *", "501 5.7.0 "), (f"AUTH PLAIN {PLAIN}", "235 2.7.0 ")],
        [("AUTH PLAIN", "334 "), ("*", "501 5.7.0 "), (f"AUTH PLAIN {PLAIN}", "235 2.7.0 ")],
        [("AUTH PLAIN", "334 "), ("not base64!", "501 5.5.2 "), ("NOOP", "250 ")],
        [(f"AUTH PLAIN {WRONG}", "535 5.7.8 "), (f"AUTH PLAIN {PLAIN}", "235 2.7.0 ")],
        [("AUTH CRAM-MD5", "504 5.5.4 "), ("AUTH", "501 5.5.4 ")],
        [(f"AUTH PLAIN {PLAIN}", "235 2.7.0 "), (f"AUTH PLAIN {PLAIN}", "503 5.5.1 ")],
    ],
)
async def test_dialogues_of_auth(
    open_proxy: Open, certificate: Certificate, dialogue: list[tuple[str, str]]
) -> None:
    harness = await open_proxy(networks=(NOBODY,))
    async with inside_tls(harness.proxy.port, certificate) as client:
        for line, start in dialogue:
            reply = await client.say(line)
            assert reply.startswith(start), (line, reply)


async def test_only_who_logs_in_may_send(open_proxy: Open, certificate: Certificate) -> None:
    harness = await open_proxy(networks=(NOBODY,))
    async with inside_tls(harness.proxy.port, certificate) as client:
        mail = "MAIL FROM:<a@example.com>"
        assert await client.say(mail) == "530 5.7.0 Authentication required"
        assert (await client.say(f"AUTH PLAIN {WRONG}")).startswith("535 ")
        assert (await client.say(mail)).startswith("530 5.7.0 ")
        assert (await client.say(f"AUTH PLAIN {PLAIN}")).startswith("235 ")
        assert "AUTH" not in await client.say("EHLO again.test")
        assert (await client.deliver(MESSAGE)).startswith("250 ")


async def test_a_stranger_without_users_gets_a_final_answer(start: Start) -> None:
    harness = await start(access=AccessSettings(networks=(NOBODY,)))
    client = await harness.client()
    await client.say("EHLO client.test")
    refused = await client.say("MAIL FROM:<a@example.com>")
    assert refused == "550 5.7.1 Relaying denied: this client may not send mail here"
    assert harness.upstream.arrived == []


async def test_a_password_in_the_clear_is_not_looked_at(open_proxy: Open) -> None:
    harness = await open_proxy(networks=(NOBODY,))
    client = await harness.client()
    offered = await client.say("EHLO client.test")
    assert "AUTH" not in offered
    assert (await client.say(f"AUTH PLAIN {PLAIN}")).startswith("502 ")
    refused = await client.say("MAIL FROM:<a@example.com>")
    assert refused == "530 5.7.0 Must issue a STARTTLS command first"


async def test_guessing_ends_the_connection_and_then_waits(
    open_proxy: Open, certificate: Certificate
) -> None:
    harness = await open_proxy(networks=(NOBODY,), auth_failures_per_minute=4)
    async with inside_tls(harness.proxy.port, certificate) as client:
        replies = [await client.say(f"AUTH PLAIN {WRONG}") for _ in range(3)]
        assert [each[:3] for each in replies] == ["535", "535", "421"]
        assert await client.rest() == ""
    async with inside_tls(harness.proxy.port, certificate) as client:
        replies = [await client.say(f"AUTH PLAIN {WRONG}") for _ in range(2)]
        assert [each[:3] for each in replies] == ["535", "454"]


@pytest.mark.parametrize(
    "line",
    [
        base64.b64encode(b"\0" + b"u" * 100_000 + b"\0secret"),
        base64.b64encode(b"\0u\0\0secret"),
        base64.b64encode(b"\0\0\0"),
        base64.b64encode("\0ü\0".encode() + b"\xff"),
        b"\xff" * 100,
        b"A" * 20_000,
    ],
)
async def test_monstrous_responses_are_refused_and_the_session_goes_on(
    open_proxy: Open, certificate: Certificate, line: bytes
) -> None:
    harness = await open_proxy(networks=(NOBODY,))
    async with inside_tls(harness.proxy.port, certificate) as client:
        assert (await client.say("AUTH PLAIN")).startswith("334")
        assert (await client.say(line))[:3] in {"500", "501", "535"}
        while (reply := await client.say("NOOP"))[:3] == "501":
            pass
        assert reply.startswith("250 ")
        assert (await client.say("MAIL FROM:<a@example.com>")).startswith("530 ")


async def test_commands_pipelined_behind_auth_wait_for_its_answer(
    open_proxy: Open, certificate: Certificate
) -> None:
    harness = await open_proxy(networks=(NOBODY,))
    async with inside_tls(harness.proxy.port, certificate) as client:
        client.send(f"AUTH PLAIN {PLAIN}\r\nMAIL FROM:<a@example.com>\r\nNOOP\r\n".encode())
        assert [each[:3] for each in await client.replies(3)] == ["235", "250", "250"]
        client.send(b"RSET\r\n")
        await client.reply()
    async with inside_tls(harness.proxy.port, certificate) as client:
        client.send(f"AUTH PLAIN {WRONG}\r\nMAIL FROM:<a@example.com>\r\nNOOP\r\n".encode())
        assert [each[:3] for each in await client.replies(3)] == ["535", "530", "250"]


async def test_a_client_that_leaves_while_its_password_is_checked_is_forgotten(
    open_proxy: Open, certificate: Certificate
) -> None:
    harness = await open_proxy(auth_failure_delay_seconds=30)
    async with inside_tls(harness.proxy.port, certificate) as client:
        client.send(f"AUTH PLAIN {WRONG}\r\n".encode())
        client.reset()
    async with inside_tls(harness.proxy.port, certificate) as client:
        assert (await client.deliver(MESSAGE)).startswith("250 ")


async def test_only_a_user_says_whose_mail_it_is(
    start: Start, certificate: Certificate, tmp_path: Path
) -> None:
    upstream = ScriptedUpstream(
        extensions=("PIPELINING", "8BITMIME", "SIZE 1000000", "AUTH PLAIN")
    )
    rules = AccessSettings(
        auth_users=write_users(tmp_path / "users.toml"),
        tls_certificate=certificate.certificate,
        tls_key=certificate.key,
    )
    harness = await start(upstream, access=rules)
    async with inside_tls(harness.proxy.port, certificate) as client:
        for login in ("NOOP", f"AUTH PLAIN {PLAIN}"):
            await client.say(login)
            await client.say("MAIL FROM:<a@example.com> AUTH=boss@example.com")
            await client.say("RCPT TO:<b@example.com>")
            await client.say("DATA")
            assert (await client.data(MESSAGE)).startswith("250 ")
    said = [
        command.partition("AUTH=")[2].split(" ")[0]
        for dialogue in upstream.dialogues
        for command in dialogue.commands
        if command.startswith("MAIL")
    ]
    assert said == ["<>", "boss@example.com"]


class _Policy:
    """Notes who is authenticated; refuses one user; tells who a message is from."""

    hooks = frozenset({Hook.AUTH, Hook.DATA_SPOOL})

    def __init__(self) -> None:
        self.seen: list[tuple[str, str | None, str | None]] = []

    def call(self, hook: Hook, transaction: Transaction, _: object) -> Rejection | None:
        subaccount = transaction.contexts.lookup("subaccount_id")
        self.seen.append((hook.value, transaction.user, subaccount))
        if hook is Hook.AUTH and subaccount == "13":
            return Rejection(code=535, text="5.7.8 Not this one")
        return None


async def test_validate_auth_is_called_and_may_refuse(
    open_proxy: Open, certificate: Certificate, keys: KeyRing
) -> None:
    policy = _Policy()
    rewriter = Dispatcher(keys=keys, policy=Guard(policy, "refuse"))
    harness = await open_proxy(networks=(NOBODY,), rewriter=rewriter)

    def plain(user: str) -> str:
        return base64.b64encode(f"\0{user}\0{PASSWORD}".encode()).decode()

    async with inside_tls(harness.proxy.port, certificate) as client:
        refused = await client.say(f"AUTH PLAIN {plain('shop:X-MSYS-SUBACCOUNT=13')}")
        assert refused == "535 5.7.8 Not this one"
        assert (await client.say("MAIL FROM:<a@example.com>")).startswith("530 ")
        taken = await client.say(f"AUTH PLAIN {plain('shop:X-MSYS-SUBACCOUNT=7')}")
        assert taken.startswith("235 ")
        assert (await client.deliver(MESSAGE)).startswith("250 ")
    assert policy.seen == [
        ("validate_auth", "shop", "13"),
        ("validate_auth", "shop", "7"),
        ("validate_data_spool", "shop", "7"),
    ]


async def test_links_carry_the_subaccount_that_stands_behind_the_users_name(
    open_proxy: Open, certificate: Certificate, keys: KeyRing
) -> None:
    rewriter = Dispatcher(keys=keys, options=TRACKING)
    harness = await open_proxy(rewriter=rewriter)
    html = b"Content-Type: text/html\r\n\r\n<body><a href='http://shop.test/'>x</a></body>\r\n"
    subaccounts = []
    for behind in ("", ":X-MSYS-SUBACCOUNT=123", ":X-MSYS-SUBACCOUNT=4"):
        async with inside_tls(harness.proxy.port, certificate) as client:
            login = base64.b64encode(f"\0shop{behind}\0{PASSWORD}".encode()).decode()
            assert (await client.say(f"AUTH PLAIN {login}")).startswith("235 ")
            assert (await client.deliver(html)).startswith("250 ")
        found = find_tracked_urls(harness.upstream.arrived[-1], keys)
        subaccounts.append({each.claims.engagement.subaccount_id for each in found})
    assert subaccounts == [{None}, {123}, {4}]


# Limits


async def test_a_networks_limits_hold_on_its_connections(start: Start) -> None:
    table = ClientSettings(
        max_message_bytes=1000, max_recipients=1, max_connections=1, max_messages=1
    )
    harness = await start(access=AccessSettings(clients={LOOPBACK: table}))
    client = await harness.client()
    assert "SIZE 1000" in await client.say("EHLO client.test")
    second = await harness.client()
    assert second.greeting == "421 4.7.0 Too many connections; try again later"
    too_big = await client.say("MAIL FROM:<a@example.com> SIZE=1001")
    assert too_big.startswith("552 ")
    await client.say("MAIL FROM:<a@example.com>")
    await client.say("RCPT TO:<b@example.com>")
    assert (await client.say("RCPT TO:<c@example.com>")).startswith("452 4.5.3 ")
    await client.say("DATA")
    assert (await client.data(b"x" * 2000 + b"\r\n")).startswith("552 ")
    assert (await client.say("MAIL FROM:<a@example.com>")).startswith("421 4.7.0 ")
    assert await client.rest() == ""


async def test_a_connection_that_ended_counts_no_more(start: Start) -> None:
    table = ClientSettings(max_connections=1)
    harness = await start(access=AccessSettings(clients={LOOPBACK: table}))
    for _ in range(3):
        async with Client(harness.proxy.port) as client:
            assert client.greeting.startswith("220 ")
            await client.say("QUIT")
            await client.rest()
        await asyncio.sleep(0.05)


# PROXY


V1 = b"PROXY TCP4 203.0.113.9 198.51.100.1 51234 25\r\n"
V2 = (
    b"\r\n\r\n\0\r\nQUIT\n"
    + struct.pack("!BBH", 0x21, 0x11, 12)
    + socket.inet_aton("203.0.113.9")
    + socket.inet_aton("198.51.100.1")
    + struct.pack("!HH", 51234, 25)
)
LOCAL = b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", 0x20, 0x00, 0)


async def say_first(port: int, header: bytes) -> tuple[str, Any]:
    """Connect, send a header, and return the first line and the stream's two ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(header)
    with contextlib.suppress(ConnectionResetError):
        return (await reader.readline()).decode(), (reader, writer)
    return "", (reader, writer)


async def ask(ends: Any, line: str) -> str:
    reader, writer = ends
    writer.write(line.encode() + b"\r\n")
    reply: bytes = b""
    while not reply or reply[3:4] == b"-":
        reply = await reader.readline()
    return reply.decode()


@pytest.mark.parametrize("header", [V1, V2])
async def test_a_load_balancers_client_is_the_client(start: Start, header: bytes) -> None:
    rules = AccessSettings(
        proxy_protocol_from=(LOOPBACK,), networks=(ip_network("203.0.113.0/24"),)
    )
    harness = await start(access=rules)
    greeting, ends = await say_first(harness.proxy.port, header)
    assert greeting.startswith("220 ")
    await ask(ends, "EHLO client.test")
    assert (await ask(ends, "MAIL FROM:<a@example.com>")).startswith("250 ")
    ends[1].close()


async def test_a_stranger_behind_a_load_balancer_on_this_machine_may_not_send(
    start: Start,
) -> None:
    harness = await start(access=AccessSettings(proxy_protocol_from=(LOOPBACK,)))
    _, ends = await say_first(harness.proxy.port, V2)
    await ask(ends, "EHLO client.test")
    assert (await ask(ends, "MAIL FROM:<a@example.com>")).startswith("550 5.7.1 ")
    ends[1].close()


async def test_a_health_check_counts_as_the_load_balancers_own(start: Start) -> None:
    harness = await start(access=AccessSettings(proxy_protocol_from=(LOOPBACK,)))
    greeting, ends = await say_first(harness.proxy.port, LOCAL)
    assert greeting.startswith("220 ")
    await ask(ends, "EHLO client.test")
    assert (await ask(ends, "MAIL FROM:<a@example.com>")).startswith("250 ")
    ends[1].close()


async def test_a_header_in_pieces_with_a_command_behind_it_is_read(start: Start) -> None:
    harness = await start(access=AccessSettings(proxy_protocol_from=(LOOPBACK,)))
    reader, writer = await asyncio.open_connection("127.0.0.1", harness.proxy.port)
    for byte in V1[:-1]:
        writer.write(bytes([byte]))
        await asyncio.sleep(0)
    writer.write(V1[-1:] + b"EHLO client.test\r\n")
    assert (await reader.readline()).startswith(b"220 ")
    assert (await reader.readline()).startswith(b"250-")
    writer.close()


@pytest.mark.parametrize(
    "header", [b"EHLO client.test\r\n", V1[:20] + b"\r\n", b"\r\n\r\n\0\r\nQUIT\n" + b"\xff" * 4]
)
async def test_a_load_balancer_without_a_header_is_cut_off(start: Start, header: bytes) -> None:
    harness = await start(access=AccessSettings(proxy_protocol_from=(LOOPBACK,)))
    with capture_logs() as logs:
        greeting, ends = await say_first(harness.proxy.port, header)
    assert greeting == ""
    assert "proxy_header.refused" in [each["event"] for each in logs]
    ends[1].close()


@pytest.mark.parametrize("header", [V1, V2])
async def test_nobody_elses_header_is_believed(start: Start, header: bytes) -> None:
    harness = await start(
        access=AccessSettings(
            proxy_protocol_from=(NOBODY,), networks=(ip_network("203.0.113.0/24"),)
        )
    )
    client = await harness.client()
    client.send(header)
    assert (await client.reply())[:1] == "5"
    await client.say("EHLO client.test")
    answers = {(await client.say("MAIL FROM:<a@example.com>"))[:3] for _ in range(2)}
    assert "250" not in answers


async def test_a_header_stands_before_tls_and_may_say_that_there_was_tls(
    open_proxy: Open, certificate: Certificate
) -> None:
    harness = await open_proxy(
        proxy_protocol_from=(LOOPBACK,), listen_tls=(Address("127.0.0.1", 0),)
    )

    def send() -> bytes:
        port = harness.proxy.socknames[-1].port
        with socket.create_connection(("127.0.0.1", port), timeout=20) as raw:
            raw.sendall(V2)
            with certificate.trust().wrap_socket(raw, server_hostname="localhost") as tls:
                return tls.recv(1000)

    assert (await asyncio.to_thread(send)).startswith(b"220 ")
    vector = struct.pack("!BH", 0x20, 5) + b"\x01" + bytes(4)
    header = V2[:14] + struct.pack("!H", 12 + len(vector)) + V2[16:] + vector
    _, ends = await say_first(harness.proxy.port, header)
    ends[1].write(b"EHLO client.test\r\n")
    offered = b""
    while not offered.endswith(b"250 HELP\r\n"):
        offered += await ends[0].readline()
    assert b"AUTH PLAIN LOGIN" in offered
    assert b"STARTTLS" not in offered
    ends[1].close()


async def test_a_client_that_sends_its_handshake_with_the_header_loses_no_byte(
    open_proxy: Open, certificate: Certificate
) -> None:
    harness = await open_proxy(
        proxy_protocol_from=(LOOPBACK,), listen_tls=(Address("127.0.0.1", 0),)
    )

    def send() -> bytes:
        port = harness.proxy.socknames[-1].port
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = certificate.trust().wrap_bio(incoming, outgoing, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        with socket.create_connection(("127.0.0.1", port), timeout=20) as raw:
            raw.sendall(V1 + outgoing.read())
            while True:
                try:
                    return tls.read(1000)
                except ssl.SSLWantReadError:
                    if outgoing.pending:
                        raw.sendall(outgoing.read())
                    incoming.write(raw.recv(65_536))

    assert (await asyncio.to_thread(send)).startswith(b"220 ")


@pytest.mark.parametrize("sent", [b"", V1[:30], V2[:20]])
async def test_a_header_that_does_not_come_in_time_ends_the_connection(
    start: Start, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(arrival, "_HEADER_SECONDS", 0.05)
    harness = await start(access=AccessSettings(proxy_protocol_from=(LOOPBACK,)))
    greeting, ends = await say_first(harness.proxy.port, sent)
    assert greeting == ""
    ends[1].close()
    assert harness.counts["connections.refused"] == 1


# Those who stall


async def test_a_handshake_that_does_not_end_in_time_ends_the_connection(
    open_proxy: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshake, "_HANDSHAKE_SECONDS", 0.05)
    harness = await open_proxy(listen_tls=(Address("127.0.0.1", 0),))
    client = await harness.client()
    await client.say("EHLO client.test")
    await client.say("STARTTLS")
    assert await client.rest() == ""
    reader, writer = await asyncio.open_connection("127.0.0.1", harness.proxy.socknames[-1].port)
    assert await reader.read() == b""
    writer.close()
    assert harness.counts["connections.tls_failed"] == 2


async def test_handshakes_that_stall_count_as_clients(
    open_proxy: Open, certificate: Certificate
) -> None:
    listen = (Address("127.0.0.1", 0),)
    harness = await open_proxy(listen_tls=listen, settings={"max_connections": 2})
    port = harness.proxy.socknames[-1].port
    stalled = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
    await until(lambda: harness.proxy.arrivals == 2)
    client = await harness.client()
    assert client.greeting == "421 4.3.2 Too many connections"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""
    for each in (writer, *(writer for _, writer in stalled)):
        each.transport.abort()
    await until(lambda: harness.proxy.arrivals == 0)
    async with inside_tls(harness.proxy.port, certificate) as inside:
        assert (await inside.deliver(MESSAGE)).startswith("250 ")


async def test_a_proxy_that_stops_does_not_wait_for_a_handshake(open_proxy: Open) -> None:
    harness = await open_proxy(
        listen_tls=(Address("127.0.0.1", 0),), settings={"drain_seconds": 20}
    )
    client = await harness.client()
    await client.say("EHLO client.test")
    await client.say("STARTTLS")
    reader, writer = await asyncio.open_connection("127.0.0.1", harness.proxy.socknames[-1].port)
    await until(lambda: harness.proxy.arrivals == 1)
    async with asyncio.timeout(10):
        await harness.proxy.close()
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""
    assert await client.rest() == ""
    writer.close()


async def test_a_client_that_leaves_in_the_middle_of_a_handshake_is_forgotten(
    open_proxy: Open,
) -> None:
    table = ClientSettings(max_connections=1)
    harness = await open_proxy(clients={LOOPBACK: table})
    for _ in range(3):
        client = await harness.client()
        assert client.greeting.startswith("220 ")
        await client.say("EHLO client.test")
        await client.say("STARTTLS")
        client.send(bytes.fromhex("16030100c8010000c40303"))
        client.reset()
        await until(lambda: not harness.proxy.has_sessions)


# XCLIENT


async def test_a_trusted_peer_names_its_client(start: Start, keys: KeyRing) -> None:
    policy = _Policy()
    harness = await start(
        access=AccessSettings(xclient_from=(LOOPBACK,)),
        rewriter=Dispatcher(keys=keys, policy=Guard(policy, "refuse")),
    )
    client = await harness.client()
    assert "XCLIENT NAME ADDR PORT" in await client.say("EHLO mta.test")
    greeting = await client.say("XCLIENT ADDR=203.0.113.9 PORT=4711 HELO=far.test")
    assert greeting.startswith("220 ")
    await client.say("EHLO mta.test")
    assert (await client.say("MAIL FROM:<a@example.com>")).startswith("550 5.7.1 ")
    assert (await client.say("XCLIENT ADDR=203.0.113.9 LOGIN=shop")).startswith("220 ")
    assert (await client.deliver(MESSAGE)).startswith("250 ")
    assert policy.seen == [("validate_auth", "shop", None), ("validate_data_spool", "shop", None)]


async def test_nobody_elses_xclient_is_believed(start: Start) -> None:
    harness = await start(access=AccessSettings(xclient_from=(NOBODY,), networks=(NOBODY,)))
    client = await harness.client()
    assert "XCLIENT" not in await client.say("EHLO client.test")
    assert (await client.say("XCLIENT ADDR=192.0.2.1 LOGIN=shop"))[0] == "5"
    assert (await client.say("MAIL FROM:<a@example.com>")).startswith("550 5.7.1 ")


async def test_xclient_does_not_make_a_peer_of_the_client_that_it_names(start: Start) -> None:
    harness = await start(access=AccessSettings(xclient_from=(LOOPBACK,)))
    client = await harness.client()
    await client.say("EHLO mta.test")
    # The peer stays the peer: what it may do does not depend on whom it named last.
    assert (await client.say("XCLIENT ADDR=203.0.113.9")).startswith("220 ")
    assert (await client.say("XCLIENT ADDR=127.0.0.1")).startswith("220 ")
    assert (await client.deliver(MESSAGE)).startswith("250 ")


async def test_xclient_inside_tls_leaves_the_session_encrypted(
    open_proxy: Open, certificate: Certificate
) -> None:
    harness = await open_proxy(xclient_from=(LOOPBACK,), tls_required=True)
    async with inside_tls(harness.proxy.port, certificate) as client:
        assert (await client.say("XCLIENT ADDR=127.0.0.9 LOGIN=shop")).startswith("220 ")
        assert "STARTTLS" not in await client.say("EHLO mta.test")
        assert (await client.deliver(MESSAGE)).startswith("250 ")


async def test_what_xclient_said_before_tls_counts_no_more_after_it(
    open_proxy: Open, certificate: Certificate
) -> None:
    # Somebody on the line could have said it.
    harness = await open_proxy(xclient_from=(LOOPBACK,), networks=(NOBODY,))
    async with TlsClient(harness.proxy.port, certificate) as client:
        await client.say("EHLO mta.test")
        assert (await client.say("XCLIENT ADDR=192.0.2.7 LOGIN=shop")).startswith("220 ")
        await client.say("EHLO mta.test")
        await client.start_tls()
        await client.say("EHLO mta.test")
        refused = await client.say("MAIL FROM:<a@example.com>")
        assert refused == "530 5.7.0 Authentication required"


async def test_a_peer_whose_own_place_is_taken_meanwhile_does_not_come_back_by_tls(
    open_proxy: Open, certificate: Certificate
) -> None:
    table = ClientSettings(max_connections=1)
    harness = await open_proxy(xclient_from=(LOOPBACK,), clients={LOOPBACK: table})
    async with TlsClient(harness.proxy.port, certificate) as client:
        await client.say("EHLO mta.test")
        assert (await client.say("XCLIENT ADDR=203.0.113.9")).startswith("220 ")
        await client.say("EHLO mta.test")
        async with Client(harness.proxy.port) as other:
            assert other.greeting.startswith("220 ")
            await client.start_tls()
            assert await client.rest() == "421 4.7.0 Too many connections; try again later\r\n"
            assert (await harness.client()).greeting.startswith("421 ")
            assert (await other.say("NOOP")).startswith("250 ")


@pytest.mark.parametrize(
    ("attributes", "answer"),
    [
        ("ADDR=[UNAVAILABLE]", "550 5.7.1 Relaying denied"),
        ("PORT=4711", "250 "),
        ("HELO=mx.test", "250 "),
    ],
)
async def test_a_client_stays_where_xclient_does_not_say_its_address(
    start: Start, attributes: str, answer: str
) -> None:
    harness = await start(access=AccessSettings(xclient_from=(LOOPBACK,)))
    client = await harness.client()
    await client.say("EHLO mta.test")
    assert (await client.say(f"XCLIENT {attributes}")).startswith("220 ")
    await client.say("EHLO mta.test")
    assert (await client.say("MAIL FROM:<a@example.com>")).startswith(answer)


async def test_a_client_whom_xclient_names_is_refused_at_its_limits(start: Start) -> None:
    table = ClientSettings(max_connections=1)
    clients = {ip_network("203.0.113.0/24"): table}
    harness = await start(access=AccessSettings(xclient_from=(LOOPBACK,), clients=clients))
    first, second = await harness.client(), await harness.client()
    for client in (first, second):
        await client.say("EHLO mta.test")
    assert (await first.say("XCLIENT ADDR=203.0.113.9")).startswith("220 ")
    refused = await second.say("XCLIENT ADDR=203.0.113.9")
    assert refused == "421 4.7.0 Too many connections; try again later"
    assert await second.rest() == ""


async def test_a_client_on_a_unix_socket_has_no_address() -> None:
    ours, theirs = socket.socketpair()
    _, writer = await asyncio.open_connection(sock=ours)
    origin = Origin.of(writer.transport)
    assert (origin.client, origin.ip, str(origin)) == (None, None, "unknown")
    writer.close()
    theirs.close()


async def test_recipients_are_counted_by_the_minute(start: Start) -> None:
    table = ClientSettings(recipients_per_minute=1)
    harness = await start(access=AccessSettings(clients={LOOPBACK: table}))
    client = await harness.client()
    await client.say("EHLO client.test")
    await client.say("MAIL FROM:<a@example.com>")
    assert (await client.say("RCPT TO:<b@example.com>")).startswith("250 ")
    assert (await client.say("RCPT TO:<c@example.com>")).startswith("45")


async def test_a_peer_at_its_limit_of_connections_may_still_name_its_client(start: Start) -> None:
    table = ClientSettings(max_connections=1)
    rules = AccessSettings(xclient_from=(LOOPBACK,), clients={LOOPBACK: table})
    harness = await start(access=rules)
    client = await harness.client()
    await client.say("EHLO mta.test")
    for address in ("127.0.0.8", "127.0.0.9", "203.0.113.9", "127.0.0.8"):
        assert (await client.say(f"XCLIENT ADDR={address}")).startswith("220 ")


@pytest.mark.parametrize("attributes", ["FOO=1", "ADDR=localhost", "ADDR=127.0.0.1 ADDR=::1"])
async def test_malformed_attributes_are_refused(start: Start, attributes: str) -> None:
    harness = await start(access=AccessSettings(xclient_from=(LOOPBACK,)))
    client = await harness.client()
    await client.say("EHLO mta.test")
    assert (await client.say(f"XCLIENT {attributes}")).startswith("501 5.5.4 ")
    assert (await client.say("MAIL FROM:<a@example.com>")).startswith("250 ")


# Clients of other hands


def send_by_smtplib(
    port: int, certificate: Certificate, *, implicit: bool = False, user: str = "shop"
) -> Mapping[str, Any]:
    context = certificate.trust()
    if implicit:
        client: smtplib.SMTP = smtplib.SMTP_SSL("localhost", port, context=context, timeout=20)
    else:
        client = smtplib.SMTP("localhost", port, timeout=20)
        client.starttls(context=context)
    with client:
        client.login(user, PASSWORD)
        return client.sendmail("a@example.com", ["b@example.com"], MESSAGE)


@pytest.mark.parametrize("user", ["shop", "Shop:X-MSYS-SUBACCOUNT=7"])
async def test_smtplib_logs_in_and_sends(
    open_proxy: Open, certificate: Certificate, user: str
) -> None:
    harness = await open_proxy(networks=(NOBODY,))
    result = await asyncio.to_thread(send_by_smtplib, harness.proxy.port, certificate, user=user)
    assert result == {}
    assert len(harness.upstream.arrived) == 1


async def test_aiosmtplib_logs_in_and_sends(open_proxy: Open, certificate: Certificate) -> None:
    aiosmtplib = pytest.importorskip("aiosmtplib")
    harness = await open_proxy(networks=(NOBODY,))
    await aiosmtplib.send(
        MESSAGE,
        sender="a@example.com",
        recipients=["b@example.com"],
        hostname="localhost",
        port=harness.proxy.port,
        start_tls=True,
        tls_context=certificate.trust(),
        username="shop",
        password=PASSWORD,
    )
    assert len(harness.upstream.arrived) == 1


async def test_openssl_verifies_the_certificate_and_speaks_smtp(
    open_proxy: Open, certificate: Certificate
) -> None:
    harness = await open_proxy()
    command = [
        "openssl", "s_client", "-starttls", "smtp", "-quiet", "-verify_return_error",
        "-CAfile", str(certificate.certificate), "-servername", "localhost",
        "-connect", f"127.0.0.1:{harness.proxy.port}",
    ]  # fmt: skip
    try:
        done = await asyncio.to_thread(
            subprocess.run, command, input=b"EHLO x\r\nQUIT\r\n", capture_output=True, timeout=20,
            check=False,
        )  # fmt: skip
    except FileNotFoundError:
        pytest.skip("there is no openssl")
    assert b"250-" in done.stdout or b"250 " in done.stdout, done.stderr[-500:]
