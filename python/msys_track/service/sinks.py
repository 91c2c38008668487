"""The sinks of a configuration, each of which follows the event log."""

from pathlib import Path

from msys_track.config.configuration import Configuration
from msys_track.metrics import Counters
from msys_track.sinks.delivery import Sink
from msys_track.sinks.file import FileSink
from msys_track.sinks.store.sink import SqliteSink


def make_sinks(
    read: Configuration,
    folder: Path,  # noqa: ARG001 - for sinks that keep something of their own
    counters: Counters,  # noqa: ARG001
) -> list[Sink]:
    """Make every sink that a configuration names; none is opened.

    Args:
        read: The configuration.
        folder: Of the event log.
        counters: Count what sinks do.

    Raises:
        SettingsError: one lacks a package, or can't be what it is to be.
    """
    sinks: list[Sink] = []
    if read.tracker is not None:
        sinks.append(SqliteSink(read.tracker.store, keep_days=read.store.keep_days))
    sinks += [FileSink(name, each) for name, each in read.files.items()]
    return sinks
