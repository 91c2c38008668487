"""SIGHUP to running servers: what is read again, what goes on, and what a mistake costs."""

import asyncio
import re
import socket
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.ports import find_free_ports
from tests.processes import Server, running
from tests.proxied import send_mail
from tests.smtp_client import Client
from tests.upstreams import ScriptedUpstream

from msys_track.keys import file as key_file
from msys_track.keys.ring import Claims, Engagement, KeyRing

pytestmark = pytest.mark.anyio

HTML = (
    b"Subject: x\r\nContent-Type: text/html\r\n\r\n<body><a href='http://e.com/'>x</a></body>\r\n"
)
TRACKED_URL = re.compile(rb"http://([\w.:-]+)(/[fq]/[\w./-]+)")
POLICY = """
def validate_data_spool_each_rcpt(transaction):
    transaction.contexts.message.set("smtpapi_campaign_id", {campaign!r})
"""


class RunningProxy:
    """A running proxy, the files that it reads, and its upstream."""

    server: Server

    def __init__(self, folder: Path, hop: ScriptedUpstream) -> None:
        self.folder = folder
        self._hop = hop

    async def inject_mail(self) -> tuple[str, Claims]:
        """Inject a mail on a connection of its own; the pixel's domain and claims."""
        await send_mail(self.server.port, HTML)
        return self.last()

    def last(self) -> tuple[str, Claims]:
        """The domain and claims of the first tracked URL of the mail that arrived last."""
        found = TRACKED_URL.search(self._hop.taken[-1].message)
        assert found is not None
        keys = KeyRing.load(self.folder / "keys.toml")
        return found[1].decode(), keys.open(found[2].decode())

    async def hang_up(self, event: str = "configuration.reloaded") -> dict[str, Any]:
        """Send SIGHUP; the event that it led to."""
        before = sum(each["event"] == event for each in self.server.logged)
        self.server.hang_up()
        return await asyncio.to_thread(self.server.event, event, before + 1)

    def configure(self, domain: str, more: str = "", listen: str = "127.0.0.1:0") -> None:
        text = f"""
keys = "keys.toml"
{more}
[listener]
open_tracking_enabled = true
tracking_domain = "{domain}"
[policy]
files = ["policy.py"]
[proxy]
listen = "{listen}"
upstream = "127.0.0.1:{self._hop.port}"
"""
        (self.folder / "msys-track.toml").write_text(text, encoding="utf-8")

    def decide(self, campaign: str) -> None:
        (self.folder / "policy.py").write_text(POLICY.format(campaign=campaign), encoding="utf-8")


@pytest.fixture
async def proxy(tmp_path: Path) -> AsyncIterator[RunningProxy]:
    key_file.create(tmp_path / "keys.toml")
    async with ScriptedUpstream() as hop:
        files = RunningProxy(tmp_path, hop)
        files.configure("first.example")
        files.decide("first")
        async with running("proxy", "--config", tmp_path / "msys-track.toml") as files.server:
            yield files


async def test_the_next_mail_has_the_new_options(proxy: RunningProxy) -> None:
    domain, _ = await proxy.inject_mail()
    assert domain == "first.example"
    proxy.configure("second.example")
    reloaded = await proxy.hang_up()
    assert reloaded["workers"] == "kept"
    domain, _ = await proxy.inject_mail()
    assert domain == "second.example"


async def test_a_session_that_is_open_goes_on_and_its_next_mail_has_the_new_options(
    proxy: RunningProxy,
) -> None:
    async with Client(proxy.server.port) as client:
        await client.say("EHLO client")
        assert (await client.say("MAIL FROM:<s@s.example>")).startswith("250")
        proxy.configure("second.example")
        await proxy.hang_up()
        assert (await client.say("RCPT TO:<r@r.example>")).startswith("250")
        assert (await client.say("DATA")).startswith("354")
        assert (await client.say(HTML + b".")).startswith("250")
        domain, _ = proxy.last()
        assert domain == "second.example"


async def test_a_mail_that_is_under_way_at_the_hang_up_is_delivered(proxy: RunningProxy) -> None:
    async with Client(proxy.server.port) as client:
        await client.envelope("r@r.example", sender="<s@s.example>")
        client.send(HTML[:20])
        await proxy.hang_up()
        assert (await client.data(HTML[20:])).startswith("250")
        domain, _ = proxy.last()
        assert domain == "first.example"


