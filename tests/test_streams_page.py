"""docs/streams.md works as it stands: configurations are read, consumers get our events.

Its consumer of RabbitMQ is run where there is a broker, in tests/sinks/rabbitmq.
"""

import re
from pathlib import Path
from typing import Any

import pytest
from tests.certificates import make_certificate
from tests.streams_page import PYTHON, TOML, make_from, run, write

confluent_kafka = pytest.importorskip("confluent_kafka")

pytestmark = pytest.mark.timeout(120)


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
    servers = re.compile(r"^servers = .*$", re.MULTILINE)
    (sink,) = make_from(tmp_path, servers.sub(f'servers = ["{address}"]', TOML[0].text))
    write(sink)
    program = PYTHON["kafka"].replace("kafka1.example:9092", address)
    assert run(program, lambda: None) == "{'spring': 1, 'summer': 1}\n"
