"""Decides who gets which copy of a message, under which options, before a byte is made."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from msys_track.dispatch.message import OpenedMessage
from msys_track.dispatch.recipients import Reader
from msys_track.options.resolve import Resolved
from msys_track.smtpapi.mailbox import Mailbox


class CopyDecision(NamedTuple):
    """One copy that is to be made."""

    readers: tuple[Reader, ...]
    """Its readers. Links count for the first; only archive readers share a tracked copy."""
    resolved: Resolved | None
    """Its options, each with its origin; None if policy lets the message pass as it came."""
    blind: Mailbox | None = None
    """Whose blind copy it is."""


class Decision(NamedTuple):
    """The copies that a message becomes, none of them rendered yet."""

    message: bytes
    """As received."""
    opened: OpenedMessage | None
    """None if X-MSYS-API is not read for any recipient."""
    options: Mapping[str, Resolved]
    """Of each recipient who is not bypassed, in their order."""
    copies: tuple[CopyDecision, ...]
    sign: Callable[[bytes], bytes] | None = None
    """Returns what stands above the wire bytes of a copy to sign them; None: nothing does."""


def decide_copies(message: OpenedMessage, options: Mapping[str, Resolved]) -> list[CopyDecision]:
    """List the copies of those whose options are resolved, the recipients' own first.

    Readers whom the header names get the first recipient's mail, and so have those options.
    """
    to, cc, bcc, archive = message.readers
    first = options[to[0]]
    if message.has_one_copy:
        readers = (Reader(to[0], "to"), *(Reader(each.email, "archive") for each in archive))
        return [CopyDecision(readers, first)]
    # An archive copy has the first recipient's links, and so the first recipient's bytes.
    more = {to[0]: [Reader(each.email, "archive") for each in archive]}
    own: list[CopyDecision] = []
    shared: dict[bool, tuple[Resolved, list[Reader]]] = {}

    def decide(readers: Sequence[Reader], resolved: Resolved) -> None:
        if resolved.is_tracked and message.find_plan(resolved) is not None:
            own.append(CopyDecision(tuple(readers), resolved))
        else:
            alike = shared.setdefault(resolved.keep_x_msys_api.value, (resolved, []))
            alike[1].extend(readers)

    for address, resolved in options.items():
        decide([Reader(address, "to"), *more.get(address, ())], resolved)
    for mailbox in cc:
        decide([Reader(mailbox.email, "cc")], first)
    return [
        *own,
        *(CopyDecision(tuple(readers), resolved) for resolved, readers in shared.values()),
        *(CopyDecision((Reader(each.email, "bcc"),), first, blind=each) for each in bcc),
    ]
