"""How many files and connections a process may have open, and how many a worker needs."""

import resource
from dataclasses import replace
from typing import Final

from msys_track.config.configuration import Configuration
from msys_track.service.share import count_workers, take_share
from msys_track.tracking.settings import TrackerSettings

# Standard streams, the loop's own, logs, SQLite files, policies.
_OTHER_FILES: Final = 64


def raise_file_limit() -> int:
    """Allow this process as many open files as the system does; return how many (setrlimit(2))."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):  # macOS has a lower limit that it does not tell
        return soft
    return hard


def find_shortage(read: Configuration, limit: int | None = None) -> str | None:
    """Describe why workers can't have as many clients as a configuration allows; None if they can.

    Args:
        read: The whole configuration.
        limit: How many files a process may have open; None: as many as it may allow itself.
    """
    own = take_share(read)
    if limit is None:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if own.proxy is None:
        return None
    clients, upstreams = own.proxy.max_connections, _count_upstream_connections(own)
    needed = clients + upstreams + _OTHER_FILES
    if needed <= limit:
        return None
    return (
        f"a process may have {limit} open files here, but each worker may need {needed}: "
        f"{clients} for clients (max_connections), {upstreams} for upstreams "
        f"(upstream_max_connections) and {_OTHER_FILES} others; raise the limit (ulimit -n, "
        "LimitNOFILE=) or lower max_connections"
    )


def find_tracker_shortage(read: Configuration, limit: int | None = None) -> str | None:
    """Describe why a tracker can't have as many clients as is allowed; None if it can.

    The arguments are those of `find_shortage`.
    """
    if limit is None:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if read.tracker is None:
        return None
    clients = _divide(read.tracker.max_connections, count_workers(read.tracker.workers))
    if clients + _OTHER_FILES <= limit:
        return None
    return (
        f"a process may have {limit} open files here, but each worker of the tracker may need "
        f"{clients + _OTHER_FILES}: {clients} for clients (max_connections) and {_OTHER_FILES} "
        "others; raise the limit (ulimit -n, LimitNOFILE=) or lower max_connections"
    )


def fit_readers(settings: TrackerSettings, workers: int, limit: int) -> TrackerSettings:
    """Give a tracker's worker its part of the clients, at most those for which it has files."""
    most = max(1, limit - _OTHER_FILES)
    clients = min(_divide(settings.max_connections, workers), most)
    return replace(settings, max_connections=clients)


def _divide(count: int, parts: int) -> int:
    return -(-count // parts)


def fit_clients(own: Configuration, limit: int) -> Configuration:
    """Let a worker refuse the clients for which it would have no file; it takes at least one."""
    if own.proxy is None:
        return own
    most = max(1, limit - _count_upstream_connections(own) - _OTHER_FILES)
    clients = min(own.proxy.max_connections, most)
    return replace(own, proxy=replace(own.proxy, max_connections=clients))


def _count_upstream_connections(own: Configuration) -> int:
    return sum(each.max_connections for each in own.upstreams.values())
