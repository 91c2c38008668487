"""The PROXY protocol, by which a load balancer says who its client is.

Versions 1 and 2 of "The PROXY protocol" (haproxy.org, 2020). A header is believed from trusted
peers only; that is the listener's business. Here bytes become a header, without sockets.
"""

import re
import socket
import struct
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

from msys_track.errors import PicklableError
from msys_track.smtp.address import Address

MAX_BYTES: Final = 16 + 4096
"""Of a header; the standard bounds version 1 at 107, and version 2 only by its 16-bit length."""

_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED: Final = struct.Struct("!12sBBH")  # signature, version and command, family, length
_LOCAL: Final = 0x20
_PROXY: Final = 0x21
_START_V1: Final = b"PROXY "
_MAX_V1_BYTES: Final = 107
# Exactly one space between parts, no sign and no zero before a number (section 2.1).
_LINE: Final = re.compile(
    rb"PROXY (?:UNKNOWN(?: [ -~]*)?|TCP([46]) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+)"
    rb" (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4}))\r\n"
)
_IPV4: Final = struct.Struct("!4s4sHH")
_IPV6: Final = struct.Struct("!16s16sHH")
_MAX_PORT: Final = 65_535
_TLV: Final = struct.Struct("!BH")
_TLV_SSL: Final = 0x20
_CLIENT_SSL: Final = 0x01


class ProxyHeaderError(PicklableError):
    """The bytes are not a header; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyHeader:
    """What a header says, and how many bytes it takes."""

    length: int
    source: Address | None = None
    """The client; None where the connection is the load balancer's own, as its health checks are,
    or the client has no TCP address."""
    destination: Address | None = None
    """Where the client connected to."""
    is_encrypted: bool = False
    """Whether the client spoke TLS to the load balancer (version 2, PP2_TYPE_SSL)."""


def read_proxy_header(buffer: bytes) -> ProxyHeader | None:
    """Read the header that a connection begins with.

    Returns:
        The header, behind whose `length` the connection itself begins; None if more must come.

    Raises:
        ProxyHeaderError: no header begins like this.
    """
    if buffer.startswith(_SIGNATURE):
        return _read_v2(buffer)
    if buffer.startswith(_START_V1):
        return _read_v1(buffer)
    if _SIGNATURE.startswith(buffer) or _START_V1.startswith(buffer):
        return None
    raise ProxyHeaderError("the connection does not begin with a PROXY header")


def _read_v1(buffer: bytes) -> ProxyHeader | None:
    end = buffer.find(b"\r\n", 0, _MAX_V1_BYTES)
    if end < 0:
        if len(buffer) >= _MAX_V1_BYTES or b"\n" in buffer:
            raise ProxyHeaderError(f"version 1: no CRLF in the first {_MAX_V1_BYTES} bytes")
        return None
    length = end + 2
    found = _LINE.fullmatch(buffer[:length])
    if found is None:
        raise ProxyHeaderError(f"version 1: malformed: {buffer[:end]!r}")
    family, source, destination, source_port, destination_port = found.groups()
    if family is None:
        return ProxyHeader(length=length)
    return ProxyHeader(
        length=length,
        source=_make_address(family, source, int(source_port)),
        destination=_make_address(family, destination, int(destination_port)),
    )


def _make_address(family: bytes, host: bytes, port: int) -> Address:
    make = IPv4Address if family == b"4" else IPv6Address
    if port > _MAX_PORT:
        raise ProxyHeaderError(f"version 1: {port} is not a port")
    try:
        return Address(str(make(host.decode())), port)
    except AddressValueError:
        raise ProxyHeaderError(
            f"version 1: {host.decode()} is not an address of TCP{family.decode()}"
        ) from None


def _read_v2(buffer: bytes) -> ProxyHeader | None:
    if len(buffer) < _FIXED.size:
        return None
    following: int
    _, version_and_command, family, following = _FIXED.unpack_from(buffer)
    length = _FIXED.size + following
    if version_and_command not in (_LOCAL, _PROXY):
        raise ProxyHeaderError(f"version 2: unknown version or command {version_and_command:#04x}")
    if length > MAX_BYTES:
        raise ProxyHeaderError(f"version 2: {length} bytes, at most {MAX_BYTES}")
    if len(buffer) < length:
        return None
    if version_and_command == _LOCAL:  # whatever follows is to be ignored (section 2.2)
        return ProxyHeader(length=length)
    match family >> 4, family & 0x0F:
        case 1, 1:
            addresses, make = _IPV4, socket.AF_INET
        case 2, 1:
            addresses, make = _IPV6, socket.AF_INET6
        case _:  # unspecified, a datagram or a Unix socket: the client has no TCP address
            return ProxyHeader(length=length)
    if following < addresses.size:
        raise ProxyHeaderError(f"version 2: {following} bytes are too few for its addresses")
    source, destination, source_port, destination_port = addresses.unpack_from(buffer, _FIXED.size)
    return ProxyHeader(
        length=length,
        source=Address(socket.inet_ntop(make, source), source_port),
        destination=Address(socket.inet_ntop(make, destination), destination_port),
        is_encrypted=_was_encrypted(buffer[_FIXED.size + addresses.size : length]),
    )


def _was_encrypted(vectors: bytes) -> bool:
    """Look for PP2_TYPE_SSL among the type-length-value vectors (section 2.2.6)."""
    at = 0
    while at + _TLV.size <= len(vectors):
        kind, length = _TLV.unpack_from(vectors, at)
        at += _TLV.size
        if at + length > len(vectors):
            break
        if kind == _TLV_SSL and length:
            return bool(vectors[at] & _CLIENT_SSL)
        at += length
    else:
        if at == len(vectors):
            return False
    raise ProxyHeaderError("version 2: a type-length-value vector is cut off")
