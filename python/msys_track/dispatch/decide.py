"""Decides who gets which copy of a message, under which options, before a byte is made."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from msys_track.dispatch.edition import Source
from msys_track.dispatch.message import OpenedMessage
from msys_track.dispatch.own_fields import adds_fields
from msys_track.dispatch.recipients import Reader
from msys_track.options.resolve import Resolved
from msys_track.smtpapi.mailbox import Mailbox


class CopyDecision(NamedTuple):
    """One copy that is to be made."""

    readers: tuple[Reader, ...]
    """Its readers. Links count for the first; only archive readers share a tracked copy."""
    resolved: Resolved | None
    """Its options, each with its origin; None if policy lets the message pass as it came."""
    source: Source
    """What it is made from."""
    blind: Mailbox | None = None
    """Whose blind copy it is."""
    sender: str | None = None
    """The reverse-path that policy gives it; None: that of the client."""
    notices: tuple[str, ...] = ()
    """Codes of what policy asked for in vain."""


class Decision(NamedTuple):
    """The copies that a message becomes, none of them rendered yet."""

    message: bytes
    """As received."""
    options: Mapping[str, Resolved]
    """Of each recipient who is not bypassed, in their order."""
    copies: tuple[CopyDecision, ...]
    """Empty if policy discards the message."""
    transmission_id: int
    """The same for all copies."""
    sign: Callable[[bytes], bytes] | None = None
    """Returns what stands above the wire bytes of a copy to sign them; None: nothing does."""
    needs_smtp_utf8: bool = False
    """Whether X-MSYS-API or policy names an address that is not ASCII (RFC 6531)."""
    renamed: Mapping[str, str] = MappingProxyType({})
    """The recipients that policy has changed: from their new address to that of the client."""
    discarded: Mapping[str, str] = MappingProxyType({})
    """The recipients for whom policy discards the message, and why."""


def decide_copies(
    message: OpenedMessage,
    options: Mapping[str, Resolved],
    source: Source | None = None,
    senders: Mapping[str, str] = MappingProxyType({}),
) -> list[CopyDecision]:
    """List the copies of those whose options are resolved, the recipients' own first.

    Readers whom the header names get the first recipient's mail, and so have those options.

    Args:
        message: what the copies are made from.
        options: of each recipient.
        source: what opens the message again; None: it stays open.
        senders: reverse-paths that policy gives to recipients.
    """
    source = message if source is None else source
    to, cc, bcc, archive = message.readers
    first = options[to[0]]
    if message.has_one_copy:
        alone = (Reader(to[0], "to"), *(Reader(each.email, "archive") for each in archive))
        return [CopyDecision(alone, first, source, None, senders.get(to[0]))]
    # An archive copy has the first recipient's links, and so the first recipient's bytes.
    more = {to[0]: [Reader(each.email, "archive") for each in archive]}
    own: list[CopyDecision] = []
    shared: dict[tuple[bool, str | None], tuple[Resolved, list[Reader]]] = {}

    def decide(readers: Sequence[Reader], resolved: Resolved, sender: str | None) -> None:
        is_tracked = resolved.is_tracked and message.find_plan(resolved) is not None
        if is_tracked or adds_fields(resolved):
            own.append(CopyDecision(tuple(readers), resolved, source, None, sender))
        else:
            key = resolved.keep_x_msys_api.value, sender
            alike = shared.setdefault(key, (resolved, []))
            alike[1].extend(readers)

    for address, resolved in options.items():
        readers = [Reader(address, "to"), *more.get(address, ())]
        decide(readers, resolved, senders.get(address))
    sender = senders.get(to[0])
    for mailbox in cc:
        decide([Reader(mailbox.email, "cc")], first, sender)
    return [
        *own,
        *(
            CopyDecision(tuple(readers), resolved, source, None, each)
            for (_, each), (resolved, readers) in shared.items()
        ),
        *(CopyDecision((Reader(each.email, "bcc"),), first, source, each, sender) for each in bcc),
    ]
