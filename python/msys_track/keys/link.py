"""Tracked URLs as they come back: whole ones, and the targets of requests."""

import base64
import re
from collections.abc import Container
from typing import Final
from urllib.parse import unquote_to_bytes

from msys_track.keys.plain.ring import VERSION, TokenError, locate_token
from msys_track.keys.ring import Claims, KeyRing

_UP_TO_TOKEN: Final = re.compile(r"/?(?:[\w.-]*/)*(?P<token>[\w-]*)(?P<behind>~?)", re.ASCII)
_NEVER_OURS: Final = ("/e/", "/o/")


def open_link(url: str | bytes, keys: KeyRing) -> Claims:
    """Return the claims of a whole tracked URL, such as one copied out of a mail or a log.

    It is read as the tracker reads a request: the path is percent-decoded once; scheme, host,
    query, fragment, and what a client appended to the token are ignored. White space around the
    URL is, too. The scheme may be left out, and so may everything before the path. Claims may
    have expired: see `Claims.is_expired`.

    ```python
    claims = open_link("https://click.example.com/f/a/AQE…?utm_source=mail", keys)
    ```

    Raises:
        InvalidTokenError: not ours, changed, or sealed by a key that is not on the ring.
    """
    target = url.encode("utf-8", "replace") if isinstance(url, str) else url
    target = target.strip()
    # Copying easily leaves out the scheme, or a path's first slash.
    if b"://" not in target and not target.startswith(b"/"):
        prefix = b"/" if target.startswith((b"f/", b"q/", b"u/")) else b"http://"
        target = prefix + target
    return keys.open(parse_path(target))


def parse_path(target: bytes) -> str:
    """Return the path of a request target, percent-decoded once, without query and fragment.

    Bytes outside ASCII become U+FFFD, which is in no path of ours. Query parameters are dropped:
    mail hosts and ad networks append their own.
    """
    path = find_path_and_query(target).partition(b"?")[0]
    if b"%" in path:
        path = unquote_to_bytes(path)
    return path.decode("ascii", "replace")


def find_path_and_query(target: bytes) -> bytes:
    """Return path and query of a request target as they came; empty where it has no path."""
    target = target.partition(b"#")[0]
    if target.startswith(b"/"):
        return target
    # absolute-form, as sent to a proxy (RFC 9112 section 3.2.2)
    path, question, query = target.partition(b"?")
    _, slash, rest = path.partition(b"://")[2].partition(b"/")
    return slash + rest + question + query if slash else b""


def has_own_form(path: str, ids: Container[int]) -> bool:
    """Whether the path of a tracked URL looks like ours, if forged, changed or cut off.

    A token of ours begins with the octets of version and key id; `ids` are those of the ring. Of
    a foreign token that is random there, one in 65,536 does for each key. Momentum and SparkPost
    write `~` behind their first segment, which ours never has.
    """
    try:
        token = locate_token(path).token
    except TokenError:
        found = _UP_TO_TOKEN.match(path)
        if found is None or found["behind"] or path.startswith(_NEVER_OURS):
            return False
        token = found["token"]
    version, number, _ = base64.urlsafe_b64decode(f"{token[:3]:A<4}")
    return version == VERSION and number in ids
