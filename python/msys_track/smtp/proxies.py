"""How proxies of ours know each other: a mark in the greeting, ids as the argument of NOOP.

Servers ignore what stands behind NOOP (RFC 5321 section 4.1.1.9), and only those whose greeting
has a mark are told anything. The mark is a hash of the id, so that who can read a greeting can't
name its proxy to others: ids are known to those who are told, which are the proxy's upstreams.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Final

IDENT: Final = "ESMTP msys-track"

_MARK: Final = re.compile(rf"{IDENT} ([0-9a-f]{{32}})$")
_ID: Final = re.compile("[0-9a-f]{32}")
_KEYWORD: Final = "msys-track"
# So that a line has no more than the 512 bytes that all servers take (RFC 5321 section 4.5.3.1.4).
_IDS_IN_A_LINE: Final = 14


def make_mark(proxy_id: str) -> str:
    """Return what a proxy with this id shows to everybody: 32 hexadecimal digits."""
    return hashlib.sha256(proxy_id.encode()).hexdigest()[:32]


def read_mark(greeting: str) -> str | None:
    """Return the mark in the text of a greeting; None if it is not a proxy's of ours."""
    match = _MARK.search(greeting)
    return match and match[1]


def write_ids(ids: Sequence[str]) -> Iterator[bytes]:
    """Yield the commands that tell an upstream ids; each gets one reply."""
    for start in range(0, len(ids), _IDS_IN_A_LINE):
        some = " ".join(ids[start : start + _IDS_IN_A_LINE])
        yield f"NOOP {_KEYWORD} {some}\r\n".encode("ascii")


def read_ids(argument: str) -> tuple[str, ...]:
    """Return the ids in the argument of a NOOP; none if it is another one."""
    keyword, *ids = argument.split(" ")
    if keyword != _KEYWORD or not all(_ID.fullmatch(each) for each in ids):
        return ()
    return tuple(ids)
