"""What goes up and down in one worker, and whether it could have a mail taken."""

import asyncio
from typing import Final

from msys_track.errors import UpstreamError
from msys_track.injection.server import Proxy
from msys_track.metrics import Counters
from msys_track.relay.routes import Routes
from msys_track.relay.upstream import Upstream
from msys_track.spool.spool import Spool

_PROBE_SECONDS: Final = 5.0


class Gauges:
    """Reads a worker's gauges.

    Attributes:
        is_upstream_usable: Whether an upstream could be reached lately.
    """

    def __init__(self, listener: Proxy, upstream: Upstream | Routes, spool: Spool | None) -> None:
        self._listener = listener
        self._upstream = upstream
        self._spool = spool
        self.is_upstream_usable = False

    def read(self) -> dict[str, float]:
        """Return the value of each gauge (`metrics.GAUGES`)."""
        gauges: dict[str, float] = {
            "sessions": self._listener.session_count,
            "bytes_in_flight": self._listener.in_flight_bytes,
            **self._upstream.measure(),
        }
        spool, keeps = self._spool, False
        if spool is not None:
            gauges |= {
                "spool.bytes": spool.totals.bytes,
                "spool.copies": spool.totals.copies,
                "spool.oldest_seconds": spool.oldest_seconds,
            }
            keeps = spool.keeps_always and spool.has_room(0)
        return {**gauges, "ready": int(self.is_upstream_usable or keeps)}

    async def probe(self, counters: Counters) -> None:
        """Find out again and again whether an upstream can be reached; end when cancelled.

        A connection that is idle says so, and so does mail that it takes; else one is opened.
        """
        while True:
            accepted = counters["messages.accepted"]
            try:
                await self._upstream.verify("", (), ())
            except UpstreamError:
                self.is_upstream_usable = counters["messages.accepted"] > accepted
            else:
                self.is_upstream_usable = True
            await asyncio.sleep(_PROBE_SECONDS)
