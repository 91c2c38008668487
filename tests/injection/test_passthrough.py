"""Users whom the upstream checks: their mail goes out as theirs, over connections of their own."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from tests.certificates import Certificate, make_certificate
from tests.injection.conftest import MESSAGE
from tests.smtp_client import TlsClient, inside_tls
from tests.upstreams import EXTENSIONS, ScriptedUpstream, say, stock_aiosmtpd
from tests.waiting import until

from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.injection.access.settings import AccessSettings
from msys_track.injection.server import Proxy, serve
from msys_track.injection.settings import ProxySettings
from msys_track.keys.ring import KeyRing
from msys_track.metrics import Counters
from msys_track.relay.passthrough import UserUpstreams
from msys_track.relay.settings import UpstreamSettings
from msys_track.relay.upstream import Upstream

pytestmark = pytest.mark.anyio

PASSWORDS = {"amy": "the first", "bob:X-MSYS-SUBACCOUNT=7": "the second"}


class Mta:
    """aiosmtpd with users; notes whose each mail was."""

    def __init__(self) -> None:
        self.arrived: list[str] = []

    def __call__(self, *arguments: Any) -> AuthResult:
        data = arguments[-1]
        assert isinstance(data, LoginPassword)
        good = PASSWORDS.get(data.login.decode()) == data.password.decode()
        return AuthResult(success=good, handled=False, auth_data=data)

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, session: Session, _envelope: Envelope
    ) -> str:
        self.arrived.append(getattr(session.auth_data, "login", b"nobody").decode())
        return "250 2.0.0 Ok"


@pytest.fixture
def mta() -> Mta:
    return Mta()


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path)


@pytest.fixture
async def proxy(mta: Mta, certificate: Certificate, keys: KeyRing) -> AsyncIterator[Proxy]:
    """A proxy before that MTA; nobody on this machine may send without AUTH."""
    async with contextlib.AsyncExitStack() as ends:
        port = await ends.enter_async_context(
            stock_aiosmtpd(mta, authenticator=mta, auth_require_tls=False)
        )
        hop = UpstreamSettings(port=port)
        upstream, users = Upstream(hop), UserUpstreams({"": hop}, Counters())
        ends.push_async_callback(upstream.close)
        ends.push_async_callback(users.close)
        rules = AccessSettings(
            networks=(),
            auth_passthrough=True,
            tls_certificate=certificate.certificate,
            tls_key=certificate.key,
            auth_failure_delay_seconds=0.001,
            auth_failures_per_minute=2,
        )
        made = await serve(
            ProxySettings(listen_port=0, access=rules),
            Dispatcher(keys=keys),
            upstream,
            passthrough=users,
        )
        ends.push_async_callback(made.close)
        yield made


def plain(user: str, password: str) -> str:
    return f"AUTH PLAIN {base64.b64encode(f'{chr(0)}{user}{chr(0)}{password}'.encode()).decode()}"


async def test_mail_goes_out_as_the_user_who_logged_in(
    proxy: Proxy, mta: Mta, certificate: Certificate
) -> None:
    for user, password in PASSWORDS.items():
        async with inside_tls(proxy.port, certificate) as client:
            assert (await client.say(plain(user, password))).startswith("235 ")
            assert (await client.deliver(MESSAGE)).startswith("250 ")
    assert mta.arrived == list(PASSWORDS)


async def test_sessions_of_several_users_never_share_a_connection(
    proxy: Proxy, mta: Mta, certificate: Certificate
) -> None:
    async def send(user: str, password: str) -> None:
        async with inside_tls(proxy.port, certificate) as client:
            await client.say(plain(user, password))
            for _ in range(10):
                assert (await client.deliver(MESSAGE)).startswith("250 ")

    await asyncio.gather(*(send(*pair) for pair in [*PASSWORDS.items()] * 3))
    assert {user: mta.arrived.count(user) for user in PASSWORDS} == dict.fromkeys(PASSWORDS, 30)


async def test_who_is_refused_hears_the_upstreams_words_and_may_not_send(
    proxy: Proxy, mta: Mta, certificate: Certificate
) -> None:
    async with inside_tls(proxy.port, certificate) as client:
        refused = await client.say(plain("amy", "wrong"))
        assert refused == "535 5.7.8 Authentication credentials invalid"
        assert (await client.say("MAIL FROM:<a@example.com>")).startswith("530 5.7.0 ")
        await client.say(plain("amy", "wrong again"))
    async with inside_tls(proxy.port, certificate) as client:
        assert (await client.say(plain("amy", "the first"))).startswith(
            "454 4.7.0 Too many failed"
        )
    assert mta.arrived == []


async def test_auth_is_not_offered_while_the_upstream_does_not_offer_it(
    certificate: Certificate, keys: KeyRing, mta: Mta
) -> None:
    async with contextlib.AsyncExitStack() as ends:
        port = await ends.enter_async_context(stock_aiosmtpd(mta))
        hop = UpstreamSettings(port=port)
        upstream, users = Upstream(hop), UserUpstreams({"": hop}, Counters())
        ends.push_async_callback(upstream.close)
        ends.push_async_callback(users.close)
        rules = AccessSettings(
            auth_passthrough=True,
            tls_certificate=certificate.certificate,
            tls_key=certificate.key,
        )
        settings = ProxySettings(listen_port=0, access=rules)
        made = await serve(settings, Dispatcher(keys=keys), upstream, passthrough=users)
        ends.push_async_callback(made.close)
        async with TlsClient(made.port, certificate) as client:
            await client.say("EHLO client.test")
            await client.start_tls()
            assert "AUTH" not in await client.say("EHLO client.test")
            assert (await client.say(plain("amy", "the first"))).startswith("502 ")


async def test_an_upstream_that_can_t_check_now_or_is_busy_asks_to_come_again(
    certificate: Certificate, keys: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("msys_track.injection.access.visitor._MAX_CHECKING", 1)
    gate = asyncio.Event()
    refusal = say("454 4.7.0 Temporary authentication failure", when=gate)
    async with contextlib.AsyncExitStack() as ends:
        mta = await ends.enter_async_context(
            ScriptedUpstream({"AUTH": refusal}, [*EXTENSIONS, "AUTH PLAIN"])
        )
        hop = UpstreamSettings(port=mta.port)
        upstream, users = Upstream(hop), UserUpstreams({"": hop}, Counters())
        ends.push_async_callback(upstream.close)
        ends.push_async_callback(users.close)
        rules = AccessSettings(
            auth_passthrough=True,
            tls_certificate=certificate.certificate,
            tls_key=certificate.key,
            xclient_from=(ip_network("127.0.0.0/8"),),
        )
        settings = ProxySettings(listen_port=0, access=rules)
        made = await serve(settings, Dispatcher(keys=keys), upstream, passthrough=users)
        ends.push_async_callback(made.close)
        first, second = [
            await ends.enter_async_context(inside_tls(made.port, certificate)) for _ in range(2)
        ]
        first.send(plain("amy", "the first").encode() + b"\r\n")
        await until(lambda: any(each.startswith("AUTH") for each in mta.commands))
        assert (await second.say("XCLIENT ADDR=192.0.2.9")).startswith("220 ")
        await second.say("EHLO client.test")
        busy = await second.say(plain("amy", "the first"))
        assert busy == "454 4.7.0 Too many logins at one time; try again later"
        gate.set()
        assert (await first.reply()).startswith("454 4.7.0 Temporary authentication failure")
