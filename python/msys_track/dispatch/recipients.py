"""Readers: who gets a copy of a mail, as what, and what the header fields of the copies say.

`cc`, `bcc` and `archive` of X-MSYS-API make further copies of one mail (SparkPost's "CC, BCC and
archive recipients"). Kept apart from `copies`: who reads is one question, what they read another.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, TypeAlias

from msys_track.rewriting.engine import HeaderField
from msys_track.smtpapi.header import ApiHeader
from msys_track.smtpapi.mailbox import Mailbox, write_continuation, write_field

ReaderType: TypeAlias = Literal["to", "cc", "bcc", "archive"]


class Reader(NamedTuple):
    """Somebody who is sent a copy, and as what they read it."""

    address: str
    type: ReaderType


class Readers(NamedTuple):
    """The addresses of each kind; no address is in two, and none is twice in one."""

    to: tuple[str, ...]
    cc: tuple[Mailbox, ...] = ()
    bcc: tuple[Mailbox, ...] = ()
    archive: tuple[Mailbox, ...] = ()


def readers(recipients: Sequence[str], header: ApiHeader | None) -> Readers:
    """Sort out who gets a copy: of two words on one address `to` counts before cc, bcc, archive.

    Args:
        recipients: of the SMTP transaction, each once.
        header: the message's X-MSYS-API.
    """
    if header is None or not (header.cc or header.bcc or header.archive):
        return Readers(tuple(recipients))
    seen = {Mailbox(each).identity for each in recipients}
    cc, bcc, archive = (_new(each, seen) for each in (header.cc, header.bcc, header.archive))
    return Readers(tuple(recipients), cc, bcc, archive)


def insertions(
    message: bytes,
    header: ApiHeader | None,
    bcc: Mailbox | None,
    *,
    at: int,
    cc_fields: Sequence[HeaderField],
) -> list[tuple[int, bytes]]:
    """Find what a copy's header says of its readers: offsets, and what is inserted there.

    Everybody sees all of `cc`, also those who have their copy already; a `bcc` reader sees only
    themselves, and nobody sees `archive`.

    Args:
        message: as received.
        header: its X-MSYS-API.
        bcc: whose copy it is, if it is a blind one.
        at: where new fields may stand: the start of a header field.
        cc_fields: the `Cc` fields that the message has; its last one is gone on with, as there
            may be but one (RFC 5322 section 3.6).
    """
    cc = header.cc if header is not None else ()
    eol = b"\r\n" if b"\r\n" in message[: message.find(b"\n") + 1] else b"\n"
    new = write_field("Bcc", [bcc], eol) if bcc is not None else b""
    inserted: list[tuple[int, bytes]] = []
    if cc and cc_fields:
        inserted.append(_continuation(message, cc_fields[-1], cc, eol))
    elif cc:
        new = write_field("Cc", cc, eol) + new
    if new:
        inserted.append((at, new))
    return sorted(inserted)


def _continuation(
    message: bytes, cc_field: HeaderField, cc: Sequence[Mailbox], eol: bytes
) -> tuple[int, bytes]:
    [*_, (offset, length)], value = cc_field
    lines = message[offset : offset + length]
    end = offset + len(lines.rstrip(b"\r\n"))
    text = write_continuation(cc, eol)
    return end, text if value.strip() else text.removeprefix(b",")


def _new(mailboxes: Iterable[Mailbox], seen: set[str]) -> tuple[Mailbox, ...]:
    new = []
    for mailbox in mailboxes:
        if mailbox.identity not in seen:
            seen.add(mailbox.identity)
            new.append(mailbox)
    return tuple(new)
