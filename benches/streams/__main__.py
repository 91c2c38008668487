"""`make bench-streams`: sinks of streams beside a bare producer, and a layout of many machines.

Kafka's broker is a real one where `scripts/kafka-jars` has fetched it, else librdkafka's mock;
RabbitMQ is left out where it is not installed.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Final

import confluent_kafka
import pytest
from benches.streams.events import make_events
from benches.streams.layout import run_layout
from benches.streams.sinks import (
    bind_queue,
    make_kafka_sink,
    make_rabbitmq_sink,
    send_bare,
    send_by_sink,
)
from tests.kafka_broker import KafkaBroker, need_kafka
from tests.rabbitmq_broker import Broker, need_rabbitmq

_BAR: Final = 0.7


def main() -> None:
    """Run all of it; fail under the bar."""
    parser = argparse.ArgumentParser(prog="python -m benches.streams")
    parser.add_argument("--events", type=int, default=200_000, help="of each run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trackers", type=int, default=4)
    parser.add_argument("--consumers", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with run_kafka(folder) as (servers, kind):
            ratio = compare(folder, servers, kind, arguments.events, arguments.rounds)
            outcome = run_layout(
                folder, servers, arguments.trackers, arguments.consumers, arguments.events
            )
        sys.stdout.write(
            f"layout: {arguments.trackers} trackers, {arguments.consumers} consumers, "
            f"{outcome.events:,} events: {outcome.stored:,} stored, shares "
            f"{' + '.join(f'{share:,}' for share in outcome.shares)}; in the topic after "
            f"{outcome.sending_seconds:.1f} s, in the stores after "
            f"{outcome.storing_seconds:.1f} s: "
            f"{outcome.events / outcome.storing_seconds:,.0f} events/s\n"
        )
        measure_rabbitmq(folder, arguments.events // 10)
    if outcome.stored != outcome.events:
        sys.exit("error: the stores do not have every event once")
    if ratio < _BAR:
        sys.exit(f"error: the sink reaches {ratio:.2f} of a bare producer; the bar is {_BAR}")


@contextmanager
def run_kafka(folder: Path) -> Iterator[tuple[str, str]]:
    """Run a broker; give its address, and what it is."""
    try:
        need_kafka()
    except pytest.skip.Exception as why:
        sys.stdout.write(f"a mock in place of a broker: {why}\n")
        owner = confluent_kafka.Producer({"test.mock.num.brokers": 1, "log_level": 0})
        (broker,) = owner.list_topics(timeout=10).brokers.values()
        yield f"{broker.host}:{broker.port}", "mock"
        return
    home = folder / "kafka"
    home.mkdir()
    with KafkaBroker(home, partitions=8) as running:
        yield running.address, "one broker, 256 MB of heap"


def compare(folder: Path, servers: str, kind: str, count: int, rounds: int) -> float:
    """Compare the sink with a bare producer, in turns; return the median of the ratios."""
    events = make_events(0, count)
    rates: list[tuple[float, float]] = []
    for number in range(rounds):
        bare = send_bare(servers, f"bare-{number}", events)
        home = folder / f"sink-{number}"
        own = send_by_sink(home, make_kafka_sink(home, servers, f"sink-{number}"), events)
        rates.append((bare, own))
    ratio = median(own / bare for bare, own in rates)
    sys.stdout.write(
        f"kafka ({kind}), {count:,} events of {len(events[0])} bytes, {rounds} rounds: bare "
        f"{median(bare for bare, _ in rates):,.0f}/s, sink from the log "
        f"{median(own for _, own in rates):,.0f}/s: {ratio:.2f} (bar {_BAR})\n"
    )
    return ratio


def measure_rabbitmq(folder: Path, count: int) -> None:
    """Measure the other sink, where there is a broker."""
    try:
        need_rabbitmq()
    except pytest.skip.Exception as why:
        sys.stdout.write(f"rabbitmq left out: {why}\n")
        return
    home = folder / "rabbitmq"
    home.mkdir()
    with Broker(home) as broker:
        asyncio.run(bind_queue(broker.url, "bench"))
        rate = send_by_sink(
            folder / "sink-rabbitmq",
            make_rabbitmq_sink(broker.port, "bench"),
            make_events(0, count),
        )
    sys.stdout.write(
        f"rabbitmq, one durable queue, {count:,} events, each confirmed: {rate:,.0f}/s\n"
    )


if __name__ == "__main__":
    main()
