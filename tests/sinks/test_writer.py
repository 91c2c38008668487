"""The writer: callers don't wait for the sink, nothing is lost silently, and order is kept."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from tests.captured_logs import capture_logs

from msys_track.errors import SettingsError, SinkError
from msys_track.events import Event, EventType
from msys_track.sinks.writer import EventWriter, WriterSettings

pytestmark = pytest.mark.anyio

SETTINGS = WriterSettings(
    max_queued=100,
    max_batch=10,
    batch_seconds=0.01,
    first_retry_seconds=0.01,
    last_retry_seconds=0.02,
    flush_timeout_seconds=2,
)


def event(number: int) -> Event:
    return Event(
        type=EventType.OPEN,
        event_id=str(number),
        timestamp=0,
        message_id="000443ee14578172be22",
        raw_rcpt_to="a@b.test",
        customer_id=1,
        injection_time=0,
    )


EVENTS = [event(number) for number in range(200)]


class Batches:
    """Keeps each batch; fails as often as it is set to."""

    def __init__(self, *, failures: int = 0) -> None:
        self.batches: list[list[Event]] = []
        self.failures = failures
        self.arrived = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def write(self, events: Sequence[Event]) -> None:
        await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise SinkError("down")
        self.batches.append(list(events))
        self.arrived.set()

    @property
    def events(self) -> list[Event]:
        return [event for batch in self.batches for event in batch]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_events_arrive_in_their_order_in_bounded_batches() -> None:
    sink = Batches()
    async with EventWriter(sink, SETTINGS) as writer:
        for one in EVENTS[:35]:
            assert writer.put(one)
        await writer.flush()
        assert sink.events == EVENTS[:35]
        assert max(map(len, sink.batches)) <= 10


async def test_a_full_batch_is_written_at_once() -> None:
    sink = Batches()
    settings = WriterSettings(max_batch=3, batch_seconds=3_600)
    async with EventWriter(sink, settings) as writer:
        for one in EVENTS[:3]:
            writer.put(one)
        async with asyncio.timeout(30):
            await sink.arrived.wait()
        assert sink.batches == [EVENTS[:3]]


async def test_a_lone_event_waits_only_for_the_batch_time() -> None:
    sink = Batches()
    async with EventWriter(sink, WriterSettings(batch_seconds=0.05)) as writer:
        began = asyncio.get_running_loop().time()
        writer.put(EVENTS[0])
        async with asyncio.timeout(30):
            await sink.arrived.wait()
        assert asyncio.get_running_loop().time() - began > 0.04


async def test_a_failed_batch_comes_again_with_what_arrived_meanwhile() -> None:
    sink = Batches(failures=3)
    async with EventWriter(sink, SETTINGS) as writer:
        writer.put(EVENTS[0])
        await asyncio.sleep(0.02)
        writer.put(EVENTS[1])
        await writer.flush()
        assert sink.events == EVENTS[:2]
        assert sink.failures == 0
        assert writer.counters["written"] == 2


async def test_put_never_waits_and_drops_and_counts_what_is_over_the_bound() -> None:
    sink = Batches()
    sink.gate.clear()
    writer = EventWriter(sink, SETTINGS)
    taken = [writer.put(EVENTS[0])]
    await asyncio.sleep(0.03)  # now the sink hangs with it
    with capture_logs() as logged:
        taken += [writer.put(one) for one in EVENTS[1:]]
        assert taken == [True] * 100 + [False] * 100
        assert writer.counters["dropped"] == 100
        sink.gate.set()
        await writer.close()
    assert sink.events == EVENTS[:100]
    assert writer.counters["written"] == 100
    assert [line["event"] for line in logged] == ["events.dropping", "events.dropped"]
    assert logged[1]["dropped"] == 100


async def test_a_flush_that_takes_too_long_says_why() -> None:
    sink = Batches(failures=1_000_000)
    settings = WriterSettings(
        flush_timeout_seconds=1, first_retry_seconds=0.01, batch_seconds=0.01
    )
    writer = EventWriter(sink, settings)
    writer.put(EVENTS[0])
    with pytest.raises(SinkError, match=r"1 events could not be stored within 1 s: down"):
        await writer.flush()
    sink.failures = 0
    await writer.close()
    assert sink.events == EVENTS[:1]


async def test_what_the_sink_does_not_take_before_the_end_is_counted_as_lost() -> None:
    settings = WriterSettings(flush_timeout_seconds=0.05, batch_seconds=0.01)
    writer = EventWriter(Batches(failures=1_000_000), settings)
    for one in EVENTS[:7]:
        writer.put(one)
    with capture_logs() as logged:
        await writer.close()
    assert [line["events"] for line in logged if line["event"] == "events.lost"] == [7]


async def test_a_closed_writer_takes_nothing_and_has_nothing_to_flush() -> None:
    writer = EventWriter(Batches(), SETTINGS)
    async with asyncio.timeout(5):
        await writer.flush()
    await writer.close()
    assert not writer.put(EVENTS[0])
    assert writer.counters["dropped"] == 1


async def test_a_sink_that_breaks_its_promise_is_reported_and_not_waited_for() -> None:
    class Broken:
        async def write(self, events: Sequence[Event]) -> None:
            raise ZeroDivisionError(len(events))

    writer = EventWriter(Broken(), SETTINGS)
    writer.put(EVENTS[0])
    with pytest.raises(SinkError, match="1 events wait: the writer has ended"):
        await writer.flush()
    with capture_logs() as logged:
        await writer.close()
    assert [(line["event"], line["events"]) for line in logged] == [("events.lost", 1)]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_queued": 0}, "events: max_queued: found 0, allowed: a whole number from 1"),
        ({"max_batch": -1}, "events: max_batch: found -1, allowed: a whole number from 1"),
        ({"batch_seconds": 0}, "events: batch_seconds: found 0, allowed: seconds, a number above"),
    ],
)
def test_impossible_settings_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        WriterSettings(**values)
