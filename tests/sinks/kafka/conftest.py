"""A cluster in this process: librdkafka's own mock, which speaks Kafka's protocol over TCP."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

confluent_kafka = pytest.importorskip("confluent_kafka")


@dataclass(frozen=True, slots=True)
class Cluster:
    """Brokers that end with their owner."""

    owner: Any = field(repr=False)
    servers: str

    def read(self, topic: str, count: int) -> list[Any]:
        """Read so many records from the beginning on."""
        consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": self.servers,
                "group.id": "test",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
            }
        )
        # Not as a member of the group: that takes three seconds to form.
        partitions = consumer.list_topics(topic, 10).topics[topic].partitions
        consumer.assign(
            [
                confluent_kafka.TopicPartition(topic, each, confluent_kafka.OFFSET_BEGINNING)
                for each in partitions
            ]
        )
        records: list[Any] = []
        while len(records) < count:
            records += consumer.consume(count - len(records), 0.05)
        consumer.close()
        assert not [each.error() for each in records if each.error()]
        return records


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    owner = confluent_kafka.Producer({"test.mock.num.brokers": 3, "log_level": 0})
    brokers = owner.list_topics(timeout=10).brokers.values()
    yield Cluster(owner, ",".join(f"{each.host}:{each.port}" for each in brokers))
    owner.flush(1)
