"""What policy wants for each recipient of a message, and which of them get the same edition."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from msys_track.dispatch.header_edits import (
    SIGNATURES,
    FindFields,
    find_signed_names,
    leave_signed,
)
from msys_track.policy.changes import Changes, HeaderChange
from msys_track.policy.context import Contexts
from msys_track.smtp.path import fold_domain

SKIPPED_CHANGE: Final = "skipped_header_change"
"""The notice of a header change that a signature of the message forbids."""

_REMOVED_SIGNATURES: Final = tuple(HeaderChange(name, None) for name in SIGNATURES)


class Wish(NamedTuple):
    """What policy wants for one recipient."""

    recipient: str
    """As the client named it, or policy that added it."""
    contexts: Contexts | None
    """The variables; None: none is set."""
    changes: Changes | None
    """Of the copy; None: there are none."""


class Wanted(NamedTuple):
    """One recipient who gets a copy, with what was made of policy's wish."""

    address: str
    """Where the copy goes."""
    contexts: Contexts | None
    sender: str | None
    """The new reverse-path; None: that of the client."""
    changes: tuple[HeaderChange, ...]
    """Of the header."""
    notices: tuple[str, ...]


class Granted(NamedTuple):
    """All wishes for one message."""

    wanted: Sequence[Wanted]
    renamed: Mapping[str, str]
    """From the new address to the one that the client named."""
    discarded: Mapping[str, str]
    """Recipients who get nothing, and why."""

    @property
    def is_ascii(self) -> bool:
        """Whether each address of the envelope is."""
        return all(
            each.address.isascii() and (each.sender or "").isascii() for each in self.wanted
        )


def add_recipients(recipients: Sequence[str], added: Iterable[str]) -> Sequence[str]:
    """Return the recipients with those that policy adds; the same mailbox is one reader."""
    known = {fold_domain(each): each for each in recipients}
    for address in added:
        known.setdefault(fold_domain(address), address)
    return tuple(known.values())


def grant(
    wishes: Sequence[Wish],
    message: bytes,
    find_fields: FindFields,
    find_signed_mail: Callable[[Wish], str],
) -> Granted:
    """Decide what is done of what policy wants.

    Args:
        wishes: for each recipient.
        message: as received.
        find_fields: the engine's.
        find_signed_mail: returns the option `signed_mail` for a recipient.
    """
    signed_names: frozenset[str] | None = None
    wanted: dict[str, Wanted] = {}
    renamed: dict[str, str] = {}
    discarded: dict[str, str] = {}
    for wish in wishes:
        changes = wish.changes
        if changes is None or not changes:
            new = Wanted(wish.recipient, wish.contexts, None, (), ())
            wanted.setdefault(fold_domain(wish.recipient), new)
            continue
        if wish.recipient in changes.discarded or changes.is_discarded:
            why = changes.discarded.get(wish.recipient, changes.discard_reason)
            discarded[wish.recipient] = why
            continue
        address = changes.recipient or wish.recipient
        edits, notices = tuple(changes.headers), tuple[str, ...]()
        if edits:
            if signed_names is None:
                signed_names = find_signed_names(message, find_fields)
            if signed_names:
                edits, notices = _heed_signatures(edits, signed_names, find_signed_mail(wish))
        new = Wanted(address, wish.contexts, changes.sender, edits, notices)
        # The same mailbox is one reader, though policy leads two recipients there.
        if wanted.setdefault(fold_domain(address), new) is new and address != wish.recipient:
            renamed[address] = wish.recipient
    return Granted(tuple(wanted.values()), renamed, discarded)


def _heed_signatures(
    changes: tuple[HeaderChange, ...], signed_names: frozenset[str], signed_mail: str
) -> tuple[tuple[HeaderChange, ...], tuple[str, ...]]:
    """Return the changes to make of a signed message, and the notices of what is not made."""
    unsigned = leave_signed(changes, signed_names)
    if len(unsigned) == len(changes) or signed_mail == "track":
        return changes, ()
    if signed_mail == "strip":
        return (*_REMOVED_SIGNATURES, *changes), ()
    return unsigned, (SKIPPED_CHANGE,)
