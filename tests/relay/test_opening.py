"""Opening a connection: which address, TLS or not, as whom, and what must never be sent."""

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from tests.captured_logs import capture_logs
from tests.certificates import Certificate, make_certificate
from tests.relay.conftest import Relay, refusal_of, transaction
from tests.upstreams import Answer, say, stock_aiosmtpd
from tests.waiting import until

from msys_track.errors import SettingsError
from msys_track.relay import opening
from msys_track.relay.opening import Opener
from msys_track.relay.settings import UpstreamSettings
from msys_track.relay.upstream import Upstream
from msys_track.smtp.auth import Credentials

pytestmark = pytest.mark.anyio

UNUSABLE = "451 4.4.1 The upstream can't be used: "
PASSWORD = "pass w\u00f6rd"  # noqa: S105 - a test's

Client: TypeAlias = Callable[..., Upstream]


class Inbox:
    """aiosmtpd's handler: keeps what arrives, and whether it came over TLS."""

    def __init__(self) -> None:
        self.arrived: list[tuple[list[str], bool, object]] = []

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        is_encrypted = session.ssl is not None
        user = getattr(session.auth_data, "login", None)
        self.arrived.append((envelope.rcpt_tos, is_encrypted, user))
        return "250 2.0.0 Ok"


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    """Make upstreams that are closed with the test."""
    async with contextlib.AsyncExitStack() as ends:

        def make(
            port: int, *, credentials: Credentials | None = None, **settings: Any
        ) -> Upstream:
            given = UpstreamSettings(**{"host": "localhost", "port": port, **settings})
            upstream = Upstream(given, credentials=credentials)
            ends.push_async_callback(upstream.close)
            return upstream

        yield make


@pytest.fixture
def far_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the other end of a connection count as another machine."""
    monkeypatch.setattr(opening, "_is_local", lambda _: False)


def server_context(certificate: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate, certificate.key)
    return context


def authenticate(*_: object) -> AuthResult:
    data = _[-1]
    assert isinstance(data, LoginPassword)
    good = (data.login, data.password) == (b"proxy", PASSWORD.encode())
    return AuthResult(success=good, handled=False, auth_data=data)


@contextlib.asynccontextmanager
async def tls_server(
    certificate: Certificate, **settings: Any
) -> AsyncIterator[tuple[int, Inbox]]:
    inbox = Inbox()
    context = server_context(certificate)
    async with stock_aiosmtpd(inbox, tls_context=context, **settings) as port:
        yield port, inbox


@contextlib.asynccontextmanager
async def talks(*answers: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Run a server that greets, and then gives these answers, one to each thing that it reads."""
    heard: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(b"220 hello\r\n")
            for answer in answers:
                heard.append(await reader.read(65_536))
                writer.write(answer)
                await writer.drain()
            heard.append(await reader.read(65_536))
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], heard
    server.close()
    await server.wait_closed()


OFFER = b"250-upstream.test\r\n250 STARTTLS\r\n"


# TLS that is required


async def test_mail_goes_over_starttls(certificate: Certificate, client: Client) -> None:
    async with tls_server(certificate, require_starttls=True) as (port, inbox):
        upstream = client(port, tls="require", tls_ca_file=certificate.certificate)
        for _ in range(2):
            assert (await upstream.deliver(transaction())).code == 250
        await upstream.close()
    assert inbox.arrived == [(["to@example.com"], True, None)] * 2


async def test_a_large_mail_goes_over_tls_as_well(
    certificate: Certificate, client: Client
) -> None:
    async with tls_server(certificate) as (port, inbox):
        upstream = client(port, tls="require", tls_ca_file=certificate.certificate)
        await upstream.deliver(transaction(message=(b"y" * 300 + b"\r\n") * 10_000))
        await upstream.deliver(transaction())
        await upstream.close()
    assert len(inbox.arrived) == 2


async def test_tls_from_the_first_byte_on(certificate: Certificate, client: Client) -> None:
    inbox, loop = Inbox(), asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(inbox, hostname="stock.test", loop=loop),
        "127.0.0.1",
        0,
        ssl=server_context(certificate),
    )
    port = server.sockets[0].getsockname()[1]
    upstream = client(port, tls="implicit", tls_ca_file=certificate.certificate)
    assert (await upstream.deliver(transaction())).code == 250
    await upstream.close()
    server.close()
    assert len(inbox.arrived) == 1


