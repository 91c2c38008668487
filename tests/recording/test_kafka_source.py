"""Events that come back from Kafka: each once in the log, whatever else the topic holds."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.recording.conftest import unwritable

from msys_track.errors import SettingsError, SinkError
from msys_track.eventlog.reader import LogReader
from msys_track.eventlog.writer import LogLockedError, LogWriter
from msys_track.metrics import Counters
from msys_track.recording.kafka_source import KafkaSource, read_event
from msys_track.settings.addresses import address
from msys_track.sinks.kafka.settings import KafkaSettings

confluent_kafka = pytest.importorskip("confluent_kafka")

TOPIC = "msys-track-events"
SERVERS = (address(lowest_port=1).read("127.0.0.1:1"),)  # nobody listens there


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


def produce(cluster: Any, *numbers: int) -> None:
    """Make events in one partition, so in their order."""
    for number in numbers:
        cluster.produce(TOPIC, make_event(number), key=b"one partition")
    cluster.flush()


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


def test_records_that_are_not_read_yet_are_counted(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("msys_track.recording.kafka_source._BATCH_RECORDS", 1)
    produce(cluster, 1, 2, 3, 4)
    source = make_source(cluster, tmp_path, Counters(), "one")
    left = []
    for _ in range(4):
        record(source, 1)
        left.append(source.count_bytes_left())
    assert left == [3 * left[2], 2 * left[2], left[2], 0]
    assert left[2] > 0
    source.close()


def test_events_that_can_not_be_written_wait(cluster: Any, tmp_path: Path) -> None:
    produce(cluster, 1)
    source = make_source(cluster, tmp_path, Counters(), "one")
    with unwritable(tmp_path / "events"), pytest.raises(SinkError, match="can't be written"):
        record(source, 1)
    assert source.record() == 0
    produce(cluster, 2)
    with unwritable(tmp_path / "events"):
        with pytest.raises(SinkError, match="can't be written"):
            record(source, 1)
        source.close()  # it is not committed, and comes again
    assert read_log(tmp_path) == [make_event(1)]


def test_only_the_last_ids_are_known(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("msys_track.recording.kafka_source._KNOWN_EVENTS", 2)
    counters = Counters()
    produce(cluster, 1, 2, 3)
    source = make_source(cluster, tmp_path, counters, "one")
    record(source, 3)
    produce(cluster, 3, 2, 1)
    record(source, 3)
    source.close()
    assert read_log(tmp_path) == [make_event(number) for number in (1, 2, 3, 1)]
    assert counters["recorder.repeated"] == 2


@pytest.mark.parametrize("is_log_damaged", [False, True])
def test_a_source_that_can_not_begin_says_why_and_lets_the_log_go(
    tmp_path: Path, *, is_log_damaged: bool
) -> None:
    LogWriter(tmp_path / "events").close()
    if is_log_damaged:
        (tmp_path / "events" / f"{0:020}.ndjson").mkdir()
    settings = KafkaSettings(servers=SERVERS, options={} if is_log_damaged else {"nonsense": 1})
    with pytest.raises(SinkError if is_log_damaged else SettingsError) as caught:
        KafkaSource(tmp_path, "main", settings, Counters(), segment_bytes=1 << 20)
    assert caught.match("can't be read: Is a dir" if is_log_damaged else "kafka.main: .*nonsense")
    LogWriter(tmp_path / "events").close()


def test_a_topic_that_can_not_be_read_is_told(tmp_path: Path) -> None:
    settings = KafkaSettings(servers=SERVERS)
    source = KafkaSource(tmp_path, "main", settings, Counters(), segment_bytes=1 << 20)
    with pytest.raises(SinkError, match=r"topic msys-track-events: .*(refused|down)"):
        record(source, 1)
    assert source.count_bytes_left() == 0
    source.close()


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
