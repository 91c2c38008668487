"""Editions of one message: as policy has changed its header for some of its recipients.

An edition is made when its copies are, and not kept: a policy may write another header for each of
a thousand recipients of a large message.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from msys_track.dispatch.header_edits import FindFields, change_header
from msys_track.dispatch.message import OpenedMessage
from msys_track.policy.changes import HeaderChange


class Source(Protocol):
    """What copies are made from: an opened message, or an edition that is opened for them."""

    @property
    def message(self) -> bytes:
        """The bytes that the copies come from."""

    def open(self) -> OpenedMessage:
        """Return them opened.

        Raises:
            HeaderRefusedError: `X-MSYS-API` is malformed.
        """


class Desk:
    """Keeps the edition of a message that was opened last, as the next copy is mostly of it too.

    Args:
        message: as received.
        find_fields: the engine's.
    """

    __slots__ = ("_find_fields", "_last", "message")

    def __init__(self, message: bytes, find_fields: FindFields) -> None:
        self.message = message
        self._find_fields = find_fields
        self._last: tuple[Edition, OpenedMessage] | None = None

    def change(self, changes: Sequence[HeaderChange]) -> bytes:
        """Return the message with its header changed."""
        return change_header(self.message, changes, self._find_fields)

    def open(self, edition: "Edition", make: Callable[[bytes], OpenedMessage]) -> OpenedMessage:
        """Open an edition, if it is not the one that is open."""
        last = self._last  # another thread may set it meanwhile
        if last is None or last[0] is not edition:
            last = self._last = edition, make(edition.message)
        return last[1]


class Edition:
    """A message with the header that some recipients get.

    Attributes:
        changes: What policy changes for them.

    Args:
        desk: Has the message.
        changes: What policy changes.
        make: Opens the bytes for these recipients.
    """

    __slots__ = ("_desk", "_make", "changes")

    def __init__(
        self,
        desk: Desk,
        changes: tuple[HeaderChange, ...],
        make: Callable[[bytes], OpenedMessage],
    ) -> None:
        self.changes = changes
        self._desk = desk
        self._make = make

    @property
    def message(self) -> bytes:
        """Its bytes, written each time they are asked for."""
        return self._desk.change(self.changes)

    def open(self) -> OpenedMessage:
        """Open it.

        Raises:
            HeaderRefusedError: `X-MSYS-API` is malformed.
        """
        return self._desk.open(self, self._make)
