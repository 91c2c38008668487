"""Why something was left as it was: the codes that logs, counters, documents and events use.

The compiled core has the same list (`rust/reason.rs`); a test holds the two together.
"""

from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache
from typing import Final, Self


class Reason(StrEnum):
    """Why a link, a part or a message was left as it was; `docs/reasons.md` says what to do.

    A member's value is its code, and its name the same in upper case: `Reason.NOT_HTTP` is
    `"not_http"`.
    """

    meaning: str

    def __new__(cls, code: str, meaning: str = "") -> Self:
        """Make a member.

        Args:
            code: its value.
            meaning: what it means, as plain text.
        """
        member = str.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    NOT_HTTP = "not_http", "the target does not start with http:// or https://"
    NO_HOST = "no_host", "nothing follows http://"
    OPTED_OUT = (
        "opted_out",
        (
            """data-msys-clicktrack="0", or another product's opt-out where foreign_opt_outs """
            "is on; in text/plain also where the HTML says so of the same target"
        ),
    )
    NEVER_WRAP = "never_wrap", "its target fits a pattern of never_wrap"
    URL_TEXT = "url_text", "its visible text is itself a URL, and spare_url_text is on"
    SCHEME_DOWNGRADE = (
        "scheme_downgrade",
        "the target is https, the tracked URL would be http, and allow_downgrade is off",
    )
    VETOED = "vetoed", "the program's own hook on_link keeps it"
    AMP_TEMPLATE = (
        "amp_template",
        "it is in an AMP part and holds {{, which AMP fills in at the reader's",
    )
    OUTLOOK_LINKS_OFF = (
        "outlook_links_off",
        "it is VML or in a conditional comment, and outlook_links is off",
    )
    TEXT_LINKS_OFF = "text_links_off", "it is in text/plain, and click_tracking_text is off"
    SPLIT_LINK = (
        "split_link",
        "it goes on in the next line: in angle brackets, or in a text in format=flowed; delsp=yes",
    )
    ALREADY_TRACKED = "already_tracked", "it leads to the tracking domain already"
    URL_TOO_LONG = "url_too_long", "the tracked URL would pass 4,096 bytes, even without metadata"
    LINE_TOO_LONG = (
        "line_too_long",
        (
            "the 7bit or 8bit line would pass 998 octets, also if it is broken before an "
            "href; a line that came longer is tracked"
        ),
    )
    NO_PIXEL_PLACE = (
        "no_pixel_place",
        "the HTML ends inside a comment, a tag, a script or the like",
    )
    NO_INITIAL_PIXEL_PLACE = (
        "no_initial_pixel_place",
        "the HTML has no <body> tag, so that nothing says where its content begins",
    )
    NO_HTML_PART = "no_html_part", "there is no text/html part, or none that may change"
    SIGNED_PART = "signed_part", "multipart/signed, or a text in PGP's armour"
    ENCRYPTED_PART = "encrypted_part", "multipart/encrypted, S/MIME, or a text in PGP's armour"
    REPORT_PART = "report_part", "multipart/report"
    ATTACHED_PART = "attached_part", "Content-Disposition with anything but inline"
    NAMED_FILE = (
        "named_file",
        "a text/html or text/plain that has a file name, beside a body that has none",
    )
    AMBIGUOUS_HEADER = (
        "ambiguous_header",
        "two header fields, or two parameters of one, that must agree and differ",
    )
    AMP_NEEDS_HTTPS = "amp_needs_https", "AMP allows https only, and the tracked URLs are http"
    NOT_ALTERNATIVE = (
        "not_alternative",
        "AMP that does not stand in a multipart/alternative beside text/html or text/plain",
    )
    NOT_TOP_PART = (
        "not_top_part",
        "shown only where another part of its multipart/related refers to it",
    )
    OTHER_MEDIA_TYPE = (
        "other_media_type",
        "neither text/html, text/plain nor AMP; reported for parts only, never counted",
    )
    EMBEDDED_MESSAGE = "embedded_message", "message/*"
    SIGNED_MESSAGE = "signed_message", "it has DKIM-Signature or ARC-Seal"
    UNKNOWN_CHARSET = "unknown_charset", "no registry knows the charset's name"
    UNSUPPORTED_CHARSET = (
        "unsupported_charset",
        (
            "EBCDIC and others that are no supersets of ASCII, or UTF-16's byte order mark where "
            "another charset is named; of a link: its target can't be read"
        ),
    )
    UNKNOWN_TRANSFER_ENCODING = (
        "unknown_transfer_encoding",
        "not 7bit, 8bit, binary, quoted-printable or base64",
    )
    MALFORMED_TRANSFER_ENCODING = (
        "malformed_transfer_encoding",
        "the body is not the base64 that its header promises",
    )
    MALFORMED_MESSAGE = (
        "malformed_message",
        "its header section has a line that is no header field",
    )
    MALFORMED_PART = (
        "malformed_part",
        (
            "its header section has a line that is no header field, or no empty line "
            "that ends it; or a multipart names no boundary"
        ),
    )
    TOO_MANY_PARTS = (
        "too_many_parts",
        "1,000 parts stand before it; reported once for all the rest",
    )
    NESTED_TOO_DEEP = "nested_too_deep", "more than 32 multiparts inside each other"
    HTML_LIMIT = (
        "html_limit",
        (
            "in a stream: a link's tag or a conditional comment is longer than 64 KiB; in a mail: "
            "a part changes its character set over four million times"
        ),
    )
    TOO_MUCH_GROWTH = (
        "too_much_growth",
        "its copy would be over 8 MiB longer than the message, which goes on as it came",
    )
    TRACKING_OFF = "tracking_off", "neither opens nor clicks are tracked for it"
    BYPASSED = (
        "bypassed",
        (
            "policy set __bypass_smtpapi, or the configuration does not load smtpapi; "
            "X-MSYS-API stays in the mail"
        ),
    )
    CORE_FAILURE = "core_failure", "a defect of ours"


_BITS: Final = {reason.value: 1 << place for place, reason in enumerate(Reason)}


def pack_reasons(codes: Iterable[str]) -> int:
    """Return a set of reasons as a number: a bit for each, the lowest for the first of them all.

    The core gives this number, so that nothing is made for a link until somebody reads why.
    """
    bits = 0
    for code in codes:
        bits |= _BITS[code]
    return bits


@lru_cache(maxsize=1024)
def list_reasons(bits: int) -> tuple[str, ...]:
    """Return the codes of a set of reasons, in the order of the enumeration."""
    return tuple(code for code, bit in _BITS.items() if bits & bit)
