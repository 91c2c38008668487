"""Tracked URLs as they come back: whole ones, and the targets of requests."""

from urllib.parse import unquote_to_bytes

from msys_track.keys.ring import Claims, KeyRing


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
    path = target.partition(b"?")[0].partition(b"#")[0]
    if not path.startswith(b"/"):
        # absolute-form, as sent to a proxy (RFC 9112 section 3.2.2)
        _, slash, rest = path.partition(b"://")[2].partition(b"/")
        path = slash + rest
    if b"%" in path:
        path = unquote_to_bytes(path)
    return path.decode("ascii", "replace")
