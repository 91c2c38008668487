"""The next hop: what the proxy asks of it, over persistent connections."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from msys_track.errors import UpstreamError
from msys_track.relay import transaction
from msys_track.relay.connection import Dialogue, UpstreamConnection
from msys_track.relay.exchange import Exchange
from msys_track.relay.identity import Identity
from msys_track.relay.lending import Lender
from msys_track.relay.opening import Opener
from msys_track.relay.settings import UpstreamSettings
from msys_track.relay.transaction import Delivery, Row
from msys_track.smtp.auth import Credentials
from msys_track.smtp.capabilities import Capabilities
from msys_track.smtp.path import Recipient
from msys_track.smtp.reply import Reply

__all__ = ["Delivery", "Exchange", "NextHop", "Row", "Transaction", "Upstream"]

# While the upstream is down, not every EHLO of a client needs to try it again.
_ASK_AGAIN_SECONDS = 1.0


class Transaction(Protocol):
    """What is asked of a transaction that is held open: see `Exchange`."""

    def add_recipient(self, recipient: Recipient) -> asyncio.Future[Reply]:
        """Ask whether the upstream takes a recipient."""
        ...

    async def deliver(self, delivery: Delivery) -> Reply:
        """Hand over a message."""
        ...

    def drop(self) -> None:
        """End the transaction; call it also after `deliver`."""
        ...


class NextHop(Protocol):
    """Where mail goes on to: one upstream, or several with the face of one (`relay/routes.py`)."""

    @property
    def identity(self) -> Identity:
        """The proxy that mail comes from, as upstreams know it."""
        ...

    @property
    def offered(self) -> Capabilities | None:
        """What was offered last; None while nothing has been reached."""
        ...

    async def capabilities(self) -> Capabilities:
        """Return what is offered, asking for it if nothing has been reached yet."""
        ...

    async def deliver(self, delivery: Delivery) -> Reply:
        """Hand over a message; return the acceptance."""
        ...

    async def deliver_row(self, row: Row) -> None:
        """Hand over messages one behind the other; what came of each is noted in the row."""
        ...

    def begin(self, sender: str, mail_parameters: tuple[str, ...]) -> Transaction:
        """Return a transaction whose recipients are asked about one by one."""
        ...

    async def verify(
        self, sender: str, mail_parameters: tuple[str, ...], recipients: Sequence[Recipient]
    ) -> None:
        """Ask whether all recipients are taken; nothing is sent."""
        ...

    async def close(self) -> None:
        """Close connections."""
        ...


class Upstream:
    """Delivers transactions over persistent connections; use it within one event loop."""

    def __init__(
        self,
        settings: UpstreamSettings,
        *,
        credentials: Credentials | None = None,
        identity: Identity | None = None,
        is_only: bool = True,
    ) -> None:
        """Prepare it; nothing is opened yet.

        Args:
            settings: Where it is, and how to use it.
            credentials: Who to be in AUTH, in place of the settings' user.
            identity: The proxy that mail comes from; a new one if there is none.
            is_only: Whether there is no other: one that leads back here then refuses for good.

        Raises:
            SettingsError: two settings don't go together, or a file of theirs can't be used.
        """
        self.settings = settings
        self.identity = identity or Identity()
        self._lender = Lender(Opener(settings, credentials, self.identity), is_only=is_only)
        self._unknown_until = 0.0

    @property
    def offered(self) -> Capabilities | None:
        """What the upstream offered last; None while it has never been reached."""
        return self._lender.offered

    def measure(self) -> dict[str, float]:
        """Return the state of its connections, as gauges."""
        return self._lender.measure()

    async def deliver(self, delivery: Delivery) -> Reply:
        """Hand over a message; return the upstream's acceptance.

        Raises:
            UpstreamError: the upstream's refusal; 451 when it is down, silent, or its answer
                to the message was lost.
        """
        return await self._lender.use(transaction.deliver, delivery)

    async def deliver_row(self, row: Row) -> None:
        """Hand over messages one behind the other, on one connection while nobody waits for it.

        What came of each is noted in the row: the upstream's acceptance, or an error as
        `deliver` raises it.
        """
        while row.delivery is not None:
            try:
                await self._lender.use(transaction.deliver_row, row, self._lender.can_spare)
            except UpstreamError as error:
                row.move_on(error)

    def begin(self, sender: str, mail_parameters: tuple[str, ...]) -> Exchange:
        """Return a transaction whose recipients the upstream is asked about one by one."""
        return Exchange(self._lender, sender, mail_parameters)

    async def verify(
        self, sender: str, mail_parameters: tuple[str, ...], recipients: Sequence[Recipient]
    ) -> None:
        """Ask whether the upstream takes all recipients, in transactions that send nothing.

        Raises:
            UpstreamError: the first refusal; 451 when the upstream is down or silent.
        """
        await self._lender.use(transaction.verify, sender, mail_parameters, recipients)

    async def capabilities(self) -> Capabilities:
        """Return what the upstream offered last, asking it if it has never been reached.

        Raises:
            UpstreamError: 451, it can't be reached.
        """
        if self.offered is not None:
            return self.offered
        loop = asyncio.get_running_loop()
        if loop.time() < self._unknown_until:
            raise self._lender.report_failure("it was unreachable a moment ago")
        try:
            # No mail depends on it yet, so wait less long than for a mail.
            async with asyncio.timeout(self.settings.connect_timeout_seconds):
                return await self._lender.use(_read_capabilities)
        except TimeoutError as error:
            self._unknown_until = loop.time() + _ASK_AGAIN_SECONDS
            raise self._lender.report_failure("no answer to EHLO in time") from error
        except UpstreamError:
            self._unknown_until = loop.time() + _ASK_AGAIN_SECONDS
            raise

    async def close(self) -> None:
        """Close idle connections now, and those in use when their transaction is done."""
        self._lender.close()


def _read_capabilities(connection: UpstreamConnection) -> Dialogue[Capabilities]:
    yield from ()
    return connection.capabilities
