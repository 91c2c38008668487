"""The sinks of a configuration, each of which follows the event log."""

from pathlib import Path

from msys_track.config.configuration import Configuration
from msys_track.metrics import Counters
from msys_track.sinks.delivery import Sink


def make_sinks(read: Configuration, folder: Path, counters: Counters) -> list[Sink]:  # noqa: ARG001 - until there is one
    """Make every sink that a configuration names; none is opened.

    Args:
        read: The configuration.
        folder: Of the event log.
        counters: Count what sinks do.

    Raises:
        SettingsError: one lacks a package, or can't be what it is to be.
    """
    sinks: list[Sink] = []
    return sinks
