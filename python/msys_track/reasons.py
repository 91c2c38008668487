"""Why something was left as it was: one list, shared by logs, counters, `rewrite` and docs.

The compiled core has the same list; a test compares them.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """Why a link, a part or a message was left as it was."""

    NOT_HTTP = "not_http"  # mailto:, tel:, cid:, relative, empty …
    NO_HOST = "no_host"  # http:// and nothing after it
    OPTED_OUT = "opted_out"  # data-msys-clicktrack="0"
    NEVER_WRAP = "never_wrap"  # a pattern of the configuration
    OUTLOOK_LINKS_OFF = "outlook_links_off"
    TEXT_LINKS_OFF = "text_links_off"
    SPLIT_LINK = "split_link"  # it goes on in the next line: RFC 3676, DelSp
    ALREADY_TRACKED = "already_tracked"  # our own domain and path
    URL_TOO_LONG = "url_too_long"  # over 4,096 bytes even without metadata
    LINE_TOO_LONG = "line_too_long"  # RFC 5322 section 2.1.1: 998 octets
    NO_PIXEL_PLACE = "no_pixel_place"  # HTML that ends inside a comment, a tag or raw text
    NO_INITIAL_PIXEL_PLACE = "no_initial_pixel_place"  # HTML without <body>
    NO_HTML_PART = "no_html_part"
    SIGNED_PART = "signed_part"  # RFC 1847: a changed byte breaks the signature
    ENCRYPTED_PART = "encrypted_part"
    REPORT_PART = "report_part"  # RFC 6522
    ATTACHED_PART = "attached_part"
    AMP_PART = "amp_part"  # text/x-amp-html
    NOT_TOP_PART = "not_top_part"  # a second text/html or text/plain
    OTHER_MEDIA_TYPE = "other_media_type"  # neither text/html nor text/plain
    EMBEDDED_MESSAGE = "embedded_message"  # message/*
    SIGNED_MESSAGE = "signed_message"  # DKIM-Signature or ARC-Seal on entry
    UNKNOWN_CHARSET = "unknown_charset"
    UNSUPPORTED_CHARSET = "unsupported_charset"  # not a superset of ASCII
    UNKNOWN_TRANSFER_ENCODING = "unknown_transfer_encoding"
    MALFORMED_TRANSFER_ENCODING = "malformed_transfer_encoding"
    MALFORMED_MESSAGE = "malformed_message"
    MALFORMED_PART = "malformed_part"
    TOO_MANY_PARTS = "too_many_parts"
    NESTED_TOO_DEEP = "nested_too_deep"
    HTML_LIMIT = "html_limit"  # the scanner's memory limit
    TRACKING_OFF = "tracking_off"
    BYPASSED = "bypassed"  # by policy, or as the module is not loaded
    CORE_FAILURE = "core_failure"  # a defect of ours; the original goes on

    @property
    def meaning(self) -> str:
        """What it means, in the words of the documentation."""
        return _MEANINGS[self]


_MEANINGS: Final[Mapping[Reason, str]] = {
    Reason.NOT_HTTP: "the target does not start with http:// or https://",
    Reason.NO_HOST: "nothing follows http://",
    Reason.OPTED_OUT: (
        'data-msys-clicktrack="0"; in text/plain also where the HTML says so of the same target'
    ),
    Reason.NEVER_WRAP: "its target fits a pattern of never_wrap",
    Reason.OUTLOOK_LINKS_OFF: "it is VML or in a conditional comment, and outlook_links is off",
    Reason.TEXT_LINKS_OFF: "it is in text/plain, and click_tracking_text is off",
    Reason.SPLIT_LINK: "it goes on in the next line of a text in format=flowed; delsp=yes",
    Reason.ALREADY_TRACKED: "it leads to the tracking domain already",
    Reason.URL_TOO_LONG: "the tracked URL would pass 4,096 bytes, even without metadata",
    Reason.LINE_TOO_LONG: (
        "the line would pass 998 octets, and 7bit and 8bit can't be folded; a line that came "
        "longer is tracked"
    ),
    Reason.NO_PIXEL_PLACE: "the HTML ends inside a comment, a tag, a script or the like",
    Reason.NO_INITIAL_PIXEL_PLACE: (
        "the HTML has no <body> tag, so that nothing says where its content begins"
    ),
    Reason.NO_HTML_PART: "there is no text/html part, or none that may change",
    Reason.SIGNED_PART: "multipart/signed, or a text in PGP's armour",
    Reason.ENCRYPTED_PART: "multipart/encrypted, S/MIME, or a text in PGP's armour",
    Reason.REPORT_PART: "multipart/report",
    Reason.ATTACHED_PART: "Content-Disposition: attachment",
    Reason.AMP_PART: "text/x-amp-html: a changed byte may make it invalid",
    Reason.NOT_TOP_PART: "not the first text/html or text/plain of the message",
    Reason.OTHER_MEDIA_TYPE: "neither text/html nor text/plain; told of parts only, never counted",
    Reason.EMBEDDED_MESSAGE: "message/*",
    Reason.SIGNED_MESSAGE: "it has DKIM-Signature or ARC-Seal",
    Reason.UNKNOWN_CHARSET: "no registry knows the charset's name",
    Reason.UNSUPPORTED_CHARSET: (
        "UTF-16, ISO-2022-JP and others in which a byte below 128 need not be ASCII"
    ),
    Reason.UNKNOWN_TRANSFER_ENCODING: "not 7bit, 8bit, binary, quoted-printable or base64",
    Reason.MALFORMED_TRANSFER_ENCODING: "the body is not the base64 that its header promises",
    Reason.MALFORMED_MESSAGE: "its header section has a line that is no header field",
    Reason.MALFORMED_PART: (
        "its header section has a line that is no header field, or no empty line that "
        "ends it; or a multipart names no boundary"
    ),
    Reason.TOO_MANY_PARTS: "1,000 parts stand before it; told once, of all the rest",
    Reason.NESTED_TOO_DEEP: "more than 32 multiparts inside each other",
    Reason.HTML_LIMIT: "scanning would take more than 256 MiB",
    Reason.TRACKING_OFF: "neither opens nor clicks are tracked for it",
    Reason.BYPASSED: (
        "policy set __bypass_smtpapi, or the configuration does not load smtpapi; "
        "X-MSYS-API stays in the mail"
    ),
    Reason.CORE_FAILURE: "a defect of ours",
}
