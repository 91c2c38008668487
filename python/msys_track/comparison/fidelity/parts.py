"""The parts of a message as Python's `email` finds them, for a judge and for peers."""

import codecs
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from typing import Final, cast

from msys_track.comparison.utf8 import is_utf8

# Encoding Standard, section 4.2: labels of other encodings than Python's codecs of these names.
_CODECS: Final[Mapping[str, str]] = {
    "ascii": "cp1252",
    "big5": "big5hkscs",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
}
_BYTE_ORDER_MARKS: Final = {
    b"\xef\xbb\xbf": "utf-8",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
SIGNATURES: Final = ("DKIM-Signature", "ARC-Seal")
"""Header fields that hold a signature of the body."""
_SEALED: Final = {
    "multipart/signed": "signed_part",
    "multipart/encrypted": "encrypted_part",
    "multipart/report": "report_part",
}


@dataclass(frozen=True, slots=True)
class Leaf:
    """A part that holds no other."""

    kind: str
    """Its media type in lower case; `text/plain` where that is none (RFC 2045 section 5.2)."""
    charset: str
    raw: bytes
    """As it stands in the message."""
    body: bytes
    """Without its transfer encoding."""
    excuse: str | None
    """The code of the reason why nobody should touch it, if there is one."""

    @property
    def is_html(self) -> bool:
        """Whether it is HTML, attached or not."""
        return self.kind == "text/html"

    @property
    def text(self) -> str:
        """Its body, read as a browser would: what can't be decoded becomes U+FFFD."""
        return self.body.decode(find_codec(self.charset, self.body), "replace")


def list_leaves(message: bytes) -> list[Leaf]:
    """List the parts that hold no other, in the order of the message."""
    parsed = message_from_bytes(message)
    is_signed = any(name in parsed for name in SIGNATURES)
    return list(_walk(parsed, "signed_message" if is_signed else None))


def _walk(part: Message, excuse: str | None) -> Iterator[Leaf]:
    kind = part.get_content_type()
    if part.is_multipart():
        found = "embedded_message" if kind.startswith("message/") else _SEALED.get(kind)
        for below in cast("list[Message]", part.get_payload()):
            yield from _walk(below, excuse or found)
        return
    body = part.get_payload(decode=True)
    undecoded = part._payload  # type: ignore[attr-defined]  # noqa: SLF001 - nothing public has it
    raw = undecoded.encode("ascii", "surrogateescape") if isinstance(undecoded, str) else b""
    if part.get_content_disposition() not in (None, "inline"):
        excuse = excuse or "attached_part"
    charset = str(part.get_param("charset") or "")
    if charset and not _is_known(charset):
        excuse = excuse or "unknown_charset"
    yield Leaf(
        kind if re.fullmatch("[^/]+/[^/]+", kind) else "text/plain",
        charset,
        raw,
        body if isinstance(body, bytes) else b"",
        excuse,
    )


def _is_known(label: str) -> bool:
    try:
        codecs.lookup(label.strip("\"' "))
    except (LookupError, ValueError):
        return False
    return True


def find_codec(label: str, body: bytes) -> str:
    """Name Python's codec for a body, given what its part says of its charset."""
    for mark, name in _BYTE_ORDER_MARKS.items():
        if body.startswith(mark):
            return name
    try:
        codec = codecs.lookup(label.strip("\"' ")).name
    except (LookupError, ValueError):
        codec = "ascii"
    if codec == "ascii" and is_utf8(body):
        return "utf-8"
    return _CODECS.get(codec, codec)
