"""Bodies of parts: decoded, and with the way back to the message for each byte."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from msys_track.reasons import Reason
from msys_track.rewriting.reference import base64
from msys_track.rewriting.reference.charsets.charset import (
    Charset,
    find_charset,
    find_charset_of_transcoded,
)
from msys_track.rewriting.reference.charsets.transcoded import Transcoded, transcode
from msys_track.rewriting.reference.entity import Leaf
from msys_track.rewriting.reference.left_alone import LeftAloneError
from msys_track.rewriting.reference.quoted_printable import Decoded

Form: TypeAlias = Literal["verbatim", "quoted-printable", "base64"]

_WIDE_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")
"""Byte order marks of UTF-16 (Encoding Standard, "BOM sniff")."""
_VERBATIM: Final = ("7bit", "8bit", "binary")


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A part's body and its text."""

    leaf: Leaf
    form: Form
    content: bytes
    """After transfer decoding."""
    text: bytes
    """The same, in a charset that agrees with ASCII."""
    charset: Charset
    """Of `text`."""
    quoted_printable: Decoded | None
    transcoded: Transcoded | None

    def locate_part(self, start: int, end: int) -> tuple[int, int] | None:
        """Return the bytes of the content that a range of the text stands for."""
        return (start, end) if self.transcoded is None else self.transcoded.find_range(start, end)

    def locate_insertion(self, at: int) -> int | None:
        """Return where in the content a pixel goes that has that place in the text."""
        return at if self.transcoded is None else self.transcoded.find_insertion(at)

    @property
    def is_wide(self) -> bool:
        """Whether its characters are written in units of two or four bytes."""
        return self.transcoded is not None and self.transcoded.is_wide

    @property
    def has_unread(self) -> bool:
        """Whether U+FFFD may stand for a character that others can read."""
        return self.charset.is_opaque or (
            self.transcoded is not None and self.transcoded.has_unread
        )

    def locate(self, start: int, end: int) -> tuple[int, int]:
        """Return the bytes of the message of a range of the content; in base64 all of them."""
        if self.form == "base64":
            return self.leaf.start, self.leaf.end
        if self.quoted_printable is not None:
            return self.quoted_printable.locate(start, end)
        return self.leaf.start + start, self.leaf.start + end

    def encode(self, text: bytes) -> bytes:
        """Write ASCII in the part's charset."""
        return text if self.transcoded is None else self.transcoded.encode(text)


def read_body(message: bytes, leaf: Leaf) -> Body:
    """Read a part's body.

    Raises:
        LeftAloneError: its charset or transfer encoding can't be read.
    """
    charset = find_charset(leaf.media_type.find("charset"))
    raw = message[leaf.start : leaf.end]
    quoted_printable = None
    form: Form = "verbatim"
    content = raw
    if leaf.transfer_encoding == "quoted-printable":
        form = "quoted-printable"
        quoted_printable = Decoded(raw, leaf.start)
        content = quoted_printable.content
    elif leaf.transfer_encoding == "base64":
        form = "base64"
        try:
            content = base64.decode(raw)
        except base64.MalformedError as error:
            raise LeftAloneError(Reason.MALFORMED_TRANSFER_ENCODING) from error
    elif leaf.transfer_encoding not in _VERBATIM:
        raise LeftAloneError(Reason.UNKNOWN_TRANSFER_ENCODING)
    transcoded = None
    if not isinstance(charset, Charset):
        transcoded = transcode(content, charset)
        charset = find_charset_of_transcoded(charset)
    elif content.startswith(_WIDE_MARKS):
        # A browser believes the mark, other readers the header section.
        raise LeftAloneError(Reason.UNSUPPORTED_CHARSET)
    return Body(
        leaf=leaf,
        form=form,
        content=content,
        text=content if transcoded is None else transcoded.content,
        charset=charset,
        quoted_printable=quoted_printable,
        transcoded=transcoded,
    )
