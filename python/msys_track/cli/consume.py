"""`msys-track events consume`: the events of many trackers, by Kafka, to one place's sinks."""

from pathlib import Path

import click

from msys_track.cli import logs, parameters
from msys_track.config.load import load
from msys_track.service import consumer


@click.command("consume", short_help="Bring the events of a Kafka topic to the sinks here.")
@click.argument("name")
@parameters.option(
    "--store",
    envvar="STORE",
    type=parameters.FILE,
    help="A SQLite file that stores them, in place of the configuration's.",
)
@parameters.CONFIG
@parameters.LOG_LEVEL
def consume(*, name: str, store: Path | None, config_file: Path, log_level: str) -> None:
    """Read events from the topic of [kafka.NAME], and bring them to the store and all other sinks.

    Runs until it is stopped. An event is committed to the consumer group once it is in the event
    log here; sinks take it from there as they do beside a tracker. One that comes again is left
    out. Several machines in one group share the topic.
    """
    logs.to_stderr(level=log_level)
    consumer.consume(load(config_file, server="tracker"), name, store, click.echo)
