"""Writes a database of MaxMind's form (version 2.0), small, for tests."""

import struct
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

_MARKER: Final = b"\xab\xcd\xefMaxMind.com"
_SEPARATOR: Final = bytes(16)
_UINT16, _UINT32, _UINT64 = 5, 6, 9


def write_database(path: Path, kind: str, networks: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the records of networks; IPv4 networks stand where IPv6 has them (::/96)."""
    nodes: list[list[Any]] = [[None, None]]
    for name, record in networks.items():
        network = ip_network(name)
        is_ipv4 = network.version == 4
        length = network.prefixlen + (96 if is_ipv4 else 0)
        bits = f"{int(network.network_address):0128b}"[:length]
        node = 0
        for bit in map(int, bits[:-1]):
            if nodes[node][bit] is None:
                nodes.append([None, None])
                nodes[node][bit] = len(nodes) - 1
            node = nodes[node][bit]
        nodes[node][int(bits[-1])] = record
    data = b""
    tree = b""
    count = len(nodes)
    for node_pair in nodes:
        for value in node_pair:
            if value is None:
                pointer = count
            elif isinstance(value, int):
                pointer = value
            else:
                pointer = count + len(_SEPARATOR) + len(data)
                data += _encode(value)
            tree += pointer.to_bytes(4)
    metadata = {
        "binary_format_major_version": (_UINT16, 2),
        "binary_format_minor_version": (_UINT16, 0),
        "build_epoch": (_UINT64, 1_764_000_000),
        "database_type": kind,
        "description": {"en": "test"},
        "ip_version": (_UINT16, 6),
        "languages": ["en"],
        "node_count": count,
        "record_size": (_UINT16, 32),
    }
    path.write_bytes(tree + _SEPARATOR + data + _MARKER + _encode(metadata))


def _encode(value: Any) -> bytes:
    match value:
        case dict():
            members = b"".join(_encode(name) + _encode(each) for name, each in value.items())
            return _head(7, len(value)) + members
        case list():
            return _head(11, len(value)) + b"".join(map(_encode, value))
        case str():
            text = value.encode()
            return _head(2, len(text)) + text
        case float():
            return _head(3, 8) + struct.pack(">d", value)
        case int():
            return _encode((_UINT32, value))
        case (kind, number):
            digits = number.to_bytes((number.bit_length() + 7) // 8)
            return _head(kind, len(digits)) + bytes(digits)
    raise TypeError(value)


def _head(kind: int, size: int) -> bytes:
    more = b""
    if size >= 29:
        more, size = bytes([size - 29]), 29
    if kind <= 7:
        return bytes([kind << 5 | size]) + more
    return bytes([size, kind - 7]) + more
