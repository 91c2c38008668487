"""What a policy wants changed in the mail: header fields, the envelope, or that nobody gets it.

These are data. Whoever sends the mail reads and applies them; policy itself changes no byte.
"""

import re
from dataclasses import dataclass, field
from typing import Final, Literal, Self, TypeAlias

from msys_track.policy.context import count_octets
from msys_track.smtp.path import is_path

MAX_HEADER_CHANGES: Final = 1_000
"""Header changes in one message."""
MAX_HEADER_OCTETS: Final = 1 << 20
"""UTF-8 bytes of all names and values of one message's header changes."""
MAX_FIELD_OCTETS: Final = 65_536
"""UTF-8 bytes of one value."""
MAX_ADDED_RECIPIENTS: Final = 1_000
"""Recipients that policy adds to one message."""
DISCARD_REASON: Final = "550 5.7.0 discarded by policy"
"""Momentum's reason of a mail that was discarded without one."""

_NAME: Final = re.compile(r"[!-9;-~]{1,78}")  # ftext (RFC 5322 section 2.2)
_LINE_ENDS: Final = re.compile(r"\r\n|[\r\n\x00\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_REASON: Final = re.compile(r"[2-5][0-9][0-9][ -]")

How: TypeAlias = Literal["replace", "append", "prepend"]
SavedChanges: TypeAlias = tuple[
    "tuple[HeaderChange, ...]", tuple[str, ...], str | None, str | None, bool, str, dict[str, str]
]


@dataclass(frozen=True, slots=True)
class HeaderChange:
    """One change of a header field.

    A value never makes a new line: a line break in it, or a NUL, becomes a space. So no text from
    outside can add a field.

    Raises:
        TypeError: name or value is not a string.
        ValueError: the name can't be a field's, the value is too long or is not text, or `how` is
            unknown.
    """

    name: str
    """The field's name (RFC 5322 section 2.2), of at most 78 bytes."""
    value: str | None
    """Unfolded text, which is encoded and folded when it is applied; None removes all fields."""
    how: How = "replace"
    """`replace` leaves one field of that name, `append` adds one after the others of its name, and
    `prepend` adds one at the top of the header."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(f"a field's name must be a string, found {type(self.name).__name__}")
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"{self.name[:40]!r} is not a field's name: 1 to 78 printable ASCII characters"
                " without space and colon"
            )
        if self.how not in ("replace", "append", "prepend"):
            raise ValueError(f"{self.name}: found {self.how!r}, allowed: replace, append, prepend")
        if self.value is None:
            return
        if not isinstance(self.value, str):
            found = type(self.value).__name__
            raise TypeError(f"{self.name}: a field's value must be a string, found {found}")
        value = _LINE_ENDS.sub(" ", self.value).strip(" \t")
        if (size := count_octets(self.name, value)) > MAX_FIELD_OCTETS:
            raise ValueError(f"{self.name}: {size} bytes, at most {MAX_FIELD_OCTETS}")
        object.__setattr__(self, "value", value)


@dataclass(slots=True)
class Changes:
    """The changes of one message, or of the copy of one recipient, in the order of the calls."""

    headers: list[HeaderChange] = field(default_factory=list)
    added_recipients: list[str] = field(default_factory=list)
    """Each gets a copy as if the client had named it."""
    sender: str | None = None
    """The new reverse-path, empty for the null one; None if it stays."""
    recipient: str | None = None
    """The new forward-path of the recipient at hand; None if it stays."""
    is_discarded: bool = False
    """True if the mail is accepted and sent to nobody."""
    discard_reason: str = DISCARD_REASON
    """What the log says of it: an SMTP code and a text."""
    discarded: dict[str, str] = field(default_factory=dict)
    """Recipients who were discarded at RCPT, and why."""

    def __bool__(self) -> bool:
        """Return whether anything is to be changed."""
        return bool(
            self.headers
            or self.added_recipients
            or self.is_discarded
            or self.sender is not None
            or self.recipient is not None
            or self.discarded
        )

    def change_header(self, change: HeaderChange) -> None:
        """Note the change of a header field.

        Raises:
            ValueError: too many, or too many bytes in all.
        """
        if len(self.headers) >= MAX_HEADER_CHANGES:
            raise ValueError(f"{change.name}: at most {MAX_HEADER_CHANGES} header changes a mail")
        octets = sum(
            len(each.name) + count_octets(each.name, each.value or "")
            for each in (*self.headers, change)
        )
        if octets > MAX_HEADER_OCTETS:
            raise ValueError(f"{change.name}: at most {MAX_HEADER_OCTETS} bytes in header changes")
        self.headers.append(change)

    def add_recipient(self, address: str) -> None:
        """Note one more recipient; one that is there already is not added again.

        Raises:
            ValueError: it is no address, or there are too many.
        """
        _check_address("an added recipient", address)
        if address in self.added_recipients:
            return
        if len(self.added_recipients) >= MAX_ADDED_RECIPIENTS:
            raise ValueError(f"at most {MAX_ADDED_RECIPIENTS} recipients can be added")
        self.added_recipients.append(address)

    def set_sender(self, address: str) -> None:
        """Note a new reverse-path; empty for the null one.

        Raises:
            ValueError: it is no address.
        """
        if address != "":
            _check_address("a sender", address)
        self.sender = address

    def set_recipient(self, address: str) -> None:
        """Note a new forward-path for the recipient at hand.

        Raises:
            ValueError: it is no address.
        """
        _check_address("a recipient", address)
        self.recipient = address

    def discard(self, reason: str = DISCARD_REASON) -> None:
        """Note that the mail is accepted and sent to nobody.

        Args:
            reason: for the log; one that does not begin with an SMTP code is replaced by
                Momentum's.
        """
        text = re.sub(r"[^ -~]", "?", str(reason)[:400])
        self.is_discarded = True
        self.discard_reason = text if _REASON.match(text) else DISCARD_REASON

    def discard_recipient(self, recipient: str) -> None:
        """Take what was discarded for this recipient, who is accepted and gets nothing."""
        self.discarded[recipient] = self.discard_reason
        self.is_discarded, self.discard_reason = False, DISCARD_REASON

    def for_recipient(self) -> Self:
        """Return changes for one recipient, which begin as the message's."""
        copied = type(self)()
        copied.restore(self.save())
        return copied

    def save(self) -> SavedChanges:
        """Return the changes as they are now, for `restore`."""
        return (
            tuple(self.headers),
            tuple(self.added_recipients),
            self.sender,
            self.recipient,
            self.is_discarded,
            self.discard_reason,
            dict(self.discarded),
        )

    def restore(self, saved: SavedChanges) -> None:
        """Make exactly the changes wanted that were so when `save` was called."""
        headers, added, self.sender, self.recipient, self.is_discarded, reason, discarded = saved
        self.headers, self.added_recipients = list(headers), list(added)
        self.discard_reason, self.discarded = reason, dict(discarded)


def _check_address(what: str, address: object) -> None:
    if not isinstance(address, str) or address == "" or not is_path(address):
        shown = repr(address[:100]) if isinstance(address, str) else type(address).__name__
        raise ValueError(f"{shown} can't be {what}; give the address alone, as jo@example.com")
