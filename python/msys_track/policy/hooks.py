"""The seam between mail and policy: where policy is asked, what it sees, what it may answer."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol, TypeAlias

from msys_track.errors import PolicyFailed
from msys_track.policy.context import Contexts
from msys_track.policy.headers import Headers

__all__ = ["Headers", "Hook", "OnFailed", "Policy", "Rejection", "Transaction"]

_MAX_TEXT: Final = 400  # a reply line has 512 octets, code and CRLF included (RFC 5321)


class Hook(StrEnum):
    """Where policy is asked, in the order of a transaction; the names are Momentum's."""

    CONNECT = "validate_connect"
    EHLO = "validate_ehlo"
    AUTH = "validate_auth"
    MAILFROM = "validate_mailfrom"
    RCPTTO = "validate_rcptto"
    DATA_SPOOL = "validate_data_spool"
    EACH_RCPT = "validate_data_spool_each_rcpt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Policy's no: the SMTP reply to what was asked for.

    A no must not become a yes because of how it is worded: what can't stand in a reply becomes
    `?`, a text of more than 400 characters is cut, and an empty one says `Refused by policy`.

    Raises:
        ValueError: no code from 400 to 599, as a number or its digits.
    """

    code: int
    text: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "code", _refusal(self.code))
        object.__setattr__(self, "text", _line(self.text) or "Refused by policy")


def _refusal(code: object) -> int:
    if isinstance(code, int | str) and re.fullmatch(r"[45][0-9][0-9]", str(code), re.ASCII):
        return int(code)
    raise ValueError(f"code: found {code!r}, allowed: 400 to 599")


def _line(text: object) -> str:
    return re.sub(r"[^ -~]", "?", str(text or "")[:_MAX_TEXT])


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """What a policy sees; all but the contexts is read-only."""

    contexts: Contexts
    peer: str
    """Address and port of the client, as `10.0.0.7:51234`."""
    listen: str
    """Address and port where it came in."""
    helo: str = ""
    user: str | None = None
    """Who authenticated; None for nobody."""
    sender: str | None = None
    """The reverse-path; None before MAIL, empty for the null reverse-path."""
    recipients: tuple[str, ...] = ()
    recipient: str | None = None
    """The one at hand in `validate_rcptto` and `validate_data_spool_each_rcpt`, else None."""
    message: bytes | None = None
    """As received; None before `validate_data_spool`."""
    headers: Headers = field(default_factory=Headers, compare=False, repr=False)
    """The message's, read once for all recipients; empty before there is one."""

    def __post_init__(self) -> None:
        message = b"" if self.message is None else self.message
        if self.headers.message is not message:
            object.__setattr__(self, "headers", Headers(message))


OnFailed: TypeAlias = Callable[[PolicyFailed], Rejection | None]
"""Hears why one file failed; None: the files after it are asked, as if it had not been."""


class Policy(Protocol):
    """One or more policies that are asked together."""

    @property
    def hooks(self) -> frozenset[Hook]:
        """Those it has; the others are never called."""
        ...

    def call(self, hook: Hook, transaction: Transaction, on_failed: OnFailed) -> Rejection | None:
        """Ask; None means that the mail goes on.

        Args:
            hook: where in the transaction.
            transaction: what policy sees.
            on_failed: decides what a file that fails means; what that file has set in this call
                is undone by then.
        """
        ...
