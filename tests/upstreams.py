"""Upstreams on real ports: one that answers as a test dictates, and stock aiosmtpd."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

from aiosmtpd.smtp import SMTP

from msys_track.testing.fidelity import split_received

EXTENSIONS = ("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 1000000000")
END = b"\r\n.\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an upstream does about one command."""

    wire: bytes = b""
    then: Literal["listen", "close", "reset"] = "listen"
    when: asyncio.Event | None = None


HANG_UP = Answer(then="close")
SILENCE = Answer()

Script: TypeAlias = Mapping[str, str | Answer | Sequence[str | Answer]]
"""Answers by command: a verb, or a command up to its path, which goes before the verb.

GREETING and DOT are verbs here; `DOT TO:<…>` is about messages by their first recipient.
Of several answers each serves once, the last one for ever.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A message with recipients that was answered positively."""

    sender: str
    recipients: tuple[str, ...]
    parameters: tuple[str, ...]
    wire: bytes
    """Dot-stuffed, without the line that ends the data, and below `received`."""
    received: bytes = b""
    """The proxy's Received field; where there is one it is at the top."""

    @property
    def message(self) -> bytes:
        lines = self.wire.split(b"\r\n")
        return b"\r\n".join(line.removeprefix(b".") for line in lines)


class ScriptedUpstream:
    """A server that says 250 to everything, but where its script says otherwise."""

    def __init__(
        self,
        script: Script | None = None,
        extensions: Sequence[str] = EXTENSIONS,
        port: int = 0,
    ) -> None:
        self.dialogues: list[Dialogue] = []
        self.arrived: list[bytes] = []
        """Messages below their Received field, whatever was answered."""
        self.taken: list[Taken] = []
        self.most_connections = 0
        self.extensions = extensions
        self._script = {command: _queue(answers) for command, answers in (script or {}).items()}
        self._open: dict[asyncio.Task[Any], Dialogue] = {}
        self._server: asyncio.Server | None = None
        # The protocol is named, as asyncio switches Nagle's algorithm off only then.
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", port))
        self._listener.listen(256)
        self.port: int = self._listener.getsockname()[1]

    @property
    def commands(self) -> list[str]:
        """All commands in the order of connections."""
        return [command for dialogue in self.dialogues for command in dialogue.commands]

    @property
    def open_connections(self) -> int:
        return len(self._open)

    def set_answer(self, command: str, answer: str | Answer | Sequence[str | Answer]) -> None:
        self._script[command] = _queue(answer)

    def answer(self, command: str, default: str) -> Answer:
        path = command.partition(">")[0] + ">"
        verb = command.split(" ", 1)[0].upper()
        queue = self._script.get(path) or self._script.get(verb) or _queue(default)
        return queue.pop(0) if len(queue) > 1 else queue[0]

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, sock=self._listener, limit=2**26)

    async def close(self) -> None:
        """Listen no longer and cut every connection."""
        if self._server is not None:
            self._server.close()
        self._listener.close()
        await self.hang_up()

    async def hang_up(self) -> None:
        """Cut every connection, and take new ones."""
        tasks = tuple(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def send_unprompted(self, answer: Answer) -> None:
        """Say it on every connection, now."""
        for dialogue in tuple(self._open.values()):
            await dialogue.do(answer)

    def waiting_verbs(self) -> set[str]:
        """Commands that have come while the one before is still to be answered."""
        return {verb for dialogue in self._open.values() for verb in dialogue.waiting_verbs()}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        dialogue = self._open[task] = Dialogue(self, reader, writer)
        self.dialogues.append(dialogue)
        self.most_connections = max(self.most_connections, len(self._open))
        try:
            # Cancelled is how the test ends it; asyncio would take that for an accident.
            with contextlib.suppress(
                ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError
            ):
                await dialogue.run()
        finally:
            del self._open[task]
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


class Dialogue:
    """One connection to a scripted upstream, and the commands that it brought."""

    def __init__(
        self,
        upstream: ScriptedUpstream,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.commands: list[str] = []
        self._upstream = upstream
        self._reader = reader
        self._writer = writer
        self._sender: str | None = None
        self._parameters: tuple[str, ...] = ()
        self._recipients: list[str] = []

    async def run(self) -> None:
        goes_on = await self._say("GREETING", "220 upstream.test ready")
        while goes_on and (line := await self._reader.readline()):
            command = line.decode("utf-8", "surrogateescape").removesuffix("\r\n")
            self.commands.append(command)
            goes_on = await self._obey(command)

    def waiting_verbs(self) -> set[str]:
        buffered: bytes = bytes(self._reader._buffer)  # type: ignore[attr-defined]  # noqa: SLF001
        return {line.split(b" ")[0].decode() for line in buffered.splitlines()}

    async def do(self, answer: Answer) -> bool:
        """Do what an answer says; whether the dialogue goes on."""
        if answer.when is not None:
            await answer.when.wait()
        self._writer.write(answer.wire)
        await self._writer.drain()
        if answer.then == "close":
            self._writer.close()
        if answer.then == "reset":
            self._writer.transport.abort()
        return answer.then == "listen"

    async def _say(self, command: str, default: str) -> bool:
        return await self.do(self._upstream.answer(command, default))

    async def _obey(self, command: str) -> bool:
        verb = command.split(" ", 1)[0].upper()
        path, _, parameters = command.partition(":<")[2].rpartition(">")
        default = "250 2.0.0 Ok"
        match verb:
            case "EHLO" | "LHLO":
                lines = ["upstream.test", *self._upstream.extensions]
                offer = [f"250{' ' if line is lines[-1] else '-'}{line}" for line in lines]
                default = "\r\n".join(offer)
            case "QUIT":
                await self._say(command, "221 Bye")
                return False
            case "DATA":
                return await self._data(command)
            case "RSET":
                self._sender, self._recipients = None, []
            case "RCPT" if self._sender is None:
                default = "503 5.5.1 Need MAIL first"
        answer = self._upstream.answer(command, default)
        if answer.wire.startswith(b"2") and verb == "MAIL":
            self._sender, self._parameters = path, tuple(parameters.split())
        if answer.wire.startswith(b"2") and verb == "RCPT":
            self._recipients.append(path)
        return await self.do(answer)

    async def _data(self, command: str) -> bool:
        default = "354 Go on" if self._recipients else "554 5.5.1 No valid recipients"
        answer = self._upstream.answer(command, default)
        if not await self.do(answer) or not answer.wire.startswith(b"354"):
            return answer.then == "listen"
        received, wire = split_received(await self._read_to_the_dot())
        self._upstream.arrived.append(wire)
        end = " ".join(["DOT", *(f"TO:<{to}>" for to in self._recipients[:1])])
        verdict = self._upstream.answer(end, "250 2.0.0 Ok: queued as 4711")
        goes_on = await self.do(verdict)
        if verdict.wire.startswith(b"2") and self._recipients:
            taken = Taken(
                sender=self._sender or "",
                recipients=tuple(self._recipients),
                parameters=self._parameters,
                wire=wire,
                received=received,
            )
            self._upstream.taken.append(taken)
        self._sender, self._recipients = None, []
        return goes_on

    async def _read_to_the_dot(self) -> bytes:
        data, seen = bytearray(b"\r\n"), 0
        while (end := data.find(END, seen)) < 0:
            seen = max(0, len(data) - len(END))
            chunk = await self._reader.read(2**30)
            if not chunk:
                raise ConnectionResetError("the proxy is gone")
            data += chunk
        if rest := bytes(data[end + len(END) :]):
            self._reader.feed_data(rest)
        return bytes(data[2 : end + 2])


def say(
    *lines: str,
    then: Literal["listen", "close", "reset"] = "listen",
    when: asyncio.Event | None = None,
) -> Answer:
    """Answer with these lines."""
    wire = "".join(f"{line}\r\n" for line in lines).encode("latin-1")
    return Answer(wire=wire, then=then, when=when)


def _queue(answers: str | Answer | Sequence[str | Answer]) -> list[Answer]:
    listed = [answers] if isinstance(answers, str | Answer) else answers
    return [each if isinstance(each, Answer) else say(each) for each in listed]


@contextlib.asynccontextmanager
async def stock_aiosmtpd(handler: Any = None, **settings: Any) -> AsyncIterator[int]:
    """Run aiosmtpd as it comes; gives its port."""
    loop = asyncio.get_running_loop()
    sessions: list[SMTP] = []

    def session() -> SMTP:
        sessions.append(SMTP(handler, **{"hostname": "stock.test", "loop": loop, **settings}))
        return sessions[-1]

    server = await loop.create_server(session, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for each in sessions:
            if isinstance(each.transport, asyncio.WriteTransport):
                each.transport.abort()
        await asyncio.sleep(0)
        await server.wait_closed()
