"""The `Location` of a click: the sender's target, byte for byte, as far as a header can hold it.

A target that differs from the original by one character is a broken link to some reader, so
nothing here is normalised; only characters that RFC 9110 does not allow in a header are written
another way.
"""

import re
from urllib.parse import quote

import idna

# Without re.ASCII, IGNORECASE takes U+017F for an "s", which a header can't have.
# Printable ASCII but for the space: what a header carries as it stands.
_PLAIN = re.compile(r"https?://[!-~]+", re.IGNORECASE | re.ASCII)
_SCHEME = re.compile(r"https?://", re.IGNORECASE | re.ASCII)
# WHATWG URL: in http and https a backslash ends the authority as a slash does.
_AFTER_AUTHORITY = re.compile(r"[/?#\\]")
# WHATWG URL section 4.4, steps 1 to 3: what a browser drops before it reads a URL.
_DROPPED_AT_THE_END = "".join(map(chr, range(0x21)))
_DROPPED_ANYWHERE = str.maketrans("", "", "\t\n\r")
_PORT = re.compile(r":[0-9]*\Z")
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
_ASCII_LABEL = re.compile(r"[a-z0-9_-]*")


def make_location(target: str) -> str | None:
    """Return the value of `Location` for a target; None for what must never be redirected to.

    Printable ASCII goes out as it is. Tabs, line breaks, and trailing spaces and controls are
    dropped as browsers do. Other characters are percent-encoded as UTF-8 (RFC 3987 section 3.1);
    a host that is not ASCII becomes its A-label (UTS #46, RFC 5891), or is percent-encoded too if
    it has none. The result is printable ASCII without spaces, so no target can end the header.
    """
    if _PLAIN.fullmatch(target):
        return target
    scheme = _SCHEME.match(target)
    if scheme is None:
        return None
    rest = target[scheme.end() :].rstrip(_DROPPED_AT_THE_END).translate(_DROPPED_ANYWHERE)
    if not rest:
        return None
    after = _AFTER_AUTHORITY.search(rest)
    end = after.start() if after else len(rest)
    # RFC 3986 section 3.2: `[userinfo@]host[:port]`.
    userinfo, at, host_and_port = rest[:end].rpartition("@")
    port = _PORT.search(host_and_port)
    host = host_and_port[: port.start()] if port else host_and_port
    authority = percent_encode(userinfo) + at + _encode_host(host) + (port.group() if port else "")
    return scheme.group() + authority + percent_encode(rest[end:])


def is_http(target: str) -> bool:
    """Tell whether a target is one of http or https, the only ones to redirect to."""
    return _SCHEME.match(target) is not None


def percent_encode(text: str) -> str:
    """Percent-encode all that is not printable ASCII, as UTF-8; never raises."""
    # No token holds a lone surrogate, but one must not raise either.
    return quote(text, safe=_PRINTABLE, errors="surrogatepass")


def _encode_host(host: str) -> str:
    if host.isascii():
        return percent_encode(host)
    try:
        mapped = idna.uts46_remap(host, std3_rules=False).split(".")
        labels = [each if each.isascii() else idna.alabel(each).decode("ascii") for each in mapped]
    except idna.IDNAError:
        return percent_encode(host)
    # UTS #46 maps look-alikes of "/", "?" and "@" to ASCII: they must not cut the host short. It
    # drops soft hyphens and the like; with no host left, a browser takes the path's first segment
    # for it.
    if any(labels) and all(map(_ASCII_LABEL.fullmatch, labels)):
        return ".".join(labels)
    return percent_encode(host)
