"""`msys-track events consume`: the events of many trackers, by Kafka, to one place's sinks."""

from pathlib import Path

import click

from msys_track.cli import logs, parameters
from msys_track.cli.commands import Command
from msys_track.cli.events import place
from msys_track.service import consumer


@click.command(
    "consume",
    cls=Command,
    examples=("msys-track events consume main --store events.sqlite",),
)
@click.argument("name")
@place.OPTIONS
@parameters.LOG_LEVEL
def consume(*, name: str, store: Path | None, config_file: Path | None, log_level: str) -> None:
    """Bring the events of a Kafka topic to the store and all other sinks.

    NAME is that of the topic's table, [kafka.NAME]. Runs until it is stopped. An event is
    committed to the consumer group once it is in the event log here; sinks take it from there, as
    beside a tracker. One that comes again is left out. Several machines in one group share the
    topic.
    """
    logs.to_stderr(level=log_level)
    where = place.find_place(store, config_file)
    consumer.consume(where.load(), name, where.store, click.echo)
