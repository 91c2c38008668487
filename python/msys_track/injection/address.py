"""Addresses of MAIL and RCPT: the plain ones without aiosmtpd's full parser, which costs 100 µs.

Only what that parser would return unchanged is read here; everything else is left to it.
"""

import re

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_DOT_ATOM = rf"{_ATOM}(?:\.{_ATOM})*"
_PLAIN = re.compile(rf"<({_DOT_ATOM}@{_DOT_ATOM})>(?: ([A-Za-z0-9][\x20-\x27\x2a-\x7e]*))?")

# Line ends, controls, and bytes that were not UTF-8: none of them may reach another command.
_NOT_IN_A_PATH = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


def read_plain(argument: str) -> tuple[str, str] | None:
    """Split `<local@domain> PARAMETERS` in address and parameters; None if it is not plain.

    Plain is a dot-atom on both sides of the @ (RFC 5321 section 4.1.2) without quotes, comments,
    routes and address literals.
    """
    match = _PLAIN.fullmatch(argument)
    return None if match is None else (match[1], match[2] or "")


def can_travel(address: str) -> bool:
    """Whether an address can stand in a command to the upstream without changing its meaning."""
    return _NOT_IN_A_PATH.search(address) is None
