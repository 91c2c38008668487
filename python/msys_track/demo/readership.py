"""What a copy says of its readers: the header fields that `cc` and `bcc` of X-MSYS-API bring.

They are read by the standard library and taken out again, so that what is left can be compared.
"""

import email.utils
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import Final, TypeAlias

from msys_track.dispatch.message import Planned
from msys_track.smtpapi.mailbox import Mailbox
from msys_track.testing.fidelity import Changes, changes, field_lines, without_fields
from msys_track.testing.sink import Arrival

_EOL: Final = b"\r\n"

Named: TypeAlias = tuple[str, str]
"""A name, perhaps empty, and an address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadersCopy:
    """One arrival, compared with what was sent but for the fields that name readers."""

    arrival: Arrival
    changes: Changes
    said: tuple[int, int]
    """How many links and pixels the product says that it has."""
    named: tuple[Sequence[Named], Sequence[Named]]
    """Who was added to its Cc and Bcc."""
    to_be_named: tuple[Sequence[Named], Sequence[Named]]

    @property
    def whose(self) -> str:
        """The addresses it came to."""
        return ", ".join(self.arrival.recipients)


def addresses(planned: Planned) -> list[str]:
    """List who must get a copy, each once."""
    to, cc, bcc, archive = planned.readers
    return [*to, *(each.email for each in (*cc, *bcc, *archive))]


def compared(sent: bytes, arrival: Arrival, planned: Planned, origin: str) -> ReadersCopy:
    """Compare a message in wire form with one reader's copy."""
    header, arrived = planned.header, arrival.message
    cc = header.cc if header else ()
    blind = [each for each in planned.readers.bcc if each.email in arrival.recipients]
    if header and header.bcc:
        sent = without_fields(sent, b"Bcc")
    arrived, named_cc = _undone(sent, arrived, b"Cc") if cc else (arrived, b"")
    arrived, named_bcc = _undone(sent, arrived, b"Bcc") if blind else (arrived, b"")
    return ReadersCopy(
        arrival=arrival,
        changes=changes(sent, arrived, origin),
        said=_said(arrival, planned),
        named=(_mailboxes(named_cc), _mailboxes(named_bcc)),
        to_be_named=(_wanted(cc), _wanted(blind)),
    )


def _said(arrival: Arrival, planned: Planned) -> tuple[int, int]:
    own = next((each for each in planned.readers.to if each in arrival.recipients), None)
    reader = arrival.recipients[0] if own is None else own
    said = planned.render(reader, now=int(time.time()))
    return said.wrapped_links, said.pixels


def _undone(sent: bytes, arrived: bytes, name: bytes) -> tuple[bytes, bytes]:
    """Take out what was added to the last field of that name, or a field that is new.

    Where neither is found nothing is taken out.
    """
    before, after = list(field_lines(sent, name)), list(field_lines(arrived, name))
    if not after or len(after) != max(len(before), 1):
        return arrived, b""
    start, end = after[-1]
    if not before:
        return arrived[:start] + arrived[end:], arrived[start:end].partition(b":")[2]
    kept = sent[slice(*before[-1])].rstrip(_EOL)
    if not arrived.startswith(kept, start):
        return arrived, b""
    end -= len(_EOL)
    return arrived[: start + len(kept)] + arrived[end:], arrived[start + len(kept) : end]


def _mailboxes(value: bytes) -> list[Named]:
    unfolded = value.decode("latin-1").replace("\r\n", "").strip().removeprefix(",")
    pairs = email.utils.getaddresses([unfolded]) if unfolded else []
    return [(_plain(_decoded(name)), address) for name, address in pairs]


def _decoded(name: str) -> str:
    try:
        return str(make_header(decode_header(name)))
    except (HeaderParseError, LookupError, UnicodeError):
        return name


def _wanted(mailboxes: Iterable[Mailbox]) -> list[Named]:
    return [(_plain(each.name or ""), each.email) for each in mailboxes]


def _plain(name: str) -> str:
    """Blanks in a row are one in a field's words."""
    return " ".join(name.split())
