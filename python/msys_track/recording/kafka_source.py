"""Reads events back from a Kafka topic into an event log, from which sinks take them as ever.

So the trackers of many machines share one store, and its webhooks and reports. An event is in the
log before its offset is committed: after a crash some come again, and the ids of the last ones in
the log say which to leave out. The topic may hold what others wrote: what is no event is passed
over.
"""

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from msys_track.errors import SettingsError, SinkError
from msys_track.eventlog.position import Position
from msys_track.eventlog.reader import LogReader
from msys_track.eventlog.retention import remove_old
from msys_track.eventlog.segments import list_segments
from msys_track.eventlog.writer import LogWriter
from msys_track.logs import event_logger
from msys_track.metrics import Counters
from msys_track.sinks.kafka.client import load_library, make_properties
from msys_track.sinks.kafka.settings import KafkaSettings

if TYPE_CHECKING:
    from confluent_kafka import Message, TopicPartition

log = event_logger(__name__)

_BATCH_RECORDS: Final = 5_000
_POLL_SECONDS: Final = 0.1
_COMMIT_SECONDS: Final = 5.0
# A batch that was not committed, and what trackers sent again after a crash of theirs.
_KNOWN_EVENTS: Final = 100_000
_MEAN_RECORD_BYTES: Final = 700


class KafkaSource:
    """A member of a consumer group that appends what it reads to the event log; without a loop.

    Args:
        folder: Of the event log.
        name: Of the table, `[kafka.NAME]`.
        settings: Of that.
        counters: Count `recorder.recorded`, `recorder.repeated`: events that came again, and
            `recorder.damaged`: records that are no events.
        segment_bytes: From this size on a new file of events is begun.
        is_ending: Whether to read no more.

    Attributes:
        next_sequence: Of the event that is written next.

    Raises:
        LogLockedError: another process writes the log.
        SinkError: the folder can't be used.
        SettingsError: confluent-kafka is missing, or a property or secret can't be used.
    """

    def __init__(  # noqa: PLR0913 - the parts of a source
        self,
        folder: Path,
        name: str,
        settings: KafkaSettings,
        counters: Counters,
        *,
        segment_bytes: int,
        is_ending: Callable[[], bool] = lambda: False,
    ) -> None:
        library = load_library()
        properties = {
            **make_properties(settings, f"kafka.{name}"),
            "group.id": settings.group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
        self._folder = folder
        self._topic = settings.topic
        self._counters = counters
        self._is_ending = is_ending
        self._error_type: type[Exception] = library.KafkaException
        self._writer = LogWriter(folder / "events", segment_bytes=segment_bytes)
        try:
            self._known: dict[str, None] = dict.fromkeys(self._read_back())
            self._consumer = library.Consumer({**properties, "error_cb": self._note_error})
            self._consumer.subscribe([self._topic])
        except (SinkError, library.KafkaException, TypeError, ValueError) as error:
            self._writer.close()
            if isinstance(error, SinkError):
                raise
            raise SettingsError(f"kafka.{name}: {error}") from error
        self._waiting: list[bytes] = []
        self._is_committed = True
        self._last_error = ""
        self._marks: deque[tuple[int, float]] = deque(maxlen=10_000)
        self.next_sequence = self._writer.next_sequence

    def record(self) -> int:
        """Append the next events; return how many records were new.

        Raises:
            SinkError: the disk does not take them, or the topic can't be read; they wait.
        """
        count = 0
        if not self._waiting and not self._is_ending():
            records = self._consumer.consume(_BATCH_RECORDS, _POLL_SECONDS)
            count = len(records)
            self._waiting = self._take(records)
            self._is_committed = self._is_committed and not count
        if self._waiting:
            self._marks.append((self._writer.next_sequence, time.time()))
            self._writer.append(self._waiting)
            self._counters.add("recorder.recorded", len(self._waiting))
            self._waiting = []
            self.next_sequence = self._writer.next_sequence
        self._commit()
        if not count and self._last_error:
            error, self._last_error = self._last_error, ""
            raise SinkError(f"topic {self._topic}: {error}")
        return count

    def close(self) -> None:
        """Leave the group, and let the next one write the log."""
        try:
            if not self._waiting:
                self._commit()
            self._consumer.close()
        finally:
            self._writer.close()

    def remove_delivered(self, before_sequence: int, keep_seconds: float) -> None:
        """Remove segments that every sink has, and that are old enough."""
        try:
            remove_old(self._writer, self._folder / "events", before_sequence, keep_seconds)
        except (OSError, SinkError) as error:
            log.warning("events.not_removed", error=str(error))

    def count_bytes_left(self) -> int:
        """Count about how many bytes of records the topic has that were not read yet."""
        left = 0
        with suppress(self._error_type, RuntimeError):
            for partition in self._consumer.position(self._consumer.assignment()):
                left += self._count_left(partition)
        return left * _MEAN_RECORD_BYTES

    def find_time(self, sequence: int) -> float:
        """Return about when an event was written here, in Unix seconds."""
        earlier = (at for first, at in reversed(list(self._marks)) if first <= sequence)
        return next(earlier, time.time())

    def _take(self, records: "list[Message]") -> list[bytes]:
        lines: list[bytes] = []
        for record in records:
            if (error := record.error()) is not None:
                self._last_error = error.str()
                continue
            found = read_event(record.value())
            if found is None:
                self._counters.add("recorder.damaged")
                log.error(
                    "kafka.no_event",
                    topic=self._topic,
                    partition=record.partition(),
                    offset=record.offset(),
                    hint="it is passed over, and stays there for those who can read it",
                )
                continue
            event_id, line = found
            if event_id in self._known:
                self._counters.add("recorder.repeated")
                continue
            self._known[event_id] = None
            lines.append(line)
        while len(self._known) > _KNOWN_EVENTS:
            del self._known[next(iter(self._known))]
        return lines

    def _commit(self) -> None:
        """Tell the group how far we are; it matters only to a member that starts."""
        if self._is_committed:
            return
        try:
            self._consumer.commit(asynchronous=False)
            self._is_committed = True
        except self._error_type as error:
            # Brokers are away, or another member has the partition now and reads them again.
            log.warning("kafka.not_committed", topic=self._topic, error=str(error))
            self._is_committed = True

    def _count_left(self, partition: "TopicPartition") -> int:
        low, high = self._consumer.get_watermark_offsets(partition, cached=True)
        return max(0, int(high) - int(partition.offset if partition.offset >= 0 else low))

    def _read_back(self) -> list[str]:
        """Read the ids of the last events in the log."""
        folder = self._folder / "events"
        begin = self._writer.next_sequence - _KNOWN_EVENTS
        segments = list_segments(folder)
        first = max((each for each in segments if each <= begin), default=segments[0])
        reader = LogReader(folder, Position(first, 0, first))
        ids: deque[str] = deque(maxlen=_KNOWN_EVENTS)
        while batch := reader.read():
            ids.extend(found[0] for line in batch.lines if (found := read_event(line)))
        reader.close()
        return list(ids)

    def _note_error(self, error: Any) -> None:
        self._last_error = error.str()


def read_event(value: bytes | None) -> tuple[str, bytes] | None:
    """Read an event's id, and its JSON on one line; None where it is no event."""
    try:
        event = orjson.loads(value or b"")
        ((_, fields),) = event["msys"].items()
        event_id = fields["event_id"]
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    if not isinstance(event_id, str) or value is None:
        return None
    return event_id, orjson.dumps(event) if b"\n" in value or b"\r" in value else value
