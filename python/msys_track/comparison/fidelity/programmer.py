"""What a careful programmer writes around a rewriter of HTML, with Python's `email` alone.

The mail is parsed by `policy.SMTP`, as its documentation says for mail that is sent on. Attached,
signed, encrypted and forwarded parts are left alone, charset and transfer encoding are kept where
they can be, and a mail without HTML goes on as it came.
"""

from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from email.message import MIMEPart
from typing import Final

from msys_track.comparison.peers import Links, Start

_SEALED: Final = frozenset(
    ["multipart/signed", "multipart/encrypted", "multipart/report", "message/rfc822"]
)
_ENCODINGS: Final = frozenset(["quoted-printable", "base64"])


def rewriting_mail(message: bytes, start: Start, links: Links) -> Callable[[], bytes]:
    """Give a call that parses a message, rewrites the HTML that is shown, and writes it again."""

    def rewrite() -> bytes:
        mail = message_from_bytes(message, policy=policy.SMTP)
        bodies = list(_list_bodies(mail))
        for part in bodies:
            html: str = part.get_content()
            rewritten = start(html.encode("utf-8", "replace"), links)()
            _set_html(part, rewritten.decode("utf-8", "replace"))
        return mail.as_bytes() if bodies else message

    return rewrite


def _list_bodies(part: MIMEPart) -> Iterator[MIMEPart]:
    kind = part.get_content_type()
    if kind in _SEALED or part.is_attachment():
        return
    if part.is_multipart():
        for below in part.iter_parts():
            yield from _list_bodies(below)
    elif kind == "text/html":
        yield part


def _set_html(part: MIMEPart, html: str) -> None:
    charset = str(part.get_content_charset("utf-8"))
    try:
        html.encode(charset)
    except (LookupError, UnicodeError):
        charset = "utf-8"
    encoding = str(part.get("Content-Transfer-Encoding", "")).lower()
    part.set_content(
        html,
        subtype="html",
        charset=charset,
        cte=encoding if encoding in _ENCODINGS else None,
        disposition=part.get_content_disposition(),
        filename=part.get_filename(),
        cid=part.get("Content-ID"),
    )
