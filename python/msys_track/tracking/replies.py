"""Every answer the tracker can give, as bytes: all but the redirect are made once.

A reply ends before `Date`, `Connection` and the blank line, which the connection adds.
"""

from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from msys_track.tracking import pages

# 1x1, one transparent colour, GIF89a: the shortest that every decoder shows as nothing.
PIXEL = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)

_NOT_FOUND = (
    b"This address is not known here. A link from a mail may have been cut off or changed on its "
    b"way:\ncopy the whole link, or ask the sender for a new one.\n"
)

_ROBOTS = b"User-agent: *\nDisallow: /\n"

_GONE = b"This link has expired. Ask the sender for a new one.\n"

_OF_FORMS = "GET, HEAD, POST"

_REFUSALS = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.REQUEST_URI_TOO_LONG,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)


@dataclass(frozen=True, slots=True)
class Response:
    """Status line and headers without the closing blank line, and the body for a GET."""

    head: bytes
    body: bytes = b""


class Replies:
    """The replies of one tracker, with its name in them; `refusals` have no body."""

    __slots__ = (
        "_common", "ask", "ask_and_lead", "done", "gone", "host_is_ours", "not_found", "pixel",
        "redirect_end", "redirect_start", "refusals", "refused_form", "robots", "too_old",
        "unsubscribed", "use_form",
    )  # fmt: skip

    def __init__(self, server_name: str) -> None:
        # noindex: no search engine has business here. no-store: a cached answer hides the next
        # visit. no-referrer: the token is the reader's, the target must not learn it.
        self._common = (
            f"Server: {server_name}\r\n"
            "X-Robots-Tag: noindex\r\n"
            "Cache-Control: no-store, no-cache, max-age=0\r\n"
            "Referrer-Policy: no-referrer\r\n"
        )
        # "Moved Temporarily" is what SparkPost says; RFC 9110 leaves the phrase open.
        self.redirect_start = (
            b"HTTP/1.1 302 Moved Temporarily\r\nContent-Type: text/plain\r\nLocation: "
        )
        self.redirect_end = f"\r\n{self._common}Content-Length: 0\r\n".encode("ascii")
        pixel = self._make_reply(HTTPStatus.OK, PIXEL, "image/gif")
        # Webmail that isolates its pages (COEP) shows no image of others without it.
        policy = b"Cross-Origin-Resource-Policy: cross-origin\r\n"
        self.pixel = Response(pixel.head + policy, pixel.body)
        self.not_found = self._make_reply(HTTPStatus.NOT_FOUND, _NOT_FOUND)
        self.gone = self._make_reply(HTTPStatus.GONE, _GONE)
        self.robots = self._make_reply(HTTPStatus.OK, _ROBOTS)
        self.ask = self._make_page(HTTPStatus.OK, pages.ASK)
        self.ask_and_lead = self._make_page(HTTPStatus.OK, pages.ASK, pages.LEADING_POLICY)
        self.done = self._make_page(HTTPStatus.OK, pages.DONE)
        self.too_old = self._make_page(HTTPStatus.GONE, pages.TOO_OLD)
        self.unsubscribed = self._make_reply(HTTPStatus.OK, b"unsubscribed\n")
        self.use_form = self._make_reply(
            HTTPStatus.BAD_REQUEST,
            b"A POST here has the form field List-Unsubscribe=One-Click (RFC 8058).\n",
        )
        self.host_is_ours = self._make_reply(HTTPStatus.OK, b"this host is ours\n")
        self.refusals = {status: self._make_reply(status) for status in _REFUSALS}
        self.refused_form = self._make_reply(HTTPStatus.METHOD_NOT_ALLOWED, allowed=_OF_FORMS)

    def file(self, content: bytes) -> Response:
        """Answer with a JSON file."""
        return self._make_reply(HTTPStatus.OK, content, "application/json")

    def see_other(self, redirect: Response) -> Response:
        """Send a form's reader on by GET (RFC 9110 section 15.4.4), to where a redirect leads."""
        _, _, rest = redirect.head.partition(b"\r\n")
        return Response(b"HTTP/1.1 303 See Other\r\n" + rest)

    def redirect(self, location: str) -> Response:
        """Redirect with 302 to a value of `make_location`, which is printable ASCII."""
        return Response(self.redirect_start + location.encode("ascii") + self.redirect_end)

    def _make_page(
        self, status: HTTPStatus, body: bytes, policy: str = pages.CONTENT_SECURITY_POLICY
    ) -> Response:
        made = self._make_reply(status, body, "text/html; charset=utf-8")
        more = (
            f"Content-Security-Policy: {policy}\r\n"
            "X-Frame-Options: DENY\r\n"
            "X-Content-Type-Options: nosniff\r\n"
        )
        return Response(made.head + more.encode("ascii"), body)

    def _make_reply(
        self,
        status: HTTPStatus,
        body: bytes = b"",
        media_type: str = "text/plain",
        *,
        allowed: str = "GET, HEAD",
    ) -> Response:
        # RFC 9110 section 15.5.6: a 405 names what is allowed.
        allow = f"Allow: {allowed}\r\n" if status is HTTPStatus.METHOD_NOT_ALLOWED else ""
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\n"
            f"Content-Type: {media_type}\r\n"
            f"{allow}{self._common}"
            f"Content-Length: {len(body)}\r\n"
        )
        return Response(head.encode("ascii"), body)


@lru_cache(maxsize=1)
def make_date_line(second: int) -> bytes:
    """Make the `Date` header (RFC 9110 section 6.6.1) of a Unix second, with its line break."""
    return f"Date: {formatdate(second, usegmt=True)}\r\n".encode("ascii")
