"""Links with a single bit changed, over HTTP and with a real store: no redirect, no event."""

import asyncio
import base64
import json
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import pytest
from tests.thoroughness import some_of
from tests.tracking.conftest import TARGET, UVLOOP, Harness

from msys_track.keys.ring import Claims, Engagement, KeyRing
from msys_track.tracking.replies import PIXEL

pytestmark = [pytest.mark.anyio, UVLOOP]

CLICKS = ("click", "amp_click", "link_unsubscribe")
OPENS = ("open", "initial_open", "amp_open", "amp_initial_open")

ATONCE = 40
PIPELINED = 50


@pytest.fixture
def links(keys: KeyRing, engagement: Engagement) -> dict[str, str]:
    """A path of each kind that the tracker answers; click and open have all that a mail can."""
    full = Engagement(
        message_id=engagement.message_id,
        recipient=engagement.recipient,
        injected_at=engagement.injected_at,
        expires_at=engagement.expires_at,
        customer_id=1,
        metadata=json.dumps({"numbers": "".join(f"{n:x}" for n in range(3_000_000, 3_000_160))}),
    )
    paths = {}
    for kind, target in (dict.fromkeys(CLICKS, TARGET) | dict.fromkeys(OPENS)).items():
        about = full if kind in {"click", "open"} else engagement
        claims = Claims(kind=kind, engagement=about, target=target)  # type: ignore[arg-type]
        paths[kind] = "/" + keys.seal(claims)
    return paths


def changed_bits(original: bytes) -> Iterator[bytes]:
    for at, byte in enumerate(original):
        for bit in range(8):
            yield original[:at] + bytes([byte ^ 1 << bit]) + original[at + 1 :]


def changed_paths(path: str) -> list[bytes]:
    """Every path that differs in one bit of one character."""
    return list(changed_bits(path.encode("ascii")))


def changed_tokens(path: str) -> list[bytes]:
    """Every path whose token differs in one bit of what it stands for; all are well-formed."""
    prefix, _, token = path.rpartition("/")
    sealed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    return [
        prefix.encode("ascii") + b"/" + base64.urlsafe_b64encode(changed).rstrip(b"=")
        for changed in changed_bits(sealed)
    ]


def is_target(path: bytes) -> bool:
    """Whether a path can stand in a request at all (RFC 9112 section 3.2)."""
    return re.fullmatch(rb"/[\x21-\x7e]*", path) is not None


async def answers(harness: Harness, paths: Sequence[bytes]) -> list[bytes]:
    """The answers to GETs of request targets, many on each connection."""
    groups = [paths[at : at + PIPELINED] for at in range(0, len(paths), PIPELINED)]
    return list(chain.from_iterable(await at_once(harness.get_pipelined, groups)))


async def single_answers(harness: Harness, paths: Sequence[bytes]) -> list[bytes]:
    """What is answered to GETs of whatever bytes, each on a connection of its own."""
    requests = [b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n" for path in paths]
    return await at_once(harness.exchange, requests)


async def at_once(ask: Callable[[Any], Awaitable[Any]], each: Sequence[Any]) -> list[Any]:
    gate = asyncio.Semaphore(ATONCE)

    async def one(what: Any) -> Any:
        async with gate:
            return await ask(what)

    return await asyncio.gather(*map(one, each))


async def test_a_click_altered_by_a_bit_gets_404_and_an_open_the_image_and_neither_an_event(
    harness: Harness, links: dict[str, str]
) -> None:
    changed = {kind: changed_tokens(path) for kind, path in links.items()}
    assert len(changed["click"]) + len(changed["open"]) > 10_000
    changed = {kind: some_of(paths, 13) for kind, paths in changed.items()}
    for kind, paths in changed.items():
        replies = await answers(harness, paths)
        assert len(replies) == len(paths)
        assert {reply[:13] for reply in replies} == {
            b"HTTP/1.1 404 " if kind in CLICKS else b"HTTP/1.1 200 "
        }
        assert {reply.endswith(PIXEL) for reply in replies} == {kind in OPENS}
        assert not any(b"Location" in reply for reply in replies)
    assert await harness.hits() == []
    counters = harness.tracker.counters
    assert counters["invalid_tokens"] == counters["requests"] == sum(map(len, changed.values()))
    assert counters["clicks"] == counters["opens"] == 0


async def test_no_path_altered_by_a_bit_redirects_or_leaves_an_event(
    harness: Harness, links: dict[str, str]
) -> None:
    assert len(changed_paths(links["click"])) > 10_000
    assert len(changed_paths(links["open"])) > 10_000
    # A number without a common divisor with 8 takes every bit of a character.
    changed = some_of((path for link in links.values() for path in changed_paths(link)), 19)
    # The rest is not a request target: the parser ends there, and with it the connection.
    targets = sorted({path for path in changed if is_target(path)})
    replies = await answers(harness, targets)
    assert len(replies) == len(targets)
    for path, reply in zip(targets, replies, strict=True):
        is_open = path.startswith(b"/q/")
        assert reply.startswith(b"HTTP/1.1 200 " if is_open else b"HTTP/1.1 404 ")
        assert reply.endswith(PIXEL) == is_open
        assert b"Location" not in reply
    click, pixel = (changed_paths(links[kind]) for kind in ("click", "amp_open"))
    odd = some_of((path for path in [*click, *pixel] if not is_target(path)), 3)
    for reply in await single_answers(harness, odd):
        assert reply[:13] in {b"HTTP/1.1 400 ", b"HTTP/1.1 404 ", b"HTTP/1.1 200 "}
        assert b"Location" not in reply
    assert await harness.hits() == []


async def test_the_same_links_unaltered_all_leave_their_event(
    harness: Harness, links: dict[str, str]
) -> None:
    for kind, path in links.items():
        reply = await harness.get(path)
        assert (f"Location: {TARGET}\r\n".encode() in reply) == (kind in CLICKS)
        assert reply.endswith(PIXEL) == (kind in OPENS)
    assert [hit["kind"] for hit in await harness.hits()] == list(links)
