"""XCLIENT, by which a trusted peer says whose mail it brings (Postfix, XCLIENT_README).

Here the attributes become values, without sockets; who is trusted is the listener's business.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import Final

from msys_track.errors import PicklableError
from msys_track.smtp.address import IpAddress, parse_ip

ATTRIBUTES: Final = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT")
"""Those that EHLO offers."""

MAX_COMMAND_BYTES: Final = 512  # XCLIENT_README, "XCLIENT Command syntax"

_ATTRIBUTE: Final = re.compile(r"([A-Za-z_]{1,32})=([!-~]{1,255})")
_HEX: Final = re.compile(r"\+([0-9A-F]{2})")
_PORT: Final = re.compile(r"[0-9]{1,5}")
_MAX_PORT: Final = 65_535
_UNKNOWN: Final = ("[UNAVAILABLE]", "[TEMPUNAVAIL]")


class XClientError(PicklableError):
    """The attributes are not XCLIENT's; the text is for a 501."""


@dataclass(frozen=True, slots=True, kw_only=True)
class XClient:
    """What a peer says of its client; None where it says nothing, or that it does not know."""

    name: str | None = None
    """The client's name in DNS."""
    address: IpAddress | None = None
    port: int | None = None
    is_extended: bool | None = None
    """Whether it said EHLO."""
    helo: str | None = None
    login: str | None = None
    """The user that it authenticated as."""
    listen_address: IpAddress | None = None
    """Where it connected to."""
    listen_port: int | None = None
    given: frozenset[str] = field(default=frozenset(), compare=False)
    """The attributes that it names, those that it does not know too."""


def parse_xclient(attributes: Sequence[str]) -> XClient:
    """Parse what follows the command's word, split at spaces.

    Raises:
        XClientError: an attribute is unknown, malformed or given twice, or there is none.
    """
    given: dict[str, str | None] = {}
    for each in attributes:
        found = _ATTRIBUTE.fullmatch(each)
        name = found[1].upper() if found else ""
        if found is None or name not in ATTRIBUTES:
            raise XClientError(f"Bad XCLIENT attribute; known: {', '.join(ATTRIBUTES)}")
        if name in given:
            raise XClientError(f"XCLIENT attribute {name} is given twice")
        given[name] = None if found[2].upper() in _UNKNOWN else decode_xtext(found[2])
    if not given:
        raise XClientError("Syntax: XCLIENT attribute=value ...")
    protocol = given.get("PROTO")
    if protocol is not None and protocol.upper() not in ("SMTP", "ESMTP"):
        raise XClientError("Bad XCLIENT PROTO; known: SMTP, ESMTP")
    return XClient(
        name=given.get("NAME"),
        address=_read_address(given, "ADDR"),
        port=_read_port(given, "PORT"),
        is_extended=None if protocol is None else protocol.upper() == "ESMTP",
        helo=given.get("HELO"),
        login=given.get("LOGIN"),
        listen_address=_read_address(given, "DESTADDR"),
        listen_port=_read_port(given, "DESTPORT"),
        given=frozenset(given),
    )


def decode_xtext(text: str) -> str:
    """Decode xtext (RFC 3461 section 4), of UTF-8.

    Raises:
        XClientError: not xtext, not UTF-8, or with a control character.
    """
    plain = _HEX.sub(lambda found: chr(int(found[1], 16)), text)
    try:
        decoded = plain.encode("latin-1").decode()
    except UnicodeError:
        raise XClientError("Bad XCLIENT value: not UTF-8") from None
    if "+" in _HEX.sub("", text) or not decoded.isprintable():
        raise XClientError("Bad XCLIENT value: not xtext, or with a control character")
    return decoded


def _read_address(given: Mapping[str, str | None], name: str) -> IpAddress | None:
    text = given.get(name)
    if text is None:
        return None
    is_ipv6 = text[:5].upper() == "IPV6:"
    address = parse_ip(text[5:] if is_ipv6 else text)
    # IPv4 that is mapped into IPv6 is IPv4 to us.
    if address is None or (not is_ipv6 and isinstance(address, IPv6Address)):
        raise XClientError(f"Bad XCLIENT {name}: not an IPv4 address, nor IPV6: and an address")
    if isinstance(address, IPv6Address) and address.scope_id:
        raise XClientError(f"Bad XCLIENT {name}: an address with a zone")
    return address


def _read_port(given: Mapping[str, str | None], name: str) -> int | None:
    text = given.get(name)
    if text is None:
        return None
    if _PORT.fullmatch(text) is None or int(text) > _MAX_PORT:
        raise XClientError(f"Bad XCLIENT {name}: not a port")
    return int(text)
