"""How many events a second each sink takes from a log, and what a bare producer sends."""

import asyncio
import time
from pathlib import Path
from typing import Any

import aio_pika
import confluent_kafka
from benches.streams.events import write_log

from msys_track.eventlog.position import PositionFile
from msys_track.metrics import Counters
from msys_track.settings.addresses import address
from msys_track.sinks.delivery import Delivery, Sink
from msys_track.sinks.kafka.settings import KafkaSettings
from msys_track.sinks.kafka.sink import KafkaSink
from msys_track.sinks.lines import find_message_id
from msys_track.sinks.rabbitmq.settings import RabbitmqSettings
from msys_track.sinks.rabbitmq.sink import RabbitmqSink


def send_bare(servers: str, topic: str, events: list[bytes]) -> float:
    """Send events with a producer as its manual has it; return events a second.

    It is as safe as the sink (idempotent, acks=all), and knows its keys beforehand. It reads no
    log, keeps no position, and waits for the brokers once, at the end.
    """
    keys = [find_message_id(event) for event in events]
    producer = confluent_kafka.Producer(
        {
            "bootstrap.servers": servers,
            "enable.idempotence": True,
            "acks": "all",
            "compression.type": "lz4",
            "partitioner": "murmur2_random",
            "log_level": 0,
        }
    )
    producer.list_topics(timeout=10)
    begin = time.perf_counter()
    for event, key in zip(events, keys, strict=True):
        while True:
            try:
                producer.produce(topic, event, key)
                break
            except BufferError:
                producer.poll(0.01)
    assert producer.flush(60) == 0
    return len(events) / (time.perf_counter() - begin)


def send_by_sink(folder: Path, sink: Sink, events: list[bytes]) -> float:
    """Deliver a log of events to a sink; return events a second, the log's reading included."""
    write_log(folder, events)
    positions = PositionFile(folder / "positions" / f"{sink.name}.json")
    delivery = Delivery(folder / "events", positions, sink, Counters())
    delivery.finish()
    begin = time.perf_counter()
    asyncio.run(delivery.run())
    seconds = time.perf_counter() - begin
    assert delivery.position.sequence == len(events) + 1
    return len(events) / seconds


def make_kafka_sink(folder: Path, servers: str, topic: str) -> KafkaSink:
    """Make a sink with the settings that are ours unless somebody changes them."""
    read = tuple(map(address(lowest_port=1).read, servers.split(",")))
    return KafkaSink("bench", KafkaSettings(servers=read, topic=topic), folder, Counters())


def make_rabbitmq_sink(port: int, exchange: str) -> RabbitmqSink:
    """Make a sink with the settings that are ours unless somebody changes them."""
    return RabbitmqSink("bench", RabbitmqSettings(host="127.0.0.1", port=port, exchange=exchange))


async def bind_queue(url: str, exchange: str) -> Any:
    """Make a durable queue that takes all events of an exchange."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        made = await channel.declare_exchange(exchange, "topic", durable=True)
        queue = await channel.declare_queue(exchange, durable=True)
        await queue.bind(made, "#")
