"""The seam between mail and policy: where policy is asked, what it sees, what it may answer."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from msys_track.options.policy.context import Contexts
from msys_track.options.policy.headers import Headers

__all__ = ["Headers", "Hook", "Policy", "Rejection", "Transaction"]

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

    Raises:
        ValueError: no code from 400 to 599, or a text that is no line of printable ASCII.
    """

    code: int
    text: str

    def __post_init__(self) -> None:
        if not _is_refusal(self.code):
            raise ValueError(f"code: found {self.code!r}, allowed: 400 to 599")
        if not _is_line(self.text):
            raise ValueError(
                f"text: found {str(self.text)[:40]!r},"
                f" allowed: one line of 1 to {_MAX_TEXT} printable ASCII characters"
            )


def _is_refusal(code: object) -> bool:
    return type(code) is int and 400 <= code <= 599  # noqa: PLR2004 - RFC 5321 section 4.2.1


def _is_line(text: object) -> bool:
    if not isinstance(text, str):
        return False
    return 0 < len(text) <= _MAX_TEXT and text.isascii() and text.isprintable()


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


class Policy(Protocol):
    """One or more policies that are asked together."""

    @property
    def hooks(self) -> frozenset[Hook]:
        """Those it has; the others are never called."""
        ...

    def call(self, hook: Hook, transaction: Transaction) -> Rejection | None:
        """Ask; None means that the mail goes on.

        Raises:
            PolicyFailed: the policy did not come to an answer; the text has file and line.
        """
        ...
