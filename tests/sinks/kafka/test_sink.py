"""Events in Kafka: keyed by message, durable when it is told, in order whatever happens."""

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from tests.ports import find_free_ports
from tests.sinks.kafka.conftest import Cluster

from msys_track.errors import SettingsError, SinkError
from msys_track.metrics import Counters
from msys_track.settings.addresses import address
from msys_track.sinks.dead_letters import DeadLetters
from msys_track.sinks.delivery import EventBatch
from msys_track.sinks.kafka.settings import KafkaSettings
from msys_track.sinks.kafka.sink import KafkaSink

MakeSink: TypeAlias = Callable[..., KafkaSink]

_ADDRESS = address(lowest_port=1)


@pytest.fixture
def make_sink(tmp_path: Path) -> MakeSink:
    def make(servers: str, **more: Any) -> KafkaSink:
        read = tuple(map(_ADDRESS.read, servers.split(",")))
        settings = KafkaSettings(servers=read, **{"topic": "t", "timeout_seconds": 5.0, **more})
        return KafkaSink("main", settings, tmp_path, Counters())

    return make


def make_lines(first: int, count: int) -> tuple[bytes, ...]:
    return tuple(
        b'{"msys":{"track_event":{"type":"click","event_id":"%d","timestamp":"1712345678",'
        b'"message_id":"%020x","rcpt_meta":{"message_id":"no"}}}}' % (number, number % 7)
        for number in range(first, first + count)
    )


def write(sink: KafkaSink, *batches: EventBatch) -> None:
    async def run() -> None:
        await sink.open()
        try:
            for batch in batches:
                await sink.write(batch)
        finally:
            await sink.close()

    asyncio.run(run())


def read_id(record: Any) -> int:
    return int(json.loads(record.value())["msys"]["track_event"]["event_id"])


def group_by_key(records: Sequence[Any]) -> dict[bytes, list[int]]:
    ids: dict[bytes, list[int]] = {}
    for record in records:
        ids.setdefault(record.key(), []).append(read_id(record))
    return ids


def test_events_are_keyed_by_their_message_and_in_its_order(
    cluster: Cluster, make_sink: MakeSink
) -> None:
    sink = make_sink(cluster.servers)
    assert sink.name == "kafka.main"
    write(sink, *(EventBatch(make_lines(start, 50), start + 1) for start in range(0, 500, 50)))
    records = cluster.read("t", 500)
    assert group_by_key(records) == {b"%020x" % key: list(range(key, 500, 7)) for key in range(7)}
    partitions = {record.key(): record.partition() for record in records}
    assert all(partitions[each.key()] == each.partition() for each in records)


def test_a_record_is_the_line_of_the_log(cluster: Cluster, make_sink: MakeSink) -> None:
    lines = make_lines(0, 3)
    write(make_sink(cluster.servers), EventBatch(lines, 1))
    assert {record.value() for record in cluster.read("t", 3)} == set(lines)


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_any_consumer_reads_each_compression(
    cluster: Cluster, make_sink: MakeSink, compression: str
) -> None:
    write(make_sink(cluster.servers, compression=compression), EventBatch(make_lines(0, 100), 1))
    assert len(cluster.read("t", 100)) == 100


def test_an_event_without_a_message_has_no_key(cluster: Cluster, make_sink: MakeSink) -> None:
    line = b'{"msys":{"message_event":{"type":"policy_rejection"}}}'
    write(make_sink(cluster.servers), EventBatch((line,), 1))
    (record,) = cluster.read("t", 1)
    assert record.key() is None


def test_a_cluster_that_is_away_is_told_and_the_events_are_kept(make_sink: MakeSink) -> None:
    (port,) = find_free_ports(1)
    sink = make_sink(f"127.0.0.1:{port}", timeout_seconds=0.3)
    with pytest.raises(SinkError, match=f"3 events wait for a broker: .*:{port}.*refused"):
        write(sink, EventBatch(make_lines(0, 3), 1))


def test_events_that_the_producer_has_no_room_for_are_told_and_sent_later(
    cluster: Cluster, make_sink: MakeSink
) -> None:
    (port,) = find_free_ports(1)
    options = {"queue.buffering.max.messages": 2}
    away = make_sink(f"127.0.0.1:{port}", options=options, timeout_seconds=60.0)
    with pytest.raises(SinkError, match=r"topic t: .*Queue full"):
        write(away, EventBatch(make_lines(0, 5), 1))

    async def run() -> None:
        sink = make_sink(cluster.servers, options=options)
        await sink.open()
        with pytest.raises(SinkError, match=r"topic t: .*Queue full"):
            await sink.write(EventBatch(make_lines(0, 5_000), 1))
        await sink.write(EventBatch(make_lines(0, 2), 1))  # it returns when brokers have them
        await sink.close()

    asyncio.run(run())


def test_a_batch_that_is_tried_again_is_sent_once_even_if_it_grew(
    cluster: Cluster, make_sink: MakeSink
) -> None:
    async def run() -> list[int]:
        (port,) = find_free_ports(1)
        sink = make_sink(f"127.0.0.1:{port}", timeout_seconds=0.2)
        await sink.open()
        for count in (3, 5):
            with pytest.raises(SinkError, match="wait for a broker"):
                await sink.write(EventBatch(make_lines(0, count), 1))
        host, upstream = cluster.servers.split(",")[0].split(":")
        server = await asyncio.start_server(
            lambda *client: forward(client, (host, int(upstream))), "127.0.0.1", port
        )
        async with server:
            is_written = False
            while not is_written:
                try:
                    await sink.write(EventBatch(make_lines(0, 5), 1))
                    is_written = True
                except SinkError:
                    continue
            await sink.write(EventBatch(make_lines(5, 2), 6))
            await sink.close()
        return sorted(map(read_id, await asyncio.to_thread(cluster.read, "t", 7)))

    assert asyncio.run(run()) == list(range(7))


async def forward(
    client: tuple[asyncio.StreamReader, asyncio.StreamWriter], server: tuple[str, int]
) -> None:
    """Carry bytes both ways until one end closes."""

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(65_536):
            writer.write(chunk)
        writer.close()

    reader, writer = await asyncio.open_connection(*server)
    await asyncio.gather(carry(client[0], writer), carry(reader, client[1]))


def test_an_event_that_is_too_large_is_set_aside_and_holds_up_no_other(
    cluster: Cluster, make_sink: MakeSink, tmp_path: Path
) -> None:
    first, last = make_lines(0, 2)
    large = make_lines(2, 1)[0][:-3] + b',"rcpt_tags":["%s"]}}}' % (b"x" * 2_000)
    sink = make_sink(cluster.servers, options={"message.max.bytes": 1_000})
    write(sink, EventBatch((first, large, last), 1))
    assert sorted(map(read_id, cluster.read("t", 2))) == [0, 1]
    (letter,) = DeadLetters(tmp_path, "kafka.main").read()
    assert letter.batch_id == "2"
    assert letter.events == (large,)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"lingr.ms": 5}, r'kafka.main: No such configuration property: "lingr.ms"'),
        ({"linger.ms": "soon"}, "kafka.main: Invalid value for configuration property"),
    ],
)
def test_a_property_that_is_wrong_is_told_before_anything_starts(
    make_sink: MakeSink, options: dict[str, object], text: str
) -> None:
    with pytest.raises(SettingsError, match=text):
        make_sink("127.0.0.1:9092", options=options)
