"""Ports for servers that have to know theirs, or their neighbour's, before they start."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from random import Random
from typing import Final

_FIRST: Final = 11_000
"""Browsers refuse to visit some ports below it."""
_MOST_TRIES: Final = 1_000
_RANGE_OF_CLIENTS: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_FIRST_OF_CLIENTS: Final = 32_768
"""Where no file says it: systems give connections no lower ones by default."""


def find_free_ports(count: int) -> list[int]:
    """Find different ports of loopback that nobody listens on.

    A connection of another test gets none of them before the server starts, or starts again: they
    are below those that the system gives to clients. Processes of one run find different ones.

    Raises:
        OSError: There are not so many.
    """
    found: list[int] = []
    share = _our_ports()
    with ExitStack() as stack:
        for port in islice(share, _MOST_TRIES):
            with suppress(OSError):  # somebody listens there
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
                found.append(port)
            if len(found) == count:
                return found
    raise OSError(f"of {_MOST_TRIES} ports of 127.0.0.1 {len(found)} are free, not {count}")


@cache
def _our_ports() -> Iterator[int]:
    """Go round and round through this process's share, so that none comes again soon."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    share = range(_FIRST + number, _find_first_of_clients(), processes)
    begin = Random().randrange(len(share))  # noqa: S311 - another run begins elsewhere
    return cycle([*share[begin:], *share[:begin]])


def _find_first_of_clients() -> int:
    with suppress(OSError):
        first = int(_RANGE_OF_CLIENTS.read_text(encoding="ascii").split()[0])
        # Some systems give clients nearly all; none is theirs alone then.
        return first if first > 2 * _FIRST else _FIRST_OF_CLIENTS
    return _FIRST_OF_CLIENTS
