"""The decision: which value of each option holds for a mail, and who said so.

One pure function, so that "why was this not tracked?" has one place to look. Precedence is by
attribute: a layer that is silent on one option does not hide a lower layer's word on it
(behaviour of Momentum's smtpapi module).
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, Generic, NamedTuple, TypeVar

from msys_track.options import variables
from msys_track.options.scopes import Scope
from msys_track.options.tracking import Scheme, SignedMail
from msys_track.options.variables import Ignored, Lookup, Variables
from msys_track.smtpapi.header import ApiHeader
from msys_track.smtpapi.metadata import trim_metadata

T = TypeVar("T")

POLICY: Final = "policy"
HEADER: Final = "header"
DEFAULT: Final = "default"

DEFAULT_TRACKING_DOMAIN: Final = "localhost:8080"
DEFAULT_LINK_EXPIRY_SECONDS: Final = 31_536_000  # 365 days
DEFAULT_MAX_METADATA_BYTES: Final = 1_000
DEFAULT_CUSTOMER_ID: Final = 1


class Origin(NamedTuple, Generic[T]):
    """A value that holds, where it comes from, and the word of a lower layer that it overrides.

    `source` is `policy`, `header`, `default`, or a scope of a configuration and its place.
    """

    value: T
    source: str
    over: "Origin[T] | None" = None

    def chain(self) -> "Iterator[Origin[T]]":
        """Yield every word on this attribute, the one that holds first."""
        word: Origin[T] | None = self
        while word is not None:
            yield word
            word = word.over


class Resolved(NamedTuple):
    """Every option and engagement datum of one recipient's copy, each with its origin.

    A named tuple as there is one for every copy, and a frozen dataclass of so many fields takes
    four times as long to make.
    """

    open_tracking: Origin[bool]
    click_tracking: Origin[bool]
    initial_open: Origin[bool]
    open_tracking_scheme: Origin[Scheme]
    click_tracking_scheme: Origin[Scheme]
    tracking_domain: Origin[str]
    tracking_link_expiry_seconds: Origin[int]
    click_tracking_include_metadata: Origin[bool]
    max_metadata_bytes: Origin[int]
    click_tracking_text: Origin[bool]
    outlook_links: Origin[bool]
    keep_link_attributes: Origin[bool]
    keep_x_msys_api: Origin[bool]
    signed_mail: Origin[SignedMail]
    never_wrap: Origin[tuple[str, ...]]
    transactional: Origin[bool]
    campaign_id: Origin[str | None]
    metadata: Origin[str | None]
    """Compact JSON text of an object within `max_metadata_bytes`; None when nothing is left."""
    metadata_before_cut: str | None
    """What was asked for, where that is more than `max_metadata_bytes`; else None."""
    tags: Origin[tuple[str, ...]]
    customer_id: Origin[int]
    ignored_variables: tuple[Ignored, ...]
    """Context variables whose values mean nothing."""

    @property
    def metadata_truncated(self) -> bool:
        """Whether pairs of the metadata found no room."""
        return self.metadata_before_cut is not None

    @property
    def is_tracked(self) -> bool:
        """Whether opens or clicks are tracked."""
        return self.open_tracking.value or self.click_tracking.value

    def origins(self) -> Iterator[tuple[str, Origin[Any]]]:
        """Yield every attribute that has an origin, by name."""
        for name, member in zip(self._fields, self, strict=True):
            if isinstance(member, Origin):
                yield name, member


_DEFAULTS: Final[dict[str, object]] = {
    "open_tracking": False,
    "click_tracking": False,
    "initial_open": False,
    "open_tracking_scheme": "http",
    "click_tracking_scheme": "http",
    "tracking_domain": DEFAULT_TRACKING_DOMAIN,
    "tracking_link_expiry_seconds": DEFAULT_LINK_EXPIRY_SECONDS,
    "click_tracking_include_metadata": True,
    "max_metadata_bytes": DEFAULT_MAX_METADATA_BYTES,
    "click_tracking_text": False,
    "outlook_links": True,
    "keep_link_attributes": True,
    "keep_x_msys_api": False,
    "signed_mail": "skip",
    "never_wrap": (),
    "transactional": False,
    "campaign_id": None,
    "metadata": None,
    "tags": (),
    "customer_id": DEFAULT_CUSTOMER_ID,
}


def _places(said: type[ApiHeader | Variables], names: Sequence[str]) -> list[tuple[int, int]]:
    """Where each name stands in a layer, and where in `Resolved`: half the time of names."""
    layer, resolved = said._fields, Resolved._fields
    return [(layer.index(name), resolved.index(name)) for name in names]


# What header and policy have a word on; metadata apart, which is cut to what a link holds.
_HEADER_SAYS: Final = _places(
    ApiHeader,
    ["open_tracking", "click_tracking", "initial_open", "transactional", "campaign_id", "tags"],
)
_POLICY_SAYS: Final = _places(
    Variables,
    [
        "open_tracking",
        "click_tracking",
        "open_tracking_scheme",
        "click_tracking_scheme",
        "tracking_domain",
        "tracking_link_expiry_seconds",
        "campaign_id",
        "tags",
        "customer_id",
    ],
)
_METADATA: Final = Resolved._fields.index("metadata")
_METADATA_BEFORE_CUT: Final = Resolved._fields.index("metadata_before_cut")
_IGNORED_VARIABLES: Final = Resolved._fields.index("ignored_variables")


def resolve(
    scopes: Sequence[Scope], header: ApiHeader | None = None, contexts: Lookup | None = None
) -> Resolved:
    """Weigh policy over header over configuration over default, attribute by attribute.

    Args:
        scopes: what the operator set, the most specific first; see `Scopes.layers`.
        header: what the message asks for; None when it has no X-MSYS-API.
        contexts: policy's variables; None where there is no policy.

    Raises:
        HeaderRefusedError: 550, policy's campaign is too long.
    """
    settled = _settled(tuple(scopes))
    policy = variables.NOTHING if contexts is None else variables.read_variables(contexts)
    if header is None and policy is variables.NOTHING:
        return settled
    words = list(settled)
    most_metadata = settled.max_metadata_bytes.value
    if header is not None:
        _add(words, HEADER, header, _HEADER_SAYS, most_metadata)
    if policy is not variables.NOTHING:
        _add(words, POLICY, policy, _POLICY_SAYS, most_metadata)
        words[_IGNORED_VARIABLES] = policy.ignored
    return Resolved._make(words)


def _add(
    words: list[Any],
    source: str,
    said: ApiHeader | Variables,
    places: Sequence[tuple[int, int]],
    most_metadata: int,
) -> None:
    """Put a layer's words over those that are there."""
    for place, where in places:
        value = said[place]
        if value is not None:
            words[where] = Origin(value, source, words[where])
    if said.metadata is not None:
        kept, truncated = trim_metadata(said.metadata, most_metadata)
        words[_METADATA] = Origin(kept, source, words[_METADATA])
        words[_METADATA_BEFORE_CUT] = said.metadata if truncated else None


@lru_cache(maxsize=1024)
def _settled(scopes: tuple[Scope, ...]) -> Resolved:
    """What holds for every mail that asks for nothing: the same for thousands of them."""
    words: dict[str, Any] = {}
    for name, default in _DEFAULTS.items():
        word: Origin[Any] = Origin(default, DEFAULT)
        for scope in reversed(scopes):
            value = getattr(scope.options, name, None)
            if value is not None:
                word = Origin(value, scope.source(name), word)
        words[name] = word
    return Resolved(**words, metadata_before_cut=None, ignored_variables=())
