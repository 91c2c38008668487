"""The command machine: a server's side of one SMTP session, without sockets.

Bytes go in by `receive`, events come out by `next_event`. Each event is answered by `answer`, and
`take_output` gives the bytes for the client. The machine knows syntax and the order of commands
(RFC 5321 section 4.1.4) and answers what is wrong with them; what may be done is its user's.
"""

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from msys_track.smtp.commands import events
from msys_track.smtp.commands.arguments import CommandRefusedError
from msys_track.smtp.commands.events import Event, Mail, Rcpt, Received, StartData
from msys_track.smtp.commands.intake import Intake, Room
from msys_track.smtp.commands.offer import Offer
from msys_track.smtp.commands.words import (
    UNKNOWN,
    WORDS,
    Chunk,
    SessionEndedError,
    State,
    begin_data,
    begin_mail,
    begin_rcpt,
)
from msys_track.smtp.reply import SERVICE_CLOSING, START_MAIL_INPUT, Reply

_ATOM: Final = rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+"
# What nearly all clients send. Whatever else there is goes another way to the same events.
_PLAIN: Final = re.compile(
    rb"(?:MAIL FROM:<(%b@%b)>((?: [!-~]+)*)|RCPT TO:<(%b@%b)>|(DATA))\r\n" % ((_ATOM,) * 4),
    re.IGNORECASE,
)
_MAIL_GROUP: Final = 2
_RCPT_GROUP: Final = 3

# A TLS handshake or a browser's request: what follows is not SMTP, though it may look so later on.
_NOT_SMTP: Final = re.compile(
    rb"\x16\x03|(?:CONNECT|DELETE|GET|HEAD|OPTIONS|PATCH|POST|PUT) [^ \n]* HTTP/"
)

_COMMANDS_AT_ONCE: Final = 50
_RCPTS_AT_ONCE: Final = 100  # that wait for an answer
_UNKNOWN_COMMANDS: Final = 5
_AUTH_LINE_BYTES: Final = 12_288  # RFC 4954 section 4

_READY: Final = 220
_AUTHENTICATED: Final = 235
_GO_ON: Final = 334
_PERMANENT: Final = 500

