"""X-MSYS-API: what the sender of one message asks for, refused whole where it is malformed.

Absent differs from false: a message that says nothing leaves the decision to the
configuration, so every option is tri-state until it is resolved.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from msys_track.smtpapi import json as strict_json
from msys_track.smtpapi import mailbox, refusals
from msys_track.smtpapi import unfold as header_text
from msys_track.smtpapi.json import JsonFault
from msys_track.smtpapi.mailbox import Mailbox

NAME: Final = b"X-MSYS-API"
MAX_CAMPAIGN_BYTES: Final = 64
MAX_TAGS: Final = 10
MAX_COPIES: Final = 1000

_NAMES: Final[Mapping[type, str]] = {
    dict: "json object",
    list: "json array",
    str: "string",
    bool: "boolean",
}

# What the SMTP API knows, with its type in Python; any other key is ignored and told.
_KEYS: Final[Mapping[str, type]] = {
    "campaign_id": str,
    "metadata": dict,
    "tags": list,
    "options": dict,
    "cc": list,
    "bcc": list,
    "archive": list,
}
_OPTIONS: Final[Mapping[str, type]] = {
    "open_tracking": bool,
    "click_tracking": bool,
    "transactional": bool,
    "initial_open": bool,
    "skip_suppression": bool,
    "inline_css": bool,
    "sandbox": bool,
    "perform_substitutions": bool,
    "ip_pool": str,
    "dkim_key": str,
}
_OPTIONS_IN_USE: Final = frozenset(
    {"open_tracking", "click_tracking", "initial_open", "transactional"}
)


class ApiHeader(NamedTuple):
    """One message's wishes; None where the header says nothing.

    A named tuple as there is one for every message, and a frozen dataclass takes four times as
    long to make.
    """

    open_tracking: bool | None = None
    click_tracking: bool | None = None
    initial_open: bool | None = None
    transactional: bool | None = None
    campaign_id: str | None = None
    metadata: str | None = None
    """Compact JSON text of an object, not yet trimmed to a link's room."""
    tags: tuple[str, ...] | None = None
    """At most ten, each once, in the header's order."""
    dropped_tags: int = 0
    """How many different tags were more than ten."""
    cc: tuple[Mailbox, ...] = ()
    bcc: tuple[Mailbox, ...] = ()
    archive: tuple[Mailbox, ...] = ()
    ignored_keys: tuple[str, ...] = ()
    """Keys without effect here, as written, options as `options.name`; may hold any text."""


def parse(values: Sequence[bytes]) -> ApiHeader | None:
    """Read the X-MSYS-API fields of one message; None when it has none.

    Args:
        values: of each field the bytes after the colon, still folded.

    Raises:
        HeaderRefused: 550; not one JSON object, a wrong type, too long a campaign, two
            fields that differ, or too many or impossible addresses for copies.
    """
    if not values:
        return None
    value = header_text.unfolded(values[0])
    if len(values) > 1 and any(header_text.unfolded(each) != value for each in values):
        raise refusals.present_more_than_once()
    try:
        members = strict_json.parse_object(header_text.decoded(value))
    except JsonFault as fault:
        raise refusals.not_json(fault) from fault
    return _header(members)


def _header(members: Mapping[str, object]) -> ApiHeader:
    ignored = _checked(members, _KEYS)
    options, ignored_options = _options(members.get("options"))
    metadata = members.get("metadata")
    tags, dropped_tags = _tags(members.get("tags"))
    cc, bcc, archive = _copies(members)
    return ApiHeader(
        options.get("open_tracking"),
        options.get("click_tracking"),
        options.get("initial_open"),
        options.get("transactional"),
        _campaign(members.get("campaign_id")),
        None if metadata is None else strict_json.compact(metadata),
        tags,
        dropped_tags,
        cc,
        bcc,
        archive,
        (*ignored, *ignored_options),
    )


def _checked(
    members: Mapping[str, object], types: Mapping[str, type], prefix: str = ""
) -> Sequence[str]:
    """Refuse a member of a wrong type; return the keys that are not known."""
    unknown: list[str] = []
    for key, member in members.items():
        wanted = types.get(key)
        if wanted is None:
            unknown.append(prefix + key)
        elif not isinstance(member, wanted):
            raise refusals.wrong_type(prefix + key, _NAMES[wanted])
    return unknown


def _copies(
    members: Mapping[str, object],
) -> tuple[tuple[Mailbox, ...], tuple[Mailbox, ...], tuple[Mailbox, ...]]:
    cc, bcc, archive = members.get("cc"), members.get("bcc"), members.get("archive")
    if not (cc or bcc or archive):
        return (), (), ()
    lists = [each if isinstance(each, list) else [] for each in (cc, bcc, archive)]
    if sum(map(len, lists)) > MAX_COPIES:
        raise refusals.too_many_copies(MAX_COPIES)
    named = zip(("cc", "bcc", "archive"), lists, strict=True)
    cc_boxes, bcc_boxes, archive_boxes = (mailbox.parse_all(key, each) for key, each in named)
    return cc_boxes, bcc_boxes, archive_boxes


def _options(value: object) -> tuple[Mapping[str, Any], Sequence[str]]:
    """Give the options that are there, each of its type, and those without effect.

    An option that is null counts as absent.
    """
    if not isinstance(value, dict):
        return {}, ()
    if None in value.values():
        value = {key: option for key, option in value.items() if option is not None}
    unknown = _checked(value, _OPTIONS, "options.")
    if value.keys() <= _OPTIONS_IN_USE:
        return value, unknown
    return value, [f"options.{key}" for key in value if key not in _OPTIONS_IN_USE]


def _campaign(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    if len(value.encode("utf-8")) > MAX_CAMPAIGN_BYTES:
        raise refusals.campaign_too_long(MAX_CAMPAIGN_BYTES)
    return value


def _tags(value: object) -> tuple[tuple[str, ...] | None, int]:
    if not isinstance(value, list):
        return None, 0
    for tag in value:
        if not isinstance(tag, str):
            raise refusals.wrong_type(f"tags[{value.index(tag)}]", _NAMES[str])
    different = tuple(dict.fromkeys(value))
    if len(different) <= MAX_TAGS:
        return different, 0
    return different[:MAX_TAGS], len(different) - MAX_TAGS
