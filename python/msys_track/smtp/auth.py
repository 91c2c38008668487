"""AUTH without sockets: how a mechanism turns lines into a user and a password, and back.

Both directions stand here: the server's side reads what clients of the proxy send, the client's
side writes what upstreams want. PLAIN (RFC 4616) is the standard's; LOGIN
(draft-murchison-sasl-login) is all that many older clients know. Both send the password itself, so
they belong inside TLS.
"""

import base64
import binascii
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, TypeAlias

from msys_track.errors import PicklableError

MAX_LINE_BYTES: Final = 12_288
"""Of a line that answers a challenge (RFC 4954 section 4)."""
MAX_CREDENTIAL_BYTES: Final = 1024
"""Of a user's name, and of a password, in UTF-8; RFC 4616 section 2 asks for 255."""

CANCEL: Final = b"*"
"""The line by which a client gives up (RFC 4954 section 4)."""

MechanismName: TypeAlias = Literal["PLAIN", "LOGIN"]

MECHANISMS: Final[tuple[MechanismName, ...]] = ("PLAIN", "LOGIN")
"""Those that we know, the better one first."""

_EMPTY_INITIAL: Final = b"="  # a response of no bytes, where none at all differs from it
# What clients of LOGIN look for; some compare the words.
_USER_CHALLENGE: Final = b"Username:"
_PASSWORD_CHALLENGE: Final = b"Password:"


class AuthSyntaxError(PicklableError):
    """A client's line is not what its mechanism asks for; the text says why."""


class AuthCancelledError(PicklableError):
    """The client gave up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Who a client says that it is, and what it proves that with."""

    user: str
    password: str = field(repr=False)


class Mechanism(Protocol):
    """One exchange of AUTH, seen from the server."""

    def respond(self, line: bytes | None) -> bytes | Credentials:
        """Take the client's next line, and return the next challenge or what the client said.

        Args:
            line: The initial response as it stood in the command, None if there was none; later
                a whole line without its CRLF.

        Returns:
            A challenge in base64, for the text of a 334; or the credentials, unchecked.

        Raises:
            AuthSyntaxError: the line is not base64, is too long or has another shape.
            AuthCancelledError: the line is `*`.
        """
        ...


class PlainMechanism:
    """PLAIN: identity, user and password in one response (RFC 4616)."""

    __slots__ = ()

    def respond(self, line: bytes | None) -> bytes | Credentials:
        """Ask for the response if the command had none; else read it."""
        if line is None:
            return b""
        identity, *pair = _decode(line).split(b"\0")
        if len(pair) != 2:  # noqa: PLR2004 - RFC 4616 section 2
            raise AuthSyntaxError("PLAIN has three parts with a NUL between them")
        user, password = (_read_text(each) for each in pair)
        # To act for somebody else would need a rule that says who may.
        if identity not in (b"", pair[0]):
            raise AuthSyntaxError("An authorization identity other than the user is not supported")
        return _make_credentials(user, password)


class LoginMechanism:
    """LOGIN: the user, then the password, each asked for."""

    __slots__ = ("_user",)

    def __init__(self) -> None:
        self._user: str | None = None

    def respond(self, line: bytes | None) -> bytes | Credentials:
        """Ask for the user, then for the password; a command may bring the user along."""
        if line is None:
            return base64.b64encode(_USER_CHALLENGE)
        text = _read_text(_decode(line))
        if self._user is None:
            self._user = text
            return base64.b64encode(_PASSWORD_CHALLENGE)
        return _make_credentials(self._user, text)


def start_mechanism(name: str) -> Mechanism | None:
    """Return a new exchange of a mechanism, named without regard to case; None if unknown."""
    match name.upper():
        case "PLAIN":
            return PlainMechanism()
        case "LOGIN":
            return LoginMechanism()
    return None


def choose_mechanism(offered: Collection[str]) -> MechanismName | None:
    """Return the best mechanism that we know of those that a server offers; None if none is."""
    known = {each.upper() for each in offered}
    return next((each for each in MECHANISMS if each in known), None)


def write_plain_response(user: str, password: str) -> str:
    """Write the one response of PLAIN, as it follows `AUTH PLAIN ` in the command.

    Raises:
        ValueError: user or password holds a NUL, which divides them.
    """
    if "\0" in user + password:
        raise ValueError("a user or a password of PLAIN can't hold a NUL")
    return base64.b64encode(f"\0{user}\0{password}".encode()).decode()


def write_login_responses(user: str, password: str) -> tuple[str, str]:
    """Write the two responses of LOGIN; the first may follow `AUTH LOGIN ` in the command."""
    return (
        base64.b64encode(user.encode()).decode(),
        base64.b64encode(password.encode()).decode(),
    )


def prepare_password(password: str) -> str:
    """Return a password as it is compared, however a keyboard composed it.

    RFC 8265 section 4.2 (OpaqueString): every space is U+0020, and characters are composed.
    """
    spaced = "".join(" " if unicodedata.category(each) == "Zs" else each for each in password)
    return unicodedata.normalize("NFC", spaced)


def _decode(line: bytes) -> bytes:
    if line == CANCEL:
        raise AuthCancelledError("the client cancelled AUTH")
    if line == _EMPTY_INITIAL:
        return b""
    if len(line) > MAX_LINE_BYTES:
        raise AuthSyntaxError(f"A response is longer than {MAX_LINE_BYTES} bytes")
    try:
        return base64.b64decode(line, validate=True)
    except binascii.Error:
        raise AuthSyntaxError("A response is not base64") from None


def _read_text(value: bytes) -> str:
    if len(value) > MAX_CREDENTIAL_BYTES:
        raise AuthSyntaxError(f"A user or a password is longer than {MAX_CREDENTIAL_BYTES} bytes")
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise AuthSyntaxError("A user or a password is not UTF-8") from None


def _make_credentials(user: str, password: str) -> Credentials:
    if not user or not password:
        raise AuthSyntaxError("A user or a password is empty")
    if "\0" in user + password:
        raise AuthSyntaxError("A user or a password holds a NUL")
    return Credentials(user=user, password=password)