_EMPTY_LINE: Final = Reply(500, "5.5.2 Empty command")
_LINE_TOO_LONG: Final = Reply(500, "5.5.2 Command line too long")
_NOT_ASCII: Final = Reply(500, "5.5.2 Command is not ASCII")
_NOT_UTF8: Final = Reply(500, "5.5.2 Command is not UTF-8")
# The last answer, by the limit that the client passed.
_ENDS: Final = {
    "bdat": Reply(421, "4.5.0 BDAT needs a number of bytes; goodbye"),
    "commands_without_mail": Reply(421, "4.7.0 Too many commands without mail; goodbye"),
    "errors": Reply(421, "4.7.0 Too many errors; goodbye"),
    "not_smtp": Reply(421, "4.7.0 This is an SMTP server; goodbye"),
    "unknown_commands": Reply(421, "4.7.0 Too many unknown commands; goodbye"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLimits:
    """What one client may send."""

    line_bytes: int = 2048
    """The longest command with its CRLF; RFC 5321 section 4.5.3.1.4 asks for 512, extensions for
    up to 500 more (RFC 3461 section 4)."""
    errors: int = 20
    """Commands with a fault of syntax or order."""
    commands_without_mail: int = 1000
    """Commands since the last message, RCPT aside."""


class Machine:
    """One session's commands.

    Attributes:
        offer: What may be used; EHLO's answer is up to the user.
        ended_by: Why the machine ended the session: `bdat`, `commands_without_mail`, `errors`,
            `not_smtp`, `unknown_commands`; None: it did not.
        steps: How far the session has come: good commands, pieces of messages, and answers.
        has_more: Whether `next_event` stopped for others' sake, with more to read.
        has_unread: Whether bytes may be left that `next_event` has not looked at.
        is_over: Whether the session has ended; nothing that came after its end is obeyed.

    Args:
        offer: what may be used before EHLO.
        limits: what one client may send.
        open_room: called when a message begins; gives the memory that it may take.
    """

    def __init__(self, offer: Offer, limits: CommandLimits, open_room: Callable[[], Room]) -> None:
        self.offer = offer
        self.ended_by: str | None = None
        self.steps = 0
        self.has_more = False
        self.has_unread = False
        self.is_over = False
        self._limits = limits
        self._open_room = open_room
        self._state = State()
        self._buffer = b""
        self._at = 0
        self._output = b""
        self._unanswered: deque[type[Event]] = deque()
        self._intake: Intake | None = None
        self._chunk: Chunk | None = None
        self._chunk_left = 0
        self._read_more: Callable[[], Event | None] | None = None  # in place of a command
        self._is_skipping_line = False
        self._turn = _COMMANDS_AT_ONCE
        self._errors = 0
        self._unknown = 0
        self._without_mail = 0

    @property
    def is_in_message(self) -> bool:
        """Whether a message has begun, or is being answered."""
        return self._intake is not None or Received in self._unanswered

    @property
    def is_in_transaction(self) -> bool:
        """Whether MAIL was accepted and its message is still to come."""
        return self._state.has_sender

    @property
    def recipients(self) -> int:
        """Recipients that were accepted in this transaction."""
        return self._state.recipients

    @property
    def message_bytes(self) -> int:
        """Bytes that have come of the message that has begun."""
        return 0 if self._intake is None else self._intake.length

    @property
    def buffered_bytes(self) -> int:
        """Bytes that were received and not yet looked at."""
        return len(self._buffer) - self._at

    def receive(self, data: bytes) -> None:
        """Take bytes from the client."""
        if self.is_over:
            return
        if self.has_unread:
            data = self._buffer[self._at :] + data
        self._buffer, self._at = data, 0
        self._turn = _COMMANDS_AT_ONCE
        self.has_unread = True

    def next_event(self) -> Event | None:
        """Return the next event; None if more bytes or an answer are needed first.

        After some commands it returns None although there are more, so that one client does not
        hold the loop: `has_more` tells.
        """
        self.has_more = False
        while self._turn and self.has_unread:
            self._turn -= 1
            at, size = self._at, len(self._buffer)
            try:
                event = self._read_command() if self._read_more is None else self._read_more()
            except CommandRefusedError as refused:
                self._refuse(refused.reply)
                self.has_unread = self._at != len(self._buffer)
                continue
            except SessionEndedError as ended:
                self._end(*ended.args)
                return None
            self.has_unread = self._at != size
            if event is not None:
                self._unanswered.append(type(event))
                self.steps += 1
                return event
            if self._at == at:
                return None
            self.steps += 1
        if not self.has_unread:
            return None
        self._turn = _COMMANDS_AT_ONCE
        self.has_more = True
        return None

    def answer(self, reply: Reply) -> None:
        """Answer the oldest event that has no answer."""
        event = self._unanswered.popleft()
        self._output += reply.wire
        self.steps += 1
        code, state = reply.code, self._state
        if event is Rcpt:
            state.recipients += reply.is_positive
        elif event is Mail:
            state.has_sender = reply.is_positive
        elif event is StartData:
            if code == START_MAIL_INPUT:
                self._intake = Intake(self.offer.size, self._open_room())
                self._read_more = partial(self._read_data, self._intake)
        elif event is Received:
            self._without_mail = 0
            state.forget_transaction()
        else:
            self._follow_answer(event, code)
        if code == SERVICE_CLOSING:
            self.close()

    def close(self, reply: Reply | None = None) -> None:
        """End the session, unasked; what came before is not answered any more."""
        if reply is not None and not self.is_over:
            self._write(reply)
        self.is_over = True
        self._buffer, self._at, self.has_unread = b"", 0, False

    def restart(self) -> None:
        """Begin anew after TLS has started: EHLO and AUTH are forgotten (RFC 3207 section 4.2)."""
        self._buffer, self._at, self.has_unread = b"", 0, False
        self._read_more = None
        self._state = State()

    def take_output(self) -> bytes:
        """Return the bytes for the client since the last call."""
        output, self._output = self._output, b""
        return output

    # Commands

    def _read_command(self) -> Event | None:
        """Read a command; None if it was answered here, or if it must wait."""
        plain = None if self._is_skipping_line else _PLAIN.match(self._buffer, self._at)
        if plain is not None and plain.end() - self._at > self._limits.line_bytes:
            plain = None
        if self._unanswered and not self._may_go_ahead(plain):
            return None
        if plain is None:
            return self._read_line()
        self._at, group = plain.end(), plain.lastindex
        if group == _RCPT_GROUP:
            return begin_rcpt(self._state, self.offer, plain[3].decode("ascii"), "")
        if group == _MAIL_GROUP:
            path, parameters = plain[1].decode("ascii"), plain[2].decode("ascii")
            return self._count(begin_mail(self._state, self.offer, path, parameters))
        return begin_data(self._state, self.offer)

    def _may_go_ahead(self, plain: re.Match[bytes] | None) -> bool:
        """Whether a command may be handed out before those before it are answered: RCPT may."""
        return (
            plain is not None
            and plain.lastindex == _RCPT_GROUP
            and self._state.has_sender
            and not self._state.is_in_bdat
            and self._unanswered[0] is Rcpt  # then all are
            and len(self._unanswered) < _RCPTS_AT_ONCE
        )

    def _read_line(self) -> Event | None:
        is_first = not (self._state.is_greeted or self._is_skipping_line)
        if is_first and _NOT_SMTP.match(self._buffer, self._at):
            raise SessionEndedError("not_smtp")
        line = self._take_line(self._limits.line_bytes)
        if line is None:
            return None
        word, _, rest = line.partition(b" ")
        command = WORDS.get(word.upper())
        if command is None:
            raise CommandRefusedError(self._count_unknown(line))
        meaning = command(self._state, self.offer, self._decode(rest).rstrip(" "))
        if isinstance(meaning, Reply):
            self._count(None)
            self._write(meaning)
            return None
        if isinstance(meaning, Chunk):
            return self._begin_chunk(meaning)
        return meaning if isinstance(meaning, Rcpt) else self._count(meaning)

    def _take_line(self, max_bytes: int) -> bytes | None:
        """Take a line off the buffer, without its end; None: it is not there yet.

        Raises:
            CommandRefusedError: it is too long.
        """
        end = self._buffer.find(b"\n", self._at)
        if end < 0:
            self._is_skipping_line |= self.buffered_bytes >= max_bytes
            if self._is_skipping_line:
                self._at = len(self._buffer)
            return None
        line, self._at = self._buffer[self._at : end + 1], end + 1
        if self._is_skipping_line or len(line) > max_bytes:
            self._is_skipping_line = False
            raise CommandRefusedError(_LINE_TOO_LONG)
        # A lone LF ends a command too, as it always did; the end of a message it is not.
        return line[:-2] if line.endswith(b"\r\n") else line[:-1]

    def _decode(self, argument: bytes) -> str:
        if argument.isascii():
            return argument.decode("ascii")
        if not self.offer.smtp_utf8:
            raise CommandRefusedError(_NOT_ASCII)
        try:
            return argument.decode()
        except UnicodeDecodeError as error:
            raise CommandRefusedError(_NOT_UTF8) from error

    def _count_unknown(self, line: bytes) -> Reply:
        if not line.strip():
            return _EMPTY_LINE
        self._unknown += 1
        if self._unknown >= _UNKNOWN_COMMANDS:
            raise SessionEndedError("unknown_commands")
        return UNKNOWN

    # What is read in place of a command

    def _read_data(self, intake: Intake) -> Event | None:
        chunk = self._buffer[self._at :] if self._at else self._buffer
        end = intake.take_data(chunk)
        if end is None:
            self._at = len(self._buffer)
            return None
        self._at += end
        return self._finish_message(intake, is_stuffed=True)

    def _begin_chunk(self, chunk: Chunk) -> Event | None:
        self._chunk, self._chunk_left = chunk, chunk.size
        if self._intake is None and self._state.recipients:
            self._intake = Intake(self.offer.size, self._open_room())
            self._state.is_in_bdat = True
        self._read_more = self._read_chunk
        return None if chunk.size else self._read_chunk()

    def _read_chunk(self) -> Event | None:
        octets = self._buffer[self._at : self._at + self._chunk_left]
        self._at += len(octets)
        self._chunk_left -= len(octets)
        if self._intake is not None:
            self._intake.take_chunk(octets)
        if self._chunk_left or self._chunk is None:
            return None
        self._read_more = None
        if self._intake is None:
            # The octets of a refused chunk are read and dropped (RFC 3030 section 2).
            raise CommandRefusedError(self._state.name_missing_command())
        if self._chunk.is_last or self._intake.over:
            return self._finish_message(self._intake, is_stuffed=False)
        self._write(Reply(250, f"2.0.0 {self._chunk.size} octets received"))
        return None

    def _finish_message(self, intake: Intake, *, is_stuffed: bool) -> Event:
        self._intake = self._read_more = None
        return Received(intake.wire, is_stuffed, intake.over)

    def _read_auth_line(self) -> Event | None:
        try:
            line = None if self._unanswered else self._take_line(_AUTH_LINE_BYTES)
        except CommandRefusedError:
            self._read_more = None
            raise
        return None if line is None else events.AuthLine(line)

    def _read_nothing(self) -> None:
        """Leave what is there: TLS is about to start."""

    # Answers

    def _follow_answer(self, event: type[Event], code: int) -> None:
        """Do what an answer to one of the rarer events means."""
        if event is events.Reset:
            self._intake = None
        elif event is events.Hello:
            self._state.is_greeted = code < START_MAIL_INPUT
            self._intake = None
        elif event is events.Quit:
            self.close()
        elif event is events.StartTls and code == _READY:
            # What was pipelined behind STARTTLS came in the clear, perhaps from somebody else.
            self._buffer, self._at, self.has_unread = b"", 0, False
            self._read_more = self._read_nothing
        elif event in {events.Authenticate, events.AuthLine}:
            self._read_more = self._read_auth_line if code == _GO_ON else None
            self._state.is_authenticated = code == _AUTHENTICATED
            if code >= _PERMANENT:
                self._count_error()
        elif event is events.XClient and code == _READY:
            self._state = State()

    def _count(self, event: Event | None) -> Event | None:
        """Count a command that brings no mail by itself; return its event."""
        self._without_mail += 1
        if self._without_mail > self._limits.commands_without_mail:
            raise SessionEndedError("commands_without_mail")
        return event

    def _refuse(self, reply: Reply) -> None:
        self._write(reply)
        self._count_error()

    def _count_error(self) -> None:
        self._errors += 1
        if self._errors >= self._limits.errors:
            self._end("errors")

    def _end(self, why: str) -> None:
        self.ended_by = why
        self.close(_ENDS[why])

    def _write(self, reply: Reply) -> None:
        self._output += reply.wire
