"""The replies to a malformed X-MSYS-API. Senders match on these exact texts.

A reply is one line of printable ASCII whatever the header holds. So no text of a client's can
break the line of the reply or fill a log.
"""

from collections.abc import Sequence
from typing import Final

from msys_track.errors import HeaderRefusedError
from msys_track.smtpapi.json import JsonError

_MAX_TEXT: Final = 400  # a reply line has 512 octets, code and CRLF included (RFC 5321)


def make_refusal(detail: str) -> HeaderRefusedError:
    """Return the reply 550 with this text, in printable ASCII and cut to a reply's length."""
    text = f"5.6.0 {detail}"
    printable = "".join(c if " " <= c <= "~" else "?" for c in text[:_MAX_TEXT])
    return HeaderRefusedError(550, printable)


def not_json(fault: JsonError) -> HeaderRefusedError:
    """The value is not one JSON object."""
    # A pretty-printer's last brace at the margin begins a field of its own.
    hint = "; the field ends inside its object: continuation lines begin with a space or tab"
    around = f"; near: {fault.around}" if fault.around else ""
    return make_refusal(
        f"JSON parsing error in X-MSYS-API (line {fault.line}, column {fault.column}: "
        f"{fault.what}{hint if fault.is_cut_short else ''}{around})"
    )


def wrong_type(key: str, wanted: str) -> HeaderRefusedError:
    """The type of `key` is not `wanted`, which is a JSON type such as `json object`."""
    return make_refusal(f"X-MSYS-API '{key}' must be of type '{wanted}'")


def not_a_word(key: str, allowed: Sequence[str]) -> HeaderRefusedError:
    """`key` is none of the words that it may be."""
    return make_refusal(f"X-MSYS-API '{key}' must be one of {', '.join(allowed)}")


def campaign_too_long(max_bytes: int) -> HeaderRefusedError:
    """The campaign has more than `max_bytes` of UTF-8. Momentum names the variable here."""
    return make_refusal(f"smtpapi_campaign_id context is limited to {max_bytes} bytes")


def no_address(key: str, why: str) -> HeaderRefusedError:
    """`key` is not an address that mail can be sent to, or would break the mail's header."""
    return make_refusal(f"X-MSYS-API '{key}' is not a mail address: {why}")


def no_name(key: str, why: str) -> HeaderRefusedError:
    """`key` is a display name that a header field can't hold."""
    return make_refusal(f"X-MSYS-API '{key}' can't stand in a header field: {why}")
