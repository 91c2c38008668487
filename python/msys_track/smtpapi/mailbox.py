"""Mailboxes of X-MSYS-API's `cc`, `bcc` and `archive`, and the header fields that name them.

What stands here comes from a sender's JSON and goes into commands and headers of mail: what
could begin another command or field is refused, never repaired.
"""

import re
from collections.abc import Sequence
from email.charset import QP, Charset
from email.header import Header
from typing import Final, NamedTuple

import idna

from msys_track.smtpapi import refusals

# RFC 5321 section 4.5.3.1: octets of a local part, of a domain, and of a path without its <>.
_MAX_LOCAL: Final = 64
_MAX_ADDRESS: Final = 254
_MAX_NAME: Final = 512
_LINE: Final = 76

_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL: Final = re.compile(rf'{_ATOM}(?:\.{_ATOM})*|"(?:[ !#-\[\]-~]|\\[ -~])*"')
_DOMAIN: Final = re.compile(r"[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*|\[[A-Za-z0-9.:]+\]")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9 ]+")
_UTF_8: Final = Charset("utf-8")
_UTF_8.header_encoding = QP


class Mailbox(NamedTuple):
    """An address, and the name that readers see beside it."""

    email: str
    name: str | None = None

    @property
    def identity(self) -> str:
        """What tells two mailboxes apart: domains have no case (RFC 5321 section 2.4)."""
        local, _, domain = self.email.rpartition("@")
        return f"{local}@{domain.lower()}"


def parse_all(key: str, entries: Sequence[object]) -> tuple[Mailbox, ...]:
    """Read one list: addresses, or objects with `email` and perhaps `name`.

    Raises:
        HeaderRefused: 550; the text names the entry.
    """
    return tuple(_parse(f"{key}[{place}]", entry) for place, entry in enumerate(entries))


def field(name: str, mailboxes: Sequence[Mailbox], eol: bytes) -> bytes:
    """Write a header field of mailboxes, its last line break included.

    One mailbox a line; the first stands behind the colon, as some verifiers fail on a field
    that is folded there.
    """
    indent = len(name) + 2
    texts = (_written(each, indent if place == 0 else 1) for place, each in enumerate(mailboxes))
    lines = b",\n ".join(text.encode("ascii") for text in texts)
    return (b"%b: %b\n" % (name.encode("ascii"), lines)).replace(b"\n", eol)


def continued(mailboxes: Sequence[Mailbox], eol: bytes) -> bytes:
    """Write what more mailboxes add to the end of a field that has some already."""
    texts = (_written(each, 1) for each in mailboxes)
    return b"".join(b",\n " + text.encode("ascii") for text in texts).replace(b"\n", eol)


def _parse(key: str, entry: object) -> Mailbox:
    match entry:
        case str():
            return Mailbox(_address(key, entry))
        case {"email": str(email), **rest}:
            name = _name(f"{key}.name", rest.get("name"))
            return Mailbox(_address(f"{key}.email", email), name)
        case dict():
            raise refusals.wrong_type(f"{key}.email", "string")
        case _:
            raise refusals.wrong_type(key, "string")


def _address(key: str, text: str) -> str:
    local, at, domain = text.rpartition("@")
    if not at:
        raise refusals.no_address(key, "it has no @")
    if not domain.isascii():
        domain = _a_label(key, domain)
    if not _LOCAL.fullmatch(local) or len(local) > _MAX_LOCAL:
        raise refusals.no_address(key, "what precedes the @ is no local part")
    if not _DOMAIN.fullmatch(domain):
        raise refusals.no_address(key, "what follows the @ is no domain")
    if len(local) + 1 + len(domain) > _MAX_ADDRESS:
        raise refusals.no_address(key, f"longer than {_MAX_ADDRESS} characters")
    return f"{local}@{domain}"


def _a_label(key: str, domain: str) -> str:
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError:
        raise refusals.no_address(key, "what follows the @ is no domain") from None


def _name(key: str, name: object) -> str | None:
    if name is None or name == "":
        return None
    if not isinstance(name, str):
        raise refusals.wrong_type(key, "string")
    if _CONTROL.search(name):
        raise refusals.no_name(key, "it has a control character")
    if len(name) > _MAX_NAME:
        raise refusals.no_name(key, f"longer than {_MAX_NAME} characters")
    return name


def _written(mailbox: Mailbox, column: int) -> str:
    """Write a mailbox that begins at `column`; long names are folded, by LF and a space."""
    if mailbox.name is None:
        return mailbox.email
    name = _display_name(mailbox.name, column)
    space = "\n " if _columns(name, column) + len(mailbox.email) + 3 > _LINE else " "
    return f"{name}{space}<{mailbox.email}>"


def _columns(text: str, column: int) -> int:
    before, line_break, last = text.rpartition("\n")
    return len(last) if line_break else column + len(before + last)


def _display_name(name: str, column: int) -> str:
    if name.isascii() and len(name) <= _LINE - column and "=?" not in name:
        escaped = re.sub(r'(["\\])', r"\\\1", name)
        return name if _PLAIN_NAME.fullmatch(name) else f'"{escaped}"'
    # The standard library's words hold whole characters and at most 75 octets (RFC 2047).
    header_name = "x" * max(column - 2, 0)
    return Header(name, _UTF_8, maxlinelen=_LINE, header_name=header_name).encode()
