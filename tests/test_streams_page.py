"""docs/streams.md works as it stands: configurations are read, consumers get our events."""

import asyncio
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.certificates import make_certificate
from tests.rabbitmq_broker import Broker, need_rabbitmq
from tests.shown import read_blocks

from msys_track.config.load import load
from msys_track.metrics import Counters
from msys_track.service.sinks import make_sinks
from msys_track.sinks.delivery import EventBatch, Sink

confluent_kafka = pytest.importorskip("confluent_kafka")

pytestmark = pytest.mark.timeout(120)

BLOCKS = list(read_blocks("streams.md"))
PYTHON = {block.role: block.text for block in BLOCKS if block.language == "python"}
TOML = [block for block in BLOCKS if block.language == "toml"]
EVENTS = tuple(
    b'{"msys":{"track_event":{"type":"%s","event_id":"%d","timestamp":"1712345678",'
    b'"message_id":"%020d","campaign_id":"spring","target_link_url":"https://a.example/%d"}}}'
    % (kind, number, number, number)
    for number, kind in enumerate((b"open", b"click", b"click"))
)


@pytest.mark.parametrize("block", TOML, ids=[f"{n} {each.role}" for n, each in enumerate(TOML, 1)])
def test_a_configuration_is_read_and_its_sinks_are_made(
    block: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_certificate(tmp_path)
    made.certificate.rename(tmp_path / "fullchain.pem")
    made.key.rename(tmp_path / "privkey.pem")
    (tmp_path / "ca.pem").write_bytes((tmp_path / "fullchain.pem").read_bytes())
    for name in ("KAFKA_PASSWORD", "RABBITMQ_PASSWORD"):
        monkeypatch.setenv(name, "secret")
    sinks = make_from(tmp_path, block.text)
    family = {"consume": "kafka"}.get(block.role, block.role)
    assert family in {each.name.partition(".")[0] for each in sinks}


def test_a_consumer_of_the_topic_counts_clicks(tmp_path: Path) -> None:
    owner = confluent_kafka.Producer({"test.mock.num.brokers": 1, "log_level": 0})
    (broker,) = owner.list_topics(timeout=10).brokers.values()
    address = f"{broker.host}:{broker.port}"
    (sink,) = make_from(tmp_path, f'[kafka.main]\nservers = ["{address}"]\n')
    write(sink)
    program = PYTHON["kafka"].replace("kafka1.example:9092", address)
    assert run(program, lambda: None) == "{'spring': 2}\n"


def test_a_consumer_of_the_hose_gets_what_it_is_bound_to(tmp_path: Path) -> None:
    need_rabbitmq()
    with Broker(tmp_path) as broker:
        (sink,) = make_from(
            tmp_path, f'[rabbitmq.hose]\nhost = "127.0.0.1"\nport = {broker.port}\n'
        )
        program = re.sub(r"amqp://[^\"]*", broker.url, PYTHON["rabbitmq"])
        urls = [f"https://a.example/{number}" for number in (1, 2)]

        def publish() -> None:
            wait_for_queue(broker.url)
            write(sink)

        assert run(program, publish) == f"{urls}\n"


def make_from(folder: Path, text: str) -> list[Sink]:
    file = folder / "msys-track.toml"
    file.write_text(text, encoding="utf-8")
    return make_sinks(load(file, server="tracker"), folder, Counters())


def write(sink: Sink) -> None:
    async def deliver() -> None:
        await sink.open()
        await sink.write(EventBatch(EVENTS, 1))
        await sink.close()

    asyncio.run(deliver())


def run(program: str, meanwhile: Callable[[], None]) -> str:
    """Run a program of the page, and something while it waits; return what it prints."""
    thread = threading.Thread(target=meanwhile)
    thread.start()
    done = subprocess.run(  # noqa: S603 - the page's own
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    thread.join()
    assert done.returncode == 0, done.stderr
    return done.stdout


def wait_for_queue(url: str) -> None:
    import aio_pika  # noqa: PLC0415 - an extra

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
