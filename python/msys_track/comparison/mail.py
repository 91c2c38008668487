"""A mail to compare ways with: one that comes with this package, or a file of one's own.

Rewriters of HTML know nothing of mail. They are given what a programmer would hand them: the
bodies of the `text/html` parts, decoded, and what they return is encoded again.
"""

import binascii
import codecs
import json
from base64 import encodebytes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from importlib.resources import files
from pathlib import Path
from typing import Final, cast

from msys_track.comparison.peers import Links, Start
from msys_track.comparison.utf8 import is_utf8
from msys_track.dispatch.library import Rewriter
from msys_track.errors import TrackingError
from msys_track.keys.ring import KeyRing

_BUNDLED: Final = {
    "newsletter-80": "newsletter",
    "newsletter-80-qp": "newsletter, quoted-printable",
    "newsletter-10": "short newsletter",
    "order": "order confirmation",
}
_HTML_SUFFIXES: Final = frozenset([".html", ".htm"])


class UnfitMailError(TrackingError):
    """There is nothing to compare in this mail."""


@dataclass(frozen=True, slots=True)
class Body:
    """The body of a `text/html` part, in its transfer encoding."""

    encoded: bytes
    transfer_encoding: str
    charset: str

    def html(self) -> bytes:
        """Decode it, to UTF-8."""
        return _to_utf8(_decode(self.encoded, self.transfer_encoding), self.charset)

    def rewriting(self, start: Start, links: Links) -> Callable[[], bytes]:
        """Give a call that decodes the body, rewrites its HTML and encodes it again."""
        if self.transfer_encoding == "identity" and self.charset == "utf-8":
            return start(self.encoded, links)

        def rewrite() -> bytes:
            rewritten = start(self.html(), links)()
            return _encode(_from_utf8(rewritten, self.charset), self.transfer_encoding)

        return rewrite

    def with_content(self, encoded: bytes) -> "Body":
        """Return the same part with another body."""
        return Body(encoded, self.transfer_encoding, self.charset)


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail, whole and by its HTML."""

    name: str
    """For scripts: in file names and JSON."""
    kind: str
    """For people: what it is."""
    message: bytes
    bodies: Sequence[Body]
    metadata: Mapping[str, str]
    """What its `X-MSYS-API` says of the message: each link carries it."""

    @property
    def html_bytes(self) -> int:
        """How much HTML it has, decoded."""
        return sum(len(body.html()) for body in self.bodies)


def list_bundled() -> Sequence[Mail]:
    """Read the mails that come with this package."""
    folder = files(__package__) / "mails"
    return [
        _open(name, kind, (folder / f"{name}.eml").read_bytes()) for name, kind in _BUNDLED.items()
    ]


def read_mail(path: Path) -> Mail:
    """Read a message (RFC 5322), or an HTML document if the file is named so.

    Raises:
        UnfitMailError: it has no HTML.
        HeaderRefusedError: its `X-MSYS-API` is malformed.
        OSError: it can't be read.
    """
    content = path.read_bytes()
    if path.suffix.lower() in _HTML_SUFFIXES:
        content = _wrap(content)
    return _open(path.stem, path.name, content)


def list_bodies(message: bytes) -> Sequence[Body]:
    """Find the bodies of the `text/html` parts that are shown, in their order."""
    bodies = []
    for part in message_from_bytes(message, policy=policy.compat32).walk():
        if part.get_content_type() != "text/html":
            continue
        if part.get_content_disposition() == "attachment":
            continue
        content = cast("bytes", part.get_payload(decode=True))  # text is no multipart
        encoding = str(part.get("Content-Transfer-Encoding", "")).strip().lower()
        if encoding not in ("quoted-printable", "base64"):
            encoding = "identity"
        charset = _normalise_charset(part.get_content_charset("utf-8"), content)
        bodies.append(Body(_encode(content, encoding), encoding, charset))
    return bodies


def _open(name: str, kind: str, message: bytes) -> Mail:
    bodies = list_bodies(message)
    if not any(body.encoded.strip() for body in bodies):
        raise UnfitMailError(
            f"{kind}: no text/html part; give a message with one, or a file named .html"
        )
    return Mail(name, kind, message, bodies, _read_metadata(message))


def _read_metadata(message: bytes) -> Mapping[str, str]:
    header = Rewriter(keys=KeyRing.temporary()).open(message).header
    if header is None or header.metadata is None:
        return {}
    metadata: Mapping[str, str] = json.loads(header.metadata)
    return metadata


def _wrap(html: bytes) -> bytes:
    """Make a mail of an HTML document."""
    mail = EmailMessage(policy=policy.SMTP)
    mail["From"] = "sender@example.com"
    mail["To"] = "reader@example.com"
    mail["Subject"] = "A page"
    mail["MIME-Version"] = "1.0"
    mail["Content-Type"] = f"text/html; charset={'utf-8' if is_utf8(html) else 'windows-1252'}"
    mail["Content-Transfer-Encoding"] = "8bit"
    return mail.as_bytes().rstrip(b"\r\n") + b"\r\n\r\n" + html


def _normalise_charset(name: str, content: bytes) -> str:
    try:
        charset = codecs.lookup(name).name
    except LookupError:
        charset = "utf-8" if is_utf8(content) else "cp1252"
    return "utf-8" if charset == "ascii" else charset


def _decode(body: bytes, encoding: str) -> bytes:
    if encoding == "base64":
        return binascii.a2b_base64(body)
    return binascii.a2b_qp(body) if encoding == "quoted-printable" else body


def _encode(content: bytes, encoding: str) -> bytes:
    if encoding == "base64":
        return encodebytes(content).replace(b"\n", b"\r\n")
    return binascii.b2a_qp(content, istext=True) if encoding == "quoted-printable" else content


def _to_utf8(content: bytes, charset: str) -> bytes:
    return content if charset == "utf-8" else content.decode(charset, "replace").encode()


def _from_utf8(content: bytes, charset: str) -> bytes:
    if charset == "utf-8":
        return content
    return content.decode("utf-8", "replace").encode(charset, "xmlcharrefreplace")
