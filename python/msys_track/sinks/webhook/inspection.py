"""What is known of webhooks from their files, whether or not a tracker runs."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from msys_track.eventlog.position import Position, PositionFile
from msys_track.eventlog.reader import LogReader
from msys_track.eventlog.segments import list_segments
from msys_track.sinks.dead_letters import DeadLetters
from msys_track.sinks.webhook.retries import load_retries
from msys_track.sinks.webhook.settings import WebhookSettings
from msys_track.sinks.webhook.sink import read_timestamp, retries_path

_READ_BYTES: Final = 16 << 20
_READ_LINES: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookState:
    """How far a webhook has come.

    Attributes:
        name: Of its table.
        url: Without what may be a secret.
        next_sequence: The number of the next event that it gets.
        waiting: Events in the log that it has not got.
        waiting_seconds: The age of the oldest of them; 0 without one.
        attempts: How often the batch that is under way was tried in vain.
        last_error: Of the last try; empty after a success.
        failed_at: When that was; ISO 8601, or None.
        dead_batches: Dead letters.
        dead_events: Events in them.
    """

    name: str
    url: str
    next_sequence: int
    waiting: int
    waiting_seconds: float
    attempts: int
    last_error: str
    failed_at: str | None
    dead_batches: int
    dead_events: int


def position_file(folder: Path, name: str) -> PositionFile:
    """Find the position of a webhook below the folder of the events."""
    return PositionFile(folder / "positions" / f"webhook.{name}.json")


def inspect(folder: Path, name: str, settings: WebhookSettings, now: float) -> WebhookState:
    """Find out how far a webhook has come.

    Args:
        folder: Of the events.
        name: Of its table.
        settings: Of it.
        now: Unix seconds.

    Raises:
        SinkError: one of its files can't be read.
    """
    position = position_file(folder, name).load()
    retries = load_retries(retries_path(folder, f"webhook.{name}"))
    batches, events = DeadLetters(folder, f"webhook.{name}").count()
    waiting, oldest = _find_waiting(folder / "events", position)
    failed_at = None
    if retries.failed_at:
        moment = datetime.fromtimestamp(retries.failed_at, UTC)
        failed_at = moment.isoformat(timespec="seconds").replace("+00:00", "Z")
    return WebhookState(
        name=name,
        url=hide_secrets(settings.url),
        next_sequence=position.sequence,
        waiting=waiting,
        waiting_seconds=max(0.0, now - oldest),
        attempts=retries.attempts,
        last_error=retries.last_error,
        failed_at=failed_at,
        dead_batches=batches,
        dead_events=events,
    )


def hide_secrets(url: str) -> str:
    """Write a URL without its query, where senders put keys."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}{'?…' if parts.query else ''}"


def _find_waiting(log: Path, position: Position) -> tuple[int, float]:
    """Count the lines of a log from a position on, and find when the first of them was."""
    reader = LogReader(log, position)
    try:
        first = reader.read(max_lines=1)
    finally:
        reader.close()
    if first is None:
        return 0, float("inf")
    last = list_segments(log)[-1]
    end = max(last, first.after.sequence)
    reader = LogReader(
        log, first.after if first.after.segment == last else Position(last, 0, last)
    )
    try:
        while batch := reader.read(_READ_LINES, _READ_BYTES):
            end = batch.after.sequence
    finally:
        reader.close()
    return end - first.first_sequence, read_timestamp(first.lines[0])


def describe(state: WebhookState) -> dict[str, Any]:
    """Make data that JSON can hold."""
    known = {name: getattr(state, name) for name in WebhookState.__slots__}
    known["waiting_seconds"] = round(state.waiting_seconds, 1)
    return known


def write_json(state: WebhookState) -> str:
    """Write a state as one line of JSON."""
    return json.dumps(describe(state), ensure_ascii=False)
