"""Connections of probes: one question, one answer, and an end to it whatever the server does."""

import asyncio
import errno
import http.client
import io
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any, Final

from msys_track.errors import PicklableError, describe_os_error
from msys_track.smtp.address import Address

_MAX_ANSWER_BYTES: Final = 262_144
_MAX_GREETING_LINES: Final = 20
_NO_ROUTE: Final = frozenset({errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


class NoAnswerError(PicklableError):
    """There was no answer; the text says why."""


class BadCertificateError(NoAnswerError):
    """TLS began, but the certificate is not accepted."""


class NotTlsError(NoAnswerError):
    """What answers there speaks no TLS."""


class NoRouteError(NoAnswerError):
    """This machine has no way there, as to IPv6 where it has none; that says nothing of others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """What a server answered to one GET.

    Attributes:
        status: Its code.
        headers: Its header fields.
        body: Its body, as it came.
        certificate: What `ssl.SSLSocket.getpeercert` has; empty without TLS, and where it was not
            verified.
        received_at: When it was there, Unix seconds.
    """

    status: int
    headers: Message
    body: bytes
    certificate: Mapping[str, Any]
    received_at: float

    @property
    def location(self) -> str:
        """Where it leads; empty if nowhere."""
        return str(self.headers.get("Location", ""))

    @property
    def clock_error_seconds(self) -> float | None:
        """How far the server's clock is ahead of ours; None where it does not say its time."""
        try:
            return parsedate_to_datetime(str(self.headers["Date"])).timestamp() - self.received_at
        except (ValueError, TypeError):
            return None


async def look_up(host: str, patience_seconds: float) -> list[str]:
    """Find the addresses of a host, in the resolver's order.

    Raises:
        NoAnswerError: it has none, or the resolver says nothing in time.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[str]] = loop.create_future()

    def note(addresses: list[str] | None, error: OSError | None) -> None:
        if found.done():
            return
        if error is not None:
            found.set_exception(NoAnswerError(describe_os_error(error)))
        else:
            found.set_result(addresses or [])

    def ask() -> None:
        addresses, failure = None, None
        try:
            answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            addresses = list(dict.fromkeys(str(each[4][0]) for each in answers))
        except OSError as error:
            failure = error
        except UnicodeError:
            failure = OSError("not a name of a host")
        try:
            loop.call_soon_threadsafe(note, addresses, failure)
        except RuntimeError:  # the loop has ended meanwhile
            return

    # No thread of the loop's own: it would be waited for at the end, as long as a resolver may be
    # silent.
    threading.Thread(target=ask, daemon=True, name="look-up").start()
    try:
        async with asyncio.timeout(patience_seconds):
            return await found
    except TimeoutError as error:
        raise NoAnswerError(f"no answer of the resolver within {patience_seconds:g} s") from error


async def get(  # noqa: PLR0913 - what a request is made of
    address: Address,
    path: str,
    *,
    host: str,
    patience_seconds: float,
    tls: ssl.SSLContext | None = None,
    preface: bytes = b"",
) -> HttpAnswer:
    """Send a GET and read the whole answer; no redirect is followed.

    Args:
        address: Where to; its host is an IP address.
        path: What is asked for.
        host: The `Host` header; without its port, the name that a certificate must have.
        patience_seconds: For everything.
        tls: For HTTPS.
        preface: What goes before the request, in plain text.

    Raises:
        NoAnswerError: there is no answer, or none of HTTP.
    """
    request = (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: msys-track-check\r\n"
        "Accept: */*\r\nConnection: close\r\n\r\n"
    ).encode("ascii")
    name = host.partition("]")[0].strip("[") if host.startswith("[") else host.partition(":")[0]
    with _explain(patience_seconds):
        async with asyncio.timeout(patience_seconds):
            reader, writer = await _open(address, tls, name, preface)
            try:
                writer.write(request)
                answer = await _read_answer(reader)
                secured = writer.get_extra_info("ssl_object")
                certificate = secured.getpeercert() if secured is not None else None
            finally:
                writer.transport.abort()
    status, headers, body = _parse(answer)
    return HttpAnswer(
        status=status,
        headers=headers,
        body=body,
        certificate=certificate or {},
        received_at=time.time(),
    )


async def read_greeting(
    address: Address,
    patience_seconds: float,
    *,
    tls: ssl.SSLContext | None = None,
    preface: bytes = b"",
) -> str:
    """Connect and read what a server of SMTP says first, without its line's end.

    Raises:
        NoAnswerError: there is nobody, or nothing of SMTP is said.
    """
    with _explain(patience_seconds):
        async with asyncio.timeout(patience_seconds):
            reader, writer = await _open(address, tls, address.host, preface)
            try:
                line = await reader.readline()
                for _ in range(_MAX_GREETING_LINES):
                    if line[3:4] != b"-":
                        break
                    line = await reader.readline()
                writer.write(b"QUIT\r\n")
                await writer.drain()
            finally:
                writer.close()
    text = line.decode("ascii", "replace").strip()
    if not text[:3].isdecimal():
        raise NoAnswerError(f"no greeting of SMTP but {text[:80]!r}" if text else "no greeting")
    return text


async def _open(
    address: Address, tls: ssl.SSLContext | None, name: str, preface: bytes
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if tls is None or not preface:
        reader, writer = await asyncio.open_connection(
            address.host,
            address.port,
            ssl=tls,
            server_hostname=name if tls is not None else None,
        )
        if preface:
            writer.write(preface)
        return reader, writer
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(preface)
    await writer.start_tls(tls, server_hostname=name)
    return reader, writer


async def _read_answer(reader: asyncio.StreamReader) -> bytes:
    answer = bytearray()
    while len(answer) < _MAX_ANSWER_BYTES:
        try:
            chunk = await reader.read(_MAX_ANSWER_BYTES)
        except (ConnectionResetError, ssl.SSLError):
            if answer:  # it does not end TLS as it should; the answer is here
                break
            raise
        if not chunk:
            break
        answer += chunk
    return bytes(answer)


def _parse(answer: bytes) -> tuple[int, Message, bytes]:
    file = io.BytesIO(answer)
    start = file.readline(1_024).split(maxsplit=2)
    is_http = len(start) > 1 and start[0].startswith(b"HTTP/1.") and start[1].isdigit()
    if not is_http:
        raise NoAnswerError("no answer of HTTP" if answer else "the connection was closed")
    try:
        headers = http.client.parse_headers(file)
    except http.client.HTTPException as error:
        raise NoAnswerError(f"no good answer of HTTP: {error}") from error
    return int(start[1]), headers, file.read()


@contextmanager
def _explain(patience_seconds: float) -> Iterator[None]:
    """Turn what ends a connection into a `NoAnswerError`."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise BadCertificateError(error.verify_message) from error
    except ssl.SSLError as error:
        why = (error.reason or "not TLS").replace("_", " ").lower()
        raise NotTlsError(f"TLS failed: {why}") from error
    except TimeoutError as error:
        raise NoAnswerError(f"no answer within {patience_seconds:g} s") from error
    except OSError as error:
        is_unreachable = error.errno in _NO_ROUTE
        kind = NoRouteError if is_unreachable else NoAnswerError
        raise kind(describe_os_error(error) or "the connection was closed") from error
    except ValueError as error:  # of a stream's reader
        raise NoAnswerError("a line without end") from error
