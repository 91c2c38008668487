"""From bytes to requests, bounded: what a hostile client sends ends here.

`httptools` (llhttp) holds HTTP's grammar; this file holds the limits, which llhttp does not have:
it keeps a header's pieces until the last one has come, however many there are.
"""

import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final, NamedTuple

import httptools

from msys_track.tracking import forms
from msys_track.tracking.settings import TrackerSettings

_BEYOND_ASCII: Final = re.compile(rb"[\x80-\xff]+")
# In one read; who sends more of them means no link.
_MAX_RUNS_LOOKED_AT: Final = 200


class Request(NamedTuple):
    """One request, its body read; only the start of a POST's is kept.

    Attributes:
        method: As sent: `GET`, `HEAD`, …
        target: The request target as sent (RFC 9112 section 3.2).
        headers: Names in lower case, with their values, in order.
        keep_alive: Whether the client expects to send another.
        http_10: HTTP/1.0, where keeping the connection must be answered in words.
        body: What was sent with a POST, as far as a form of ours goes.
    """

    method: bytes
    target: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    keep_alive: bool
    http_10: bool
    body: bytes = b""

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of one header, given in lower case, in the order of its lines."""
        return [value for given, value in self.headers if given == name]

    def value(self, name: bytes) -> bytes | None:
        """Return the first value of one header, given in lower case; None without one."""
        return next((value for given, value in self.headers if given == name), None)


class RequestReader:
    """Feeds a parser and collects what it finds; after a refusal it takes nothing more.

    Attributes:
        refused: Why the connection has to end after the requests found so far; None: it goes on.
        finished: No request will come after those found so far, refused or not.
        in_request: A request has begun and is not complete.
        awaits_continue: A POST's client sends the body only once it has a 100 (RFC 9110 section
            10.1.1).
    """

    def __init__(self, settings: TrackerSettings) -> None:
        self._settings = settings
        self._max_bytes = (
            settings.max_request_line_bytes + settings.max_header_bytes + settings.max_body_bytes
        )
        self._found: list[Request] = []
        self._request: Request | None = None
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._header_bytes = 0
        self._body_bytes = 0
        self._form = b""
        self._fed_bytes = 0
        self.refused: HTTPStatus | None = None
        self.finished = False
        self.in_request = False
        self.awaits_continue = False
        self._line = b""
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> list[Request]:
        """Return the requests that `data` completes; look at `refused` and `finished` after."""
        self._found = []
        if self.finished:
            return self._found
        self._fed_bytes += len(data)
        try:
            for piece in (data,) if data.isascii() else self._split(data):
                self._parser.feed_data(piece)
                self._note_line(piece)
        except httptools.HttpParserUpgrade:
            # CONNECT, or an offer to switch protocols: answered already, what follows is not HTTP.
            self.finished = True
        except httptools.HttpParserCallbackError:
            raise
        except httptools.HttpParserInvalidMethodError:
            self._refuse(HTTPStatus.METHOD_NOT_ALLOWED)
        except httptools.HttpParserError:
            self._refuse(HTTPStatus.BAD_REQUEST)
        if self.in_request and self._fed_bytes > self._max_bytes:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        return self._found

    def _split(self, data: bytes) -> Iterator[bytes]:
        """Split data so that a target's raw bytes beyond ASCII come percent-encoded.

        Clients append them to a link as they do a full stop, and llhttp would refuse the request.
        Each piece depends on what the parser made of those before.
        """
        start = 0
        for _ in range(_MAX_RUNS_LOOKED_AT):
            run = _BEYOND_ASCII.search(data, start)
            if run is None or self.finished:
                break
            yield data[start : run.start()]
            if self._is_in_target():
                yield b"".join(b"%%%02X" % byte for byte in run[0])
            else:
                yield run[0]
            start = run.end()
        yield data[start:]

    def _is_in_target(self) -> bool:
        """Whether the last piece ended within a request's target: behind `GET /…`."""
        before = self._line.removesuffix(self._target)
        is_at_the_end = bool(self._target) and len(before) < len(self._line)
        return is_at_the_end and before[-1:] == b" " and before[-2:-1].isupper()

    def _note_line(self, piece: bytes) -> None:
        """Keep the line that is on its way, as long as it may be a request's first."""
        if not self.in_request or self._request is not None or self._headers or self.finished:
            self._line = b""
            return
        before, newline, line = piece.rpartition(b"\n")
        self._line = line if newline else self._line + before + line

    def on_message_begin(self) -> None:
        """Called by the parser: the first byte of a request."""
        self.in_request = True
        self._request = None
        self._target = b""
        self._headers = []
        self._header_bytes = 0
        self._body_bytes = 0
        self._form = b""
        # Only whole reads can be counted: the one that a request begins in is not, the next are.
        self._fed_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Called by the parser: the next piece of the request target."""
        self._target += url
        if len(self._target) > self._settings.max_request_line_bytes:
            self._refuse(HTTPStatus.REQUEST_URI_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser: one whole header line."""
        if self.finished:
            return
        # llhttp leaves the blanks behind a value, which are no part of it (RFC 9112 section 5.1).
        self._headers.append((name.lower(), value.rstrip(b" \t")))
        self._header_bytes += len(name) + len(value)
        if (
            self._header_bytes > self._settings.max_header_bytes
            or len(self._headers) > self._settings.max_headers
        ):
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_headers_complete(self) -> None:
        """Called by the parser: the head is whole, a body may follow."""
        parser = self._parser
        self._request = request = Request(
            method=parser.get_method(),
            target=self._target,
            headers=tuple(self._headers),
            keep_alive=parser.should_keep_alive() and not parser.should_upgrade(),
            http_10=parser.get_http_version() == "1.0",
        )
        hosts = len(request.values(b"host"))
        # RFC 9112 section 3.2: a request of HTTP/1.1 without a Host, or with two, is refused.
        if hosts > 1 or (hosts == 0 and not request.http_10):
            self._refuse(HTTPStatus.BAD_REQUEST)
            return
        length = request.value(b"content-length")
        # llhttp has checked that this is a number of at most 64 bits.
        if length is not None and int(length) > self._settings.max_body_bytes:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        elif request.value(b"expect") is not None and not request.http_10:
            if request.method == b"POST":
                self.awaits_continue = True
            else:
                # The client waits for a 100 before it sends its body, although that is not used.
                self._complete(request._replace(keep_alive=False))

    def on_body(self, body: bytes) -> None:
        """Called by the parser: a piece of the body."""
        self.awaits_continue = False
        self._body_bytes += len(body)
        if self._request is not None and self._request.method == b"POST":
            self._form += body[: forms.MAX_FORM_BYTES - len(self._form)]
        if self._body_bytes > self._settings.max_body_bytes:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

    def on_message_complete(self) -> None:
        """Called by the parser: the request is whole."""
        self.in_request = False
        self.awaits_continue = False
        if self._request is not None:
            self._complete(self._request._replace(body=self._form))

    def _complete(self, request: Request) -> None:
        if self.finished:
            return
        if len(self._found) + 1 >= self._settings.max_pipelined_requests:
            request = request._replace(keep_alive=False)
        self._found.append(request)
        self.finished = not request.keep_alive

    def _refuse(self, status: HTTPStatus) -> None:
        if not self.finished:
            self.refused = status
            self.finished = True
