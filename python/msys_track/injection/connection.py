"""The command machine on a socket: what arrives is answered where it arrives, with one write.

Time-outs are one sweep over all sessions. A client that does not read what it is told, or is far
ahead of us, is not read until it does.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from msys_track.injection.budget import Hold
from msys_track.injection.shared import Shared
from msys_track.injection.transaction import INTERNAL
from msys_track.logs import event_logger
from msys_track.smtp.commands.events import Event
from msys_track.smtp.commands.machine import CommandLimits, Machine
from msys_track.smtp.commands.offer import Offer
from msys_track.smtp.reply import Reply

log = event_logger(__name__)

SHUTTING_DOWN: Final = Reply(421, "4.3.2 Shutting down")

_IDLE: Final = Reply(421, "4.4.2 Idle for too long")
_MESSAGE_TOO_SLOW: Final = Reply(421, "4.4.2 The message took too long")

# What a client may send ahead while it waits for us.
_MAX_AHEAD_BYTES: Final = 64 * 1024
# After our last reply what a client still sends is dropped for so long: were it left unread, the
# kernel would answer with a reset, which can overtake the reply.
_LINGER_SECONDS: Final = 2.0


class Connection(asyncio.Protocol):
    """One client's connection; a subclass says what the events mean."""

    _HANDLERS: ClassVar[Mapping[type[Event], Callable[[Any, Any], None]]] = {}
    """By the type of an event: what answers it, or sees to it that it is answered later."""

    def __init__(self, shared: Shared, loop: asyncio.AbstractEventLoop) -> None:
        settings = shared.settings
        self._shared = shared
        self._loop = loop
        self._transport: asyncio.Transport
        limits = CommandLimits(
            line_bytes=settings.max_command_bytes,
            errors=settings.max_errors,
            commands_without_mail=settings.max_commands_without_mail,
        )
        self._machine = Machine(Offer(size=settings.max_message_bytes), limits, self._open_hold)
        self._hold: Hold | None = None
        self._is_draining = False
        self._is_starting_tls = False
        self._is_deaf = False  # the client does not read our replies
        self._is_paused = False
        self._is_lingering = False
        self._has_left = False  # the client has closed its sending side
        self._last_heard = loop.time()
        self._steps_seen = 0
        self._message_since = 0.0
        self._finished: asyncio.Future[None] | None = None

    # What a subclass has

    @property
    def peer(self) -> str:
        """The client's address and port."""
        raise NotImplementedError

    @property
    def _is_working(self) -> bool:
        """Whether the client waits for us."""
        raise NotImplementedError

    def _follow_output(self) -> None:
        """Begin TLS: the answer that allows it is written."""
        raise NotImplementedError

    def _let_go(self) -> None:
        """Give back what the message under way holds."""
        if self._hold is not None:
            self._hold.release()
            self._hold = None

    # The listener's side

    @property
    def is_in_message(self) -> bool:
        """Whether a message has begun and is not answered."""
        return self._machine.is_in_message and not self._transport.is_closing()

    def drain(self) -> None:
        """End the session: at once if it waits for a command, else after its message."""
        self._is_draining = True
        if not self._machine.is_in_message:
            self._close(SHUTTING_DOWN)

    async def wait_for_message(self) -> None:
        """Wait until the message under way is answered, or the client is gone."""
        if self.is_in_message:
            self._finished = self._finished or self._loop.create_future()
            await asyncio.shield(self._finished)

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()

    def check_time(self, now: float) -> None:
        """End the session if its client is silent or slow; `now` is the loop's time."""
        steps = self._machine.steps
        if steps != self._steps_seen:  # since the last look; to ask the clock each time costs more
            self._steps_seen, self._last_heard = steps, now
        if self._is_working:
            return  # the silence is ours
        settings, silence = self._shared.settings, now - self._last_heard
        if self._machine.is_over:
            if silence > min(_LINGER_SECONDS, settings.idle_timeout_seconds):
                self.abort()
        elif silence > settings.idle_timeout_seconds:
            self._count_end("idle")
            # A connection closes only when its client has read the replies that wait for it.
            if self._transport.get_write_buffer_size():
                self.abort()
            else:
                self._close(_IDLE)
        elif (
            self._machine.is_in_message
            and now - self._message_since > settings.message_timeout_seconds
        ):
            self._count_end("slow_message")
            self._close(_MESSAGE_TOO_SLOW)

    # asyncio's side

    def data_received(self, data: bytes) -> None:
        """Read on, and answer."""
        if not self._machine.is_over:
            self._machine.receive(data)
            self._advance()

    def eof_received(self) -> bool:
        """Answer what came before the client closed its sending side, then close."""
        self._has_left = True
        self._advance()
        return self._transport.can_write_eof()  # TLS closes both sides at once

    def pause_writing(self) -> None:
        """Read no more from a client that does not read."""
        self._is_deaf = True
        self._set_reading()

    def resume_writing(self) -> None:
        """Read on."""
        self._is_deaf = False
        self._advance()

    # From bytes to events to replies

    def _advance(self) -> None:
        """Handle the events that there are, and write all replies at once."""
        machine = self._machine
        try:
            while machine.has_unread and not self._is_deaf:
                event = machine.next_event()
                if event is None:
                    break
                self._HANDLERS[type(event)](self, event)
        except Exception as error:  # noqa: BLE001 - the outermost frame of a session
            self._fail(error)
            return
        if output := machine.take_output():
            self._transport.write(output)
        if self._is_starting_tls:
            self._follow_output()
        if machine.is_over:
            self._end(lingers=self._is_lingering or machine.ended_by is not None)
        elif self._has_left and not (self._is_working or machine.has_more):
            self._transport.close()
        if machine.has_unread or self._is_paused:
            if machine.has_more and not self._is_deaf:
                self._loop.call_soon(self._advance)
            self._set_reading()

    def _open_hold(self) -> Hold:
        """Begin a message, be it by DATA or by BDAT: its time counts from here."""
        self._message_since = self._loop.time()
        self._hold = self._shared.budget.hold()
        return self._hold

    def _fail(self, error: BaseException) -> None:
        """Answer a defect of ours; the session ends, as what follows may be half a message."""
        log.error("session.failed", exc_info=error)
        self._shared.counters.add("sessions.failed")
        self._close(INTERNAL)

    def _close(self, reply: Reply) -> None:
        """Say why, and end the session."""
        if self._is_starting_tls:  # nothing can be said in the middle of a handshake
            self.abort()
            return
        self._machine.close(reply)
        if output := self._machine.take_output():
            self._transport.write(output)
        self._end(lingers=self._transport.can_write_eof())

    def _end(self, *, lingers: bool) -> None:
        """Close our side; a client that still sends gets to read what it was told."""
        if self._machine.ended_by is not None:
            self._count_end(self._machine.ended_by)
            self._machine.ended_by = None
        self._let_go()
        self._finish()
        if self._transport.is_closing():
            return
        if self._has_left or not lingers:
            self._transport.close()
        elif not self._is_lingering:
            self._is_lingering = True
            self._last_heard = self._loop.time()
            with contextlib.suppress(OSError):  # the client is gone already
                self._transport.write_eof()

    def _count_end(self, why: str) -> None:
        self._shared.counters.add(f"sessions.ended.{why}")
        log.info("session.ended", peer=self.peer, why=why)

    def _finish(self) -> None:
        if self._finished is not None and not self._finished.done():
            self._finished.set_result(None)

    def _set_reading(self) -> None:
        """Stop reading from a client that is far ahead of us, or go on."""
        must_pause = self._is_deaf or self._machine.buffered_bytes > _MAX_AHEAD_BYTES
        if must_pause == self._is_paused or self._transport.is_closing():
            return
        self._is_paused = must_pause
        if must_pause:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
