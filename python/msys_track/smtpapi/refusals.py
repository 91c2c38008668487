"""The replies to a malformed X-MSYS-API, in one place: senders match on these exact texts.

A reply is one line of printable ASCII whatever the header held, so that nothing a client
wrote can break the reply's line or fill a log.
"""

from typing import Final

from msys_track.errors import HeaderRefused
from msys_track.smtpapi.json import JsonFault

_MAX_TEXT: Final = 400  # a reply line has 512 octets, code and CRLF included (RFC 5321)


def not_json(fault: JsonFault) -> HeaderRefused:
    """The value is not one strict JSON object; positions are in the unfolded value."""
    where = f"line {fault.line}, column {fault.column}"
    return _refused(f"JSON parsing error in X-MSYS-API ({where}: {fault.what})")


def wrong_type(key: str, wanted: str) -> HeaderRefused:
    """`key` holds another JSON type than `wanted` (such as `json object`)."""
    return _refused(f"X-MSYS-API '{key}' must be of type '{wanted}'")


def campaign_too_long(max_bytes: int) -> HeaderRefused:
    """The campaign is over `max_bytes` of UTF-8; Momentum names the context variable here."""
    return _refused(f"smtpapi_campaign_id context is limited to {max_bytes} bytes")


def present_more_than_once() -> HeaderRefused:
    """Two X-MSYS-API fields that say different things."""
    return _refused("X-MSYS-API header present more than once")


def too_many_copies(most: int) -> HeaderRefused:
    """The three lists of copies name more than `most` addresses together."""
    return _refused(f"X-MSYS-API 'cc', 'bcc' and 'archive' are limited to {most} recipients")


def no_address(key: str, why: str) -> HeaderRefused:
    """`key` names nobody that mail could be sent to, or would break the mail's own header."""
    return _refused(f"X-MSYS-API '{key}' is not a mail address: {why}")


def no_name(key: str, why: str) -> HeaderRefused:
    """`key` is a display name that a header field can't hold."""
    return _refused(f"X-MSYS-API '{key}' can't stand in a header field: {why}")


def _refused(detail: str) -> HeaderRefused:
    text = f"5.6.0 {detail}"
    printable = "".join(c if " " <= c <= "~" else "?" for c in text[: _MAX_TEXT + 1])
    if len(printable) > _MAX_TEXT:
        printable = printable[: _MAX_TEXT - 3] + "..."
    return HeaderRefused(550, printable)
