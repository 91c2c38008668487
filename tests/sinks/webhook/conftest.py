"""A log of events, and a webhook that they are delivered to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.sinks.webhook.receiver import Receiver, receiving

from msys_track.event_fields import EventType
from msys_track.eventlog.position import PositionFile
from msys_track.eventlog.writer import LogWriter
from msys_track.events import Event
from msys_track.metrics import Counters
from msys_track.sinks.delivery import Delivery
from msys_track.sinks.webhook.settings import WebhookSettings
from msys_track.sinks.webhook.sink import WebhookSink

NOW = 1_700_000_000


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


def make_event(number: int, kind: EventType = EventType.CLICK, at: int = NOW) -> bytes:
    """Make an event as the log has it."""
    event = Event(
        type=kind,
        event_id=f"event-{number}",
        timestamp=at,
        message_id="000443ee14578172be22",
        raw_rcpt_to="Grün@b.test",
        customer_id=1,
        injection_time=at - 60,
        rcpt_meta={"a": ["'\"\x00", 1.5]},
        target_link_url="https://shop.test/",
    )
    return event.as_json().encode()


def write_log(folder: Path, lines: Sequence[bytes]) -> None:
    """Append events to the log of a folder."""
    with LogWriter(folder / "events") as writer:
        writer.append(lines)


def make_settings(url: str, **fields: Any) -> WebhookSettings:
    """Make settings for a receiver on loopback that don't wait for a batch to fill."""
    return WebhookSettings(
        **{"url": url, "allow_private": True, "max_age_seconds": 0.05, **fields}
    )


class Stepping:
    """A pause that is over at once, and a clock that has moved by it."""

    def __init__(self) -> None:
        self.gaps: list[float] = []
        self.now = float(NOW)
        self.on_pause: Callable[[], Awaitable[object] | None] = lambda: None

    async def pause(self, seconds: float) -> None:
        self.gaps.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)
        if (reply := self.on_pause()) is not None:
            await reply

    def clock(self) -> float:
        return self.now


def make_sink(
    folder: Path, settings: WebhookSettings, counters: Counters, steps: Stepping | None = None
) -> WebhookSink:
    if steps is None:
        return WebhookSink("shop", settings, folder, counters)
    return WebhookSink("shop", settings, folder, counters, pause=steps.pause, clock=steps.clock)


def make_delivery(
    folder: Path, settings: WebhookSettings, steps: Stepping | None = None
) -> Delivery:
    """Make the delivery of a folder's log to the webhook `shop`."""
    counters = Counters()
    sink = make_sink(folder, settings, counters, steps)
    position = PositionFile(folder / "positions" / f"{sink.name}.json")
    return Delivery(folder / "events", position, sink, counters)


async def deliver_all(
    folder: Path, settings: WebhookSettings, steps: Stepping | None = None
) -> None:
    """Deliver what is in the log, and end."""
    delivery = make_delivery(folder, settings, steps)
    delivery.finish()
    async with asyncio.timeout(20):
        await delivery.run()


@asynccontextmanager
async def delivering(
    folder: Path, settings: WebhookSettings, steps: Stepping | None = None
) -> AsyncIterator[Delivery]:
    """Deliver until the block ends, as a process that is stopped then."""
    delivery = make_delivery(folder, settings, steps)
    task = asyncio.create_task(delivery.run())
    try:
        yield delivery
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
