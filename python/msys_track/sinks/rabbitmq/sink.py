"""Publishes events to a RabbitMQ exchange: each at least once, in the order of the log.

The routing key is the event's envelope and type, as in `track_event.click`, so that a consumer
binds to what it wants: `#` is all. Messages are persistent, and the broker confirms each one.
"""

from typing import TYPE_CHECKING

from msys_track.extras import needed_extra
from msys_track.sinks.delivery import EventBatch
from msys_track.sinks.rabbitmq.settings import RabbitmqSettings
from msys_track.sinks.webhook.secrets import read_secret

if TYPE_CHECKING:
    from msys_track.sinks.rabbitmq.publisher import Publisher


class RabbitmqSink:
    """One exchange as a sink of the log.

    Attributes:
        name: `rabbitmq.` and the name of its table.
        max_events: So many events are on their way at most.
        max_age_seconds: A batch waits at most so long for more of them.
    """

    def __init__(self, name: str, settings: RabbitmqSettings) -> None:
        """Prepare; read the secrets. No connection is made.

        Args:
            name: Of its table, `[rabbitmq.NAME]`.
            settings: Of that.

        Raises:
            MissingExtraError: the extra `rabbitmq` is not installed.
            SettingsError: a secret or certificate can't be used.
        """
        self.name = f"rabbitmq.{name}"
        self.max_events = settings.max_events
        self.max_age_seconds = settings.max_age_seconds
        self._publisher = _make_publisher(self.name, settings)

    async def open(self) -> None:
        """Connect.

        Raises:
            SinkError: the broker can't be reached, or refuses us.
        """
        await self._publisher.open()

    async def write(self, batch: EventBatch) -> None:
        """Return when the broker has confirmed every event.

        Raises:
            SinkError: it has not; all of them will be published again.
        """
        await self._publisher.publish(batch.lines)

    async def close(self) -> None:
        """Close the connection."""
        await self._publisher.close()


def _make_publisher(name: str, settings: RabbitmqSettings) -> "Publisher":
    with needed_extra("rabbitmq", "RabbitMQ"):
        from msys_track.sinks.rabbitmq.publisher import Publisher  # noqa: PLC0415
    password = "guest"  # noqa: S105 - RabbitMQ's default, for its own machine only
    if settings.password is not None:
        password = read_secret(settings.password, f"{name}.password")
    return Publisher(name, settings, password)