@pytest.mark.parametrize(
    "script", [{}, {"STARTTLS": "454 4.7.0 TLS not available"}], ids=["stripped", "refused"]
)
async def test_without_the_tls_that_is_required_nothing_is_sent(
    relay: Relay, script: dict[str, str]
) -> None:
    extensions = ["PIPELINING", "AUTH PLAIN", *(["STARTTLS"] if script else [])]
    server, upstream = await relay(script, extensions, tls="require")
    refusal = await refusal_of(upstream.deliver(transaction()))
    assert refusal.startswith((f"{UNUSABLE}it does not offer STARTTLS", f"{UNUSABLE}it answered"))
    verbs = {each.split()[0] for each in server.commands}
    assert verbs <= {"EHLO", "STARTTLS", "QUIT"}


async def test_a_server_without_ehlo_gets_nothing_where_tls_is_required(relay: Relay) -> None:
    server, upstream = await relay({"EHLO": "500 What?"}, tls="require")
    refusal = await refusal_of(upstream.deliver(transaction()))
    assert "it does not offer STARTTLS, which the settings require" in refusal
    assert not any(each.startswith("MAIL") for each in server.commands)


@pytest.mark.parametrize(
    ("names", "is_expired", "is_trusted", "why"),
    [
        (("other.test",), False, True, "Hostname mismatch"),
        (("127.0.0.1",), False, True, "Hostname mismatch"),
        (("localhost",), True, True, "certificate has expired"),
        (("localhost",), False, False, "self-signed certificate"),
    ],
    ids=["another name", "an address", "expired", "self-signed"],
)
@pytest.mark.parametrize("tls", ["require", "implicit"])
async def test_a_certificate_that_is_not_good_for_the_name_is_not_accepted(  # noqa: PLR0913
    tmp_path: Path,
    client: Client,
    names: tuple[str, ...],
    tls: str,
    why: str,
    *,
    is_expired: bool,
    is_trusted: bool,
) -> None:
    bad = make_certificate(tmp_path, *names, is_expired=is_expired)
    ca_file = {"tls_ca_file": bad.certificate} if is_trusted else {}
    inbox, loop = Inbox(), asyncio.get_running_loop()
    context = server_context(bad)
    server = await loop.create_server(
        lambda: SMTP(
            inbox,
            hostname="stock.test",
            loop=loop,
            tls_context=context if tls == "require" else None,
        ),
        "127.0.0.1",
        0,
        ssl=context if tls == "implicit" else None,
    )
    port = server.sockets[0].getsockname()[1]
    refusal = await refusal_of(client(port, tls=tls, **ca_file).deliver(transaction()))
    assert refusal.startswith(f"{UNUSABLE}TLS failed: its certificate is not accepted: ")
    assert why in refusal
    assert "localhost" not in refusal
    server.close()
    assert inbox.arrived == []


@pytest.mark.parametrize(
    "settings",
    [
        {"tls_verify": False},
        {"tls_name": "other.test", "tls_ca_file": True},
        {"tls_fingerprints": True},
    ],
    ids=["unverified", "by its own name", "pinned"],
)
async def test_a_certificate_for_another_name_may_be_asked_for(
    tmp_path: Path, client: Client, settings: dict[str, Any]
) -> None:
    other = make_certificate(tmp_path, "other.test")
    made = {"tls_ca_file": other.certificate, "tls_fingerprints": ("00" * 32, other.fingerprint)}
    given = {name: made[name] if each is True else each for name, each in settings.items()}
    async with tls_server(other) as (port, inbox):
        upstream = client(port, tls="require", **given)
        assert (await upstream.deliver(transaction())).code == 250
        await upstream.close()
    assert [each[1] for each in inbox.arrived] == [True]


@pytest.mark.parametrize("tls", ["require", "implicit"])
async def test_a_certificate_that_is_not_pinned_is_not_accepted_though_it_is_good(
    certificate: Certificate, client: Client, tls: str
) -> None:
    pins = {"tls_fingerprints": ("AB" * 32,), "tls_ca_file": certificate.certificate}
    inbox, loop, context = Inbox(), asyncio.get_running_loop(), server_context(certificate)
    is_implicit = tls == "implicit"
    server = await loop.create_server(
        lambda: SMTP(
            inbox, hostname="a.test", loop=loop, tls_context=None if is_implicit else context
        ),
        "127.0.0.1",
        0,
        ssl=context if is_implicit else None,
    )
    port = server.sockets[0].getsockname()[1]
    refusal = await refusal_of(client(port, tls=tls, **pins).deliver(transaction()))
    assert refusal == f"{UNUSABLE}TLS failed: its certificate is none of those that are pinned"
    server.close()
    assert inbox.arrived == []


