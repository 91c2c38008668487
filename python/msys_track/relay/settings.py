"""What may be set about the next hop; every default is stated, and why, where it is chosen."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings:
    """Where mail goes on to, and how long and how often we knock there."""

    host: str = "127.0.0.1"
    """Name or address; an IPv6 address without brackets."""

    port: int = 25

    ehlo_name: str | None = None
    """What EHLO says; None: the address literal of our end (RFC 5321 section 4.1.4)."""

    max_connections: int = 50
    """Connections open at one time; a message that finds all of them busy waits its turn."""

    connect_timeout_seconds: float = 10
    """For the TCP connection; greeting and EHLO have `reply_timeout_seconds`.

    A client's own EHLO waits no longer than this for all three.
    """

    reply_timeout_seconds: float = 120
    """For the answers to one group of commands (RFC 5321 section 4.5.3.2 asks for minutes)."""

    data_timeout_seconds: float = 600
    """For the answer after the dot: 10 minutes (RFC 5321 section 4.5.3.2.6)."""

    pool_wait_seconds: float = 60
    """How long a message waits for a free connection before its client gets a 451."""

    idle_seconds: float = 30
    """A connection unused for so long says QUIT; shorter than any MTA's own patience."""
