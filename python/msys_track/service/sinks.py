"""The sinks of a configuration, each of which follows the event log."""

from msys_track.config.configuration import Configuration
from msys_track.sinks.delivery import Sink


def make_sinks(read: Configuration) -> list[Sink]:  # noqa: ARG001 - until there is one
    """Make every sink that a configuration names; none is opened.

    Raises:
        SettingsError: one lacks a package, or can't be what it is to be.
    """
    sinks: list[Sink] = []
    return sinks
