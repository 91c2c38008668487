"""Lends connections, with the rule for when a second try is safe.

A dialogue is played again, once and on a fresh connection, only where the upstream can't have the
message: a kept connection turned out closed before anything of the body was sent, or the upstream
has had enough of it.
"""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar, TypeVarTuple

from msys_track.errors import UpstreamError
from msys_track.logs import event_logger
from msys_track.relay.connection import (
    ConnectionFailedError,
    Dialogue,
    UpstreamConnection,
)
from msys_track.relay.envelope import ExtensionMissingError
from msys_track.relay.identity import RoutingLoopError
from msys_track.relay.opening import Opener
from msys_track.relay.pool import Held, Pool
from msys_track.relay.transaction import WORN, reset
from msys_track.smtp.capabilities import Capabilities

log = event_logger(__name__)

# RFC 3463 section 3.5; the class of the status goes before it.
LOOP: Final = ".4.6 Routing loop detected"

_Result = TypeVar("_Result")
_Arguments = TypeVarTuple("_Arguments")


class Lender:
    """Plays dialogues on the connections of a pool.

    Attributes:
        offered: What the connection that was opened last offers; None before the first.
    """

    def __init__(self, opener: Opener, *, is_only: bool = True) -> None:
        """Lend what `opener` opens; `is_only` says whether there is no other upstream."""
        self.offered: Capabilities | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._address = opener.settings.address
        self._pool = Pool(opener)
        self._resets: set[asyncio.Task[None]] = set()
        self._has_offered: set[str] = set()
        self._is_only = is_only

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that it is used in; to ask asyncio for it each time is a call of the system."""
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return self._loop

    async def use(
        self,
        begin: Callable[[UpstreamConnection, *_Arguments], Dialogue[_Result]],
        *arguments: *_Arguments,
    ) -> _Result:
        """Play a dialogue and return its result.

        Raises:
            UpstreamError: refused, down, silent, or the answer to the message was lost.
        """
        connection, result = await self.lend(begin, *arguments)
        self._pool.release(connection)
        return result

    async def lend(
        self,
        begin: Callable[[UpstreamConnection, *_Arguments], Dialogue[_Result]],
        *arguments: *_Arguments,
    ) -> tuple[UpstreamConnection, _Result]:
        """Play a dialogue; return its result and the connection, which is to be released.

        Raises:
            UpstreamError: refused, down, silent, or the answer to the message was lost.
        """
        try:
            connection, is_fresh = await self._pool.acquire()
        except ConnectionFailedError as failure:
            raise self.report_failure(failure) from failure
        if is_fresh:
            return await self._lend_fresh(connection, begin, *arguments)
        try:
            return connection, await connection.play(begin(connection, *arguments))
        except WORN as error:
            return await self.lend_again(connection, error, begin, *arguments)
        except BaseException as error:
            self._pool.release(connection)
            raise self.judge(error) from error

    async def lend_again(
        self,
        connection: UpstreamConnection,
        error: Exception,
        begin: Callable[[UpstreamConnection, *_Arguments], Dialogue[_Result]],
        *arguments: *_Arguments,
    ) -> tuple[UpstreamConnection, _Result]:
        """As `lend`, after `error`, one of `WORN`, came of this on a kept connection.

        Raises:
            UpstreamError: refused, down, silent, or the answer to the message was lost.
        """
        try:
            fresh = await self._replace(connection, error)
        except BaseException as failure:
            self._pool.release(connection)
            raise self.judge(failure) from failure
        return await self._lend_fresh(fresh, begin, *arguments)

    async def _lend_fresh(
        self,
        connection: UpstreamConnection,
        begin: Callable[[UpstreamConnection, *_Arguments], Dialogue[_Result]],
        *arguments: *_Arguments,
    ) -> tuple[UpstreamConnection, _Result]:
        self._note_offer(connection.capabilities)
        try:
            return connection, await connection.play(begin(connection, *arguments))
        except BaseException as error:
            self._pool.release(connection)
            raise self.judge(error) from error

    def can_spare(self, connection: UpstreamConnection) -> bool:
        """Whether whoever has this connection may use it once more before it is given back."""
        return self._pool.can_spare(connection)

    def take_idle(self) -> UpstreamConnection | None:
        """Lend a kept connection if one is idle."""
        return self._pool.take_idle()

    def judge(self, error: BaseException) -> BaseException:
        """Return what an error of a dialogue is for whoever wanted its result."""
        if isinstance(error, ConnectionFailedError):
            return self.report_failure(error)
        if isinstance(error, ExtensionMissingError):
            return self._put_off(error)
        return error

    def measure(self) -> dict[str, float]:
        """Return the state of the pool, as gauges."""
        return self._pool.measure()

    def release(self, connection: UpstreamConnection) -> None:
        """Give a lent connection back, in whatever state it is."""
        self._pool.release(connection)

    def reset(self, connection: UpstreamConnection) -> None:
        """Give a lent connection back once its transaction is reset."""
        task = self.loop.create_task(self._reset(connection))
        self._resets.add(task)
        task.add_done_callback(self._resets.discard)

    def hold(self, held: Held) -> None:
        """Let a transaction keep its connection until others need it."""
        self._pool.hold(held)

    def let_go(self, held: Held) -> None:
        """Forget a held transaction; it ends, or its message is sent."""
        self._pool.let_go(held)

    def close(self) -> None:
        """Close idle connections now, and those in use when they are released."""
        self._pool.close()

    def report_failure(self, why: object) -> UpstreamError:
        """Log that the upstream can't be used, and return the answer to the client."""
        if isinstance(why, RoutingLoopError):
            return self._report_loop()
        # The address is for the operator's log, not for clients.
        log.warning("upstream.failed", upstream=str(self._address), why=str(why))
        text = f"4.4.1 The upstream can't be used: {why}"
        return UpstreamError(451, text, outcome="not_sent")

    def _report_loop(self) -> UpstreamError:
        if self._is_only:
            return UpstreamError(554, f"5{LOOP}")
        # Another upstream may take the mail, now or when it is up again.
        return UpstreamError(451, f"4{LOOP}", outcome="not_sent")

    async def _replace(
        self, connection: UpstreamConnection, error: Exception
    ) -> UpstreamConnection:
        """Return a fresh connection if it may do better; else raise the error."""
        if isinstance(error, ExtensionMissingError) and self.offered == connection.capabilities:
            raise error
        try:
            return await self._pool.replace(connection)
        except ConnectionFailedError:
            if isinstance(error, UpstreamError):
                raise error from None
            raise

    async def _reset(self, connection: UpstreamConnection) -> None:
        try:
            await connection.play(reset(connection))
        except ConnectionFailedError:
            pass  # it was closed while it was held
        finally:
            self._pool.release(connection)

    def _note_offer(self, offered: Capabilities) -> None:
        self.offered = offered
        self._has_offered |= {
            name for name in ("eight_bit_mime", "smtp_utf8") if getattr(offered, name)
        }

    def _put_off(self, error: ExtensionMissingError) -> UpstreamError:
        """Answer 4xx for what the upstream did take before: it may do so again."""
        if error.extension not in self._has_offered:
            return error
        text = f"4{error.text[1:]} at the moment"
        return UpstreamError(451, text, outcome="not_sent")
