"""One layer of tracking settings, as a scope of a configuration or a program sets them.

Kept apart from how layers are weighed: a layer only says what it sets, None where it is silent.
Options of Momentum's keep their names in a file, so that they can be moved there as they are.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypeAlias, get_args

from msys_track.settings.addresses import MAX_PORT, PORT_PATTERN
from msys_track.settings.key import Key, check_settings, list_keys
from msys_track.settings.kinds import SWITCH, Kind, array, choice, text, whole_number
from msys_track.smtp.address import is_ipv6

Scheme: TypeAlias = Literal["http", "https"]
ClickScheme: TypeAlias = Literal["http", "https", "same"]
SignedMail: TypeAlias = Literal["skip", "strip", "track"]
Unsubscribe: TypeAlias = Literal["off", "one-click"]
Privacy: TypeAlias = Literal["full", "truncated", "aggregate"]

_MAX_HOST: Final = 253  # RFC 1035 section 2.3.4, without the root's dot
_MAX_PATTERN: Final = 2_048
_MAX_PLACEHOLDER: Final = 256
_LABEL: Final = "[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_DOMAIN: Final = re.compile(
    rf"(?P<host>{_LABEL}(\.{_LABEL})*|\[(?P<ipv6>[0-9A-Fa-f:.]+)\])(:(?P<port>[0-9]{{1,5}}))?"
)


def _is_domain(value: str) -> bool:
    parts = _DOMAIN.fullmatch(value)
    if parts is None or not 0 < int(parts["port"] or 1) <= MAX_PORT:
        return False
    if parts["ipv6"] is not None:
        return is_ipv6(parts["ipv6"])
    return len(parts["host"]) <= _MAX_HOST


_SCHEME: Final = text(
    lambda value: value.lower() in ("http", "https"),
    '"http" or "https", in any case',
    {"pattern": "^[Hh][Tt][Tt][Pp][Ss]?$"},
    str.lower,
)
_CLICK_SCHEME: Final = text(
    lambda value: value.lower() in get_args(ClickScheme),
    '"http", "https" or "same", in any case',
    {"pattern": "^([Hh][Tt][Tt][Pp][Ss]?|[Ss][Aa][Mm][Ee])$"},
    str.lower,
)
_TRACKING_DOMAIN: Final = text(
    _is_domain,
    "host or host:port in ASCII, without scheme or path, as click.example.com",
    {"pattern": rf"^({_LABEL}(\.{_LABEL})*|\[[0-9A-Fa-f:.]+\])(:(?!0+$){PORT_PATTERN})?$"},
)
_PATTERNS: Final = 'patterns of targets as in ["https://example.com/reset/*"]'
_PATTERN: Final = text(
    lambda value: 0 < len(value) <= _MAX_PATTERN and value.isprintable(),
    _PATTERNS,
    {"minLength": 1, "maxLength": _MAX_PATTERN},
)
_MAILBOX: Final = text(
    # As it stands in a mailto URL (RFC 6068 section 2) and in a header field.
    lambda value: (
        re.fullmatch(r"(?:[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,253})?", value) is not None
    ),
    "a mail address such as unsubscribe@example.com, or none",
    {"pattern": r"^([A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,253})?$"},
)
_PLACEHOLDER: Final = text(
    lambda value: len(value) <= _MAX_PLACEHOLDER,
    "a text such as <!-- pixel -->, or none",
    {"maxLength": _MAX_PLACEHOLDER},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingOptions:
    """Settings of one scope; None means not set here, so the next scope or default decides.

    Raises:
        SettingsError: a value that can't make a working link; every fault is named.
    """

    open_tracking: Annotated[
        bool | None, Key(SWITCH, "add an open pixel", name="open_tracking_enabled")
    ] = None
    click_tracking: Annotated[
        bool | None, Key(SWITCH, "wrap links", name="click_tracking_enabled")
    ] = None
    open_tracking_scheme: Annotated[Scheme | None, Key(_SCHEME, "scheme of the pixels' URLs")] = (
        None
    )
    click_tracking_scheme: Annotated[
        ClickScheme | None,
        Key(
            _CLICK_SCHEME,
            "scheme of wrapped links; `same`, which Momentum lacks, keeps the scheme of each "
            "target",
        ),
    ] = None
    tracking_domain: Annotated[
        str | None,
        Key(_TRACKING_DOMAIN, "where readers reach the tracker; written into links as it is"),
    ] = None
    tracking_link_expiry_seconds: Annotated[
        int | None,
        Key(
            whole_number(highest=2**32 - 1, unit="seconds, "),
            "how long after its mail a link makes events",
            name="tracking_link_expiry",
        ),
    ] = None
    click_tracking_include_metadata: Annotated[
        bool | None, Key(SWITCH, "metadata in click links too; open links always have it")
    ] = None
    max_metadata_bytes: Annotated[
        int | None,
        Key(
            whole_number(lowest=0, highest=65_535, unit="bytes, "),
            "most metadata in a link; pairs that don't fit are left out",
            name="max_metadata_len",
        ),
    ] = None
    initial_open: Annotated[
        bool | None,
        Key(
            SWITCH,
            "add a second pixel at the top, where open tracking is on",
            name="initial_open_pixel_tracking",
        ),
    ] = None
    click_tracking_text: Annotated[
        bool | None,
        Key(
            SWITCH,
            "wrap the links of the text/plain part too, whose readers then see the tracked URLs; "
            "Momentum does, so in `ecelerity.conf` the default is `true`",
        ),
    ] = None
    outlook_links: Annotated[
        bool | None,
        Key(SWITCH, "wrap links that only Outlook shows: VML, and conditional comments"),
    ] = None
    keep_link_attributes: Annotated[
        bool | None,
        Key(
            SWITCH,
            "keep `data-msys-…` attributes; removing them hides them from readers, but changes "
            "more than hrefs and pixels",
        ),
    ] = None
    keep_x_msys_api: Annotated[
        bool | None, Key(SWITCH, "keep X-MSYS-API, including the addresses of its `bcc`")
    ] = None
    signed_mail: Annotated[
        SignedMail | None,
        Key(
            choice(*get_args(SignedMail)),
            "mail that arrives with a DKIM signature, which any change breaks: leave it "
            "alone, remove the signature, or track it anyway",
        ),
    ] = None
    never_wrap: Annotated[
        tuple[str, ...] | None,
        Key(
            array(_PATTERN, _PATTERNS),
            "targets that stay as they are; `*` stands for any characters",
        ),
    ] = None
    allow_downgrade: Annotated[
        bool | None,
        Key(
            SWITCH,
            "wrap a link whose target is https although `click_tracking_scheme` is http; if off, "
            "such a link stays as it is; where it is not set, the server warns when it starts",
        ),
    ] = None
    fold_long_lines: Annotated[
        bool | None,
        Key(
            SWITCH,
            "break a line of HTML right before `href` where a tracked URL would make it longer "
            "than 998 octets; if off, such a link stays as it is",
        ),
    ] = None
    foreign_opt_outs: Annotated[
        bool | None,
        Key(
            SWITCH,
            "obey the opt-outs of other products too: `data-pm-no-track`, `ses:no-track`, "
            '`data-no-track`, `clicktracking="off"`',
        ),
    ] = None
    spare_url_text: Annotated[
        bool | None,
        Key(
            SWITCH,
            "leave a link alone whose visible text is itself a URL: a filter may take it for "
            "phishing if it leads elsewhere",
        ),
    ] = None
    strip_text_options: Annotated[
        bool | None,
        Key(
            SWITCH,
            "remove `[[data-msys-…]]` from text/plain also where nothing is tracked",
        ),
    ] = None
    unescape_curly_macros: Annotated[
        bool | None,
        Key(
            SWITCH,
            "turn `{{opening_double_curly()}}` into `{{` and `{{closing_double_curly()}}` into "
            "`}}`, for senders who escape as old Momentum asked; a pathway that policy chooses "
            "does not count here",
        ),
    ] = None
    pixel_placeholder: Annotated[
        str | None,
        Key(
            _PLACEHOLDER,
            "text in the HTML, such as a comment, that the open pixel replaces; where it is not "
            "found, the pixel goes to the end",
        ),
    ] = None

    privacy: Annotated[
        Privacy | None,
        Key(
            choice(*get_args(Privacy)),
            "what events keep of their reader: all, the IP address only as far as its network, or "
            "nothing that tells one reader from another",
        ),
    ] = None

    add_message_id: Annotated[
        bool | None,
        Key(
            SWITCH,
            "add `X-SP-Message-ID` with the `message_id` of the copy's events, where the mail has "
            "none",
        ),
    ] = None
    keep_messages: Annotated[
        bool | None,
        Key(
            SWITCH,
            "keep one mail of each campaign and shape for the report's click map, without its "
            "recipients' addresses: see `[kept_mail]`",
        ),
    ] = None
    list_unsubscribe: Annotated[
        Unsubscribe | None,
        Key(
            choice(*get_args(Unsubscribe)),
            "add `List-Unsubscribe` and `List-Unsubscribe-Post`, which the tracker answers; not "
            "to transactional mail, or where the mail has one, or where links are `http`",
        ),
    ] = None
    list_unsubscribe_mailto: Annotated[
        str | None,
        Key(_MAILBOX, "a mail address in `List-Unsubscribe` too, or none"),
    ] = None

    def __post_init__(self) -> None:
        check_settings(self)


KINDS: Final[Mapping[str, Kind]] = {
    key.fields[0]: key.kind for key in list_keys(TrackingOptions).values()
}
"""The kind of each option's values, by its field."""
