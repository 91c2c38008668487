"""The mails of the hop's bench. None carries X-MSYS-API: the configuration decides on tracking."""

import base64

from benches.corpus import newsletter
from benches.smtp import mail

SENDER = mail.SENDER
RECIPIENT = mail.RECIPIENT
TRACKING_DOMAIN = mail.TRACKING_DOMAIN

_LARGE_KILOBYTES = 36
_LINE = b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM0\r\n"


def small() -> bytes:
    """3.8 KB, text and HTML, 12 links."""
    return mail.message()


def large() -> bytes:
    """40 KB, one HTML part with a link for each 3.2 KB."""
    return sized(_LARGE_KILOBYTES)


def sized(kilobytes: int) -> bytes:
    """About so many kilobytes of HTML, and a header without X-MSYS-API."""
    body = newsletter.html(kilobytes)
    header = (
        "From: The workshop <news@shop.example>",
        "To: Jo Reader <jo.reader@example.org>",
        "Subject: Autumn at the workshop",
        "Date: Tue, 24 Nov 2026 09:00:00 +0000",
        "Message-ID: <20261124.w47.0001@shop.example>",
        "MIME-Version: 1.0",
        'Content-Type: text/html; charset="utf-8"',
        "Content-Transfer-Encoding: 8bit",
    )
    return "\r\n".join([*header, "", ""]).encode() + body


def attachment(size: int) -> bytes:
    """About so many bytes: the text and HTML of `small`, and a file in base64."""
    inner = small()
    header, _, body = inner.partition(b"\r\n\r\n")
    kept = [line for line in header.split(b"\r\n") if not line.lower().startswith(b"content-type")]
    file = _LINE * ((size - len(inner)) // len(_LINE))
    return b"\r\n".join(
        [
            *kept,
            b'Content-Type: multipart/mixed; boundary="=_files"',
            b"",
            b"--=_files",
            b'Content-Type: multipart/alternative; boundary="=_parts"',
            b"",
            body.rstrip(b"\r\n"),
            b"--=_files",
            b"Content-Type: application/octet-stream",
            b"Content-Disposition: attachment; filename=plan.bin",
            b"Content-Transfer-Encoding: base64",
            b"",
            file + base64.b64encode(b"end"),
            b"--=_files--",
            b"",
        ]
    )