NO_POLICY = "def validate_rcptto(transaction:\n"


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (
            lambda proxy: proxy.configure("second.example", "smtpapi = 7"),
            "msys-track.toml:3: smtpapi: found 7, allowed: true or false",
        ),
        (
            lambda proxy: proxy.configure("second.example", "[listenr]"),
            "msys-track.toml:3: listenr: unknown; did you mean listener?",
        ),
        (lambda proxy: proxy.configure("second.example", "="), "msys-track.toml:3: "),
        (
            lambda proxy: (proxy.folder / "msys-track.toml").unlink(),
            "msys-track.toml: there is no such file; ",
        ),
        (lambda proxy: (proxy.folder / "policy.py").write_text(NO_POLICY), "policy.py:1: "),
        (lambda proxy: (proxy.folder / "keys.toml").rename(proxy.folder / "k"), "keys.toml"),
    ],
)
async def test_a_wrong_file_leaves_everything_as_it_was_and_is_told_with_its_line(
    proxy: RunningProxy, spoil: Callable[[RunningProxy], object], fault: str
) -> None:
    keys = (proxy.folder / "keys.toml").read_bytes()
    proxy.configure("second.example")
    proxy.decide("second")
    spoil(proxy)
    logged = await proxy.hang_up("configuration.not_reloaded")
    assert logged["level"] == "error"
    assert fault in logged["faults"][0]
    ring_file = proxy.folder / "keys.toml"
    ring_file.write_bytes(keys)
    ring_file.chmod(0o600)
    domain, claims = await proxy.inject_mail()
    assert (domain, claims.engagement.campaign_id) == ("first.example", "first")
    proxy.configure("third.example")
    proxy.decide("third")
    await proxy.hang_up()
    domain, claims = await proxy.inject_mail()
    assert (domain, claims.engagement.campaign_id) == ("third.example", "third")


async def test_a_file_that_now_asks_for_a_guard_of_an_open_port_leaves_everything_as_it_was(
    tmp_path: Path,
) -> None:
    file = tmp_path / "ecelerity.conf"
    text = 'smtpapi { }\nESMTP_Listener { Listen "0.0.0.0:0" { } }\nGateway = "127.0.0.1"\n'
    file.write_text(f"{text}Open_Relay = true\n", encoding="utf-8")
    async with running("proxy", "--config", file) as server:
        file.write_text(f"{text}Open_Relay = false\n", encoding="utf-8")
        server.hang_up()
        event = await asyncio.to_thread(server.event, "configuration.not_reloaded")
        (fault,) = event["faults"]
        assert "Open_Relay (ecelerity.conf:4) asks for less relaying, but nothing says" in fault
        async with Client(server.port) as client:
            assert client.greeting.startswith("220 ")
        file.write_text(
            f"{text}Open_Relay = false\nmsys_track {{ open_relay = true }}\n", encoding="utf-8"
        )
        server.hang_up()
        reloaded = await asyncio.to_thread(server.event, "configuration.reloaded")
        assert reloaded["workers"] == "kept"  # it was Momentum's own word before


async def test_a_changed_policy_is_asked(proxy: RunningProxy) -> None:
    proxy.decide("second")
    _, claims = await proxy.inject_mail()
    assert claims.engagement.campaign_id == "first"
    await proxy.hang_up()
    _, claims = await proxy.inject_mail()
    assert claims.engagement.campaign_id == "second"


async def test_a_rotated_key_seals(proxy: RunningProxy) -> None:
    file = proxy.folder / "keys.toml"
    key_file.rotate(file)
    await proxy.hang_up()
    await proxy.inject_mail()
    comment, newest, _oldest = file.read_text(encoding="utf-8").split("[[key]]")
    file.write_text(f"{comment}[[key]]{newest}", encoding="utf-8")
    assert KeyRing.load(file).ids == (2,)
    _, claims = proxy.last()
    assert claims.engagement.recipient == "jo@reader.example"


