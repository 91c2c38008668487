"""How many workers a server has, and the part of a machine's limits that each of them has."""

import os
import sys
from dataclasses import replace

from msys_track.config.configuration import Configuration
from msys_track.relay.settings import UpstreamSettings


def count_workers(wanted: int | str) -> int:
    """Count the workers that are wanted: as many as there are processors, if that is `auto`."""
    if isinstance(wanted, int):
        return wanted
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def take_share(read: Configuration) -> Configuration:
    """Return a proxy's configuration as one of its workers has it."""
    if read.proxy is None:
        return read
    workers = count_workers(read.proxy.workers)

    def divide(hop: UpstreamSettings) -> UpstreamSettings:
        return replace(hop, max_connections=max(1, hop.max_connections // workers))

    return replace(
        read,
        proxy=replace(
            read.proxy,
            max_connections=-(-read.proxy.max_connections // workers),
            max_bytes_in_flight=-(-read.proxy.max_bytes_in_flight // workers),
        ),
        upstream=read.upstream and divide(read.upstream),
        upstreams={name: divide(each) for name, each in read.upstreams.items()},
    )
