"""The spool behind real proxies: what 250 promised outlives an upstream's faults and ours."""

import asyncio
import contextlib
import os
import signal
import smtplib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.ports import find_free_ports
from tests.processes import Server
from tests.signing.conftest import KeyPair, make_key_pair
from tests.upstreams import EXTENSIONS, ScriptedUpstream
from tests.waiting import until

from msys_track.keys.file import create

pytestmark = pytest.mark.anyio

CONFIG = """
keys = "keys.toml"
[listener]
click_tracking_enabled = true
click_tracking_scheme = "http"
allow_downgrade = true
[proxy]
listen = "127.0.0.1:0"
upstream = "127.0.0.1:{port}"
[spool]
mode = "{mode}"
first_retry_seconds = 0.2
[dkim."example.com"]
selector = "mail"
private_key = "ed25519.pem"
"""
MESSAGE = (
    b"From: jo@example.com\r\nSubject: x\r\nContent-Type: text/html\r\n\r\n"
    b'<a href="https://shop.example/">shop</a>\r\n.\r\n'
)
READERS = ["a@example.com", "b@example.com", "c@example.com"]


@pytest.fixture
def pair(tmp_path: Path) -> KeyPair:
    return make_key_pair("ed25519", tmp_path)


@contextlib.asynccontextmanager
async def run_proxy(folder: Path, port: int, mode: str = "partial") -> AsyncIterator[Server]:
    if not (folder / "keys.toml").exists():
        create(folder / "keys.toml")
    (folder / "msys-track.toml").write_text(CONFIG.format(port=port, mode=mode), encoding="utf-8")
    server = Server(folder, "proxy")
    try:
        yield await asyncio.to_thread(server.listening)
    finally:
        await asyncio.to_thread(server.kill)


async def send(proxy: Server, *recipients: str, options: tuple[str, ...] = ()) -> str:
    """Send one mail; return the answer to its data."""

    def send_now() -> str:
        with smtplib.SMTP("127.0.0.1", proxy.port, timeout=30) as client:
            client.ehlo()
            client.mail("from@example.com", options)
            for recipient in recipients:
                assert client.rcpt(recipient)[0] == 250
            code, text = client.data(MESSAGE)
            return f"{code} {text.decode()}"

    return await asyncio.to_thread(send_now)


def reached(hop: ScriptedUpstream) -> list[str]:
    return sorted(to for taken in hop.taken for to in taken.recipients)


async def test_what_remains_of_a_mail_goes_out_later_signed_as_the_rest(
    tmp_path: Path, pair: KeyPair
) -> None:
    script = {"DOT": ["250 2.0.0 Ok", "451 4.3.0 later", "250 2.0.0 Ok"]}
    async with ScriptedUpstream(script) as hop, run_proxy(tmp_path, hop.port) as proxy:
        answer = await send(proxy, *READERS)
        assert answer.startswith("250 2.0.0 Ok: 2 copies relayed, 1 kept: ")
        await until(lambda: reached(hop) == READERS)
        for taken in hop.taken:
            assert pair.verifies(taken.message)
            assert b"https://shop.example/" not in taken.message
        await asyncio.to_thread(proxy.event, "spool.relayed")
        assert len(hop.arrived) == 4


async def test_who_is_refused_when_others_have_the_mail_is_reported_to_the_sender(
    tmp_path: Path, pair: KeyPair
) -> None:
    assert pair.file.exists()
    script = {"DOT": ["250 2.0.0 Ok", "554 5.7.1 spam", "250 2.0.0 Ok"]}
    extensions = (*EXTENSIONS, "DSN")
    async with ScriptedUpstream(script, extensions) as hop, run_proxy(tmp_path, hop.port) as proxy:
        answer = await send(proxy, *READERS[:2], options=("RET=HDRS", "ENVID=abc"))
        assert answer.startswith("250 2.0.0 Ok: 1 copy relayed, 1 reported")
        await until(lambda: len(hop.taken) == 2)
        report = hop.taken[1]
        assert (report.sender, report.recipients) == ("", ("from@example.com",))
        assert b"Original-Envelope-Id: abc" in report.message
        assert b"Diagnostic-Code: smtp; 554 5.7.1 spam" in report.message


async def test_what_was_acknowledged_outlives_the_proxy(tmp_path: Path, pair: KeyPair) -> None:
    assert pair.file.exists()
    script = {"DOT": ["250 2.0.0 Ok", "451 4.3.0 later"]}
    async with ScriptedUpstream(script) as hop:
        async with run_proxy(tmp_path, hop.port) as proxy:
            assert (await send(proxy, *READERS)).startswith("250 ")
            for child in _list_children(proxy.process.pid):
                os.kill(child, signal.SIGKILL)
        hop.set_answer("DOT", "250 2.0.0 Ok")
        async with run_proxy(tmp_path, hop.port):
            await until(lambda: reached(hop) == READERS)


def _list_children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(each) for each in text.split()]


async def test_with_always_mail_is_taken_while_the_upstream_is_down(
    tmp_path: Path, pair: KeyPair
) -> None:
    (port,) = find_free_ports(1)
    async with run_proxy(tmp_path, port, "always") as proxy:
        answer = await send(proxy, *READERS)
        assert answer.startswith("250 2.0.0 Ok: kept as ")
        async with ScriptedUpstream(port=port) as hop:
            await until(lambda: reached(hop) == READERS)
            assert all(pair.verifies(taken.message) for taken in hop.taken)
            assert proxy.stop().code == 0
