"""Which of several upstreams takes a mail, and which one does if that one fails.

By priority first, as MX records are; among those of one priority each gets its share by weight.
Another one is tried only where the first can't have the mail.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial, reduce
from itertools import groupby
from typing import Final, NamedTuple, TypeVar

from msys_track.errors import UpstreamError
from msys_track.logs import event_logger
from msys_track.metrics import Counters
from msys_track.relay.envelope import ExtensionMissingError
from msys_track.relay.exchange import Exchange
from msys_track.relay.health import Health
from msys_track.relay.identity import Identity
from msys_track.relay.settings import UpstreamSettings
from msys_track.relay.transaction import Delivery, Row
from msys_track.relay.upstream import Upstream
from msys_track.smtp.auth import Credentials
from msys_track.smtp.capabilities import Capabilities
from msys_track.smtp.path import Recipient
from msys_track.smtp.reply import Reply

log = event_logger(__name__)

_Result = TypeVar("_Result")

_NONE_USABLE: Final = "4.4.1 No upstream can be used at the moment"


def make_next_hop(
    settings: Mapping[str, UpstreamSettings],
    counters: Counters,
    *,
    credentials: Credentials | None = None,
    identity: Identity | None = None,
) -> "Upstream | Routes":
    """Make what mail goes on to: the upstream itself if there is one, else routes to several.

    Args:
        settings: Of each upstream, by its name.
        counters: Counts what becomes of several.
        credentials: Who to be in AUTH, in place of the settings' users.
        identity: The proxy that mail comes from; a new one if there is none.

    Raises:
        SettingsError: what one of them needs can't be used.
    """
    if len(settings) == 1:
        (only,) = settings.values()
        return Upstream(only, credentials=credentials, identity=identity or Identity(counters))
    return Routes(settings, counters, credentials=credentials, identity=identity)


class Route:
    """One upstream among several.

    Attributes:
        name: As the configuration has it.
        credit: What its weight has earned it since it was last chosen.
    """

    __slots__ = ("_counters", "credit", "health", "name", "settings", "upstream")

    def __init__(
        self,
        name: str,
        settings: UpstreamSettings,
        counters: Counters,
        credentials: Credentials | None,
        identity: Identity,
    ) -> None:
        self.name = name
        self.settings = settings
        self.upstream = Upstream(
            settings, credentials=credentials, identity=identity, is_only=False
        )
        self.health = Health(settings.back_off_seconds, random.random)
        self.credit = 0
        self._counters = counters

    async def deliver(self, delivery: Delivery, held: Exchange | None = None) -> Reply:
        """Hand over a message, in the transaction that is held open if there is one.

        Raises:
            UpstreamError: as `Upstream.deliver` does.
        """
        reply = await self.use(lambda upstream: (held or upstream).deliver(delivery))
        return Reply(reply.code, reply.text, self.name)

    async def use(self, work: Callable[[Upstream], Awaitable[_Result]]) -> _Result:
        """Do something with the upstream, and note how it fared.

        Raises:
            UpstreamError: as `work` does.
        """
        is_probe = self.health.begin()
        try:
            result = await work(self.upstream)
        except UpstreamError as error:
            self.note_failure(error, is_probe=is_probe)
            raise
        except BaseException:
            if is_probe:
                self.health.give_up()
            raise
        self.note_success()
        return result

    def note_success(self) -> None:
        """Note that it answered."""
        if self.health.succeed():
            self._counters.add("upstreams.came_up")
            log.info("upstream.up", name=self.name, upstream=str(self.settings.address))

    def note_failure(self, error: UpstreamError, *, is_probe: bool) -> None:
        """Note an error: a refusal is an answer too, and lacking an extension is no failure."""
        if error.outcome == "refused" or isinstance(error, ExtensionMissingError):
            self.note_success()
            return
        now = asyncio.get_running_loop().time()
        seconds = self.health.fail(now, is_probe=is_probe)
        if seconds is not None:
            self._counters.add("upstreams.went_down")
            log.warning(
                "upstream.down",
                name=self.name,
                upstream=str(self.settings.address),
                why=error.text,
                retry_seconds=round(seconds, 1),
            )

    def lets_others_try(self, error: UpstreamError) -> bool:
        """Whether another upstream may be asked after this error."""
        is_put_off = error.outcome == "refused" and error.code // 100 == 4  # noqa: PLR2004 - 4xx
        return error.outcome == "not_sent" or (is_put_off and self.settings.next_on_4xx)


class Routes:
    """Several upstreams with the face of one; use it within one event loop."""

    def __init__(
        self,
        settings: Mapping[str, UpstreamSettings],
        counters: Counters,
        *,
        credentials: Credentials | None = None,
        identity: Identity | None = None,
    ) -> None:
        """Prepare them; nothing is opened yet.

        Args:
            settings: Of each upstream, by its name.
            counters: Counts each change of health, and mail that another one had to take.
            credentials: Who to be in AUTH, in place of the settings' users.
            identity: The proxy that mail comes from; a new one if there is none.

        Raises:
            SettingsError: what one of them needs can't be used.
        """
        self.identity = identity or Identity(counters)
        self._counters = counters
        routes = [
            Route(name, each, counters, credentials, self.identity)
            for name, each in settings.items()
        ]
        routes.sort(key=_priority)
        self._groups = [tuple(group) for _, group in groupby(routes, _priority)]
        self._routes: Sequence[Route] = routes

    @property
    def offered(self) -> Capabilities | None:
        """What those that mail goes to now offered last; None while none has been reached."""
        for group in self._usable_groups():
            known = [each.upstream.offered for each in group if each.upstream.offered is not None]
            if known:
                return reduce(Capabilities.intersect, known)
        return None

    async def capabilities(self) -> Capabilities:
        """Return what all of the best ones offer, as any of them may get the mail.

        Raises:
            UpstreamError: 451, none can be reached.
        """
        for group in self._usable_groups():
            known = [each.upstream.offered for each in group if each.upstream.offered is not None]
            if len(known) == len(group):
                return reduce(Capabilities.intersect, known)
            # Asking makes no mail wait, so it is no probe: it only leaves out who does not answer.
            answers = await asyncio.gather(
                *(each.upstream.capabilities() for each in group), return_exceptions=True
            )
            offered = [each for each in answers if isinstance(each, Capabilities)]
            if offered:
                return reduce(Capabilities.intersect, offered)
        raise UpstreamError(451, _NONE_USABLE, outcome="not_sent")

    async def deliver(self, delivery: Delivery) -> Reply:
        """Hand over a message to one of them; return its acceptance.

        Raises:
            UpstreamError: the refusal of one; 451 when none can be used, or the answer to the
                message was lost.
        """
        return await self.use(lambda route: route.deliver(delivery))

    async def deliver_row(self, row: Row) -> None:
        """Hand over messages one behind the other; what came of each is noted in the row.

        Each goes by itself, as another upstream may have to take it.
        """
        while row.delivery is not None:
            try:
                result: Reply | UpstreamError = await self.deliver(row.delivery)
            except UpstreamError as error:
                result = error
            row.move_on(result)

    async def verify(
        self, sender: str, mail_parameters: tuple[str, ...], recipients: Sequence[Recipient]
    ) -> None:
        """Ask one of them whether it takes all recipients; nothing is sent.

        Raises:
            UpstreamError: the first refusal; 451 when none can be used.
        """

        async def verify(route: Route) -> None:
            await route.use(lambda upstream: upstream.verify(sender, mail_parameters, recipients))

        await self.use(verify)

    def begin(self, sender: str, mail_parameters: tuple[str, ...]) -> "RoutedExchange":
        """Return a transaction whose recipients one of them is asked about one by one."""
        return RoutedExchange(self, sender, mail_parameters)

    def measure(self) -> dict[str, float]:
        """Return the state of all connections, as gauges."""
        total: Counter[str] = Counter()
        for route in self._routes:
            total.update({name: int(value) for name, value in route.upstream.measure().items()})
        return dict(total)

    async def close(self) -> None:
        """Close idle connections now, and those in use when their transaction is done."""
        for route in self._routes:
            await route.upstream.close()

    async def use(
        self,
        work: Callable[[Route], Awaitable[_Result]],
        tried: Collection[Route] = (),
    ) -> _Result:
        """Do something with one route, and with the next ones as long as that is safe.

        Raises:
            UpstreamError: the refusal of one, or why the first could not be used.
        """
        excluded = set(tried)
        first: UpstreamError | None = None
        while (route := self.choose(excluded)) is not None:
            excluded.add(route)
            if len(excluded) > 1:
                self.note_move()
            try:
                return await work(route)
            except UpstreamError as error:
                if not route.lets_others_try(error):
                    raise
                if first is None or first.outcome == "not_sent":
                    first = error
        raise first or UpstreamError(451, _NONE_USABLE, outcome="not_sent")

    def choose(self, excluded: Collection[Route]) -> Route | None:
        """Choose the upstream for a mail; None if there is none that is worth a try."""
        now = asyncio.get_running_loop().time()
        for group in self._groups:
            usable = [
                each for each in group if each not in excluded and each.health.is_usable(now)
            ]
            if usable:
                return _take_turn(usable)
        if excluded:
            return None
        # All are down. Rather than refuse all mail until one is due, a mail at a time finds out.
        waiting = [each for each in self._routes if not each.health.is_probed]
        return min(waiting, key=lambda each: each.health.retry_at, default=None)

    def note_move(self) -> None:
        """Count that an upstream could not take a mail, and another one is tried."""
        self._counters.add("upstreams.failed_over")

    def _usable_groups(self) -> list[list[Route]]:
        """Return the groups that mail may go to, the best first; all of them if none is up."""
        groups = [[each for each in group if each.health.is_up] for group in self._groups]
        return [each for each in groups if each] or [list(each) for each in self._groups]


class _Held(NamedTuple):
    """Where a transaction is held open, and whether it finds out if the upstream is up again."""

    route: Route
    exchange: Exchange
    is_probe: bool


class RoutedExchange:
    """One client's transaction; it moves to the next upstream when its own can't go on."""

    def __init__(self, routes: Routes, sender: str, mail_parameters: tuple[str, ...]) -> None:
        self._routes = routes
        self._sender = sender
        self._mail_parameters = mail_parameters
        self._tried: list[Route] = []
        self._held: _Held | None = None
        self._accepted: list[Recipient] = []

    def add_recipient(self, recipient: Recipient) -> asyncio.Future[Reply]:
        """Ask whether the upstream takes a recipient.

        Returns:
            As `Exchange.add_recipient` does.
        """
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        if self._held is None:
            self._move()
        if self._held is None:
            answer.set_exception(UpstreamError(451, _NONE_USABLE, outcome="not_sent"))
            answer.exception()  # the client may have gone without waiting for it
        else:
            self._ask(self._held, recipient, answer)
        return answer

    async def deliver(self, delivery: Delivery) -> Reply:
        """Hand over a message; in this transaction if it is just for its recipients.

        Raises:
            UpstreamError: as `Routes.deliver` does.
        """
        held = self._held
        if held is None:
            return await self._routes.deliver(delivery)
        try:
            return await held.route.deliver(delivery, held.exchange)
        except UpstreamError as error:
            if not held.route.lets_others_try(error):
                raise
            first = error
        try:
            return await self._routes.use(lambda route: route.deliver(delivery), tried=self._tried)
        except UpstreamError as error:
            raise first if error.outcome == "not_sent" else error from None

    def drop(self) -> None:
        """End the transaction without a message; call it also after `deliver`."""
        if self._held is not None:
            self._held.exchange.drop()
            if self._held.is_probe:
                self._held.route.health.give_up()

    def _move(self) -> bool:
        """Go to the next upstream; return False if there is none."""
        route = self._routes.choose(self._tried)
        if route is None:
            return False
        if self._held is not None:
            self._held.exchange.drop()
            self._routes.note_move()
        self._tried.append(route)
        exchange = route.upstream.begin(self._sender, self._mail_parameters)
        self._held = _Held(route, exchange, route.health.begin())
        # The client has been told that these are taken. If this upstream does not take one, the
        # message will be refused.
        for recipient in self._accepted:
            exchange.add_recipient(recipient)
        return True

    def _ask(self, held: _Held, recipient: Recipient, answer: asyncio.Future[Reply]) -> None:
        asked = held.exchange.add_recipient(recipient)
        asked.add_done_callback(partial(self._pass_on, held, recipient, answer))

    def _pass_on(
        self,
        held: _Held,
        recipient: Recipient,
        answer: asyncio.Future[Reply],
        asked: asyncio.Future[Reply],
    ) -> None:
        """Give the upstream's answer to the client, or ask the next one."""
        if answer.done() or asked.cancelled():
            answer.cancel()
            return
        failure = asked.exception()
        refusal: UpstreamError | None = None
        if failure is None:
            held.route.note_success()
            if asked.result().is_positive:
                self._accepted.append(recipient)
            elif not self._accepted:
                refusal = UpstreamError(asked.result().code, asked.result().text)
        elif isinstance(failure, UpstreamError):
            held.route.note_failure(failure, is_probe=held.is_probe)
            refusal = failure
        if (
            refusal is not None
            and held.route.lets_others_try(refusal)
            and (self._held is not held or self._move())
            and self._held is not None
        ):
            self._ask(self._held, recipient, answer)
        elif failure is None:
            answer.set_result(asked.result())
        else:
            answer.set_exception(failure)
            answer.exception()


def _priority(route: Route) -> int:
    return route.settings.priority


def _take_turn(routes: Sequence[Route]) -> Route:
    """Return the one whose turn it is: each gets its share, evenly spread.

    Every turn earns each its weight, and who has most pays for all of them.
    """
    if len(routes) == 1:
        return routes[0]
    for each in routes:
        each.credit += each.settings.weight
    chosen = max(routes, key=lambda each: each.credit)
    chosen.credit -= sum(each.settings.weight for each in routes)
    return chosen
