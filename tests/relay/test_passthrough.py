"""Users of the upstream: each over connections of their own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, TypeAlias

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from tests.relay.conftest import refusal_of, transaction
from tests.upstreams import HANG_UP, ScriptedUpstream, stock_aiosmtpd

from msys_track.metrics import Counters
from msys_track.relay import passthrough
from msys_track.relay.passthrough import UserUpstreams
from msys_track.relay.settings import UpstreamSettings

pytestmark = pytest.mark.anyio

PASSWORDS = {"amy": "first", "bob": "second"}


class Mta:
    """aiosmtpd with users, who can change their passwords."""

    def __init__(self) -> None:
        self.passwords = dict(PASSWORDS)
        self.logins = 0
        self.arrived: list[tuple[str, str]] = []
        """User and recipient of each mail."""

    def __call__(self, *arguments: Any) -> AuthResult:
        data = arguments[-1]
        assert isinstance(data, LoginPassword)
        self.logins += 1
        good = self.passwords.get(data.login.decode()) == data.password.decode()
        return AuthResult(success=good, handled=False, auth_data=data)

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        user = getattr(session.auth_data, "login", b"").decode()
        self.arrived += [(user, each) for each in envelope.rcpt_tos]
        await asyncio.sleep(0)
        return "250 2.0.0 Ok"


Users: TypeAlias = Callable[..., Awaitable[UserUpstreams]]


@pytest.fixture
async def ends() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def mta() -> Mta:
    return Mta()


@pytest.fixture
async def users(mta: Mta, ends: AsyncExitStack) -> UserUpstreams:
    port = await ends.enter_async_context(
        stock_aiosmtpd(mta, authenticator=mta, auth_require_tls=False)
    )
    made = UserUpstreams({"": UpstreamSettings(port=port, max_connections=3)}, Counters())
    ends.push_async_callback(made.close)
    return made


async def test_each_mail_goes_out_as_the_user_who_sent_it(users: UserUpstreams, mta: Mta) -> None:
    logins = {user: await users.log_in(user, word) for user, word in PASSWORDS.items()}
    await asyncio.gather(
        *(
            login.next_hop.deliver(transaction(f"{number}@{user}.test"))
            for number in range(20)
            for user, login in logins.items()
        )
    )
    assert len(mta.arrived) == 40
    assert all(recipient.endswith(f"@{user}.test") for user, recipient in mta.arrived)


@pytest.mark.parametrize(("user", "password"), [("amy", "second"), ("eve", "first"), ("amy", "x")])
async def test_who_is_refused_hears_the_upstreams_own_words(
    users: UserUpstreams, user: str, password: str
) -> None:
    await users.log_in("amy", "first")
    refusal = await refusal_of(users.log_in(user, password))
    assert refusal.startswith("535 5.7.8 ")


async def test_two_sessions_of_one_user_share_connections(users: UserUpstreams, mta: Mta) -> None:
    first, second = [await users.log_in("amy", "first") for _ in range(2)]
    assert first.next_hop is second.next_hop
    for each in (first, second):
        await each.next_hop.deliver(transaction())
        users.leave(each)
    again = await users.log_in("amy", "first")
    await again.next_hop.deliver(transaction())
    # Once to verify, once for the connection that carried all three.
    assert (mta.logins, len(mta.arrived)) == (2, 3)


async def test_a_changed_password_lets_the_old_one_in_no_longer(
    users: UserUpstreams, mta: Mta, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passthrough, "_VERIFIED_SECONDS", 0.05)
    users.leave(await users.log_in("amy", "first"))
    mta.passwords["amy"] = "third"
    await asyncio.sleep(0.1)
    assert (await refusal_of(users.log_in("amy", "first"))).startswith("535 ")
    await users.log_in("amy", "third")


async def test_connections_of_a_user_who_has_left_are_closed(
    users: UserUpstreams, mta: Mta, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passthrough, "_VERIFIED_SECONDS", 0.05)
    login = await users.log_in("amy", "first")
    await login.next_hop.deliver(transaction())
    users.leave(login)
    await asyncio.sleep(0.1)
    assert "4.3.2 The proxy is shutting down" in await refusal_of(
        login.next_hop.deliver(transaction())
    )
    assert len(mta.arrived) == 1


@pytest.mark.parametrize(
    ("script", "extensions", "answer"),
    [
        ({"GREETING": HANG_UP}, [], "454 4.7.0 The upstream can't be asked: "),
        ({}, [], "454 4.7.0 The upstream can't be asked: it does not offer AUTH"),
        ({"AUTH": "454 4.7.0 Later"}, ["AUTH PLAIN"], "454 4.7.0 Later"),
        ({"AUTH": "250 What?"}, ["AUTH PLAIN"], "451 4.4.2 The upstream answered AUTH with: 250"),
    ],
)
async def test_an_upstream_that_can_not_be_asked_is_a_4xx(
    ends: AsyncExitStack, script: dict[str, Any], extensions: list[str], answer: str
) -> None:
    server = await ends.enter_async_context(ScriptedUpstream(script, extensions))
    users = UserUpstreams({"": UpstreamSettings(port=server.port)}, Counters())
    assert (await refusal_of(users.log_in("amy", "first"))).startswith(answer)


async def test_with_several_upstreams_one_that_is_down_is_passed_by(
    ends: AsyncExitStack, mta: Mta
) -> None:
    dead = await ends.enter_async_context(ScriptedUpstream({"GREETING": HANG_UP}))
    port = await ends.enter_async_context(
        stock_aiosmtpd(mta, authenticator=mta, auth_require_tls=False)
    )
    settings = {
        "a": UpstreamSettings(port=dead.port),
        "b": UpstreamSettings(port=port, priority=20),
    }
    users = UserUpstreams(settings, Counters())
    ends.push_async_callback(users.close)
    login = await users.log_in("amy", "first")
    await login.next_hop.deliver(transaction())
    assert mta.arrived == [("amy", "to@example.com")]
