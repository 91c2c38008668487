"""One mail's way there and back: sent, read, opened, clicked, and found in the store.

It records what happened; `check` compares that with what must happen.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from msys_track.demo.catalogue import Mail
from msys_track.demo.stage import Stage
from msys_track.dispatch.copies import Copy
from msys_track.dispatch.message import OpenedMessage
from msys_track.errors import HeaderRefusedError
from msys_track.events import Event
from msys_track.testing.browser import BrowserResponse
from msys_track.testing.fidelity import (
    Changes,
    NamedAddress,
    Wrapped,
    changes,
    name_mailbox,
    split_received,
    take_added,
    without_fields,
)
from msys_track.testing.sender import Answer, WireForm
from msys_track.testing.sink import Arrival

# A thousand links prove as much as more of them.
_MAX_CLICKS: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenCopy:
    """One arrival, compared with what was sent; opened and clicked if it is a recipient's."""

    arrival: Arrival
    received: bytes
    """The proxy's Received field at its top."""
    message: bytes
    """All below that, in wire form."""
    reported: Copy | None
    """The product's own report; None if it refuses the mail."""
    changes: Changes
    """All differences, apart from the header fields that name readers."""
    added: Sequence[Sequence[NamedAddress]]
    """The readers added to its Cc, and those added to its Bcc."""
    wanted: Sequence[Sequence[NamedAddress]]
    """The readers that had to be added to each."""
    responses: Mapping[str, BrowserResponse] | None
    """The answers to opening and clicking, by URL; None if the demo does neither."""

    @property
    def whose(self) -> str:
        """The copy, named by the addresses that it came to."""
        return f"{', '.join(self.arrival.recipients)}'s copy"

    @property
    def images(self) -> list[BrowserResponse]:
        """The images behind its pixels."""
        got = self.responses or {}
        return [got[pixel.url] for pixel in self.changes.pixels if pixel.url in got]

    @property
    def clicks(self) -> list[tuple[Wrapped, BrowserResponse]]:
        """Its links that were clicked, and where that led."""
        got = self.responses or {}
        clicked = self.changes.wrapped[:_MAX_CLICKS]
        return [(link, got[link.url]) for link in clicked if link.url in got]


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """The fate of one mail."""

    mail: Mail
    wire: WireForm
    answer: Answer
    refusal: HeaderRefusedError | None
    """The product's refusal of a malformed header; then no copy may arrive."""
    readers: Sequence[str]
    """Who must get a copy if the mail is accepted: recipients, and readers in its header."""
    copies: Sequence[SeenCopy]
    """All that arrived."""
    events: Sequence[Event]

    @property
    def visited_copies(self) -> list[SeenCopy]:
        """The copies of the mail's recipients, which were opened and clicked."""
        return [copy for copy in self.copies if copy.responses is not None]


async def travel(stage: Stage, mail: Mail) -> Journey:
    """Send a mail, then read every copy of it; open and click those of its recipients."""
    wire = mail.wire_form()
    answer = await stage.send(mail.sender, mail.recipients, wire.message)
    arrivals = stage.arrivals()
    opened, refusal = None, None
    readers: list[str] = []
    try:
        opened = stage.rewriter.open(wire.message, mail.recipients)
    except HeaderRefusedError as error:
        refusal = error
    else:
        to, cc, bcc, archive = opened.readers
        readers = [*to, *(each.email for each in (*cc, *bcc, *archive))]
    return Journey(
        mail=mail,
        wire=wire,
        answer=answer,
        refusal=refusal,
        readers=readers,
        copies=[await _visit(stage, mail, wire.message, each, opened) for each in arrivals],
        events=await stage.new_events(),
    )


async def _visit(
    stage: Stage, mail: Mail, sent: bytes, arrival: Arrival, opened: OpenedMessage | None
) -> SeenCopy:
    """Compare a copy with what was sent; open and click it where it is a recipient's."""
    received, below = split_received(arrival.message)
    message, reported = below, None
    own = [to for to in mail.recipients if to in arrival.recipients]
    added: list[Sequence[NamedAddress]] = [(), ()]
    wanted: list[Sequence[NamedAddress]] = [(), ()]
    if opened is not None:
        reader = (own or arrival.recipients)[0]
        reported = stage.rewriter.copy_for(reader, opened, now=int(time.time()))
    if opened is not None and opened.header is not None:
        bcc = [each for each in opened.readers.bcc if each.email in arrival.recipients]
        if opened.header.bcc:
            sent = without_fields(sent, b"Bcc")
        for at, name, mailboxes in ((0, b"Cc", opened.header.cc), (1, b"Bcc", bcc)):
            wanted[at] = [name_mailbox(it.name or "", it.email) for it in mailboxes]
            if mailboxes:
                message, added[at] = take_added(sent, message, name)
    found = changes(sent, message, stage.origin)
    urls = [pixel.url for pixel in found.pixels]
    urls += [link.url for link in found.wrapped[:_MAX_CLICKS]]
    responses = dict(zip(urls, await stage.fetch(urls), strict=True)) if own else None
    return SeenCopy(
        arrival=arrival,
        received=received,
        message=below,
        reported=reported,
        changes=found,
        added=added,
        wanted=wanted,
        responses=responses,
    )
