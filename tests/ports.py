"""Ports for servers that have to know theirs, or their neighbour's, before they start."""

import socket
from contextlib import ExitStack


def find_free_ports(count: int) -> list[int]:
    """Find different ports of loopback that nobody listens on."""
    with ExitStack() as stack:
        servers = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [server.getsockname()[1] for server in servers]
