"""The face of the spool: mail is kept, and sent again until the upstream takes or refuses it."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from sqlite3 import Connection
from typing import Final, Protocol

from msys_track.errors import PartlyTakenError, SpoolError, SpoolFullError, UpstreamError
from msys_track.logs import event_logger
from msys_track.metrics import Counters
from msys_track.relay.transaction import Delivery
from msys_track.smtp.capabilities import Capabilities
from msys_track.smtp.path import Recipient
from msys_track.smtp.reply import Reply
from msys_track.spool import queue
from msys_track.spool.backoff import find_pause
from msys_track.spool.clock import Clock
from msys_track.spool.committer import Committer, Work
from msys_track.spool.copy import KeptCopy
from msys_track.spool.file import SpoolFile
from msys_track.spool.queue import Part, Totals
from msys_track.spool.reports import Reporter
from msys_track.spool.settings import SpoolSettings
from msys_track.spool.worker import WorkerLock, remove_dead

log = event_logger(__name__)

# What other workers and commands did is seen so late.
_POLL_SECONDS: Final = 5.0
# In memory at one time, of all copies that are being sent again.
_MAX_SENT_BYTES: Final = 64 * 1024 * 1024
_PAGES_GIVEN_BACK: Final = 1024
_PAGES_IF_SCARCE: Final = 16
# While the upstream is down, one worker tries it no more often than this.
_FIRST_PAUSE_SECONDS: Final = 1.0
_LAST_PAUSE_SECONDS: Final = 60.0
_DEFECT: Final = "451 4.3.0 Internal error of the tracking proxy"


class Relay(Protocol):
    """Where kept mail goes on to."""

    @property
    def offered(self) -> Capabilities | None:
        """What it offered last; None while that is not known."""

    async def deliver(self, delivery: Delivery) -> Reply:
        """Hand a message over, or raise `UpstreamError`."""


class Spool:
    """Keeps mail on disk and sends it again; use it within one event loop.

    Several workers may have the same folder: each copy is sent by one of them.

    Attributes:
        settings: What it was made with.
        totals: How much is kept, as far as is known now.
    """

    def __init__(  # noqa: PLR0913 - the parts of one spool
        self,
        settings: SpoolSettings,
        upstream: Relay,
        counters: Counters,
        *,
        hostname: str,
        clock: Clock | None = None,
        poll_seconds: float = _POLL_SECONDS,
    ) -> None:
        self.settings = settings
        self._upstream = upstream
        self._counters = counters
        self._clock = clock or Clock.of_machine()
        self._reporter = Reporter(
            settings=settings,
            clock=self._clock,
            reporting_mta=hostname,
            takes_eight_bit=self._takes_eight_bit,
        )
        self._poll_seconds = poll_seconds
        self._file = SpoolFile(settings.path)
        self._committer = Committer(self._file)
        self._lock: WorkerLock | None = None
        self.totals = Totals(0, 0)
        self._oldest_uptime: float | None = None
        self._is_usable = False
        self._has_reserve = False
        self._sending: dict[asyncio.Task[None], int] = {}
        self._wake = asyncio.Event()
        self._tending: asyncio.Task[None] | None = None
        self._is_closing = False
        self._pause_seconds = 0.0
        self._paused_until = 0.0

    async def start(self) -> None:
        """Open the file and begin to send what is in it.

        A file that can't be used is logged and tried again: mail that needs no spool goes on.
        """
        await self._tend()
        loop = asyncio.get_running_loop()
        self._tending = loop.create_task(self._run(), name="spool")

    async def close(self, grace_seconds: float = 10) -> None:
        """Begin nothing more, wait for what is being sent, and close the file."""
        self._is_closing = True
        self._wake.set()
        if self._tending is not None:
            await self._tending
        if self._sending:
            await asyncio.wait(self._sending, timeout=grace_seconds)
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        await self._committer.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    @property
    def keeps_always(self) -> bool:
        """Whether mail is kept too of which nothing could be sent."""
        return self.settings.mode == "always"

    @property
    def oldest_seconds(self) -> float:
        """The age of the oldest copy that waits, as far as is known now; 0 if none does."""
        oldest = self._oldest_uptime
        return 0.0 if oldest is None else self._clock.uptime() - oldest

    def has_room(self, size: int) -> bool:
        """Whether so many bytes would be kept, as far as is known now."""
        return (
            self._is_usable
            and self._has_reserve
            and self.totals.copies < self.settings.max_copies
            and self.totals.bytes + size <= self.settings.max_bytes
        )

    async def keep(
        self,
        mail_parameters: tuple[str, ...],
        deliveries: Iterable[Delivery],
        *,
        envelope_id: str,
        why: str,
    ) -> str:
        """Keep what could not be sent yet; return the queue id when it is on disk.

        Args:
            mail_parameters: Those of MAIL.
            deliveries: One for each copy. They are taken one by one in the spool's thread, so
                that a copy may be rendered when it is its turn.
            envelope_id: The name that the log has for the mail.
            why: What stopped it: the code and text of a reply.

        Raises:
            SpoolFullError: it would exceed a limit, or the disk is full; nothing was kept.
            SpoolError: the file can't be used; nothing was kept.
        """
        pause = find_pause(1, self.settings.first_retry_seconds, self.settings.last_retry_seconds)
        mail = await self._keep(mail_parameters, deliveries, envelope_id, why, due_seconds=pause)
        if pause < self._poll_seconds:
            self._wake.set()
        return mail

    async def report(
        self,
        mail_parameters: tuple[str, ...],
        deliveries: Iterable[Delivery],
        *,
        envelope_id: str,
        why: str,
    ) -> str:
        """Take over what was refused for good: a report goes to the sender, as they wish.

        Arguments, result and errors are those of `keep`.
        """
        mail = await self._keep(mail_parameters, deliveries, envelope_id, why, has_failed=True)
        self._wake.set()
        return mail

    async def _keep(  # noqa: PLR0913 - what a mail consists of
        self,
        mail_parameters: tuple[str, ...],
        deliveries: Iterable[Delivery],
        envelope_id: str,
        why: str,
        *,
        due_seconds: float = 0,
        has_failed: bool = False,
    ) -> str:
        def work(connection: Connection) -> tuple[str, Totals]:
            if not self._file.has_reserve:
                raise SpoolFullError(
                    f"{self.settings.path}: the disk is full, or the file may not grow; make room"
                )
            mail = queue.keep(
                connection,
                self._clock,
                self.settings,
                mail_parameters=mail_parameters,
                deliveries=deliveries,
                envelope_id=envelope_id,
                answer=why,
                due_seconds=due_seconds,
                has_failed=has_failed,
            )
            return mail, queue.read_totals(connection)

        try:
            mail, self.totals = await self._committer.run(work)
        except SpoolError:
            self._counters.add("spool.refused")
            raise
        self._counters.add("spool.reported" if has_failed else "spool.kept")
        log.info("spool.kept", queue_id=mail, envelope_id=envelope_id, answer=why)
        return mail

    # What is in the spool

    async def _run(self) -> None:
        while not self._is_closing:
            self._wake.clear()
            try:
                seconds = await self._tend()
                if await self._give_pages_back():
                    continue
            except Exception:  # a defect of one round must not be the end of them all
                log.exception("spool.failed")
                seconds = self._poll_seconds
            with suppress(TimeoutError):
                async with asyncio.timeout(min(seconds, self._poll_seconds)):
                    await self._wake.wait()

    async def _tend(self) -> float:
        """Make reports, send what is due, and return in how many seconds to do so again."""
        room = _MAX_SENT_BYTES - sum(self._sending.values())
        slots = self.settings.copies_at_once - len(self._sending)
        if room <= 0 or self._clock.uptime() < self._paused_until:
            slots = 0
        work = partial(self._find_work, slots=slots, room=room)
        try:
            claimed, due = await self._committer.run(work)
        except (SpoolError, OSError) as error:  # OSError: of the files beside the queue's
            if self._is_usable or self._tending is None:
                log.error("spool.unusable", why=str(error))  # noqa: TRY400 - the disk's fault
            self._is_usable = False
            return self._poll_seconds
        if not self._is_usable:
            log.info("spool.opened", **self.totals._asdict())
        self._is_usable = True
        loop = asyncio.get_running_loop()
        for copy in claimed:
            if self._is_closing:
                self._committer.submit(partial(queue.release, copy=copy))
                continue
            task = loop.create_task(self._send(copy), name=f"spool {copy.name}")
            self._sending[task] = copy.size
            task.add_done_callback(self._end_sending)
        return due

    def _takes_eight_bit(self) -> bool:
        offered = self._upstream.offered
        return offered is not None and offered.eight_bit_mime

    async def _give_pages_back(self) -> bool:
        is_scarce = not self._has_reserve
        # A step needs a journal of its size, which a full disk has no room for.
        pages = _PAGES_IF_SCARCE if is_scarce else _PAGES_GIVEN_BACK
        with suppress(SpoolError):
            return await self._committer.run(
                partial(queue.give_pages_back, pages=pages, is_scarce=is_scarce)
            )
        return False

    def _find_work(
        self, connection: Connection, *, slots: int, room: int
    ) -> tuple[list[KeptCopy], float]:
        """Do one round in the spool's thread; return what to send, and when more is due."""
        folder, clock = self._file.folder, self._clock
        if self._lock is None:
            self._lock = WorkerLock(folder)
            remove_dead(folder)
        self._has_reserve = self._file.take_reserve()
        self.totals = queue.read_totals(connection)
        if self.totals.copies == 0:
            self._oldest_uptime = None
            return [], self._poll_seconds
        queue.settle_clock(connection, clock)
        self._oldest_uptime = queue.find_oldest(connection)
        queue.free_dead_claims(connection, folder, self._lock.name)
        queue.fail_expired(connection, clock, self.settings.give_up_hours * 3600)
        self._reporter.report_failures(connection)
        self._reporter.report_delays(connection)
        claimed: list[KeptCopy] = []
        if slots:
            claimed = queue.claim_due(
                connection, clock, self._lock.name, max_copies=slots, max_bytes=room
            )
        due = queue.find_next_due(connection) if len(claimed) < slots else None
        wait = 0.0 if due is None else due - clock.uptime()
        # What is due but had no room waits for the end of something that is being sent.
        return claimed, wait if wait > 0 else self._poll_seconds

    def _end_sending(self, task: asyncio.Task[None]) -> None:
        del self._sending[task]
        self._wake.set()

    async def _send(self, copy: KeptCopy) -> None:
        try:
            await self._record(copy, await self._try(copy))
        except asyncio.CancelledError:
            # Nothing is known of what was sent: it is due again as after any failure.
            self._committer.submit(self._defer(copy, "451 4.3.2 The proxy was stopped"))
            raise
        except Exception:  # a copy that stays claimed would neither be sent nor given up
            log.exception("spool.failed", queue_id=copy.name)
            await self._record(copy, self._defer(copy, _DEFECT))

    async def _try(self, copy: KeptCopy) -> Work[None]:
        """Send a copy; return what to write about it."""
        try:
            wire = await self._committer.run(partial(queue.read_body, body=copy.body))
            reply = await self._upstream.deliver(
                Delivery(
                    sender=copy.sender,
                    mail_parameters=copy.mail_parameters,
                    recipients=copy.recipients,
                    wire=wire,
                    size=copy.size,
                    is_seven_bit=copy.is_seven_bit,
                )
            )
        except UpstreamError as error:
            return self._judge(copy, error)
        except SpoolError as error:
            log.warning("spool.unread", queue_id=copy.name, why=str(error))
            return partial(queue.release, copy=copy)
        self._pause_seconds = 0.0
        self._counters.add("spool.relayed")
        log.info(
            "spool.relayed",
            queue_id=copy.name,
            envelope_id=copy.envelope_id,
            attempts=copy.attempts + 1,
            kept_seconds=round(self._clock.uptime() - copy.kept_uptime),
            answer=f"{reply.code} {reply.text}",
        )
        return partial(queue.remove, copy=copy)

    def _judge(self, copy: KeptCopy, error: UpstreamError) -> Work[None]:
        answer = f"{error.code} {error.text}"
        fields = {"queue_id": copy.name, "envelope_id": copy.envelope_id, "answer": answer}
        if error.outcome == "not_sent":
            self._pause_seconds = min(
                max(2 * self._pause_seconds, _FIRST_PAUSE_SECONDS), _LAST_PAUSE_SECONDS
            )
            self._paused_until = self._clock.uptime() + self._pause_seconds
        else:
            self._pause_seconds = 0.0
        parts: list[Part] = []
        if isinstance(error, PartlyTakenError):
            left = [each for each in copy.recipients if each.path in error.refused]
            parts = [self._judge_part(copy, each, error.refused[each.path]) for each in left]
        elif error.outcome == "refused" and len(copy.recipients) > 1:
            parts = [Part(each, answer) for each in copy.recipients]
        if parts:
            log.info("spool.split", **fields, recipients=len(parts))
            return partial(queue.split, clock=self._clock, copy=copy, parts=parts)
        if error.is_final:
            self._counters.add("spool.failed")
            log.warning("spool.refused", **fields)
            return partial(queue.fail, clock=self._clock, copy=copy, answer=answer)
        self._counters.add("spool.deferred")
        log.info("spool.deferred", **fields, attempts=copy.attempts + 1, outcome=error.outcome)
        return self._defer(copy, answer)

    def _judge_part(self, copy: KeptCopy, recipient: Recipient, error: UpstreamError) -> Part:
        return Part(
            recipient,
            f"{error.code} {error.text}",
            due_seconds=self._find_pause(copy),
            has_failed=error.is_final,
        )

    def _defer(self, copy: KeptCopy, answer: str) -> Work[None]:
        seconds = self._find_pause(copy)
        return partial(queue.defer, clock=self._clock, copy=copy, answer=answer, seconds=seconds)

    def _find_pause(self, copy: KeptCopy) -> float:
        settings = self.settings
        # The first pause was that before the first attempt.
        attempts = copy.attempts + 2
        return find_pause(attempts, settings.first_retry_seconds, settings.last_retry_seconds)

    async def _record(self, copy: KeptCopy, outcome: Work[None]) -> None:
        """Write what came of a copy; while the disk is full it stays claimed, not sent again."""
        while True:
            try:
                await self._committer.run(outcome)
            except SpoolError as error:
                log.error("spool.not_recorded", queue_id=copy.name, why=str(error))  # noqa: TRY400 - the disk's fault
                await asyncio.sleep(self._poll_seconds)
            else:
                return