@pytest.mark.parametrize(
    "answer",
    [b"220 Go\r\n250 injected\r\n", b"220 Go\r\n250-inj", b"220 Go\r\n2", b"220 Go\r\nnoise\r\n"],
)
async def test_what_somebody_put_before_tls_began_is_never_an_answer(
    client: Client, answer: bytes
) -> None:
    async with talks(OFFER, answer) as (port, heard):
        upstream = client(port, tls="require", reply_timeout_seconds=5, connect_timeout_seconds=2)
        refusal = await refusal_of(upstream.deliver(transaction()))
    assert refusal.startswith(UNUSABLE)
    assert not any(b"MAIL" in each or b"EHLO" in each for each in heard[2:])


async def test_what_was_offered_before_tls_is_forgotten(
    certificate: Certificate, client: Client
) -> None:
    """Only after it aiosmtpd offers AUTH, and only before it STARTTLS."""
    settings = {"auth_require_tls": True, "authenticator": authenticate}
    async with tls_server(certificate, **settings) as (port, _):
        upstream = client(port, tls="require", tls_ca_file=certificate.certificate)
        offered = await upstream.capabilities()
        await upstream.close()
    assert (offered.start_tls, "PLAIN" in offered.auth_mechanisms) == (False, True)


async def test_a_server_that_never_ends_the_handshake_is_given_up(client: Client) -> None:
    async with talks(OFFER, b"220 Go\r\n", b"") as (port, _):
        upstream = client(port, tls="require", connect_timeout_seconds=0.5)
        refusal = await refusal_of(upstream.deliver(transaction()))
    assert refusal.startswith(f"{UNUSABLE}TLS failed: ")


async def test_a_server_that_does_not_speak_tls_is_given_up(client: Client) -> None:
    async with talks(OFFER, b"220 Go\r\n", b"250 Ok\r\n" * 100) as (port, _):
        upstream = client(port, tls="require", connect_timeout_seconds=5)
        refusal = await refusal_of(upstream.deliver(transaction()))
    assert refusal.startswith(f"{UNUSABLE}TLS failed: ")


async def test_plain_text_where_tls_should_begin_at_once_is_given_up(client: Client) -> None:
    async with talks(b"250 Ok\r\n" * 10) as (port, _):
        upstream = client(port, tls="implicit", connect_timeout_seconds=5)
        refusal = await refusal_of(upstream.deliver(transaction()))
    assert refusal.startswith(f"{UNUSABLE}TLS failed: ")


# TLS where it can be had


async def is_encrypted(certificate: Certificate, client: Client) -> bool:
    """Say whether a mail goes over TLS where nothing is set."""
    async with tls_server(certificate) as (port, inbox):
        upstream = client(port)
        await upstream.deliver(transaction())
        await upstream.close()
    ((_, came_over_tls, _),) = inbox.arrived
    return came_over_tls


@pytest.mark.usefixtures("far_away")
async def test_tls_is_used_where_it_is_offered_whoever_signed(
    certificate: Certificate, client: Client
) -> None:
    assert await is_encrypted(certificate, client)


async def test_to_this_machine_itself_nothing_is_encrypted_unless_asked_for(
    certificate: Certificate, client: Client
) -> None:
    assert not await is_encrypted(certificate, client)


@pytest.mark.usefixtures("far_away")
@pytest.mark.parametrize(
    ("extensions", "script"),
    [
        (["PIPELINING"], {}),
        (["STARTTLS"], {"STARTTLS": "454 4.7.0 Not now"}),
        (["STARTTLS"], {"STARTTLS": say("220 Go", then="close")}),
        (["STARTTLS"], {"STARTTLS": say("220 Go", "220 Go")}),
    ],
    ids=["not offered", "refused", "closed", "broken"],
)
async def test_mail_goes_on_where_no_tls_can_be_had(
    relay: Relay, extensions: list[str], script: dict[str, str | Answer]
) -> None:
    server, upstream = await relay(script, extensions)
    with capture_logs() as logs:
        assert (await upstream.deliver(transaction())).code == 250
    assert len(server.taken) == 1
    is_broken = isinstance(script.get("STARTTLS"), Answer)
    assert [each["event"] for each in logs] == ["upstream.not_encrypted"] * is_broken


