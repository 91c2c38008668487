"""The interface between mail and policy: the hooks, what a policy sees, what it may answer."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol, Self, TypeAlias

from msys_track.errors import PolicyFailedError
from msys_track.policy.changes import DISCARD_REASON, Changes
from msys_track.policy.context import Contexts
from msys_track.policy.headers import Headers

__all__ = ["Headers", "Hook", "OnFailed", "Policy", "Rejection", "Transaction"]

_MAX_TEXT: Final = 400  # a reply line has 512 octets, code and CRLF included (RFC 5321)


class Hook(StrEnum):
    """The points where a policy is called, in order. The names are Momentum's."""

    CONNECT = "validate_connect"
    EHLO = "validate_ehlo"
    AUTH = "validate_auth"
    MAILFROM = "validate_mailfrom"
    RCPTTO = "validate_rcptto"
    DATA_SPOOL = "validate_data_spool"
    EACH_RCPT = "validate_data_spool_each_rcpt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A policy's refusal: the SMTP reply to the client.

    A refusal must not fail because of its wording. So a character that can't stand in a reply
    becomes `?`, a text of more than 400 characters is cut, and an empty text becomes
    `Refused by policy`.

    Raises:
        ValueError: the code is not 400 to 599, as a number or as digits.
    """

    code: int
    text: str

    def __post_init__(self) -> None:
        code: object = self.code
        if not (
            isinstance(code, int | str) and re.fullmatch(r"[45][0-9][0-9]", str(code), re.ASCII)
        ):
            raise ValueError(f"code: found {code!r}, allowed: 400 to 599")
        text = re.sub(r"[^ -~]", "?", str(self.text or "")[:_MAX_TEXT])
        object.__setattr__(self, "code", int(code))
        object.__setattr__(self, "text", text or "Refused by policy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """What a policy sees, and its methods by which a policy changes the mail.

    The attributes say what came in: a changed sender or recipient stands in `changes`. The header
    shows what was changed in it.
    """

    contexts: Contexts
    peer: str
    """Address and port of the client, as `10.0.0.7:51234`."""
    listen: str
    """Address and port that the client connected to."""
    helo: str = ""
    user: str | None = None
    """The authenticated user; None if there is none."""
    sender: str | None = None
    """The reverse-path; None before MAIL, empty for the null reverse-path."""
    recipients: tuple[str, ...] = ()
    recipient: str | None = None
    """The current one in `validate_rcptto` and `validate_data_spool_each_rcpt`, else None."""
    message: bytes | None = None
    """The bytes as received; None before `validate_data_spool`."""
    headers: Headers = field(default_factory=Headers, compare=False, repr=False)
    """The message's header, read once for all recipients; empty before there is a message."""
    changes: Changes = field(default_factory=Changes)
    """What policy wants changed: of the message, and at `validate_data_spool_each_rcpt` of the
    recipient's own copy."""
    id: str = ""
    """Identifies the message in the log; empty before there is one."""
    connection_id: str = ""
    """Identifies the connection in the log."""
    is_encrypted: bool = False
    """Whether the connection uses TLS."""
    can_relay: bool = True
    """Whether the client may send to any recipient."""
    connection_messages: int = 0
    """Messages that were accepted on this connection before this one."""
    connection_recipients: int = 0
    """Recipients that were accepted on this connection so far."""

    def as_transaction(self) -> Self:
        """Return itself; a session makes one here, and only for a policy that has the hook."""
        return self

    def __post_init__(self) -> None:
        headers = self.headers
        if headers.message is not self.message or headers.changes is not self.changes:
            object.__setattr__(self, "headers", headers.view(self.message, self.changes))

    def add_recipient(self, address: str) -> None:
        """Give one more recipient a copy; it works until the message is there for each of them.

        Raises:
            ValueError: it is no address, there are too many, or it is too early or too late.
        """
        is_at_each_recipient = self.message is not None and self.recipient is not None
        if self.sender is None or is_at_each_recipient:
            raise ValueError(
                "a recipient can be added from validate_mailfrom to validate_data_spool"
            )
        self.changes.add_recipient(address)

    def set_recipient(self, address: str) -> None:
        """Send the copy of the recipient at hand to another address.

        Raises:
            ValueError: it is no address, or this is not `validate_data_spool_each_rcpt`.
        """
        if self.message is None or self.recipient is None:
            raise ValueError("a recipient can be changed in validate_data_spool_each_rcpt")
        self.changes.set_recipient(address)

    def set_sender(self, address: str) -> None:
        """Change the reverse-path; empty for the null one.

        Raises:
            ValueError: it is no address, or there is no message yet.
        """
        if self.message is None:
            raise ValueError("a sender can be changed from validate_data_spool on")
        self.changes.set_sender(address)

    def discard(self, reason: str = DISCARD_REASON) -> None:
        """Accept the mail, or this recipient, and send nothing.

        Raises:
            ValueError: there is neither a recipient nor a message yet.
        """
        if self.message is None and self.recipient is None:
            raise ValueError("a mail can be discarded from validate_rcptto on")
        self.changes.discard(reason)


OnFailed: TypeAlias = Callable[[PolicyFailedError], Rejection | None]
"""Decides what the failure of one file means. With None, the later files are called."""


class Policy(Protocol):
    """One or more policies that are called together."""

    @property
    def hooks(self) -> frozenset[Hook]:
        """The hooks it has. The others are never called."""
        ...

    def call(self, hook: Hook, transaction: Transaction, on_failed: OnFailed) -> Rejection | None:
        """Call the policy; None if the mail goes on.

        Args:
            hook: the point in the transaction.
            transaction: what the policy sees.
            on_failed: called when a file fails, after what that file set has been undone.
        """
        ...
