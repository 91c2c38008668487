"""The `Location` of a click: the sender's target, byte for byte, as far as a header can hold it.

A target that differs from the original by one character is a broken link to somebody, so nothing
here is normalised; only what RFC 9110 does not allow in a header is written another way.
"""

import re

import idna

# Printable ASCII but for the space: what a header carries as it stands.
_PLAIN = re.compile(r"https?://[!-~]+", re.IGNORECASE)
# WHATWG URL: in http and https a backslash ends the authority as a slash does.
_PARTS = re.compile(r"(https?://)([^/?#\\]*)(.*)", re.IGNORECASE | re.DOTALL)
_PORT = re.compile(r":[0-9]*\Z")
_NOT_PLAIN = re.compile(r"[^!-~]")
_ASCII_LABEL = re.compile(r"[a-z0-9_-]*")


def location(target: str) -> str | None:
    """The value of `Location` for a target; None for what must never be redirected to.

    Printable ASCII goes out as it is. Other characters are percent-encoded as UTF-8 (RFC 3987
    section 3.1); a host that is not ASCII becomes its A-label (UTS #46, RFC 5891), or is
    percent-encoded too if it has none. The result is printable ASCII without spaces, so no
    target can end the header.
    """
    if _PLAIN.fullmatch(target):
        return target
    parts = _PARTS.fullmatch(target)
    if parts is None:
        return None
    scheme, authority, rest = parts.groups()
    if not authority + rest:
        return None
    return scheme + _authority(authority) + _percent_encoded(rest)


def _authority(authority: str) -> str:
    """RFC 3986 section 3.2: `[userinfo@]host[:port]`."""
    userinfo, at, host_and_port = authority.rpartition("@")
    port = _PORT.search(host_and_port)
    host = host_and_port[: port.start()] if port else host_and_port
    return _percent_encoded(userinfo) + at + _host(host) + (port.group() if port else "")


def _host(host: str) -> str:
    if host.isascii():
        return _percent_encoded(host)
    try:
        labels = idna.uts46_remap(host, std3_rules=False).split(".")
        # UTS #46 drops soft hyphens and the like; with no host left, a browser takes the path's
        # first segment for it.
        if any(labels):
            return ".".join(_label(label) for label in labels)
    except idna.IDNAError:
        pass
    return _percent_encoded(host)


def _label(label: str) -> str:
    """One label of a mapped host.

    Raises:
        idna.IDNAError: it has no A-label.
    """
    if not label.isascii():
        return idna.alabel(label).decode("ascii")
    # UTS #46 maps look-alikes of "/", "?" and "@" to ASCII: they must not cut the host short.
    if _ASCII_LABEL.fullmatch(label) is None:
        raise idna.IDNAError(f"not a host label: {label!r}")
    return label


def _percent_encoded(text: str) -> str:
    return _NOT_PLAIN.sub(_escape, text)


def _escape(character: re.Match[str]) -> str:
    # A lone surrogate can't come out of a token; it must not raise all the same.
    return "".join(f"%{byte:02X}" for byte in character.group().encode("utf-8", "surrogatepass"))
