"""Looks up the addresses of a webhook's host, and lets a connection be made to public ones only.

What is checked is what is connected to: a name that changes between two look-ups gains nothing.
"""

import errno
import socket

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from msys_track.sinks.webhook.addresses import is_public

__all__ = ["GuardedResolver", "PrivateAddressError"]


class PrivateAddressError(OSError):
    """A name leads to an address that is not on the public internet."""


class GuardedResolver(AbstractResolver):
    """The system's resolver, less private addresses."""

    def __init__(self) -> None:
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name.

        Raises:
            PrivateAddressError: one of them is private.
            OSError: the name can't be found.
        """
        found = await self._resolver.resolve(host, port, family)
        for each in found:
            if not is_public(each["host"]):
                text = f"{host} is {each['host']}, which is not on the public internet"
                raise PrivateAddressError(errno.EHOSTUNREACH, text)
        return found

    async def close(self) -> None:
        """End."""
        await self._resolver.close()
