"""Our proxy in the SMTP bench: open and click tracking on, its log written as in production.

Takes the upstream's port, prints its own, runs until standard input closes.
"""

import asyncio
import os
import sys
from pathlib import Path

import structlog
import uvloop

from msys_track import KeyRing, Rewriter, TrackingOptions
from msys_track.injection.server import serve
from msys_track.injection.settings import ProxySettings
from msys_track.relay.settings import UpstreamSettings
from msys_track.relay.upstream import Upstream

_OPTIONS = TrackingOptions(
    open_tracking=True, click_tracking=True, tracking_domain="click.shop.example"
)


async def main() -> None:
    upstream = Upstream(UpstreamSettings(port=int(sys.argv[1])))
    rewriter = Rewriter(keys=KeyRing.temporary(), options=_OPTIONS)
    proxy = await serve(ProxySettings(listen_port=0), rewriter, upstream)
    print(proxy.port, flush=True)  # noqa: T201 - the harness reads it
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await proxy.close()
    await upstream.close()


if __name__ == "__main__":
    with Path(os.devnull).open("w") as nowhere:
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.JSONRenderer(),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(20),
            logger_factory=structlog.PrintLoggerFactory(nowhere),
            cache_logger_on_first_use=True,
        )
        uvloop.run(main())
