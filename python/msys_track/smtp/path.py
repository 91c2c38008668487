"""Paths: mail addresses as SMTP commands have them (RFC 5321 section 4.1.2).

One rule for session, relay, library and commands.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from msys_track.errors import RecipientError

_MAX_SHOWN: Final = 100

# A path as it may stand between < and >: quoted strings, or characters that end neither path nor
# line. Beyond ASCII all but controls is for SMTPUTF8 (RFC 6531 section 3.3).
_PATH: Final = re.compile(
    r"""(?: "(?:[^\x00-\x1f\x7f-\x9f"\\\ud800-\udfff] | \\[^\x00-\x1f\x7f-\x9f\ud800-\udfff])*"
          | [^\x00-\x20\x7f-\x9f<>"\ud800-\udfff]++ )*""",
    re.VERBOSE,
)


class Recipient(NamedTuple):
    """One RCPT: the path without angle brackets, and its parameters as given (RFC 3461)."""

    path: str
    parameters: tuple[str, ...] = ()


def fold_domain(path: str) -> str:
    """Return the form in which paths of the same mailbox are equal.

    A domain has no case (RFC 5321 section 2.4); the local part is its host's affair.
    """
    local, at, domain = path.rpartition("@")
    return f"{local}{at}{domain.lower()}"


def is_path(address: str) -> bool:
    """Whether an address can stand between < and > of a command and change nothing around it."""
    return _PATH.fullmatch(address) is not None


def check_recipients(recipients: Iterable[str]) -> None:
    """Check that each can be the recipient of a mail: an address alone, without a name.

    Raises:
        RecipientError: one is empty, or has a name, a space or a control character; or the
            argument is a single string.
    """
    if isinstance(recipients, str):
        raise RecipientError(
            f"recipients are {_quote(recipients)}, one string; "
            f"give a sequence of addresses, such as ['jo@example.com']"
        )
    for recipient in recipients:
        if not _is_recipient(recipient):
            raise RecipientError(
                f"recipient {_quote(recipient)} is not an address; "
                "give the address alone, such as jo@example.com"
            )


def _is_recipient(value: object) -> bool:
    return isinstance(value, str) and value != "" and is_path(value)


def _quote(text: object) -> str:
    """Write a text on one line, without what could move a terminal's cursor."""
    if isinstance(text, str) and len(text) > _MAX_SHOWN:
        return f"{text[:_MAX_SHOWN]!r}…"
    return repr(text)
