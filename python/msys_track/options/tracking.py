"""One layer of tracking settings, as a scope of a configuration or a program sets them.

Kept apart from how layers are weighed: a layer only says what it sets, None where it is silent.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

from msys_track.errors import SettingsError
from msys_track.smtp.address import is_ipv6

Scheme: TypeAlias = Literal["http", "https"]
SignedMail: TypeAlias = Literal["skip", "strip", "track"]

_MAX_EXPIRY_SECONDS: Final = 2**32 - 1
_MAX_METADATA_BYTES: Final = 65_535
_MAX_HOST: Final = 253  # RFC 1035 section 2.3.4, without the root's dot
_MAX_PORT: Final = 65_535
_MAX_PATTERN: Final = 2_048
_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_DOMAIN: Final = re.compile(
    rf"(?:(?P<host>{_LABEL}(?:\.{_LABEL})*)|\[(?P<ipv6>[0-9A-Fa-f:.]+)\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
)


class Rule(NamedTuple):
    """What an option can be: the check, and the same in words for whoever set it wrongly."""

    allows: Callable[[object], bool]
    allowed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingOptions:
    """Settings of one scope; None means not set here, so the next scope or default decides.

    Raises:
        SettingsError: a value that can't make a working link; every fault is named.
    """

    open_tracking: bool | None = None
    click_tracking: bool | None = None
    open_tracking_scheme: Scheme | None = None
    click_tracking_scheme: Scheme | None = None
    tracking_domain: str | None = None
    """`host[:port]`, written into links as it is."""
    tracking_link_expiry_seconds: int | None = None
    click_tracking_include_metadata: bool | None = None
    """Metadata in click links too; open links always carry it."""
    max_metadata_bytes: int | None = None
    initial_open: bool | None = None
    """A second pixel, at the top of the HTML, where open tracking is on."""
    click_tracking_text: bool | None = None
    """Links of the text/plain part too, where readers see the URL that replaces theirs."""
    outlook_links: bool | None = None
    """Links that only Outlook shows: VML, and what stands in conditional comments."""
    keep_link_attributes: bool | None = None
    """`data-msys-…` attributes stay in the mail."""
    keep_x_msys_api: bool | None = None
    """The X-MSYS-API header stays in the mail, with the addresses in its `bcc`."""
    signed_mail: SignedMail | None = None
    """What becomes of mail that arrives signed, as a changed byte breaks its signature."""
    never_wrap: tuple[str, ...] | None = None
    """Patterns of targets that stay as they are; `*` stands for any characters."""

    def __post_init__(self) -> None:
        if faults := list(self._faults()):
            raise SettingsError("\n".join(faults))

    def _faults(self) -> Iterator[str]:
        for name, rule in RULES.items():
            value = getattr(self, name)
            if value is not None and not rule.allows(value):
                yield f"{name}: found {value!r}, allowed: {rule.allowed}"


def _is_switch(value: object) -> bool:
    return isinstance(value, bool)


def _is_scheme(value: object) -> bool:
    return value in ("http", "https")


def _is_signed_mail(value: object) -> bool:
    return value in ("skip", "strip", "track")


def _are_patterns(value: object) -> bool:
    return isinstance(value, tuple) and all(map(is_pattern, value))


def is_pattern(value: object) -> bool:
    """Whether a value can be one pattern of `never_wrap`."""
    return isinstance(value, str) and 0 < len(value) <= _MAX_PATTERN and value.isprintable()


def _is_domain(value: object) -> bool:
    parts = _DOMAIN.fullmatch(value) if isinstance(value, str) else None
    if parts is None or not 0 < int(parts["port"] or 1) <= _MAX_PORT:
        return False
    if parts["ipv6"] is not None:
        return is_ipv6(parts["ipv6"])
    return len(parts["host"]) <= _MAX_HOST


def _is_expiry(value: object) -> bool:
    return type(value) is int and 0 < value <= _MAX_EXPIRY_SECONDS


def _is_metadata_size(value: object) -> bool:
    return type(value) is int and 0 <= value <= _MAX_METADATA_BYTES


_SWITCH: Final = Rule(_is_switch, "true or false, without quotes")
_SCHEME: Final = Rule(_is_scheme, '"http" or "https"')
PATTERNS: Final = 'patterns of targets as in ["https://example.com/reset/*"]'

RULES: Final[Mapping[str, Rule]] = {
    "open_tracking": _SWITCH,
    "click_tracking": _SWITCH,
    "open_tracking_scheme": _SCHEME,
    "click_tracking_scheme": _SCHEME,
    "tracking_domain": Rule(
        _is_domain, "host or host:port in ASCII, without scheme or path, as click.example.com"
    ),
    "tracking_link_expiry_seconds": Rule(
        _is_expiry, f"seconds, a whole number from 1 to {_MAX_EXPIRY_SECONDS}"
    ),
    "click_tracking_include_metadata": _SWITCH,
    "max_metadata_bytes": Rule(
        _is_metadata_size, f"bytes, a whole number from 0 to {_MAX_METADATA_BYTES}"
    ),
    "initial_open": _SWITCH,
    "click_tracking_text": _SWITCH,
    "outlook_links": _SWITCH,
    "keep_link_attributes": _SWITCH,
    "keep_x_msys_api": _SWITCH,
    "signed_mail": Rule(_is_signed_mail, '"skip", "strip" or "track"'),
    "never_wrap": Rule(_are_patterns, PATTERNS),
}
