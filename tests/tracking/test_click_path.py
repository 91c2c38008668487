"""The core's click path: whatever is sent, it answers and records as Python does."""

import asyncio
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from tests.thoroughness import examples
from tests.tracking.conftest import EXPIRES_AT, INJECTED_AT, TARGET

from msys_track.eventlog.hits import HitLog, PlainHitLog, open_hit_log
from msys_track.eventlog.reader import LogReader
from msys_track.eventlog.settings import EventsSettings
from msys_track.keys.ring import Claims, Engagement, KeyRing
from msys_track.metrics import TRACKER_COUNTERS, Counters
from msys_track.tracking.access_log import AccessLog
from msys_track.tracking.click_path import ClickPath
from msys_track.tracking.connection import ReaderConnection, Service
from msys_track.tracking.crowd import Crowd
from msys_track.tracking.hosts import Hosts
from msys_track.tracking.replies import Replies
from msys_track.tracking.routes import Routes
from msys_track.tracking.settings import TrackerSettings
from msys_track.tracking.withdrawal import Withdrawal

NOW = INJECTED_AT + 7.25
TENANT = "click.tenant.test"
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
BROWSER = (
    f"Host: click.test\r\nUser-Agent: {AGENT}\r\nAccept: text/html,*/*;q=0.8\r\n"
    "Accept-Language: de,en-US;q=0.7\r\nAccept-Encoding: gzip, deflate, br\r\n"
    "Connection: keep-alive\r\nUpgrade-Insecure-Requests: 1\r\nSec-Fetch-Mode: navigate\r\n"
)
GONE_TARGET = "https://shop.test/gone"
WITHDRAWN = ("withdrawn@example.com", "hashed@example.com")


class Wire(asyncio.Transport):
    """Keeps what a connection writes, and gives one thing to read after the other."""

    def __init__(self, peer: str) -> None:
        super().__init__({"peername": (peer, 4711)})
        self.written: list[bytes] = []
        self.is_closed = False

    def write(self, data: Any) -> None:
        if not self.is_closed:
            self.written.append(bytes(data))

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = True

    def get_write_buffer_size(self) -> int:
        return 0


