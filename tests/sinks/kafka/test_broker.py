"""A real broker, restarted under way; then two machines: a tracker's log here, a store there."""

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.kafka_broker import KafkaBroker, need_kafka
from tests.sinks.kafka.conftest import Cluster
from tests.thoroughness import only_thorough
from tests.waiting import until

from msys_track.eventlog.position import PositionFile
from msys_track.eventlog.writer import LogWriter
from msys_track.metrics import Counters
from msys_track.settings.addresses import address
from msys_track.sinks.delivery import Delivery
from msys_track.sinks.kafka.settings import KafkaSettings
from msys_track.sinks.kafka.sink import KafkaSink

pytestmark = pytest.mark.timeout(240)

_EVENTS = 20_000
_MESSAGES = 997
_CONSUME = "from msys_track.cli import main; main()"
_PATIENCE_SECONDS = 60.0


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[KafkaBroker]:
    need_kafka()
    folder = tmp_path / "kafka"
    folder.mkdir()
    with KafkaBroker(folder) as running:
        yield running


def make_lines(first: int, count: int) -> list[bytes]:
    return [
        b'{"msys":{"track_event":{"type":"click","event_id":"%d","timestamp":"1712345678",'
        b'"message_id":"%020x","rcpt_to":"jo@example.com"}}}' % (number, number % _MESSAGES)
        for number in range(first, first + count)
    ]


@only_thorough  # a broker of Java takes ten seconds of a processor; a mock takes part in the rest
def test_no_event_is_lost_or_out_of_order_when_broker_and_consumer_go_down(
    broker: KafkaBroker, tmp_path: Path
) -> None:
    asyncio.run(deliver(broker, tmp_path / "tracker"))
    records = Cluster(None, broker.address).read("msys-track-events", _EVENTS)
    ids: dict[bytes, list[int]] = {}
    for record in records:
        event = json.loads(record.value())["msys"]["track_event"]
        ids.setdefault(record.key(), []).append(int(event["event_id"]))
    assert ids == {
        b"%020x" % key: list(range(key, _EVENTS, _MESSAGES)) for key in range(_MESSAGES)
    }
    store = tmp_path / "store.sqlite"
    configuration = write_configuration(tmp_path, broker)
    ended: list[int] = []
    for is_last in (False, True):
        process = start_consumer(configuration, store)
        try:
            wait_for_events(process, store, _EVENTS if is_last else _EVENTS // 10)
        finally:
            process.send_signal(signal.SIGTERM if is_last else signal.SIGKILL)
            ended.append(process.wait(_PATIENCE_SECONDS))
    assert ended == [-signal.SIGKILL, 0]
    assert count_events(store) == _EVENTS


async def deliver(broker: KafkaBroker, folder: Path) -> None:
    """Deliver a log to the broker, which is down for a while."""
    servers = (address(lowest_port=1).read(broker.address),)
    settings = KafkaSettings(servers=servers, max_events=500, timeout_seconds=1.0)
    sink = KafkaSink("main", settings, folder, Counters())
    positions = PositionFile(folder / "position.json")
    delivery = Delivery(folder / "events", positions, sink, Counters())
    delivering = asyncio.create_task(delivery.run())
    with LogWriter(folder / "events") as writer:
        for start in range(0, _EVENTS, 1_000):
            writer.append(make_lines(start, 1_000))
            if start == _EVENTS // 2:
                await until(lambda: delivery.position.sequence > 1_000)
                await asyncio.to_thread(broker.stop)
                writer_is_ahead = writer.next_sequence
                await until(lambda: delivery.last_error)
                assert delivery.position.sequence <= writer_is_ahead
                await asyncio.to_thread(broker.start)
    delivery.finish()
    await delivering


def write_configuration(folder: Path, broker: KafkaBroker) -> Path:
    file = folder / "consumer.toml"
    file.write_text(
        f'[kafka.main]\nservers = ["{broker.address}"]\n'
        # A member that was killed is missed soon.
        'options = { "session.timeout.ms" = 1500, "heartbeat.interval.ms" = 300 }\n'
    )
    return file


def start_consumer(configuration: Path, store: Path) -> Any:
    words = ("events", "consume", "main", "--config", configuration, "--store", store)
    return subprocess.Popen([sys.executable, "-c", _CONSUME, *words])  # noqa: S603 - ours


def wait_for_events(process: Any, store: Path, count: int) -> None:
    until_then = time.monotonic() + _PATIENCE_SECONDS
    while count_events(store) < count:
        assert process.poll() is None
        assert time.monotonic() < until_then
        time.sleep(0.05)


def count_events(store: Path) -> int:
    if not store.exists():
        return 0
    with closing(sqlite3.connect(store)) as connection:
        try:
            return int(connection.execute("SELECT count(*) FROM events").fetchone()[0])
        except sqlite3.OperationalError:
            return 0
