"""The sinks of a configuration, each of which follows the event log."""

from pathlib import Path

from msys_track.config.configuration import Configuration
from msys_track.metrics import Counters
from msys_track.sinks.delivery import Sink
from msys_track.sinks.file import FileSink
from msys_track.sinks.kafka.sink import KafkaSink
from msys_track.sinks.rabbitmq.sink import RabbitmqSink
from msys_track.sinks.store.sink import SqliteSink
from msys_track.sinks.webhook.sink import WebhookSink


def make_sinks(read: Configuration, folder: Path, counters: Counters) -> list[Sink]:
    """Make every sink that a configuration names; none is opened.

    Args:
        read: The configuration.
        folder: Of the event log.
        counters: Count what sinks do.

    Raises:
        SettingsError: one lacks a package, or can't be what it is to be.
    """
    sinks: list[Sink] = []
    sinks += [WebhookSink(name, each, folder, counters) for name, each in read.webhooks.items()]
    sinks += [KafkaSink(name, each, folder, counters) for name, each in read.kafka.items()]
    sinks += [RabbitmqSink(name, each) for name, each in read.rabbitmq.items()]
    if read.tracker is not None:
        sinks.append(SqliteSink(read.tracker.store, keep_days=read.store.keep_days))
    sinks += [FileSink(name, each) for name, each in read.files.items()]
    return sinks
