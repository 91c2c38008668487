"""Writes events to a Kafka topic: each at least once, those of one message in order.

The key of a record is the message's id, so that all its events are in one partition. The producer
is idempotent and has no time limit of its own: what it has taken stays in its queue in order, also
while brokers are away. A batch that is tried again goes on where it was, so that nothing is sent
twice but after a crash of ours or a broker's refusal.
"""

import asyncio
import hashlib
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msys_track.errors import SettingsError, SinkError
from msys_track.logs import event_logger
from msys_track.metrics import Counters
from msys_track.sinks.dead_letters import DeadLetters
from msys_track.sinks.delivery import EventBatch
from msys_track.sinks.kafka.client import load_library, make_properties
from msys_track.sinks.kafka.settings import KafkaSettings
from msys_track.sinks.lines import find_facts, find_message_id

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Producer

log = event_logger(__name__)

_FLUSH_SECONDS: Final = 0.1
_PRODUCER: Final = {
    "enable.idempotence": True,
    "acks": "all",
    # For ever: an event that failed after later ones were taken would be out of order.
    "message.timeout.ms": 0,
    # Only what fails is told one by one: half of the time of a record otherwise.
    "delivery.report.only.error": True,
    # As the clients in Java choose the partition of a key, so that topics can be joined.
    "partitioner": "murmur2_random",
}


class KafkaSink:
    """One topic as a sink of the log.

    Attributes:
        name: `kafka.` and the name of its table.
        max_events: So many events are on their way at most.
        max_age_seconds: A batch waits at most so long for more of them.
    """

    def __init__(
        self, name: str, settings: KafkaSettings, folder: Path, counters: Counters
    ) -> None:
        """Prepare; read the secrets. No connection is made and no thread is left behind.

        Args:
            name: Of its table, `[kafka.NAME]`.
            settings: Of that.
            folder: Of the events: dead letters are kept below it.
            counters: Count what no topic can take.

        Raises:
            SettingsError: confluent-kafka is missing, a secret can't be read, or librdkafka does
                not know a property or its value.
        """
        self.name = f"kafka.{name}"
        self.max_events = settings.max_events
        self.max_age_seconds = settings.max_age_seconds
        self._settings = settings
        self._dead_letters = DeadLetters(folder, self.name)
        self._counters = counters
        self._library = load_library()
        self._properties = {
            **_PRODUCER,
            "compression.type": settings.compression,
            "queue.buffering.max.messages": 2 * settings.max_events,
            **make_properties(settings, self.name),
        }
        self._producer: Producer | None = None
        self._queued: tuple[bytes, ...] = ()
        self._refusals: list[str] = []
        self._last_error = "no answer"
        # Threads do not outlive a fork, so that one for trial has to end here.
        self._make_producer({"bootstrap.servers": ""})

    async def open(self) -> None:
        """Start the producer; it connects when there are events."""
        self._producer = self._make_producer()

    async def write(self, batch: EventBatch) -> None:
        """Return when all replicas that are in sync have the events (`acks=all`).

        Raises:
            SinkError: no broker has taken them yet, or one has refused them.
        """
        producer = self._producer
        if producer is None:
            producer = self._producer = self._make_producer()
        await asyncio.to_thread(self._queue, producer, batch)
        due = time.monotonic() + self._settings.timeout_seconds
        while waiting := await asyncio.to_thread(producer.flush, _FLUSH_SECONDS):
            if self._refusals:
                break
            if time.monotonic() >= due:
                raise SinkError(f"{waiting} events wait for a broker: {self._last_error}")
        self._queued = ()
        if self._refusals:
            text = self._refusals[0]
            await self._discard()
            raise SinkError(f"topic {self._settings.topic}: {text}")

    async def close(self) -> None:
        """End; what no broker has taken is still in the log."""
        await self._discard()

    def _queue(self, producer: "Producer", batch: EventBatch) -> None:
        """Give the producer what it does not have yet: a batch may grow before it comes again."""
        known = frozenset(self._queued)
        records: list[dict[str, Any]] = [
            {"value": line, "key": find_message_id(line)}
            for line in batch.lines
            if not known or line not in known  # hashes are not free
        ]
        producer.produce_batch(self._settings.topic, records, on_delivery=self._note_report)
        self._queued = batch.lines
        for record in records:
            error = record.get("_error")
            if error is None:
                continue
            if error.code() == self._library.KafkaError.MSG_SIZE_TOO_LARGE:
                self._set_aside(batch.first_sequence, record["value"], error.str())
            else:
                self._refusals.append(error.str())

    def _set_aside(self, first_sequence: int, line: bytes, error: str) -> None:
        """Keep an event that the topic will never take, so that it holds up no others."""
        facts = find_facts(line)
        self._dead_letters.append(
            facts.event_id if facts else hashlib.sha256(line).hexdigest(),
            [line],
            first_sequence=first_sequence,
            attempts=1,
            status=None,
            error=error,
        )
        self._counters.add(f"sinks.dead.{self.name}")
        log.error(
            "kafka.event_too_large",
            sink=self.name,
            bytes=len(line),
            hint="let message.max.bytes of its options, and of the topic, be larger",
        )

    async def _discard(self) -> None:
        """Give the producer up, with all that it has not delivered."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge(blocking=False)
            await asyncio.to_thread(producer.flush, _FLUSH_SECONDS)
        self._refusals.clear()
        self._queued = ()

    def _make_producer(self, changes: dict[str, Any] | None = None) -> "Producer":
        library = self._library
        properties = {**self._properties, "error_cb": self._note_error, **(changes or {})}
        try:
            return library.Producer(properties)  # type: ignore[no-any-return]
        except (library.KafkaException, TypeError, ValueError) as error:
            raise SettingsError(f"{self.name}: {_describe(error)}") from error

    def _note_report(self, error: "KafkaError | None", _record: object) -> None:
        if error is not None:
            self._refusals.append(error.str())

    def _note_error(self, error: "KafkaError") -> None:
        """Keep why brokers can't be reached; a fatal error is reported for each record too."""
        with suppress(AttributeError):
            self._last_error = error.str()


def _describe(error: Exception) -> str:
    first = error.args[0] if error.args else error
    return first.str() if hasattr(first, "str") else str(first)
