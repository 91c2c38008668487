"""The proxy from a configuration, until a signal stops it."""

from collections.abc import Callable

from msys_track.config.configuration import Configuration
from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.errors import SettingsError, describe_os_error
from msys_track.injection import server
from msys_track.injection.settings import ProxySettings
from msys_track.logs import event_logger
from msys_track.metrics import Counters
from msys_track.relay.passthrough import UserUpstreams
from msys_track.relay.routes import make_next_hop
from msys_track.service.signals import catch_hangup, catch_stop_signals
from msys_track.smtp.address import Address

log = event_logger(__name__)


async def serve_proxy(
    read: Configuration,
    rewriter: Dispatcher,
    counters: Counters,
    load_again: Callable[[], tuple[Configuration, Dispatcher] | None],
    announce: Callable[[str], None],
) -> None:
    """Take mail until SIGTERM or SIGINT; mail under way then finishes first.

    Args:
        read: The configuration that the other parts were made of.
        rewriter: Makes the copies.
        counters: Counts what happens.
        load_again: Reads the configuration again at SIGHUP; None if it has faults.
        announce: Is called with a line for each address that it listens on.

    Raises:
        SettingsError: it can't listen on an address, or what an upstream needs can't be used.
    """
    stop = catch_stop_signals()
    upstream = make_next_hop(read.upstreams, counters)
    settings = read.proxy or ProxySettings()
    passthrough = (
        UserUpstreams(read.upstreams, counters) if settings.access.auth_passthrough else None
    )
    try:
        listener = await server.serve(
            settings, rewriter, upstream, counters=counters, passthrough=passthrough
        )
    except OSError as error:
        where = error.filename or Address(settings.listen_host, settings.listen_port)
        raise SettingsError(
            f"proxy: can't listen on {where}: {describe_os_error(error)}; choose another "
            "address, or end what listens there"
        ) from error

    def reload() -> None:
        again = load_again()
        if again is None:
            return
        changed, new = again
        listener.use(new)
        listener.reload_access()
        # These were changed but take effect only at the next start.
        tables = {
            "proxy": read.proxy != changed.proxy,
            "proxy.upstream": read.upstreams != changed.upstreams,
        }
        fixed = [name for name, is_changed in tables.items() if is_changed]
        log.info("configuration.reloaded", needs_restart=fixed)

    catch_hangup(reload)
    try:
        upstreams = ", ".join(str(each.address) for each in read.upstreams.values())
        for sockname in listener.socknames:
            announce(f"proxy listens on {sockname}, upstream is {upstreams}")
        await stop.wait()
    finally:
        await listener.close()
        await upstream.close()
        if passthrough is not None:
            await passthrough.close()
