"""A log of a share of the requests, from which nobody can tell who read what."""

import random
from collections.abc import Callable
from http import HTTPMethod
from typing import Final

from msys_track.logs import event_logger

log = event_logger(__name__)

_METHODS: Final = frozenset(each.value.encode() for each in HTTPMethod)
_ROUTES: Final = (b"/f/", b"/q/", b"/o/", b"/u/", b"/e/", b"/.well-known/", b"/robots.txt")
_STATUS: Final = slice(9, 12)  # of "HTTP/1.1 302 …"


class AccessLog:
    """Decides what is logged, and logs it: method, route and status, and no more of a request.

    A path is a token that anyone who has it can follow, so that it is cut after its first part.

    Args:
        share: How many of the requests are logged, from 0 to 1.
        draw: Gives a number from 0 to below 1.
    """

    __slots__ = ("_draw", "_share")

    def __init__(self, share: float, draw: Callable[[], float] = random.random) -> None:
        self._share = share
        self._draw = draw

    def samples(self) -> bool:
        """Whether the requests of the next read are logged."""
        return self._share > 0 and self._draw() < self._share

    def note(self, method: bytes, target: bytes, head: bytes, *, is_encrypted: bool) -> None:
        """Log an answered request.

        Args:
            method: As it was sent.
            target: The request target.
            head: Of the answer, from its status line on.
            is_encrypted: Whether it came over TLS of ours.
        """
        route = next((each for each in _ROUTES if target.startswith(each)), b"other")
        log.info(
            "tracker.access",
            method=method.decode() if method in _METHODS else "other",
            route=route.decode(),
            status=int(head[_STATUS]),
            tls=is_encrypted,
        )
