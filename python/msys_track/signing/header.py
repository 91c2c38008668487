"""The header of a message as a signature sees it: fields, their relaxed form, the From domain."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

import idna

_FIELD: Final = re.compile(rb"([!-9;-~]+)[ \t]*:([^\r\n]*(?:\r\n[ \t][^\r\n]*)*)\r\n")
_SPACES: Final = re.compile(rb"[ \t]+")
# What may hold an @ or an angle bracket that is no address's (RFC 5322 section 3.2).
_QUOTED: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_COMMENT: Final = re.compile(rb"\((?:[^()\\]|\\.)*\)", re.DOTALL)
_ADDRESS: Final = re.compile(rb"[^\s@<>,;:]+\s*@\s*([^\s@<>,;:]+)")
_ANGLED: Final = re.compile(rb"<[^<>@]*@\s*([^\s@<>,;:]+)\s*>")


class Field(NamedTuple):
    """One header field."""

    name: bytes
    """In lower case."""
    value: bytes
    """As it stands, folds included, without its last line break."""

    def relax(self) -> bytes:
        """Return its relaxed form (RFC 6376 section 3.4.2), without a line break."""
        value = _SPACES.sub(b" ", self.value.replace(b"\r\n", b"")).strip(b" ")
        return self.name + b":" + value


class HeaderError(Exception):
    """What stands before the body is not a header that can be signed."""


def split_header(wire: bytes) -> tuple[list[Field], int]:
    """Split the header of wire bytes into its fields; return them and where the body begins.

    Raises:
        HeaderError: a line is not a field, so that verifiers may read it otherwise.
    """
    fields: list[Field] = []
    at = 0
    while not wire.startswith(b"\r\n", at):
        found = _FIELD.match(wire, at)
        if found is None:
            if wire.startswith(b".\r\n", at):
                return fields, at  # a message without a body
            raise HeaderError(f"line {len(fields) + 1} or one that continues it is not a field")
        fields.append(Field(found[1].lower(), found[2]))
        at = found.end()
    return fields, at + 2


def find_from_domain(fields: Sequence[Field]) -> str:
    """Find the domain of the author, in lower case and its ASCII form.

    Raises:
        HeaderError: there is not just one From field, or it has no address.
    """
    values = [field.value for field in fields if field.name == b"from"]
    if len(values) != 1:
        raise HeaderError(f"there are {len(values)} From fields")
    value = _QUOTED.sub(b"x", values[0])
    while (without := _COMMENT.sub(b" ", value)) != value:
        value = without  # the inner ones first
    found = _ANGLED.search(value) or _ADDRESS.search(value)
    if found is None:
        raise HeaderError("From has no address")
    try:
        domain = found[1].decode("utf-8")
        if not domain.isascii():
            domain = idna.encode(domain, uts46=True).decode("ascii")
    except (UnicodeDecodeError, idna.IDNAError):
        raise HeaderError("From has no domain") from None
    return domain.lower().rstrip(".")
