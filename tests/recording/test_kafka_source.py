"""Events that come back from Kafka: each once in the log, whatever else the topic holds."""

import json
from pathlib import Path
from typing import Any

import pytest

from msys_track.eventlog.reader import LogReader
from msys_track.eventlog.writer import LogLockedError
from msys_track.metrics import Counters
from msys_track.recording.kafka_source import KafkaSource, read_event
from msys_track.settings.addresses import address
from msys_track.sinks.kafka.settings import KafkaSettings

confluent_kafka = pytest.importorskip("confluent_kafka")

TOPIC = "msys-track-events"


@pytest.fixture
def cluster() -> Any:
    """Give librdkafka's own mock of a broker, which ends with its owner."""
    return confluent_kafka.Producer({"test.mock.num.brokers": 1, "log_level": 0})


def make_source(cluster: Any, folder: Path, counters: Counters, group: str) -> KafkaSource:
    (broker,) = cluster.list_topics(timeout=10).brokers.values()
    servers = (address(lowest_port=1).read(f"{broker.host}:{broker.port}"),)
    settings = KafkaSettings(servers=servers, group=group)
    return KafkaSource(folder, "main", settings, counters, segment_bytes=1 << 20)


def make_event(number: int) -> bytes:
    return b'{"msys":{"track_event":{"type":"open","event_id":"%d"}}}' % number


def record(source: KafkaSource, wanted: int) -> None:
    while wanted > 0:
        wanted -= source.record()


def read_log(folder: Path) -> list[bytes]:
    reader, lines = LogReader(folder / "events"), list[bytes]()
    while batch := reader.read():
        lines += batch.lines
    reader.close()
    return lines


def test_events_are_logged_once_and_what_is_none_is_passed_over(
    cluster: Any, tmp_path: Path
) -> None:
    pretty = json.dumps(json.loads(make_event(3)), indent=1).encode()
    values = [make_event(1), b"junk", None, b"{}", make_event(2), make_event(1), pretty]
    for value in values:
        cluster.produce(TOPIC, value)
    cluster.flush()
    counters = Counters()
    source = make_source(cluster, tmp_path, counters, "one")
    record(source, 7)
    assert sorted(read_log(tmp_path)) == [make_event(1), make_event(2), make_event(3)]
    figures = [counters[f"recorder.{name}"] for name in ("recorded", "repeated", "damaged")]
    assert figures == [3, 1, 3]
    with pytest.raises(LogLockedError):
        make_source(cluster, tmp_path, counters, "one")
    source.close()
    # Another group begins with the oldest record, as one does that could not commit.
    cluster.produce(TOPIC, make_event(4))
    cluster.flush()
    source = make_source(cluster, tmp_path, counters, "two")
    assert source.next_sequence == 4
    record(source, 8)
    source.close()
    assert len(read_log(tmp_path)) == 4
    assert read_log(tmp_path)[3] == make_event(4)


@pytest.mark.parametrize(
    "value",
    [
        None, b"", b"[]", b"1", b"null", b'{"msys":{}}', b'{"msys":[]}', b'{"msys":{"a":1}}',
        b'{"msys":{"a":{},"b":{}}}', b'{"msys":{"a":{"event_id":7}}}',
        b'{"msys":{"a":{"event_id":"1"}}',
        b"\xff", b'{"msys":{"track_event":{"event_id":"\xff"}}}',
    ],
)  # fmt: skip
def test_what_is_no_event_is_none(value: bytes | None) -> None:
    assert read_event(value) is None
