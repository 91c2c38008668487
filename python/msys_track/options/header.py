"""X-MSYS-API: what the sender of one message asks for, refused whole where it is malformed.

Absent differs from false: a message that says nothing leaves the decision to the
configuration, so every option is tri-state until it is resolved.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from msys_track.options import header_text, refusals, strict_json
from msys_track.options.strict_json import JsonFault

NAME: Final = b"X-MSYS-API"
MAX_CAMPAIGN_BYTES: Final = 64
MAX_TAGS: Final = 10

_OBJECT: Final = "json object"
_ARRAY: Final = "json array"
_STRING: Final = "string"
_BOOLEAN: Final = "boolean"
_TYPES: Final[Mapping[str, type]] = {_OBJECT: dict, _ARRAY: list, _STRING: str, _BOOLEAN: bool}

# What the SMTP API knows, with its JSON type; any other key is ignored and told.
_KEYS: Final[Mapping[str, str]] = {
    "campaign_id": _STRING,
    "metadata": _OBJECT,
    "tags": _ARRAY,
    "options": _OBJECT,
    "cc": _ARRAY,
    "bcc": _ARRAY,
    "archive": _ARRAY,
}
_OPTIONS: Final[Mapping[str, str]] = {
    "open_tracking": _BOOLEAN,
    "click_tracking": _BOOLEAN,
    "transactional": _BOOLEAN,
    "initial_open": _BOOLEAN,
    "skip_suppression": _BOOLEAN,
    "inline_css": _BOOLEAN,
    "sandbox": _BOOLEAN,
    "perform_substitutions": _BOOLEAN,
    "ip_pool": _STRING,
    "dkim_key": _STRING,
}
_OPTIONS_IN_USE: Final = frozenset({"open_tracking", "click_tracking", "transactional"})
_COPIES: Final = ("cc", "bcc", "archive")


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiHeader:
    """One message's wishes; None where the header says nothing."""

    open_tracking: bool | None = None
    click_tracking: bool | None = None
    transactional: bool | None = None
    campaign_id: str | None = None
    metadata: str | None = None
    """Compact JSON text of an object, not yet trimmed to a link's room."""
    tags: tuple[str, ...] | None = None
    """At most ten, each once, in the header's order."""
    ignored_keys: tuple[str, ...] = ()
    """Keys without effect here, as written, options as `options.name`; may hold any text."""


def parse(values: Sequence[bytes]) -> ApiHeader | None:
    """Read the X-MSYS-API fields of one message; None when it has none.

    Args:
        values: of each field the bytes after the colon, still folded.

    Raises:
        HeaderRefused: 550; not one JSON object, a wrong type, too long a campaign, two
            fields that differ, or recipients for copies, which are not made yet.
    """
    if not values:
        return None
    value = header_text.unfolded(values[0])
    if any(header_text.unfolded(other) != value for other in values[1:]):
        raise refusals.present_more_than_once()
    try:
        members = strict_json.parse_object(header_text.decoded(value))
    except JsonFault as fault:
        raise refusals.not_json(fault) from fault
    return _header(members)


def _header(members: Mapping[str, object]) -> ApiHeader:
    _refuse_wrong_types(members, _KEYS)
    _refuse_copies(members)
    options = _options(members.get("options"))
    metadata = members.get("metadata")
    return ApiHeader(
        open_tracking=_boolean(options.get("open_tracking")),
        click_tracking=_boolean(options.get("click_tracking")),
        transactional=_boolean(options.get("transactional")),
        campaign_id=_campaign(members.get("campaign_id")),
        metadata=None if metadata is None else strict_json.compact(metadata),
        tags=_tags(members.get("tags")),
        ignored_keys=(
            *(key for key in members if key not in _KEYS),
            *(f"options.{key}" for key in options if key not in _OPTIONS_IN_USE),
        ),
    )


def _refuse_wrong_types(
    members: Mapping[str, object], types: Mapping[str, str], prefix: str = ""
) -> None:
    for key, member in members.items():
        wanted = types.get(key)
        if wanted is not None and not isinstance(member, _TYPES[wanted]):
            raise refusals.wrong_type(prefix + key, wanted)


def _refuse_copies(members: Mapping[str, object]) -> None:
    # Ignoring these lists would lose mail that the sender believes sent.
    for key in _COPIES:
        if members.get(key):
            raise refusals.not_supported(key)


def _options(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        return {}
    options = {key: option for key, option in value.items() if option is not None}
    _refuse_wrong_types(options, _OPTIONS, "options.")
    return options


def _boolean(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _campaign(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    if len(value.encode("utf-8")) > MAX_CAMPAIGN_BYTES:
        raise refusals.campaign_too_long(MAX_CAMPAIGN_BYTES)
    return value


def _tags(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, list):
        return None
    return tuple(dict.fromkeys(_strings(value)))[:MAX_TAGS]


def _strings(items: Sequence[object]) -> Iterator[str]:
    for place, item in enumerate(items):
        if not isinstance(item, str):
            raise refusals.wrong_type(f"tags[{place}]", _STRING)
        yield item