async def test_a_changed_listener_takes_the_place_of_the_old_one(proxy: RunningProxy) -> None:
    old = proxy.server.port
    (new,) = find_free_ports(1)
    proxy.configure("second.example", listen=f"127.0.0.1:{new}")
    reloaded = await proxy.hang_up()
    assert reloaded["workers"] == "replaced"
    await send_mail(new, HTML)
    assert proxy.last()[0] == "second.example"
    await asyncio.to_thread(proxy.server.event, "worker.stopped")
    with pytest.raises(ConnectionRefusedError):
        await send_mail(old, HTML)


async def test_a_listener_that_can_not_be_had_leaves_everything_as_it_was(
    proxy: RunningProxy,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        proxy.configure("second.example", listen=where)
        logged = await proxy.hang_up("configuration.not_reloaded")
    [fault] = logged["faults"]
    assert fault.startswith(f"proxy: can't listen on {where}: Address already in use; choose")
    assert (await proxy.inject_mail())[0] == "first.example"


async def test_many_hang_ups_at_once_are_borne(proxy: RunningProxy) -> None:
    for _ in range(20):
        proxy.server.hang_up()
    proxy.configure("second.example")
    await proxy.hang_up()
    assert (await proxy.inject_mail())[0] in ("first.example", "second.example")
    await proxy.hang_up()
    assert (await proxy.inject_mail())[0] == "second.example"


async def test_a_hang_up_reads_a_credential_again(
    proxy: RunningProxy, tmp_path_factory: pytest.TempPathFactory
) -> None:
    credentials = tmp_path_factory.mktemp("credentials")
    file = credentials / "tracking"
    key_file.create(file)
    config = proxy.folder / "msys-track.toml"
    text = config.read_text(encoding="utf-8").replace('"keys.toml"', '"credential:tracking"')
    config.write_text(text, encoding="utf-8")
    async with running(
        "proxy", "--config", config, CREDENTIALS_DIRECTORY=str(credentials)
    ) as server:
        proxy.server = server
        key_file.rotate(file)
        (proxy.folder / "keys.toml").write_bytes(file.read_bytes())
        await proxy.hang_up()
        await proxy.inject_mail()
    comment, newest, _oldest = file.read_text(encoding="utf-8").split("[[key]]")
    (proxy.folder / "keys.toml").write_text(f"{comment}[[key]]{newest}", encoding="utf-8")
    _, claims = proxy.last()
    assert claims.engagement.recipient == "jo@reader.example"


# The tracker


async def test_a_tracker_opens_links_of_a_rotated_key_after_a_hang_up(tmp_path: Path) -> None:
    key_file.create(tmp_path / "keys.toml")
    (tmp_path / "msys-track.toml").write_text(
        'keys = "keys.toml"\n[tracker]\nlisten = "127.0.0.1:0"\nstore = "events.sqlite"\n',
        encoding="utf-8",
    )
    async with running("tracker", "--config", tmp_path / "msys-track.toml") as tracker:
        old = link(tmp_path / "keys.toml")
        assert await status(tracker, old) == 302
        key_file.rotate(tmp_path / "keys.toml")
        new = link(tmp_path / "keys.toml")
        assert await status(tracker, new) == 404
        tracker.hang_up()
        await asyncio.to_thread(tracker.event, "configuration.reloaded")
        assert (await status(tracker, new), await status(tracker, old)) == (302, 302)
        (tmp_path / "keys.toml").write_text("nonsense", encoding="utf-8")
        tracker.hang_up()
        event = await asyncio.to_thread(tracker.event, "configuration.not_reloaded")
        assert "keys.toml" in event["faults"][0]
        assert (await status(tracker, new), await status(tracker, old)) == (302, 302)


def link(keys: Path) -> str:
    engagement = Engagement(
        message_id="00" * 10,
        recipient="r@r.example",
        injected_at=0,
        expires_at=2**32,
        customer_id=1,
    )
    claims = Claims(kind="click", engagement=engagement, target="http://e.example/")
    return f"/{KeyRing.load(keys).seal(claims)}"


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


async def status(tracker: Server, path: str) -> int:
    def fetch() -> int:
        opener = urllib.request.build_opener(_Stay)
        try:
            with opener.open(f"http://127.0.0.1:{tracker.port}{path}", timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return int(error.code)

    return await asyncio.to_thread(fetch)
