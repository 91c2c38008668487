"""Reasons in a few words, for those who meet the codes for the first time (docs/reasons.md)."""

from collections.abc import Mapping
from typing import Final

from msys_track.reasons import Reason

_WORDS: Final[Mapping[Reason, str]] = {
    Reason.NOT_HTTP: "neither http nor https",
    Reason.NO_HOST: "nothing follows http://",
    Reason.OPTED_OUT: 'data-msys-clicktrack="0"',
    Reason.ALREADY_TRACKED: "it is ours",
    Reason.URL_TOO_LONG: "tracked, over 4,096",
    Reason.LINE_TOO_LONG: "over 998 octets",
    Reason.NO_PIXEL_PLACE: "the HTML ends inside a tag or the like",
    Reason.NO_HTML_PART: "no HTML that may change",
    Reason.SIGNED_PART: "one byte would break it",
    Reason.ENCRYPTED_PART: "it is encrypted",
    Reason.REPORT_PART: "a report on another mail",
    Reason.ATTACHED_PART: "attached, not shown",
    Reason.EMBEDDED_MESSAGE: "a mail inside the mail",
    Reason.SIGNED_MESSAGE: "it would break the DKIM signature",
    Reason.UNKNOWN_CHARSET: "nobody knows its charset",
    Reason.UNSUPPORTED_CHARSET: "its charset does not contain ASCII",
    Reason.UNKNOWN_TRANSFER_ENCODING: "nobody knows its transfer encoding",
    Reason.MALFORMED_TRANSFER_ENCODING: "it is not the base64 that it promises",
    Reason.MALFORMED_MESSAGE: "no mail: a header line is none",
    Reason.NESTED_TOO_DEEP: "parts in parts in parts",
    Reason.HTML_LIMIT: "it would take too much memory",
    Reason.TRACKING_OFF: "tracking is off",
    Reason.CORE_FAILURE: "a defect of msys-track",
}


def explained(reason: Reason) -> str:
    """Return a reason's code and what it means."""
    words = _WORDS.get(reason)
    return reason.value if words is None else f"{reason.value}: {words}"
