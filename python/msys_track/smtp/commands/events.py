"""What a client's bytes mean: each event is answered by one reply, in the order of events.

Those that each mail has are not frozen, which would make them cost three times as much.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class Hello:
    """EHLO, or HELO, which gets no extensions (RFC 5321 section 4.1.1.1)."""

    name: str
    is_extended: bool


@dataclass(slots=True)
class Mail:
    """MAIL: the reverse-path without angle brackets, empty for the null one.

    A parameter is `KEYWORD` or `KEYWORD=value`, its keyword in upper case, its value as given.
    """

    path: str
    parameters: tuple[str, ...]


@dataclass(slots=True)
class Rcpt:
    """RCPT: the forward-path without angle brackets, and parameters as in `Mail`."""

    path: str
    parameters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StartData:
    """DATA; the answer 354 lets the message come."""


@dataclass(slots=True)
class Received:
    """A whole message, by DATA or by BDAT."""

    wire: bytes
    """As it was sent, without the line that ends it; empty if a limit was passed."""
    is_stuffed: bool
    """Whether lines that begin with a dot have a second one: by DATA they do, by BDAT not."""
    over: Literal["size", "budget"] | None
    """The limit that was passed, if one was; then the bytes were read and dropped."""


@dataclass(frozen=True, slots=True)
class Reset:
    """RSET."""


@dataclass(frozen=True, slots=True)
class Quit:
    """QUIT."""


@dataclass(frozen=True, slots=True)
class StartTls:
    """STARTTLS; after the answer 220 nothing is read before `Machine.restart`."""


@dataclass(frozen=True, slots=True)
class Authenticate:
    """AUTH; an answer 334 asks for a line, any other ends the dialogue (RFC 4954)."""

    mechanism: str
    """In upper case; one of those that were offered."""
    initial: bytes | None
    """The initial response in base64 as given, where `=` is an empty one; None: none is given."""


@dataclass(frozen=True, slots=True)
class AuthLine:
    """The client's line after 334: base64, or `*`, which gives up."""

    line: bytes


@dataclass(frozen=True, slots=True)
class XClient:
    """XCLIENT, with attributes as given; the answer 220 starts the session anew."""

    attributes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TellIds:
    """NOOP by which a proxy of ours says where its mail comes from."""

    ids: tuple[str, ...]


Event: TypeAlias = (
    Hello
    | Mail
    | Rcpt
    | StartData
    | Received
    | Reset
    | Quit
    | StartTls
    | Authenticate
    | AuthLine
    | XClient
    | TellIds
)
