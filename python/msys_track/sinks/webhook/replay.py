"""Sends events to a webhook again, at an owner's wish: dead letters, or a piece of the log.

Dead letters keep the ids of their batches. A piece of the log goes out in batches with ids of
their own, as a receiver that knows an id takes its batch for one that it has.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from msys_track.eventlog.erasing import is_erased
from msys_track.eventlog.position import Position
from msys_track.eventlog.reader import LogReader
from msys_track.eventlog.segments import list_segments, segment_path
from msys_track.sinks.dead_letters import DeadLetters
from msys_track.sinks.webhook.inspection import position_file
from msys_track.sinks.webhook.retries import Retries
from msys_track.sinks.webhook.settings import WebhookSettings
from msys_track.sinks.webhook.sink import find_type, make_client, read_timestamp

if TYPE_CHECKING:
    from msys_track.sinks.webhook.client import WebhookClient

_ATTEMPTS: Final = 4
_REMOVED_AT_ONCE: Final = 100


@dataclass(slots=True)
class Replayed:
    """What was sent again.

    Attributes:
        batches: So many were taken.
        events: In them.
        failed: Batches that were not taken.
        error: Why the last of these was not.
        stopped_at: When the first event of the batch was at which a replay of the log gave up,
            in Unix seconds; None if it did not.
    """

    batches: int = 0
    events: int = 0
    failed: int = 0
    error: str = ""
    stopped_at: int | None = None


Report = Callable[[Replayed], None]


async def replay_dead(
    folder: Path,
    name: str,
    settings: WebhookSettings,
    report: Report,
    *,
    pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> Replayed:
    """Send dead letters again, the oldest first; those that are taken are dead no longer.

    A batch that is not taken stays; after one that could not be delivered at all nothing else is
    tried.

    Args:
        folder: Of the events.
        name: Of the webhook.
        settings: Of it.
        report: Called after each batch with what was done so far.
        pause: Waits for some seconds.

    Raises:
        SettingsError: a secret can't be used.
        SinkError: the dead letters can't be read or written.
    """
    letters = DeadLetters(folder, f"webhook.{name}")
    done, taken = Replayed(), set[str]()
    client = make_client(settings, time.time)
    try:
        for letter in letters.read():
            body = b"[" + b",".join(letter.events) + b"]"
            error, is_refused = await _post(client, letter.batch_id, body, pause)
            if not error:
                taken.add(letter.batch_id)
                done.batches += 1
                done.events += len(letter.events)
            else:
                done.failed += 1
                done.error = error
            report(done)
            if error and not is_refused:
                break
            if len(taken) >= _REMOVED_AT_ONCE:
                letters.remove(taken)
                taken.clear()
    finally:
        await client.close()
        if taken:
            letters.remove(taken)
    return done


async def replay_log(  # noqa: PLR0913 - what a replay needs
    folder: Path,
    name: str,
    settings: WebhookSettings,
    since: float,
    report: Report,
    *,
    pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> Replayed:
    """Send again what the webhook has got from the log since a time; stop at what is not taken.

    Args:
        folder: Of the events.
        name: Of the webhook.
        settings: Of it.
        since: Unix seconds.
        report: Called after each batch with what was done so far.
        pause: Waits for some seconds.

    Raises:
        SettingsError: a secret can't be used.
        SinkError: the log can't be read.
    """
    end = position_file(folder, name).load()
    types = frozenset(each.encode() for each in settings.types)
    done = Replayed()
    client = make_client(settings, time.time)
    try:
        wanted = _find_events(folder / "events", end, since, types)
        while events := list(islice(wanted, settings.max_events)):
            body = b"[" + b",".join(events) + b"]"
            error, _ = await _post(client, str(uuid4()), body, pause)
            if error:
                done.failed, done.error = 1, error
                done.stopped_at = int(read_timestamp(events[0]))
                break
            done.batches += 1
            done.events += len(events)
            report(done)
    finally:
        await client.close()
    return done


async def _post(
    client: "WebhookClient",
    batch_id: str,
    body: bytes,
    pause: Callable[[float], Awaitable[object]],
) -> tuple[str, bool]:
    """Post a batch, a few times where it is not refused; return the error, and whether it was."""
    tries = Retries()
    while True:
        answer = await client.post(batch_id, body)
        if answer.is_taken:
            return "", False
        tries.note_failure(answer.status, answer.error, 0)
        if tries.refused or tries.attempts >= _ATTEMPTS:
            return answer.error, tries.refused > 0
        await pause(tries.find_gap(answer.retry_after_seconds))


def _find_events(
    log: Path, end: Position, since: float, types: frozenset[bytes]
) -> Iterator[bytes]:
    """Yield the events before a position that are not older than a time."""
    start = next(
        (
            Position(first, 0, first)
            for first in list_segments(log)
            if segment_path(log, first).stat().st_mtime >= since
        ),
        None,
    )
    if start is None:
        return
    reader = LogReader(log, start)
    try:
        while batch := reader.read():
            for sequence, line in enumerate(batch.lines, start=batch.first_sequence):
                if sequence >= end.sequence:
                    return
                if is_erased(line):
                    continue
                if (not types or find_type(line) in types) and read_timestamp(line) >= since:
                    yield line
    finally:
        reader.close()
