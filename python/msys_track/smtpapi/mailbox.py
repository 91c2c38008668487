"""Mailboxes of X-MSYS-API's `cc`, `bcc` and `archive`, and the header fields that name them.

An address that could begin another SMTP command or header field is refused, never repaired.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from email.charset import QP, Charset
from email.header import Header
from email.utils import getaddresses
from typing import Final, NamedTuple

import idna

from msys_track.smtpapi import refusals

# RFC 5321 section 4.5.3.1: octets of a local part, and of a path without its <>.
_MAX_LOCAL: Final = 64
_MAX_ADDRESS: Final = 254
_MAX_NAME: Final = 512
_LINE: Final = 76

# Beyond ASCII everything but controls and white space (RFC 6531 section 3.3).
_BEYOND: Final = r"[^\x00-\xa0\u1680\u2000-\u200f\u2028-\u202f\u205f\u3000\ud800-\udfff\ufeff]"
_ATOM: Final = rf"(?:[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~-]|{_BEYOND})+"
_LOCAL: Final = re.compile(rf'{_ATOM}(?:\.{_ATOM})*|"(?:[ !#-\[\]-~]|\\[ -~]|{_BEYOND})*"')
_DOMAIN: Final = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*|\[[A-Za-z0-9.:]+\]")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9 ]+")
_UTF_8: Final = Charset("utf-8")
_UTF_8.header_encoding = QP


def read_addresses(value: str) -> list[tuple[str, str]]:
    """Read the names and addresses of a field; none where they can't be read.

    It takes about two seconds for each MB. Deeply nested comments and groups can't be read.

    Args:
        value: Unfolded text (RFC 5322 section 3.4).
    """
    try:
        return getaddresses([value])
    except (ValueError, IndexError, RecursionError):
        return []


class Mailbox(NamedTuple):
    """An address, and the name that readers see beside it."""

    email: str
    name: str | None = None

    @property
    def identity(self) -> str:
        """The address with its domain in ASCII and lower case, for comparison.

        A domain has no case (RFC 5321 section 2.4), and its A-labels and U-labels name the same
        (RFC 5890 section 2.3.2.1).
        """
        local, _, domain = self.email.rpartition("@")
        if not domain.isascii():
            with suppress(idna.IDNAError):
                domain = idna.encode(domain, uts46=True).decode("ascii")
        return f"{local}@{domain.lower()}"


def parse_mailboxes(key: str, entries: Sequence[object]) -> tuple[Mailbox, ...]:
    """Parse a list of addresses, or of objects with `email` and an optional `name`.

    Raises:
        HeaderRefusedError: 550; the text names the entry.
    """
    mailboxes: list[Mailbox] = []
    for place, entry in enumerate(entries):
        item = f"{key}[{place}]"
        match entry:
            case str():
                mailboxes.append(Mailbox(_parse_address(item, entry)))
            case {"email": str(email), **rest}:
                name = _check_name(f"{item}.name", rest.get("name"))
                mailboxes.append(Mailbox(_parse_address(f"{item}.email", email), name))
            case dict():
                raise refusals.wrong_type(f"{item}.email", "string")
            case _:
                raise refusals.wrong_type(item, "string")
    return tuple(mailboxes)


def write_field(name: str, mailboxes: Sequence[Mailbox], eol: bytes) -> bytes:
    """Write a header field of mailboxes, its last line break included.

    Each mailbox has a line of its own. The first stands after the colon, because some verifiers
    fail on a field that is folded there.
    """
    start = name.encode("ascii") + b": "
    first = _write_mailbox(mailboxes[0], len(start)).encode().replace(b"\n", eol)
    return start + first + write_continuation(mailboxes[1:], eol) + eol


def write_continuation(mailboxes: Sequence[Mailbox], eol: bytes) -> bytes:
    """Write what mailboxes add to the end of a field that already has some."""
    texts = (_write_mailbox(each, 1) for each in mailboxes)
    return b"".join(b",\n " + text.encode() for text in texts).replace(b"\n", eol)


def _parse_address(key: str, text: str) -> str:
    local, at, domain = text.rpartition("@")
    if not at:
        raise refusals.no_address(key, "it has no @")
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True).decode("ascii")
        except idna.IDNAError:
            raise refusals.no_address(key, "what follows the @ is no domain") from None
    if not _LOCAL.fullmatch(local) or len(local.encode()) > _MAX_LOCAL:
        raise refusals.no_address(key, "what precedes the @ is no local part")
    if not _DOMAIN.fullmatch(domain):
        raise refusals.no_address(key, "what follows the @ is no domain")
    if len(local.encode()) + 1 + len(domain) > _MAX_ADDRESS:
        raise refusals.no_address(key, f"longer than {_MAX_ADDRESS} characters")
    return f"{local}@{domain}"


def _check_name(key: str, name: object) -> str | None:
    if name is None or name == "":
        return None
    if not isinstance(name, str):
        raise refusals.wrong_type(key, "string")
    if _CONTROL.search(name):
        raise refusals.no_name(key, "it has a control character")
    if len(name) > _MAX_NAME:
        raise refusals.no_name(key, f"longer than {_MAX_NAME} characters")
    return name


def _write_mailbox(mailbox: Mailbox, column: int) -> str:
    """Write a mailbox that begins at `column`. A long name is folded by LF and a space."""
    if mailbox.name is None:
        return mailbox.email
    name = mailbox.name
    if not name.isascii() or len(name) > _LINE - column or "=?" in name:
        # The standard library's encoded-words hold whole characters and at most 75 octets.
        header_name = "x" * max(column - 2, 0)
        name = Header(name, _UTF_8, maxlinelen=_LINE, header_name=header_name).encode()
    elif not _PLAIN_NAME.fullmatch(name):
        escaped = re.sub(r'(["\\])', r"\\\1", name)
        name = f'"{escaped}"'
    _, line_break, last_line = name.rpartition("\n")
    end = len(last_line) if line_break else column + len(name)
    space = "\n " if end + len(mailbox.email) + 3 > _LINE else " "
    return f"{name}{space}<{mailbox.email}>"
