"""The decision: which value of each option holds for a message, and who said so.

One pure function, so that "why was this not tracked?" has one place to look.
Precedence is by attribute: a layer that is silent on one option does not hide a lower
layer's word on it (behaviour of Momentum's smtpapi module).
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Generic, TypeVar

from msys_track.options.header import ApiHeader
from msys_track.options.metadata import trimmed
from msys_track.options.tracking import Scheme, TrackingOptions

T = TypeVar("T")

HEADER: Final = "header"
DEFAULT: Final = "default"

DEFAULT_TRACKING_DOMAIN: Final = "localhost:8080"
DEFAULT_LINK_EXPIRY_SECONDS: Final = 31_536_000  # 365 days
DEFAULT_MAX_METADATA_BYTES: Final = 1_000
_DEFAULT_SCHEME: Final[Scheme] = "http"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin(Generic[T]):
    """A value that holds, and where it comes from: `header`, a configuration, `default`."""

    value: T
    source: str


_NO_DATUM: Final[Origin[str | None]] = Origin(value=None, source=DEFAULT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Every option and engagement datum of a message, each with its origin."""

    open_tracking: Origin[bool]
    click_tracking: Origin[bool]
    open_tracking_scheme: Origin[Scheme]
    click_tracking_scheme: Origin[Scheme]
    tracking_domain: Origin[str]
    tracking_link_expiry_seconds: Origin[int]
    click_tracking_include_metadata: Origin[bool]
    max_metadata_bytes: Origin[int]
    transactional: Origin[bool]
    campaign_id: Origin[str | None]
    metadata: Origin[str | None]
    """Compact JSON text of an object within `max_metadata_bytes`; None when nothing is left."""
    metadata_truncated: bool
    tags: Origin[tuple[str, ...]]


def resolve(
    header: ApiHeader | None,
    configured: TrackingOptions,
    configured_source: str = "configuration",
) -> Resolved:
    """Weigh header over configuration over default, attribute by attribute.

    Args:
        header: what the message asks for; None when it has no X-MSYS-API.
        configured: what the operator set.
        configured_source: the name that values of `configured` get as their source.
    """
    settled = _settled(configured, configured_source)
    if header is None:
        return settled
    metadata, truncated = trimmed(header.metadata, settled.max_metadata_bytes.value)
    return replace(
        settled,
        open_tracking=_asked(header.open_tracking, settled.open_tracking),
        click_tracking=_asked(header.click_tracking, settled.click_tracking),
        transactional=_asked(header.transactional, settled.transactional),
        campaign_id=_asked(header.campaign_id, settled.campaign_id),
        metadata=_NO_DATUM if header.metadata is None else Origin(value=metadata, source=HEADER),
        metadata_truncated=truncated,
        tags=_asked(header.tags, settled.tags),
    )


@lru_cache(maxsize=1024)
def _settled(configured: TrackingOptions, source: str) -> Resolved:
    """What holds for every message that asks for nothing: the same for thousands of them."""

    def winner(value: T | None, default: T) -> Origin[T]:
        if value is None:
            return Origin(value=default, source=DEFAULT)
        return Origin(value=value, source=source)

    return Resolved(
        open_tracking=winner(configured.open_tracking, default=False),
        click_tracking=winner(configured.click_tracking, default=False),
        open_tracking_scheme=winner(configured.open_tracking_scheme, _DEFAULT_SCHEME),
        click_tracking_scheme=winner(configured.click_tracking_scheme, _DEFAULT_SCHEME),
        tracking_domain=winner(configured.tracking_domain, DEFAULT_TRACKING_DOMAIN),
        tracking_link_expiry_seconds=winner(
            configured.tracking_link_expiry_seconds, DEFAULT_LINK_EXPIRY_SECONDS
        ),
        click_tracking_include_metadata=winner(
            configured.click_tracking_include_metadata, default=True
        ),
        max_metadata_bytes=winner(configured.max_metadata_bytes, DEFAULT_MAX_METADATA_BYTES),
        transactional=Origin(value=False, source=DEFAULT),
        campaign_id=_NO_DATUM,
        metadata=_NO_DATUM,
        metadata_truncated=False,
        tags=Origin(value=(), source=DEFAULT),
    )


def _asked(value: T | None, otherwise: Origin[T]) -> Origin[T]:
    return otherwise if value is None else Origin(value=value, source=HEADER)
