"""Readers: who gets a copy of a mail, as what, and what the header fields of the copies say.

`cc`, `bcc` and `archive` of X-MSYS-API make further copies of one mail (SparkPost's "CC, BCC and
archive recipients").
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from msys_track.rewriting.engine import HeaderField
from msys_track.smtpapi.header import ApiHeader
from msys_track.smtpapi.mailbox import Mailbox, write_continuation, write_field

ReaderType: TypeAlias = Literal["to", "cc", "bcc", "archive"]


class Reader(NamedTuple):
    """The address that a copy is sent to, and its reader type."""

    address: str
    type: ReaderType


class Readers(NamedTuple):
    """The addresses of each kind; no address is in two, and none is twice in one."""

    to: tuple[str, ...]
    cc: tuple[Mailbox, ...] = ()
    bcc: tuple[Mailbox, ...] = ()
    archive: tuple[Mailbox, ...] = ()


def list_readers(
    recipients: Sequence[str], header: ApiHeader | None, others: Sequence[str] = ()
) -> Readers:
    """List who gets a copy. An address counts once, as the first of to, cc, bcc, archive.

    Args:
        recipients: of the SMTP transaction, each once.
        header: the message's X-MSYS-API.
        others: who has a copy already, and gets none for the header's sake.
    """
    to = tuple(recipients)
    if header is None or not (header.cc or header.bcc or header.archive):
        return Readers(to)
    identities = {Mailbox(each).identity for each in (*recipients, *others)}
    lists: list[tuple[Mailbox, ...]] = []
    for mailboxes in (header.cc, header.bcc, header.archive):
        new: dict[str, Mailbox] = {}
        for mailbox in mailboxes:
            if mailbox.identity not in identities:
                new.setdefault(mailbox.identity, mailbox)
        lists.append(tuple(new.values()))
        identities |= new.keys()
    return Readers(to, *lists)


def list_insertions(
    message: bytes,
    header: ApiHeader | None,
    bcc: Mailbox | None,
    *,
    at: int,
    cc_fields: Sequence[HeaderField],
) -> list[tuple[int, bytes]]:
    """List what a copy's header says of its readers, each text with its offset.

    Everybody sees all of `cc`, also those who have their copy already. A `bcc` reader sees only
    themselves, and no reader sees `archive`.

    Args:
        message: as received.
        header: its X-MSYS-API.
        bcc: whose copy it is, if it is a blind one.
        at: where new fields may stand: the start of a header field.
        cc_fields: the `Cc` fields of the message. The last one is continued, because only one is
            allowed (RFC 5322 section 3.6).
    """
    cc = header.cc if header is not None else ()
    eol = b"\r\n" if b"\r\n" in message[: message.find(b"\n") + 1] else b"\n"
    new = write_field("Bcc", [bcc], eol) if bcc is not None else b""
    inserted: list[tuple[int, bytes]] = []
    if cc and cc_fields:
        [*_, (offset, length)], value = cc_fields[-1]
        end = offset + len(message[offset : offset + length].rstrip(b"\r\n"))
        text = write_continuation(cc, eol)
        inserted.append((end, text if value.strip() else text.removeprefix(b",")))
    elif cc:
        new = write_field("Cc", cc, eol) + new
    if new:
        inserted.append((at, new))
    return sorted(inserted)
