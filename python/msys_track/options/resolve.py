"""Resolves the value of each option for a mail, and where it comes from.

One pure function, so that "why was this not tracked?" has one place to look. Precedence is by
attribute: a layer that does not set an option leaves the decision to the next one (behaviour of
Momentum's smtpapi module).
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from typing import Any, Final, Generic, NamedTuple, TypeVar

from msys_track.options import variables
from msys_track.options.arguments import Arguments
from msys_track.options.scopes import Scope
from msys_track.options.tracking import ClickScheme, Privacy, Scheme, SignedMail, Unsubscribe
from msys_track.options.variables import IgnoredVariable, Lookup, Variables
from msys_track.smtpapi.header import ApiHeader
from msys_track.smtpapi.metadata import trim_metadata

T = TypeVar("T")

POLICY: Final = "policy"
HEADER: Final = "header"
RECIPIENT: Final = "header (recipient)"
"""What X-MSYS-API says of one recipient alone."""
CALL: Final = "call"
DEFAULT: Final = "default"

DEFAULT_SCHEME: Final = "http"
DEFAULT_TRACKING_DOMAIN: Final = "localhost:8080"
DEFAULT_LINK_EXPIRY_SECONDS: Final = 31_536_000  # 365 days
DEFAULT_MAX_METADATA_BYTES: Final = 1_000
DEFAULT_CUSTOMER_ID: Final = 1


class Origin(NamedTuple, Generic[T]):
    """A value, where it comes from, and what it overrides.

    `source` is `policy`, `call`, `header (recipient)`, `header`, `default`, or a scope of a
    configuration and its place.
    """

    value: T
    source: str = DEFAULT
    over: "Origin[T] | None" = None

    def chain(self) -> "Iterator[Origin[T]]":
        """Yield every value that was set, the one in force first."""
        origin: Origin[T] | None = self
        while origin is not None:
            yield origin
            origin = origin.over


# A mail has half a dozen, and through `Origin` each takes twice as long.
_make_origin: Final = partial(tuple.__new__, Origin)


class Resolved(NamedTuple):
    """Every option and engagement datum of one recipient's copy, each with its origin.

    The defaults are stated here and nowhere else.

    A named tuple, because there is one for every copy, and a dataclass takes four times as long.
    """

    open_tracking: Origin[bool] = Origin(value=False)
    click_tracking: Origin[bool] = Origin(value=False)
    initial_open: Origin[bool] = Origin(value=False)
    open_tracking_scheme: Origin[Scheme] = Origin(value=DEFAULT_SCHEME)
    click_tracking_scheme: Origin[ClickScheme] = Origin(value=DEFAULT_SCHEME)
    tracking_domain: Origin[str] = Origin(value=DEFAULT_TRACKING_DOMAIN)
    tracking_link_expiry_seconds: Origin[int] = Origin(value=DEFAULT_LINK_EXPIRY_SECONDS)
    click_tracking_include_metadata: Origin[bool] = Origin(value=True)
    max_metadata_bytes: Origin[int] = Origin(value=DEFAULT_MAX_METADATA_BYTES)
    click_tracking_text: Origin[bool] = Origin(value=False)
    outlook_links: Origin[bool] = Origin(value=True)
    keep_link_attributes: Origin[bool] = Origin(value=True)
    keep_x_msys_api: Origin[bool] = Origin(value=False)
    signed_mail: Origin[SignedMail] = Origin(value="skip")
    never_wrap: Origin[tuple[str, ...]] = Origin(value=())
    allow_downgrade: Origin[bool] = Origin(value=True)
    fold_long_lines: Origin[bool] = Origin(value=True)
    foreign_opt_outs: Origin[bool] = Origin(value=False)
    spare_url_text: Origin[bool] = Origin(value=False)
    strip_text_options: Origin[bool] = Origin(value=False)
    unescape_curly_macros: Origin[bool] = Origin(value=False)
    pixel_placeholder: Origin[str] = Origin(value="")
    privacy: Origin[Privacy] = Origin(value="full")
    add_message_id: Origin[bool] = Origin(value=False)
    keep_messages: Origin[bool] = Origin(value=False)
    list_unsubscribe: Origin[Unsubscribe] = Origin(value="off")
    list_unsubscribe_mailto: Origin[str] = Origin(value="")
    transactional: Origin[bool] = Origin(value=False)
    campaign_id: Origin[str | None] = Origin(value=None)
    metadata: Origin[str | None] = Origin(value=None)
    """Compact JSON text of an object within `max_metadata_bytes`; None when nothing is left."""
    metadata_before_cut: str | None = None
    """The metadata before the cut, if pairs had no room; else None."""
    tags: Origin[tuple[str, ...]] = Origin(value=())
    customer_id: Origin[int] = Origin(value=DEFAULT_CUSTOMER_ID)
    subaccount_id: Origin[int | None] = Origin(value=None)
    ignored_variables: tuple[IgnoredVariable, ...] = ()
    """Context variables whose values can't be parsed."""

    @property
    def is_tracked(self) -> bool:
        """Whether opens or clicks are tracked."""
        return self.open_tracking.value or self.click_tracking.value

    def origins(self) -> Iterator[tuple[str, Origin[Any]]]:
        """Yield every attribute that has an origin, by name."""
        for name, member in zip(self._fields, self, strict=True):
            if isinstance(member, Origin):
                yield name, member


