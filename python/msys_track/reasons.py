"""Why something was left as it was: one list, shared by logs, counters, `rewrite` and docs.

The compiled core has the same list; a test compares them.
"""

from enum import StrEnum


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
    CORE_FAILURE = "core_failure"  # a defect of ours; the original goes on
