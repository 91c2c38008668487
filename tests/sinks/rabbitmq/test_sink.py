"""Events in RabbitMQ, read as a consumer of Momentum's hose would read them."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.ports import find_free_ports
from tests.rabbitmq_broker import Broker, need_rabbitmq
from tests.streams_page import PYTHON, make_from, run, write
from tests.thoroughness import only_thorough
from tests.waiting import until

from msys_track.errors import SettingsError, SinkError
from msys_track.eventlog.position import PositionFile
from msys_track.eventlog.writer import LogWriter
from msys_track.metrics import Counters
from msys_track.sinks.delivery import Delivery, EventBatch, Sink
from msys_track.sinks.rabbitmq.settings import RabbitmqSettings
from msys_track.sinks.rabbitmq.sink import RabbitmqSink

aio_pika = pytest.importorskip("aio_pika")

pytestmark = pytest.mark.timeout(120)

CLICK, OPEN = "track_event.click", "track_event.open"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    need_rabbitmq()
    with Broker(tmp_path_factory.mktemp("rabbitmq")) as running:
        yield running


def make_line(number: int, kind: str = "click") -> bytes:
    return (
        b'{"msys":{"track_event":{"type":"%s","event_id":"%d","timestamp":"1712345678",'
        b'"message_id":"%020x"}}}' % (kind.encode(), number, number)
    )


def make_sink(broker: Broker, **more: Any) -> RabbitmqSink:
    known = {"host": "127.0.0.1", "port": broker.port, "timeout_seconds": 10.0, **more}
    return RabbitmqSink("hose", RabbitmqSettings(**known))


@asynccontextmanager
async def bound_queue(broker: Broker, exchange: str, key: str = "#") -> AsyncIterator[Any]:
    """Make a queue as a consumer does, bound to an exchange that is there or not."""
    connection = await aio_pika.connect(broker.url)
    async with connection:
        channel = await connection.channel()
        made = await channel.declare_exchange(exchange, "topic", durable=True)
        queue = await channel.declare_queue(f"{exchange}.queue", durable=True)
        await queue.bind(made, key)
        yield queue
        await queue.delete(if_unused=False, if_empty=False)


async def take(queue: Any, count: int) -> list[Any]:
    messages = [await queue.get(timeout=5) for _ in range(count)]
    assert await queue.get(fail=False) is None
    return messages


def test_a_message_is_json_with_what_it_is_in_its_properties(broker: Broker) -> None:
    async def run() -> Any:
        async with bound_queue(broker, "momentum_metrics") as queue:
            sink = make_sink(broker)
            await sink.open()
            await sink.write(EventBatch((make_line(7),), 1))
            await sink.close()
            return (await take(queue, 1))[0]

    message = asyncio.run(run())
    assert json.loads(message.body)["msys"]["track_event"]["event_id"] == "7"
    assert message.routing_key == CLICK
    assert (message.message_id, message.type, message.app_id) == ("7", "click", "msys-track")
    assert (message.content_type, message.delivery_mode) == ("application/json", 2)
    assert message.timestamp.timestamp() == 1712345678


def test_a_consumer_gets_what_it_is_bound_to_in_the_order_of_the_log(broker: Broker) -> None:
    async def run() -> list[str]:
        async with bound_queue(broker, "opens", "*.open") as queue:
            sink = make_sink(broker, exchange="opens")
            await sink.open()
            lines = [make_line(number, ("click", "open")[number % 2]) for number in range(600)]
            for start in (0, 300):
                await sink.write(EventBatch(tuple(lines[start : start + 300]), start + 1))
            await sink.close()
            return [each.message_id for each in await take(queue, 300)]

    assert asyncio.run(run()) == [str(number) for number in range(1, 600, 2)]


def test_the_consumer_that_is_shown_gets_what_it_is_bound_to(
    broker: Broker, tmp_path: Path
) -> None:
    (sink,) = make_from(tmp_path, f'[rabbitmq.hose]\nhost = "127.0.0.1"\nport = {broker.port}\n')
    program = re.sub(r"amqp://[^\"]*", broker.url, PYTHON["rabbitmq"])
    urls = [f"https://a.example/{number}" for number in (1, 2)]
    make_exchange(sink)

    def publish() -> None:
        wait_for_queue(broker.url)
        write(sink)

    assert run(program, publish) == f"{urls}\n"


def make_exchange(sink: Sink) -> None:
    """Let the sink make its exchange, as it does where it starts before any consumer."""

    async def make() -> None:
        await sink.open()
        await sink.close()

    asyncio.run(make())


def wait_for_queue(url: str) -> None:
    async def look() -> None:
        async with await aio_pika.connect(url) as connection:
            while True:
                channel = await connection.channel()
                try:
                    queue = await channel.declare_queue("clicks", passive=True)
                except aio_pika.exceptions.ChannelNotFoundEntity:
                    await asyncio.sleep(0.05)
                    continue
                if queue.declaration_result.consumer_count:
                    return

    asyncio.run(look())


def test_an_exchange_that_is_missing_is_made_and_without_a_queue_events_are_dropped(
    broker: Broker,
) -> None:
    async def run() -> None:
        sink = make_sink(broker, exchange="new")
        await sink.open()
        await sink.write(EventBatch((make_line(1),), 1))
        await sink.close()
        async with await aio_pika.connect(broker.url) as connection:
            channel = await connection.channel()
            await channel.declare_exchange("new", "topic", durable=True)  # it is of this kind

    asyncio.run(run())


def test_mandatory_events_wait_for_a_queue(broker: Broker) -> None:
    async def run() -> list[Any]:
        sink = make_sink(broker, exchange="needed", mandatory=True)
        await sink.open()
        batch = EventBatch((make_line(1),), 1)
        with pytest.raises(SinkError, match="NO_ROUTE"):
            await sink.write(batch)
        async with bound_queue(broker, "needed") as queue:
            await sink.write(batch)
            await sink.close()
            return await take(queue, 1)

    assert len(asyncio.run(run())) == 1


def test_tls_with_the_brokers_own_authority(broker: Broker) -> None:
    async def run() -> list[Any]:
        async with bound_queue(broker, "secret") as queue:
            tls = {"use_tls": True, "port": broker.tls_port}
            sink = make_sink(broker, exchange="secret", **tls)
            with pytest.raises(SinkError, match="CERTIFICATE_VERIFY_FAILED"):
                await sink.open()
            authority = broker.certificate.certificate
            sink = make_sink(broker, exchange="secret", **tls, tls_ca=authority)
            await sink.open()
            await sink.write(EventBatch((make_line(1),), 1))
            await sink.close()
            return await take(queue, 1)

    assert len(asyncio.run(run())) == 1


def test_a_wrong_password_is_told(broker: Broker, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("wrong\n")
    file.chmod(0o600)
    sink = make_sink(broker, password=file)
    with pytest.raises(SinkError, match="ACCESS_REFUSED"):
        asyncio.run(sink.open())


@only_thorough
def test_a_broker_that_restarts_costs_no_event(broker: Broker, tmp_path: Path) -> None:
    """The log's delivery goes on by itself; what came before stays in the queue."""

    async def run() -> list[int]:
        # The queue is durable: it outlives this connection.
        async with await aio_pika.connect(broker.url) as connection:
            channel = await connection.channel()
            made = await channel.declare_exchange("restarted", "topic", durable=True)
            queue = await channel.declare_queue("restarted.queue", durable=True)
            await queue.bind(made, "#")
        sink = make_sink(broker, exchange="restarted", max_events=50, timeout_seconds=2.0)
        positions = PositionFile(tmp_path / "position.json")
        delivery = Delivery(tmp_path / "events", positions, sink, Counters())
        delivering = asyncio.create_task(delivery.run())
        with LogWriter(tmp_path / "events") as writer:
            writer.append([make_line(number) for number in range(500)])
            await until(lambda: delivery.position.sequence > 100)
            await asyncio.to_thread(broker.stop)
            writer.append([make_line(number) for number in range(500, 800)])
            await until(lambda: delivery.last_error)
            await asyncio.to_thread(broker.start)
        delivery.finish()
        await delivering
        async with await aio_pika.connect(broker.url) as connection:
            queue = await (await connection.channel()).get_queue("restarted.queue")
            ids: list[int] = []
            while (message := await queue.get(fail=False)) is not None:
                ids.append(int(message.message_id))
            return ids

    ids = asyncio.run(run())
    # An event may come twice, but first in the order of the log.
    assert list(dict.fromkeys(ids)) == list(range(800))
    assert len(ids) <= 850


def test_a_broker_that_is_away_is_told() -> None:
    (port,) = find_free_ports(1)
    sink = RabbitmqSink("hose", RabbitmqSettings(host="127.0.0.1", port=port))
    with pytest.raises(SinkError, match=f"127.0.0.1:{port}: .*Connect call failed"):
        asyncio.run(sink.open())


def test_a_certificate_that_is_none_is_told_before_anything_starts(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("none\n")
    with pytest.raises(SettingsError, match=r"rabbitmq.hose: .*ca.pem: can't be used"):
        RabbitmqSink("hose", RabbitmqSettings(use_tls=True, tls_ca=file))
