"""Upstreams that are asked whether they take mail."""

import asyncio
import socket
import time
from contextlib import suppress
from pathlib import Path

import pytest
from tests.upstreams import HANG_UP, SILENCE, Script, ScriptedUpstream, say

from msys_track.relay.settings import UpstreamSettings
from msys_track.service.probing.finding import Finding, State
from msys_track.service.probing.upstreams import ProbeEnvelope, probe_upstreams
from msys_track.smtp.proxies import IDENT

pytestmark = pytest.mark.anyio

MARK = "0123456789abcdef" * 2
OFFER = ProbeEnvelope("a@e.com", "jo@reader.example")


async def probe(
    upstream: ScriptedUpstream, envelope: ProbeEnvelope | None = None, **settings: object
) -> list[Finding]:
    hop = UpstreamSettings(host="127.0.0.1", port=upstream.port, **settings)  # type: ignore[arg-type]
    found = await probe_upstreams({"": hop}, envelope, frozenset({MARK}), 0.5)
    assert {each.what for each in found} == {f"upstream 127.0.0.1:{upstream.port}"}
    return found


async def test_an_upstream_that_answers_is_good() -> None:
    async with ScriptedUpstream() as upstream:
        (found,) = await probe(upstream)
    assert (found.state, found.found) == (State.OK, "answers without TLS")
    assert not any(each.startswith("MAIL") for each in upstream.commands)


async def test_what_is_offered_is_taken_back_and_never_sent() -> None:
    async with ScriptedUpstream() as upstream:
        _, found = await probe(upstream, OFFER)
        await asyncio.sleep(0.05)
    assert found.state is State.OK
    assert upstream.commands[1:4] == [
        "MAIL FROM:<a@e.com>",
        "RCPT TO:<jo@reader.example>",
        "RSET",
    ]
    assert not any(each.startswith("DATA") for each in upstream.commands)
    assert upstream.arrived == []


@pytest.mark.parametrize(
    ("script", "text", "advice"),
    [
        ({"MAIL": "553 5.7.1 not yours"}, "refuses the sender: 553 5.7.1 not yours", "--from"),
        (
            {"RCPT": "554 5.7.1 Relay access denied"},
            "refuses the recipient: 554 5.7.1 Relay access denied",
            "relay mail of this machine",
        ),
        ({"RCPT": HANG_UP}, "takes no mail: ", "start it"),
    ],
)
async def test_a_refused_envelope_is_a_fault(script: Script, text: str, advice: str) -> None:
    async with ScriptedUpstream(script) as upstream:
        found = (await probe(upstream, OFFER))[-1]
    assert found.state is State.FAULT
    assert found.found.startswith(text)
    assert advice in found.advice


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ({"GREETING": "554 no service"}, "takes no mail: it greeted with: 554 no service"),
        ({"GREETING": say("HTTP/1.1 400 Bad Request")}, "takes no mail: "),
        ({"EHLO": "421 busy"}, "takes no mail: "),
        ({"GREETING": HANG_UP}, "takes no mail: "),
        (
            {"GREETING": f"220 other.example {IDENT} {MARK}"},
            "is this proxy itself: mail would go round in a circle",
        ),
    ],
)
async def test_an_upstream_that_can_take_no_mail_is_a_fault(script: Script, text: str) -> None:
    async with ScriptedUpstream(script) as upstream:
        (found,) = await probe(upstream)
    assert found.state is State.FAULT
    assert found.found.startswith(text)


async def test_another_proxy_of_ours_is_a_good_upstream() -> None:
    script = {"GREETING": f"220 other.example {IDENT} {MARK[::-1]}"}
    async with ScriptedUpstream(script) as upstream:
        (found,) = await probe(upstream)
    assert found.state is State.OK


async def test_an_upstream_that_is_silent_is_given_up() -> None:
    async with ScriptedUpstream({"GREETING": SILENCE}) as upstream:
        began = time.monotonic()
        (found,) = await probe(upstream)
        assert time.monotonic() - began < 5
    assert found.state is State.FAULT


async def test_required_tls_that_is_not_offered_is_a_fault() -> None:
    async with ScriptedUpstream() as upstream:
        (found,) = await probe(upstream, tls="require")
    assert found.state is State.FAULT
    assert "STARTTLS" in found.found
    assert "upstream_tls" in found.advice


@pytest.fixture
def password(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text("secret word\n")
    file.chmod(0o600)
    return file


async def test_a_login_that_is_taken_is_good(password: Path) -> None:
    async with ScriptedUpstream({"AUTH": "235 2.7.0 Ok"}, ("AUTH PLAIN",)) as upstream:
        (found,) = await probe(upstream, user="proxy", password=password)
    assert (found.state, found.found) == (
        State.OK,
        "answers without TLS and takes our user and password",
    )


async def test_a_password_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    password = tmp_path / "none"
    async with ScriptedUpstream({}, ("AUTH PLAIN",)) as upstream:
        (found,) = await probe(upstream, user="proxy", password=password)
    assert found.state is State.FAULT
    assert "none: there is no such password file" in found.found
    assert found.advice == "correct it in the configuration"


async def test_an_upstream_behind_a_unix_socket_has_no_name_to_resolve(tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):  # it does not wait for the answer to QUIT
            writer.write(b"220 mta.test ready\r\n")
            async for _ in reader:
                writer.write(b"250 mta.test\r\n")
        writer.close()

    hop = UpstreamSettings(host=str(tmp_path / "mta"), port=0)
    async with await asyncio.start_unix_server(talk, hop.host):
        (found,) = await probe_upstreams({"": hop}, None, frozenset(), 5)
    assert (found.what, found.state) == (f"upstream unix:{hop.host}", State.OK)


async def test_plain_text_to_another_machine_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    look_up = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda _, *rest, **more: look_up("127.0.0.1", *rest, **more)
    )
    async with ScriptedUpstream() as upstream:
        hop = UpstreamSettings(host="mail.example", port=upstream.port, tls="opportunistic")
        (found,) = await probe_upstreams({"": hop}, None, frozenset(), 5)
    assert found.state is State.WARNING
    assert 'set upstream_tls = "require"' in found.advice


async def test_a_login_that_is_refused_is_a_fault(password: Path) -> None:
    script = {"AUTH": "535 5.7.8 wrong"}
    async with ScriptedUpstream(script, ("AUTH PLAIN",)) as upstream:
        (found,) = await probe(upstream, user="proxy", password=password)
    assert (found.state, found.found) == (
        State.FAULT,
        "refuses our user or password: 535 5.7.8 wrong",
    )


async def test_a_host_that_does_not_resolve_is_a_fault() -> None:
    hop = UpstreamSettings(host="mail.nosuch.invalid", port=25)
    (found,) = await probe_upstreams({"": hop}, None, frozenset(), 5)
    assert found.state is State.FAULT
    assert found.found.startswith("mail.nosuch.invalid does not resolve: ")


async def test_upstreams_are_asked_side_by_side() -> None:
    async with ScriptedUpstream({"GREETING": SILENCE}) as silent, ScriptedUpstream() as other:
        hops = {
            str(number): UpstreamSettings(host="127.0.0.1", port=each.port)
            for number, each in enumerate([silent, silent, silent, other])
        }
        began = time.monotonic()
        found = await probe_upstreams(hops, None, frozenset(), 0.5)
        assert time.monotonic() - began < 1.4
    assert [each.state for each in found] == [State.FAULT] * 3 + [State.OK]
