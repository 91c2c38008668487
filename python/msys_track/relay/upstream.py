"""The next hop: an interface to the pool, with the rule for when a second try is safe.

A message is tried again, once and on a fresh connection, only where the upstream can't have seen
it: a kept connection turned out closed before anything of the body was sent.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from msys_track.errors import UpstreamError
from msys_track.logs import event_logger
from msys_track.relay import transaction
from msys_track.relay.connection import (
    ConnectionFailedError,
    ConnectionGoneError,
    UpstreamConnection,
)
from msys_track.relay.pool import Pool
from msys_track.relay.settings import UpstreamSettings
from msys_track.relay.transaction import Delivery
from msys_track.smtp.capabilities import Capabilities
from msys_track.smtp.reply import Reply

__all__ = ["Delivery", "Upstream"]

log = event_logger(__name__)

_Result = TypeVar("_Result")

# While the upstream is down, not every EHLO of a client needs to try it again.
_ASK_AGAIN_SECONDS = 1.0


class Upstream:
    """Delivers transactions over persistent connections; use it within one event loop."""

    def __init__(self, settings: UpstreamSettings) -> None:
        self.settings = settings
        self._pool = Pool(settings)
        self._capabilities: Capabilities | None = None
        self._unknown_until = 0.0

    async def deliver(self, delivery: Delivery) -> Reply:
        """Hand over a message; return the upstream's acceptance.

        Raises:
            UpstreamError: the upstream's refusal; 451 when it is down, silent, or its answer
                to the message was lost.
        """
        return await self._use_connection(partial(transaction.deliver, delivery=delivery))

    async def verify(
        self, sender: str, parameters: Sequence[str], recipients: Sequence[str]
    ) -> None:
        """Ask whether the upstream takes all recipients, in a transaction that sends nothing.

        Raises:
            UpstreamError: the first refusal; 451 when the upstream is down or silent.
        """
        await self._use_connection(
            lambda connection: transaction.verify(connection, sender, parameters, recipients)
        )

    @property
    def offered(self) -> Capabilities | None:
        """What the upstream offered last; None if it has never been reached."""
        return self._capabilities

    async def capabilities(self) -> Capabilities:
        """Return what the upstream offered last, asking it if it has never been reached.

        Raises:
            UpstreamError: 451, it can't be reached.
        """
        if self._capabilities is not None:
            return self._capabilities
        loop = asyncio.get_running_loop()
        if loop.time() < self._unknown_until:
            raise self._report_failure("it was unreachable a moment ago")
        try:
            # No mail depends on it yet, so wait less long than for a mail.
            async with asyncio.timeout(self.settings.connect_timeout_seconds):
                return await self._use_connection(_read_capabilities)
        except TimeoutError as error:
            self._unknown_until = loop.time() + _ASK_AGAIN_SECONDS
            raise self._report_failure("no answer to EHLO in time") from error
        except UpstreamError:
            self._unknown_until = loop.time() + _ASK_AGAIN_SECONDS
            raise

    async def close(self) -> None:
        """Close idle connections now, and those in use when their transaction is done."""
        self._pool.close()

    async def _use_connection(
        self, work: Callable[[UpstreamConnection], Awaitable[_Result]]
    ) -> _Result:
        try:
            connection, is_fresh = await self._pool.acquire()
        except ConnectionFailedError as failure:
            raise self._report_failure(failure) from failure
        try:
            self._capabilities = connection.capabilities
            try:
                return await work(connection)
            except ConnectionGoneError:
                if is_fresh:
                    raise
            connection = await self._pool.replace(connection)
            self._capabilities = connection.capabilities
            return await work(connection)
        except ConnectionFailedError as failure:
            raise self._report_failure(failure) from failure
        finally:
            self._pool.release(connection)

    def _report_failure(self, why: object) -> UpstreamError:
        # Host and port are for the operator's log, not for clients.
        log.warning(
            "upstream.failed", host=self.settings.host, port=self.settings.port, why=str(why)
        )
        return UpstreamError(451, f"4.4.1 The upstream can't be used: {why}")


async def _read_capabilities(connection: UpstreamConnection) -> Capabilities:
    return connection.capabilities