class Side:
    """A tracker without sockets."""

    def __init__(
        self, log: HitLog, folder: Path, keys: KeyRing, tenant: KeyRing, **settings: Any
    ) -> None:
        own = TrackerSettings(
            **{
                "store": Path("unused"),
                "trusted_proxies": (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")),
                **settings,
            }
        )
        self.log = log
        self._folder = folder
        self.counters = Counters(TRACKER_COUNTERS)
        replies = Replies(own.server_name)
        routes = Routes(keys, replies, self.counters)
        routes.overrides = {GONE_TARGET: "https://shop.test/new"}
        # SHA-256 of hashed@example.com
        digest = "a552f92cec517d42d66471e033158c672445d078d54a1d4211791471bcb2148f"
        routes.withdrawal = Withdrawal(frozenset(WITHDRAWN[:1]), frozenset({digest}))
        self._loop = asyncio.new_event_loop()
        self.service = Service(
            settings=own,
            routes=routes,
            replies=replies,
            hits=log,
            counters=self.counters,
            clock=lambda: NOW,
            crowd=Crowd(10, 10, (), self.counters, self._loop.time),
            access_log=AccessLog(0),
            hosts=Hosts(()),
        )
        self.service.renew(keys, {TENANT: tenant})

    def exchange(self, reads: Sequence[bytes], peer: str) -> tuple[bytes, bool]:
        """All that is written for these reads, and whether the connection was closed."""
        wire = Wire(peer)
        connection = ReaderConnection(self.service, self._loop)
        connection.connection_made(wire)
        for read in reads:
            connection.data_received(read)
        connection.connection_lost(None)
        return b"".join(wire.written), wire.is_closed

    def hits(self) -> list[dict[str, Any]]:
        assert self.log.flush(30)
        reader = LogReader(self._folder / "hits" / "0")
        batches = iter(lambda: reader.read(max_lines=1_000), None)
        lines = [json.loads(line) for batch in batches for line in batch.lines]
        return [{name: value for name, value in line.items() if name != "id"} for line in lines]

    def close(self) -> None:
        self.log.close(30)
        self._loop.close()


@pytest.fixture(scope="module")
def tenant_keys() -> KeyRing:
    return KeyRing.temporary()


@pytest.fixture
def sides(
    keys: KeyRing, tenant_keys: KeyRing, tmp_path: Path
) -> Iterator[Callable[..., tuple[Side, Side]]]:
    """Make a tracker whose plain reads the core answers, and one that is all Python."""
    made: list[Side] = []

    def make(**settings: Any) -> tuple[Side, Side]:
        limits = EventsSettings(batch_seconds=0.01)
        core, plain = tmp_path / f"core{len(made)}", tmp_path / f"plain{len(made)}"
        logs = (open_hit_log(core, limits), core), (PlainHitLog(plain / "hits", limits), plain)
        pair = [Side(log, folder, keys, tenant_keys, **settings) for log, folder in logs]
        made.extend(pair)
        return pair[0], pair[1]

    yield make
    for side in made:
        side.close()


@pytest.fixture(scope="module")
def paths(keys: KeyRing, tenant_keys: KeyRing, engagement: Engagement) -> Mapping[str, str]:
    """Paths of every kind, and of every sort that has a rule of its own."""

    def about(**changes: Any) -> Engagement:
        least = {"message_id": "m", "recipient": "a@b.test", "injected_at": INJECTED_AT}
        return Engagement(**{**least, "expires_at": EXPIRES_AT, "customer_id": 1, **changes})

    def seal(
        kind: str, target: str | None, about: Engagement = engagement, ring: KeyRing = keys
    ) -> str:
        claims = Claims(kind=kind, engagement=about, target=target)  # type: ignore[arg-type]
        return "/" + ring.seal(claims)

    kinds = ("click", "amp_click", "link_unsubscribe")
    pixels = ("open", "initial_open", "amp_open", "amp_initial_open", "list_unsubscribe")
    odd_targets = {
        "umlaut": "https://ü.test/ä",
        "blank": "https://shop.test/a b",
        "break": "https://shop.test/a\r\nSet-Cookie: b",
        "other scheme": "ftp://shop.test/",
        "no scheme": "shop.test/",
        "upper case": "HTTPS://Shop.Test/%2e%2E?a=b#c",
        "long": "https://shop.test/" + "a" * 3_000,
        "gone": GONE_TARGET,
        "bare": "http://",
    }
    return {
        **{kind: seal(kind, TARGET) for kind in kinds},
        **{kind: seal(kind, None) for kind in pixels},
        **{name: seal("click", target) for name, target in odd_targets.items()},
        "expired": seal("click", TARGET, about(expires_at=INJECTED_AT + 7)),
        "just in time": seal("click", TARGET, about(expires_at=INJECTED_AT + 8)),
        "expired open": seal("open", None, about(expires_at=INJECTED_AT)),
        "withdrawn": seal("click", TARGET, about(recipient="Withdrawn@example.com")),
        "withdrawn by hash": seal("open", None, about(recipient="hashed@Example.com")),
        "not ASCII": seal("click", TARGET, about(recipient="ü@example.com")),
        "truncated": seal("click", TARGET, about(privacy="truncated")),
        "aggregate": seal("open", None, about(privacy="aggregate", recipient="")),
        "of the tenant": seal("click", TARGET, ring=tenant_keys),
        "forged": "/f/a/" + "A" * 80,
        "none": "/f/a",
    }


PIECES = [
    b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\x00", b"\xff", b"\x7f", b"?", b"#", b"%", b"%2F",
    b"..", b"/", b"//", b"~", b"'", b"<", b"?utm_source=a&b=c", b"?a=%27", b"?a=b/c", b")", b".",
    b"GET ", b"HEAD ", b"HTTP/1.0", b"HTTP/1.1", b"Content-Length: 0\r\n", b"A: b\r\n",
    b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n",
    b"Connection: upgrade\r\n", b"Upgrade: h2c\r\n", b"Expect: 100-continue\r\n", b"Host: b\r\n",
    b"Purpose: prefetch\r\n", b"sec-purpose: prefetch\r\n", b"X-Moz: prefetch\r\n", b"A:\r\n",
    b"X-Forwarded-For: 203.0.113.7\r\n", b"x-forwarded-for: 1.2.3.4, 10.1.1.1\r\n", b"A : b\r\n",
    b"X-Forwarded-For: [2001:db9::7]:4711\r\n", b"X-Forwarded-For: fe80::1%eth0\r\n", b" a\r\n",
    b"X-Forwarded-For: ::ffff:203.0.113.7\r\n", b"X-Forwarded-For: unknown\r\n", b"A: b \r\n",
    b"User-Agent: " + b"x" * 1_100 + b"\r\n", b"User-Agent: \xc3\xbc\r\n", b"A: " + b"b" * 17_000,
    b"Keep-Alive: 5\r\n", b"Proxy-Connection: close\r\n", b"Connection: Keep-Alive, b\r\n",
]  # fmt: skip
HOSTS = ["click.test", TENANT, f"{TENANT.upper()}:8080", f"{TENANT}.", "[::1]:80", "a:b", ""]


def base_requests(paths: Mapping[str, str]) -> list[bytes]:
    """Requests that ought to be plain, and such that have a rule of their own."""
    requests = [f"GET {path} HTTP/1.1\r\n{BROWSER}\r\n" for path in paths.values()]
    requests += [
        f"GET {paths[name]} HTTP/1.1\r\nHost: {host}\r\n\r\n"
        for host in HOSTS
        for name in ("click", "of the tenant")
    ]
    for tail in ("?utm_source=a&b=c", "?a=%27%3E", "'", ")", ".", "/", "#a", "%20", "?", "?a=../"):
        requests.append(f"GET {paths['click']}{tail} HTTP/1.1\r\n{BROWSER}\r\n")
        requests.append(f"GET {paths['open']}{tail} HTTP/1.1\r\n{BROWSER}\r\n")
    requests.append(f"GET {paths['click']} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    requests.append(f"GET {paths['click']} HTTP/1.0\r\n\r\n")
    requests.append(f"GET http://{TENANT}{paths['of the tenant']} HTTP/1.1\r\nHost: a\r\n\r\n")
    return [request.encode() for request in requests]


def mutate(  # noqa: PLR0911 - as many ways as there are
    request: bytes, others: Sequence[bytes], draw: random.Random
) -> bytes:
    """Change a request in one of the ways that clients, proxies and attackers have."""
    at = draw.randrange(len(request) + 1)
    match draw.randrange(9):
        case 0:
            return request
        case 1:
            flipped = bytes([request[at - 1] ^ 1 << draw.randrange(8)]) if at else b""
            return request[: max(0, at - 1)] + flipped + request[at:]
        case 2:
            return request[:at] + draw.choice(PIECES) + request[at:]
        case 3 | 4:  # behind a line's end, where a whole field may stand
            at = request.find(b"\r\n", at) + 2
            return request[:at] + draw.choice(PIECES) + request[at:]
        case 5:
            return request[:at] + request[at + draw.randrange(1, 40) :]
        case 6:
            return request + draw.choice(others) * draw.choice([1, 1, 2, 7])
        case 7:
            lines = request.split(b"\r\n")
            line = draw.choice(lines)
            return request.replace(line, line.swapcase(), 1)
        case _:
            at = request.find(b" HTTP/1.1")
            return request[:at] + draw.choice(PIECES) + request[at:]


def cut(request: bytes, draw: random.Random) -> list[bytes]:
    """The reads that a request comes in; most come in one."""
    if draw.randrange(8):
        return [request]
    at = draw.randrange(len(request) + 1)
    return [part for part in (request[:at], request[at:]) if part]


PEERS = ("192.0.2.1", "10.0.0.1", "2001:db8::1", "::ffff:10.0.0.1")


def test_every_request_gets_the_same_answer_and_leaves_the_same_hits_on_both_ways(
    sides: Callable[..., tuple[Side, Side]], paths: Mapping[str, str]
) -> None:
    core, plain = sides(max_pipelined_requests=6)
    draw = random.Random(13)  # noqa: S311 - the same requests each time
    requests = base_requests(paths)
    played = [(request, [request], peer) for request in requests for peer in PEERS]
    for _ in range(examples(12_000)):
        request = mutate(draw.choice(requests), requests, draw)
        if draw.randrange(3) == 0:
            request = mutate(request, requests, draw)
        played.append((request, cut(request, draw), draw.choice(PEERS)))
    for request, reads, peer in played:
        assert core.exchange(reads, peer) == plain.exchange(reads, peer), (request, reads, peer)
    assert core.hits() == plain.hits()
    assert core.counters.snapshot() == plain.counters.snapshot()
    assert core.counters["clicks"] + core.counters["opens"] > len(played) // 3


def counted(path: ClickPath | None, read: bytes, peer: str = "192.0.2.1") -> int:
    """How many requests of a read the core answers."""
    assert path is not None
    path.answer(read, peer, int(NOW * 1_000))
    return sum(path.take_counts())


@pytest.mark.parametrize("name", ["click", "amp_click", "open", "initial_open", "upper case"])
def test_what_browsers_send_is_answered_by_the_core(
    sides: Callable[..., tuple[Side, Side]], paths: Mapping[str, str], name: str
) -> None:
    path = sides()[0].service.click_path
    request = f"GET {paths[name]} HTTP/1.1\r\n{BROWSER}\r\n".encode()
    assert counted(path, request) == 1
    assert counted(path, request * 9) == 9
    assert counted(path, request.replace(b" HTTP", b"?utm_source=mail&a=b HTTP")) == 1
    forwarded = request.replace(b"\r\nAccept:", b"\r\nX-Forwarded-For: 203.0.113.7\r\nAccept:")
    assert counted(path, forwarded, "10.0.0.1") == 1


def test_a_read_that_is_not_plain_to_its_end_is_left_alone_whole(
    sides: Callable[..., tuple[Side, Side]], paths: Mapping[str, str]
) -> None:
    core, _ = sides()
    request = f"GET {paths['click']} HTTP/1.1\r\n{BROWSER}\r\n".encode()
    for tail in (b"\r\n", b"G", request[:-1], request.replace(b"GET", b"HEAD"), b"\x00"):
        assert counted(core.service.click_path, request + tail) == 0
    assert core.hits() == []


def test_a_token_of_one_tenant_is_refused_under_the_host_of_another(
    sides: Callable[..., tuple[Side, Side]], paths: Mapping[str, str]
) -> None:
    for side in sides():
        for name, host, status in [
            ("of the tenant", TENANT, b"302"),
            ("of the tenant", f"{TENANT}:443", b"302"),
            ("of the tenant", f"{TENANT}:", b"302"),
            ("of the tenant", f"{TENANT} \t", b"302"),
            ("of the tenant", "click.test", b"404"),
            ("click", TENANT, b"404"),
            ("click", "anything.test", b"302"),
        ]:
            request = f"GET {paths[name]} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
            answer, _ = side.exchange([request], "192.0.2.1")
            assert answer.startswith(b"HTTP/1.1 " + status), (name, host)
        assert len(side.hits()) == 5
