"""Many senders at once, each mail to several readers: no link speaks for somebody else.

`MSYS_TRACK_MESSAGES_EACH=1000` makes each sender inject so many; without it they are fewer.
"""

import asyncio
import json
import os

import pytest
from tests.injection.conftest import Start
from tests.proxied import find_tracked_urls
from tests.upstreams import Taken

from msys_track.keys.ring import KeyRing
from msys_track.options.tracking import TrackingOptions

SENDERS = 8
MESSAGES_EACH = int(os.environ.get("MSYS_TRACK_MESSAGES_EACH", "40"))
LINKS = 3
TRACKING = TrackingOptions(
    open_tracking=True,
    click_tracking=True,
    click_tracking_include_metadata=True,
    tracking_domain="click.example.com",
)

pytestmark = pytest.mark.anyio


def write_message(sender: int, number: int) -> bytes:
    """Two of three mails of all senders have the same HTML; the header section differs."""
    own = f"{sender}-{number}" if number % 3 == 0 else "everybody"
    links = "".join(
        f"<a href='https://e.com/{own}?link={each}'>x</a>\r\n" for each in range(LINKS)
    )
    api = json.dumps({"campaign_id": f"from-{sender}", "metadata": {"number": number}})
    head = f"Subject: {sender}-{number}\r\nX-MSYS-API: {api}\r\nContent-Type: text/html\r\n\r\n"
    return f"{head}<body>\r\n{links}</body>\r\n".encode()


def readers(sender: int, number: int) -> list[str]:
    return [f"to-{sender}-{number}-{each}@example.com" for each in range(1 + number % 3)]


def check_copy(taken: Taken, keys: KeyRing) -> int:
    """Hold each claim of a copy against its envelope; return how many URLs it had."""
    [reader] = taken.recipients
    sender, number, _ = reader.removeprefix("to-").partition("@")[0].split("-")
    own = f"{sender}-{number}" if int(number) % 3 == 0 else "everybody"
    assert taken.message.startswith(f"Subject: {sender}-{number}\r\n".encode())
    urls = find_tracked_urls(taken.message, keys)
    for url in urls:
        engagement = url.claims.engagement
        assert engagement.recipient == reader
        assert engagement.campaign_id == f"from-{sender}"
        assert url.metadata == {"number": int(number)}
    targets = [url.claims.target for url in urls if url.claims.kind == "click"]
    assert targets == [f"https://e.com/{own}?link={each}" for each in range(LINKS)]
    assert len({url.claims.engagement.message_id for url in urls}) == 1
    return len(urls)


@pytest.mark.timeout(60 + MESSAGES_EACH)
async def test_no_link_of_concurrent_senders_speaks_for_another_reader(
    start: Start, keys: KeyRing
) -> None:
    harness = await start(options=TRACKING, hop={"max_connections": SENDERS})

    async def send(sender: int) -> None:
        client = await harness.client()
        for number in range(MESSAGES_EACH):
            answer = await client.deliver(write_message(sender, number), *readers(sender, number))
            assert answer.startswith("250 2.0.0 Ok: ")

    await asyncio.gather(*map(send, range(SENDERS)))
    expected = {
        reader
        for sender in range(SENDERS)
        for number in range(MESSAGES_EACH)
        for reader in readers(sender, number)
    }
    taken = harness.upstream.taken
    assert sorted(reader for each in taken for reader in each.recipients) == sorted(expected)
    urls = sum(check_copy(each, keys) for each in taken)
    assert urls == len(expected) * (LINKS + 1)