# AUTH


@pytest.fixture
def password(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    write_password(file, f"{PASSWORD}\n")
    return file


def write_password(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)


@pytest.mark.parametrize("excluded", [(), ("PLAIN",)], ids=["PLAIN", "LOGIN"])
async def test_the_upstream_is_told_who_we_are(
    certificate: Certificate, client: Client, password: Path, excluded: tuple[str, ...]
) -> None:
    settings = {"authenticator": authenticate, "auth_exclude_mechanism": excluded}
    async with tls_server(certificate, auth_required=True, **settings) as (port, inbox):
        upstream = client(
            port,
            tls="require",
            tls_ca_file=certificate.certificate,
            user="proxy",
            password=password,
        )
        assert (await upstream.deliver(transaction())).code == 250
        await upstream.close()
    assert inbox.arrived == [(["to@example.com"], True, b"proxy")]


async def test_a_wrong_password_is_a_451_with_the_upstreams_words(
    certificate: Certificate, client: Client, password: Path
) -> None:
    write_password(password, "wrong")
    async with tls_server(certificate, authenticator=authenticate) as (port, inbox):
        upstream = client(port, tls="require", tls_verify=False, user="proxy", password=password)
        refusal = await refusal_of(upstream.deliver(transaction()))
    assert refusal.startswith(f"{UNUSABLE}it refused AUTH with: 535 5.7.8 ")
    assert inbox.arrived == []


async def test_a_refused_password_is_not_tried_by_every_mail(
    relay: Relay, password: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Upstreams lock accounts after a few wrong ones."""
    script = {"AUTH": ["535 5.7.8 No", "235 2.7.0 Ok"]}
    server, upstream = await relay(script, ["AUTH PLAIN"], user="proxy", password=password)
    for _ in range(5):
        refusal = await refusal_of(upstream.deliver(transaction()))
        assert refusal == f"{UNUSABLE}it refused AUTH with: 535 5.7.8 No"
    assert len(server.dialogues) == 1
    monkeypatch.setattr(opening, "_REFUSED_SECONDS", 0.05)
    server.set_answer("AUTH", ["535 5.7.8 No", "235 2.7.0 Ok"])
    again = Upstream(upstream.settings)
    await refusal_of(again.deliver(transaction()))
    await asyncio.sleep(0.1)
    await again.deliver(transaction())
    await again.close()
    assert len(server.taken) == 1


async def test_a_password_is_read_for_each_connection(
    relay: Relay, password: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server, upstream = await relay(
        {"AUTH": "235 2.7.0 Ok"}, ["AUTH PLAIN"], user="proxy", password=password
    )
    await upstream.deliver(transaction())
    await server.hang_up()
    write_password(password, "")
    refusal = await refusal_of(upstream.deliver(transaction()))
    assert refusal == f"{UNUSABLE}our password for it can't be read"
    assert "must hold the password alone" in caplog.text
    write_password(password, "an\u00f6ther")
    await upstream.deliver(transaction())
    said = [each for each in server.commands if each.startswith("AUTH")]
    assert len(set(said)) == len(said) == 2


async def test_a_long_password_does_not_stand_in_the_command(relay: Relay) -> None:
    secret = Credentials(user="proxy", password="x" * 1000)
    server, _ = await relay({"AUTH": "334 "}, ["AUTH PLAIN"])
    upstream = Upstream(UpstreamSettings(port=server.port), credentials=secret)
    await refusal_of(upstream.deliver(transaction()))
    assert server.commands[1] == "AUTH PLAIN"
    assert len(server.commands[2]) > 1_000


@pytest.mark.parametrize("mechanisms", [[], ["AUTH GSSAPI CRAM-MD5"]])
async def test_an_upstream_without_our_mechanisms_gets_no_mail(
    relay: Relay, password: Path, mechanisms: list[str]
) -> None:
    server, upstream = await relay({}, mechanisms, user="proxy", password=password)
    refusal = await refusal_of(upstream.deliver(transaction()))
    assert refusal == f"{UNUSABLE}it does not offer AUTH PLAIN or LOGIN"
    assert {each.split()[0] for each in server.commands} <= {"EHLO", "QUIT"}


@pytest.mark.parametrize(
    "challenge",
    [
        b"334 " + b"A" * 100_000 + b"\r\n",
        b"334-" + b"A" * 1_000 + b"\r\n",
        b"334 " + b"A" * 70_000,
    ],
    ids=["one line", "many lines", "no end"],
)
async def test_a_huge_challenge_ends_the_connection(
    relay: Relay, password: Path, challenge: bytes
) -> None:
    answer = Answer(wire=challenge * (1 if challenge.startswith(b"334 ") else 200))
    _, upstream = await relay({"AUTH": answer}, ["AUTH LOGIN"], user="proxy", password=password)
    refusal = await refusal_of(upstream.deliver(transaction()))
    assert refusal.startswith(f"{UNUSABLE}it does not speak SMTP: ")


@pytest.mark.usefixtures("far_away")
@pytest.mark.parametrize("tls", ["none", "opportunistic"])
async def test_no_password_travels_in_plain_text(relay: Relay, tls: str) -> None:
    server, _ = await relay({}, ["AUTH PLAIN", "STARTTLS"])
    server.set_answer("STARTTLS", "454 4.7.0 Not now")
    secret = Credentials(user="proxy", password=PASSWORD)
    upstream = Upstream(UpstreamSettings(port=server.port, tls=tls), credentials=secret)  # type: ignore[arg-type]
    refusal = await refusal_of(upstream.deliver(transaction()))
    assert refusal == f"{UNUSABLE}the password would travel in plain text"
    assert not any(each.startswith("AUTH") for each in server.commands)


@pytest.mark.parametrize("content", [b"", b"\n", b"a\nb\n", b"a\0b", b"\xff"])
def test_a_file_that_holds_no_password_is_a_fault_at_start(password: Path, content: bytes) -> None:
    password.write_bytes(content)
    settings = UpstreamSettings(user="proxy", password=password)
    with pytest.raises(SettingsError, match=r"upstream: password: .*: (must hold|is not UTF-8)"):
        Opener(settings)


def test_a_password_that_others_can_read_is_a_fault_at_start(password: Path) -> None:
    password.chmod(0o644)
    password.parent.chmod(0o755)
    with pytest.raises(SettingsError, match="users other than its owner can use it"):
        Opener(UpstreamSettings(user="proxy", password=password))


def test_authorities_that_can_not_be_read_are_a_fault_at_start(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("nothing", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"ca\.pem: is not a certificate"):
        Opener(UpstreamSettings(tls="require", tls_ca_file=file))


# Addresses


Resolve: TypeAlias = Callable[[UpstreamSettings], Awaitable[list[str]]]


def answer_names(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> None:
    """Let each look-up give the next of these answers; an empty one is a name without address."""
    left = list(answers)

    async def look_up(_: UpstreamSettings) -> list[str]:
        if found := left.pop(0):
            return found
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(opening, "_look_up", look_up)


async def test_an_address_that_refuses_is_followed_by_the_next(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, upstream = await relay(host="mx.test")
    answer_names(monkeypatch, ["127.0.0.3", "127.0.0.2", "127.0.0.1"])
    assert (await upstream.deliver(transaction())).code == 250
    assert len(server.taken) == 1


async def test_an_address_that_is_silent_leaves_time_for_the_next(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listener whose queue is full takes no connection, as a host behind a firewall."""
    server, upstream = await relay(host="mx.test", connect_timeout_seconds=1)
    with socket.socket() as full:
        full.bind(("127.0.0.2", server.port))
        full.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for each in fillers:
            each.settimeout(0)
            each.connect_ex(full.getsockname())
        answer_names(monkeypatch, ["127.0.0.2", "127.0.0.1"])
        assert (await upstream.deliver(transaction())).code == 250
        for each in fillers:
            each.close()


async def test_a_name_is_looked_up_for_each_connection(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, upstream = await relay(host="mx.test", max_messages_per_connection=1)
    answer_names(monkeypatch, [], ["127.0.0.1"], ["127.0.0.2"], ["127.0.0.1"])
    refusal = await refusal_of(upstream.deliver(transaction()))
    assert refusal == f"{UNUSABLE}no connection: Name or service not known"
    await upstream.deliver(transaction())
    assert "Connection refused" in await refusal_of(upstream.deliver(transaction()))
    await upstream.deliver(transaction())
    assert len(server.taken) == 2


async def test_connections_share_a_look_up_and_a_silent_resolver_stops_nothing_for_good(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, upstream = await relay(host="mx.test", connect_timeout_seconds=0.3)
    answer, begun = asyncio.Event(), []

    async def look_up(settings: UpstreamSettings) -> list[str]:
        begun.append(settings.host)
        await answer.wait()
        return ["127.0.0.1"]

    monkeypatch.setattr(opening, "_look_up", look_up)
    refusals = await asyncio.gather(
        *(refusal_of(upstream.deliver(transaction())) for _ in range(10))
    )
    assert set(refusals) == {f"{UNUSABLE}no connection within 0.3 s"}
    assert begun == ["mx.test"]
    answer.set()
    await upstream.deliver(transaction())
    assert len(server.taken) == 1


async def test_what_failed_at_each_address_is_told_once_and_without_addresses(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, upstream = await relay(host="mx.test")
    answer_names(monkeypatch, ["127.0.0.2", "127.0.0.3"])
    refusal = await refusal_of(upstream.deliver(transaction()))
    assert refusal == f"{UNUSABLE}no connection: Connection refused"


async def test_localhost_is_found_by_its_name(relay: Relay) -> None:
    server, upstream = await relay(host="localhost")
    await upstream.deliver(transaction())
    assert len(server.taken) == 1


async def test_what_differs_between_addresses_is_told_of_each(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, upstream = await relay(host="mx.test")
    # No connection leads to the broadcast address (RFC 919 section 7).
    answer_names(monkeypatch, ["127.0.0.2", "255.255.255.255"])
    refusal = await refusal_of(upstream.deliver(transaction()))
    reasons = refusal.removeprefix(UNUSABLE).split("; ")
    assert reasons[0] == "no connection: Connection refused"
    assert reasons[1].startswith("no connection: ")
    assert len(set(reasons)) == 2


async def test_a_server_that_hangs_up_within_the_handshake_is_told(client: Client) -> None:
    async with talks(OFFER, b"220 go\r\n") as (port, _):
        refusal = await refusal_of(
            client(port, tls="require", tls_verify=False).deliver(transaction())
        )
    assert re.fullmatch(rf"{UNUSABLE}TLS failed: .+", refusal)


async def test_a_client_that_leaves_within_the_handshake_ends_the_connection(
    client: Client,
) -> None:
    async with talks(OFFER, b"220 go\r\n", b"") as (port, heard):
        delivering = asyncio.create_task(
            client(port, tls="require", tls_verify=False).deliver(transaction())
        )
        await until(lambda: len(heard) == 3)  # EHLO, STARTTLS and the first of the handshake
        delivering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await delivering


async def test_a_unix_socket_takes_mail(tmp_path: Path, client: Client) -> None:
    inbox, loop, path = Inbox(), asyncio.get_running_loop(), tmp_path / "mta"
    server = await loop.create_unix_server(
        lambda: SMTP(inbox, hostname="stock.test", loop=loop), str(path)
    )
    upstream = client(0, host=str(path))
    assert (await upstream.deliver(transaction())).code == 250
    await upstream.close()
    server.close()
    assert len(inbox.arrived) == 1


async def test_a_unix_socket_that_is_not_there_is_a_451_that_does_not_name_it(
    tmp_path: Path, client: Client
) -> None:
    refusal = await refusal_of(client(0, host=str(tmp_path / "no")).deliver(transaction()))
    assert refusal == f"{UNUSABLE}no connection: No such file or directory"


async def test_a_unix_socket_can_have_tls_under_a_name(
    tmp_path: Path, certificate: Certificate, client: Client
) -> None:
    inbox, loop, path = Inbox(), asyncio.get_running_loop(), tmp_path / "mta"
    context = server_context(certificate)
    server = await loop.create_unix_server(
        lambda: SMTP(inbox, hostname="stock.test", loop=loop, tls_context=context), str(path)
    )
    upstream = client(
        0,
        host=str(path),
        tls="require",
        tls_name="localhost",
        tls_ca_file=certificate.certificate,
    )
    assert (await upstream.deliver(transaction())).code == 250
    await upstream.close()
    server.close()
    assert [each[1] for each in inbox.arrived] == [True]
