"""The tracker from a configuration, until a signal stops it."""

from collections.abc import Callable

from msys_track.config.configuration import Configuration
from msys_track.errors import KeyRingError
from msys_track.keys.ring import KeyRing
from msys_track.logs import event_logger
from msys_track.service import systemd
from msys_track.service.file_limit import raise_file_limit
from msys_track.service.signals import catch_hangup, catch_stop_signals
from msys_track.sinks.sqlite import SqliteSink
from msys_track.sinks.writer import EventWriter
from msys_track.smtp.address import Address
from msys_track.tracking import server
from msys_track.tracking.settings import TrackerSettings

log = event_logger(__name__)


async def serve_tracker(
    read: Configuration,
    settings: TrackerSettings,
    keys: KeyRing,
    announce: Callable[[str], None],
) -> None:
    """Answer readers until SIGTERM or SIGINT; waiting events are stored first.

    Args:
        read: The configuration that the other parts were made of.
        settings: Where to listen and to store.
        keys: Opens the links; read again at SIGHUP.
        announce: Is called with a line that has the address.

    Raises:
        SettingsError: it can't listen on the address, or the store can't be used.
    """
    raise_file_limit()
    stop = catch_stop_signals()
    async with SqliteSink(settings.store) as sink, EventWriter(sink) as writer:
        listener = await server.serve(settings, keys, writer)

        def reload() -> None:
            if read.keys is None:
                return
            systemd.notify_reloading()
            try:
                listener.use(KeyRing.load(read.keys))
            except KeyRingError as error:
                log.error("keys.not_reloaded", why=str(error))  # noqa: TRY400 - the file's fault
            else:
                log.info("keys.reloaded", needs_restart=["all else"])
            systemd.notify("READY=1")

        catch_hangup(reload)
        try:
            where = Address(settings.listen_host, listener.port)
            announce(f"tracker listens on {where}, stores events in {settings.store}")
            systemd.notify("READY=1")
            await stop.wait()
        finally:
            systemd.notify("STOPPING=1")
            await listener.close()
