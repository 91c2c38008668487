"""A machine that has no readers of its own: the events of many trackers come by Kafka."""

import asyncio
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from msys_track.config.configuration import Configuration
from msys_track.errors import SettingsError
from msys_track.logs import event_logger
from msys_track.metrics import Counters
from msys_track.recording.kafka_source import KafkaSource
from msys_track.recording.recorder import Recorder
from msys_track.service.sinks import make_sinks
from msys_track.sinks.store.sink import SqliteSink

log = event_logger(__name__)

_FIGURES_SECONDS: Final = 60.0


def consume(
    read: Configuration, name: str, store: Path | None, announce: Callable[[str], None]
) -> None:
    """Bring the events of a topic to the store and the other sinks, until SIGTERM or SIGINT.

    Args:
        read: The configuration; every sink that it names gets the events, but the topic itself.
        name: Of the topic's table, `[kafka.NAME]`.
        store: A SQLite file for the events; None: that of `[tracker]`, if there is one.
        announce: Is called with a line once it reads.

    Raises:
        SettingsError: there is no such table, no place for events, or a package is missing.
        SinkError: the folder of the events can't be used.
    """
    settings = read.kafka.get(name)
    if settings is None:
        known = ", ".join(read.kafka) or "none"
        raise SettingsError(f"{read.path}: there is no [kafka.{name}]; there is: {known}")
    folder = read.events_folder or (store and store.with_name(f"{store.name}.d"))
    if folder is None:
        raise SettingsError(f"{read.path}: no place for events: set `folder` of [events]")
    counters = Counters()
    others = {other: each for other, each in read.kafka.items() if other != name}
    own = replace(read, kafka=others, tracker=None if store else read.tracker)
    sinks = make_sinks(own, folder, counters)
    if store is not None:
        sinks.append(SqliteSink(store, keep_days=read.store.keep_days))
    if not sinks:
        raise SettingsError(f"{read.path}: no sink for the events; give a store: --store FILE")

    async def run() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        source = KafkaSource(
            folder,
            name,
            settings,
            counters,
            segment_bytes=read.events.segment_bytes,
            is_ending=stop.is_set,
        )
        recorder = Recorder(folder, source, sinks, read.events, counters)
        reporting = asyncio.create_task(_report(recorder, counters))
        places = ", ".join(each.name for each in sinks)
        announce(f"consumes {settings.topic} of {settings.servers[0]} for {places}")
        try:
            await recorder.run(stop)
        finally:
            reporting.cancel()
            log.info("consumer.stopped", **_name(counters.snapshot()))

    asyncio.run(run())


async def _report(recorder: Recorder, counters: Counters) -> None:
    """Log now and then how far it is."""
    while True:
        await asyncio.sleep(_FIGURES_SECONDS)
        log.info("consumer.figures", **_name({**counters.snapshot(), **recorder.gauges()}))


def _name(figures: Mapping[str, float]) -> dict[str, float]:
    """Name figures as fields of a log are named."""
    return {name.replace(".", "_"): value for name, value in figures.items()}
