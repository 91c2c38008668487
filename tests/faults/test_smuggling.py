"""No published form of a false end of data ends anything, in front of an upstream that takes all.

Every line break that some server has taken for one, around a dot and the blanks that some server
has looked past (SEC Consult, "SMTP Smuggling", 2023; CVE-2023-51764 to 51766, CVE-2024-27305),
whole and cut into two reads at every place.
"""

import asyncio
import contextlib
import itertools
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
from tests.faults.mails import SENDER
from tests.processes import Server
from tests.smtp_client import Client

from msys_track.keys.file import create

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]

_BREAKS = (b"\r\n", b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n\r", b"\n\n", b"\r\r")
_DOTS = (b".", b"..", b". ", b".\t")
_END = b"\r\n.\r\n"
_LAX_END = re.compile(rb"[\r\n]\.[ \t]*[\r\n]+")
"""What the most careless of servers takes for an end."""
_HEAD = b"Subject: x\r\n\r\nfirst"
_INNER = (
    b"MAIL FROM:<boss@victim.example>\r\nRCPT TO:<all@victim.example>\r\nDATA\r\n"
    b"Subject: smuggled\r\n\r\nsmuggled\r\n.\r\n"
)
_CONFIGURATION = """\
keys = "keys.toml"
[listener]
open_tracking_enabled = true
click_tracking_enabled = true
tracking_domain = "click.client.example"
[proxy]
listen = "127.0.0.1:0"
upstream = "127.0.0.1:{upstream}"
{settings}
"""


def forms(dots: Sequence[bytes] = _DOTS) -> Iterator[bytes]:
    """List what looks like an end of data to somebody, and is none."""
    for before, dot, after in itertools.product(_BREAKS, dots, _BREAKS):
        form = before + dot + after
        if _END not in form:
            yield form


class LaxUpstream:
    """Ends data wherever any server would; what comes after it are commands."""

    def __init__(self) -> None:
        self.victims: list[bytes] = []
        """MAIL commands that were smuggled."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 lax\r\n")
        buffer, in_data = b"", False
        with contextlib.suppress(ConnectionError):
            while received := await reader.read(65_536):
                buffer += received
                while True:
                    if in_data:
                        found = _LAX_END.search(buffer)
                        if found is None:
                            break
                        buffer, in_data = buffer[found.end() :], False
                        writer.write(b"250 2.0.0 Ok\r\n")
                        continue
                    line, end, rest = buffer.partition(b"\n")
                    if not end:
                        break
                    buffer = rest
                    in_data = line[:4].upper() == b"DATA"
                    writer.write(self._answer(line))
        writer.close()

    def _answer(self, line: bytes) -> bytes:
        verb = line[:4].upper()
        if verb == b"MAIL" and line in _INNER:
            self.victims.append(line)
        if verb == b"EHLO":
            return b"250-lax\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
        return b"354 go on\r\n" if verb == b"DATA" else b"250 2.0.0 Ok\r\n"


@pytest.fixture
async def upstream() -> AsyncIterator[tuple[LaxUpstream, int]]:
    lax = LaxUpstream()
    server = await asyncio.start_server(lax.serve, "127.0.0.1", 0)
    async with server:
        yield lax, server.sockets[0].getsockname()[1]


@pytest.fixture(params=["refuse", "normalize"])
def bare_newline(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def proxy(
    upstream: tuple[LaxUpstream, int], tmp_path: Path, bare_newline: str
) -> AsyncIterator[Server]:
    create(str(tmp_path / "keys.toml"))
    settings = f'bare_newline = "{bare_newline}"'
    text = _CONFIGURATION.format(upstream=upstream[1], settings=settings)
    (tmp_path / "proxy.toml").write_text(text, encoding="utf-8")
    server = Server(tmp_path, "proxy", "--config", "proxy.toml")
    try:
        yield await asyncio.to_thread(server.listening)
    finally:
        await asyncio.to_thread(server.kill)


async def test_without_the_proxy_the_upstream_falls_for_it(
    upstream: tuple[LaxUpstream, int],
) -> None:
    lax, port = upstream
    fallen = list(forms((b".", b". ")))
    for form in fallen:
        await _send(port, [_HEAD + form + _INNER])
    assert len(lax.victims) == len(fallen)


async def test_no_false_end_of_data_lets_a_second_mail_out(
    upstream: tuple[LaxUpstream, int], proxy: Server, bare_newline: str
) -> None:
    answers = {(await _send(proxy.port, [_HEAD + form + _INNER]))[:3] for form in forms()}
    assert answers == ({"250"} if bare_newline == "normalize" else {"250", "550"})
    assert upstream[0].victims == []


async def test_no_false_end_of_data_lets_a_second_mail_out_at_the_edge_of_a_read(
    upstream: tuple[LaxUpstream, int], proxy: Server
) -> None:
    for form in forms((b".",)):
        wire = _HEAD + form + _INNER
        for cut in range(len(_HEAD), len(_HEAD) + len(form) + 1):
            await _send(proxy.port, [wire[:cut], wire[cut:]])
    assert upstream[0].victims == []


async def _send(port: int, pieces: list[bytes]) -> str:
    """Send a message in pieces, each a read of its own; return the one answer there is."""
    async with Client(port) as client:
        await client.say("EHLO client.example")
        await client.say(f"MAIL FROM:<{SENDER}>")
        await client.say("RCPT TO:<jo@reader.example>")
        await client.say("DATA")
        for piece in pieces:
            client.send(piece)
            await client.writer.drain()
            await asyncio.sleep(0)
        return await client.reply()