def _find_positions(layer: type[ApiHeader | Arguments | Variables]) -> list[tuple[int, int]]:
    """Return where a layer's fields stand in it and in `Resolved`.

    By name takes half as long again. Metadata is apart, because it is cut to what a link holds.
    """
    names = [name for name in layer._fields if name in Resolved._fields and name != "metadata"]
    return [(layer._fields.index(name), Resolved._fields.index(name)) for name in names]


_HEADER_FIELDS: Final = _find_positions(ApiHeader)
_CALL_FIELDS: Final = _find_positions(Arguments)
_POLICY_FIELDS: Final = _find_positions(Variables)
_METADATA: Final = Resolved._fields.index("metadata")
_METADATA_BEFORE_CUT: Final = Resolved._fields.index("metadata_before_cut")
_IGNORED_VARIABLES: Final = Resolved._fields.index("ignored_variables")


def resolve(
    scopes: Sequence[Scope],
    header: ApiHeader | None = None,
    contexts: Lookup | None = None,
    arguments: Arguments | None = None,
    own: ApiHeader | None = None,
) -> Resolved:
    """Weigh policy over call and header over configuration over default, attribute by attribute.

    Args:
        scopes: what the operator set, the most specific first; see `Scopes.layers`.
        header: the message's X-MSYS-API; None when it has none.
        contexts: policy's variables; None where there is no policy.
        arguments: what the call of a program gives; of one rank with the header, and before it.
        own: what the header says of this recipient alone, which comes before the rest of it.

    Raises:
        HeaderRefusedError: 550, policy's campaign is too long.
    """
    configured = _resolve_scopes(tuple(scopes))
    policy = variables.NOTHING if contexts is None else variables.read_variables(contexts)
    if header is None and arguments is None and policy is variables.NOTHING:
        return configured
    resolved = list(configured)
    max_bytes = configured.max_metadata_bytes.value
    if header is not None:
        _override(resolved, HEADER, header, _HEADER_FIELDS, max_bytes)
    if own is not None:
        _override(resolved, RECIPIENT, own, _HEADER_FIELDS, max_bytes)
    if arguments is not None:
        _override(resolved, CALL, arguments, _CALL_FIELDS, max_bytes)
    if policy is not variables.NOTHING:
        _override(resolved, POLICY, policy, _POLICY_FIELDS, max_bytes)
        resolved[_IGNORED_VARIABLES] = policy.ignored
    return Resolved._make(resolved)


def _override(
    resolved: list[Any],
    source: str,
    layer: ApiHeader | Arguments | Variables,
    positions: Sequence[tuple[int, int]],
    max_bytes: int,
) -> None:
    """Put a layer's values over those of `resolved`."""
    for in_layer, in_resolved in positions:
        value = layer[in_layer]
        if value is not None:
            resolved[in_resolved] = _make_origin((value, source, resolved[in_resolved]))
    if layer.metadata is not None:
        kept, truncated = trim_metadata(layer.metadata, max_bytes)
        resolved[_METADATA] = _make_origin((kept, source, resolved[_METADATA]))
        resolved[_METADATA_BEFORE_CUT] = layer.metadata if truncated else None


@lru_cache(maxsize=1024)
def _resolve_scopes(scopes: tuple[Scope, ...]) -> Resolved:
    """Return the options of a mail without header and policy: the same for thousands of mails."""
    origins: dict[str, Any] = {}
    for name, origin in Resolved().origins():
        for scope in reversed(scopes):
            value = getattr(scope.options, name, None)
            if value is not None:
                origins[name] = Origin(value, scope.source(name), origins.get(name, origin))
    return Resolved(**origins)
