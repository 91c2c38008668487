"""The interface between mail and policy: the hooks, what a policy sees, what it may answer."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol, Self, TypeAlias

from msys_track.errors import PolicyFailedError
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
    """What a policy sees. Everything except the contexts is read-only."""

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

    def as_transaction(self) -> Self:
        """Return itself: what is made of a session's facts only where policy sees them."""
        return self

    def __post_init__(self) -> None:
        message = b"" if self.message is None else self.message
        if self.headers.message is not message:
            object.__setattr__(self, "headers", Headers(message))


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
