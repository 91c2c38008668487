"""Delivers events to a webhook: in the order of the log, each batch until it is taken or given up.

One batch is on its way at a time, and none overtakes it: the log is the queue. A batch that the
receiver takes for bad is set aside after a minute, so that it holds up no others.
"""

import asyncio
import hashlib
import json
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

from msys_track.errors import SettingsError
from msys_track.extras import needed_extra
from msys_track.logs import event_logger
from msys_track.metrics import Counters
from msys_track.sinks.dead_letters import DeadLetters
from msys_track.sinks.delivery import EventBatch
from msys_track.sinks.webhook.retries import (
    LONGEST_GAP_SECONDS,
    Retries,
    load_retries,
    save_retries,
)
from msys_track.sinks.webhook.settings import WebhookSettings

if TYPE_CHECKING:
    from msys_track.sinks.webhook.client import WebhookClient

log = event_logger(__name__)

_NAMESPACE: Final = UUID("5f2c0c9e-6d43-4c2a-9f0b-6d7379735f74")
_TYPE: Final = re.compile(rb'\{"msys":\{"[a-z_]+":\{"type":"([a-z_]+)"')
_GONE: Final = 410


class WebhookSink:
    """One webhook as a sink of the log.

    Attributes:
        name: `webhook.` and the name of its table.
        max_events: A batch has at most so many, sent or not.
        max_age_seconds: A batch waits at most so long for more of them.
    """

    def __init__(  # noqa: PLR0913 - the parts of one sink
        self,
        name: str,
        settings: WebhookSettings,
        folder: Path,
        counters: Counters,
        *,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare; read the secrets.

        Args:
            name: Of its table, `[webhook.NAME]`.
            settings: Of that.
            folder: Of the events: dead letters and the state of retries are kept below it.
            counters: Count what fails and what is given up.
            pause: Waits for some seconds.
            clock: Tells Unix seconds.

        Raises:
            MissingExtraError: the extra `webhook` is not installed.
            SettingsError: a secret can't be used.
        """
        self.name = f"webhook.{name}"
        self.max_events = settings.max_events
        self.max_age_seconds = settings.max_age_seconds
        self._settings = settings
        self._types = frozenset(each.encode() for each in settings.types)
        self._dead_letters = DeadLetters(folder, self.name)
        self._path = retries_path(folder, self.name)
        self._counters = counters
        self._pause = pause
        self._clock = clock
        self._retries = Retries()
        self._tried_at = float("-inf")
        try:
            self._client = make_client(settings, clock)
        except SettingsError as error:
            raise SettingsError(f"webhook.{name}: {error}") from error

    async def open(self) -> None:
        """Read what is known of a batch that was under way when the last process ended.

        Raises:
            SinkError: it can't be read.
        """
        self._retries = load_retries(self._path)
        if self._retries.count:
            self.max_events = min(self._retries.count, self._settings.max_events)

    async def write(self, batch: EventBatch) -> None:
        """Return when the receiver has the batch, or it is a dead letter.

        Raises:
            SinkError: the disk took neither what is known of it, nor the dead letter.
        """
        self.max_events = len(batch.lines)  # should it come again
        events = [line for line in batch.lines if self._is_wanted(line)]
        if events:
            await self._deliver(batch, events)
        self.max_events = self._settings.max_events

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _deliver(self, batch: EventBatch, events: Sequence[bytes]) -> None:
        retries = self._retries
        body = b"[" + b",".join(events) + b"]"
        batch_id = make_batch_id(self.name, body)
        retries.begin(batch.first_sequence, len(batch.lines))
        save_retries(self._path, retries)
        retry_seconds = self._settings.retry_hours * 3_600.0
        newest = read_timestamp(events[-1])
        while not self._is_known_down(retry_seconds, newest):
            started_at = time.monotonic()
            answer = await self._client.post(batch_id, body)
            self._tried_at = time.monotonic()
            if answer.is_taken:
                self._note_success()
                return
            retries.note_wait(self._tried_at - started_at)
            self._note_failure(answer.status, answer.error, batch_id)
            if retries.is_refused() or retries.is_over(retry_seconds, self._clock() - newest):
                break
            gap = retries.find_gap(answer.retry_after_seconds)
            gap = max(0.0, min(gap, retry_seconds - retries.waited_seconds))
            await self._pause(gap)
            retries.note_wait(gap)
            save_retries(self._path, retries)
        self._give_up(batch, events, batch_id)

    def _is_known_down(self, retry_seconds: float, newest: float) -> bool:
        """Whether a batch is too old to be tried, as another was tried in vain just before."""
        is_recent = time.monotonic() - self._tried_at < LONGEST_GAP_SECONDS
        outage = self._retries.outage_seconds
        age = self._clock() - newest
        return is_recent and outage >= retry_seconds and age >= retry_seconds

    def _note_success(self) -> None:
        retries = self._retries
        if retries.last_error:
            log.info("webhook.recovered", sink=self.name, seconds=round(retries.outage_seconds))
            retries.note_success()
            save_retries(self._path, retries)

    def _note_failure(self, status: int | None, error: str, batch_id: str) -> None:
        retries = self._retries
        is_first = not retries.last_error
        retries.note_failure(status, error, int(self._clock()))
        save_retries(self._path, retries)
        self._counters.add(f"sinks.failed.{self.name}")
        facts = {"sink": self.name, "batch": batch_id, "attempts": retries.attempts}
        if status == _GONE:
            hint = "if the webhook is gone for good, remove its table"
            log.error("webhook.gone", **facts, error=error, hint=hint)
        elif is_first:
            log.warning("webhook.failed", **facts, error=error)

    def _give_up(self, batch: EventBatch, events: Sequence[bytes], batch_id: str) -> None:
        retries = self._retries
        self._dead_letters.append(
            batch_id,
            events,
            first_sequence=batch.first_sequence,
            attempts=retries.attempts,
            status=retries.last_status,
            error=retries.last_error,
        )
        self._counters.add(f"sinks.dead.{self.name}", len(events))
        log.error(
            "webhook.gave_up",
            sink=self.name,
            batch=batch_id,
            events=len(events),
            attempts=retries.attempts,
            error=retries.last_error,
            hint="`msys-track webhook replay NAME --dead` sends it again",
        )

    def _is_wanted(self, line: bytes) -> bool:
        return not self._types or find_type(line) in self._types


def make_client(settings: WebhookSettings, clock: Callable[[], float]) -> "WebhookClient":
    """Make the client of a webhook.

    Raises:
        SettingsError: aiohttp is missing, or a secret can't be used.
    """
    with needed_extra("webhook", "a webhook"):
        from msys_track.sinks.webhook.client import WebhookClient  # noqa: PLC0415
    return WebhookClient(settings, clock)


def retries_path(folder: Path, sink_name: str) -> Path:
    """Name the file that keeps what is known of a batch under way."""
    return folder / "retries" / f"{sink_name}.json"


def make_batch_id(sink_name: str, body: bytes) -> str:
    """Make the id of a batch: a UUID of its content (RFC 9562 section 5.5)."""
    content = _NAMESPACE.bytes + sink_name.encode() + b"\0" + body
    digest = hashlib.sha1(content, usedforsecurity=False).digest()
    return str(UUID(bytes=digest[:16], version=5))


def find_type(line: bytes) -> bytes:
    """Find the type of an event in its JSON; empty where it has none."""
    if match := _TYPE.match(line):
        return match[1]
    try:
        ((_, fields),) = json.loads(line)["msys"].items()
        return str(fields["type"]).encode()
    except (ValueError, TypeError, KeyError, AttributeError):
        return b""


def read_timestamp(line: bytes) -> float:
    """Read when an event was, in Unix seconds; infinity where it does not say."""
    try:
        ((_, fields),) = json.loads(line)["msys"].items()
        return float(fields["timestamp"])
    except (ValueError, TypeError, KeyError, AttributeError):
        return float("inf")
