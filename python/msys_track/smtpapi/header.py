"""X-MSYS-API: what the sender of one message asks for. A malformed header is refused whole.

Absent differs from false: a message without an option leaves the decision to the configuration.
So each option is tri-state until it is resolved.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, get_type_hints

from msys_track.smtpapi import json as strict_json
from msys_track.smtpapi import mailbox, refusals
from msys_track.smtpapi.json import JsonError
from msys_track.smtpapi.mailbox import Mailbox
from msys_track.smtpapi.unfold import decode_words, unfold_value

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

# The keys of the SMTP API with their Python types. Any other key is ignored and reported.
_KEYS: Final[Mapping[str, type]] = {
    "campaign_id": str,
    "metadata": dict,
    "tags": list,
    "options": dict,
    "cc": list,
    "bcc": list,
    "archive": list,
}


class ApiHeader(NamedTuple):
    """The requests of one message; None where the header does not say.

    A named tuple, because there is one for every message: a dataclass takes four times as long.
    """

    open_tracking: bool | None = None
    click_tracking: bool | None = None
    initial_open: bool | None = None
    transactional: bool | None = None
    campaign_id: str | None = None
    metadata: str | None = None
    """Compact JSON text of an object, not yet trimmed to the room that a link has."""
    tags: tuple[str, ...] | None = None
    """At most ten different tags, in the order of the header."""
    dropped_tags: int = 0
    """How many different tags came after the first ten."""
    cc: tuple[Mailbox, ...] = ()
    bcc: tuple[Mailbox, ...] = ()
    archive: tuple[Mailbox, ...] = ()
    ignored_keys: tuple[str, ...] = ()
    """Keys without effect here, as written; options as `options.name`. They may hold any text."""


# An option with an effect is one of the first fields; the others are reported.
_OPTIONS_IN_USE: Final[Mapping[str, type]] = {
    name: bool for name, hint in get_type_hints(ApiHeader).items() if hint == bool | None
}
_OPTIONS: Final[Mapping[str, type]] = {
    **_OPTIONS_IN_USE,
    "skip_suppression": bool,
    "inline_css": bool,
    "sandbox": bool,
    "perform_substitutions": bool,
    "ip_pool": str,
    "dkim_key": str,
}


def parse_header(values: Sequence[bytes]) -> ApiHeader | None:
    """Parse the X-MSYS-API fields of one message; None if it has none.

    Args:
        values: the bytes after the colon of each field, still folded.

    Raises:
        HeaderRefusedError: 550. The value is not one JSON object, a type is wrong, the campaign is
            too long, two fields differ, or the addresses for copies are malformed or too many.
    """
    if not values:
        return None
    value = unfold_value(values[0])
    if len(values) > 1 and any(unfold_value(each) != value for each in values):
        raise refusals.make_refusal("X-MSYS-API header present more than once")
    try:
        members = strict_json.parse_object(decode_words(value))
    except JsonError as fault:
        where = f"line {fault.line}, column {fault.column}"
        raise refusals.make_refusal(
            f"JSON parsing error in X-MSYS-API ({where}: {fault.what})"
        ) from fault
    ignored = _check_types(members, _KEYS)
    options, ignored_options = _check_options(members.get("options"))
    metadata = members.get("metadata")
    tags, dropped_tags = _check_tags(members.get("tags"))
    cc, bcc, archive = members.get("cc", ()), members.get("bcc", ()), members.get("archive", ())
    if len(cc) + len(bcc) + len(archive) > MAX_COPIES:
        raise refusals.make_refusal(
            f"X-MSYS-API 'cc', 'bcc' and 'archive' are limited to {MAX_COPIES} recipients"
        )
    cc = mailbox.parse_mailboxes("cc", cc) if cc else ()
    bcc = mailbox.parse_mailboxes("bcc", bcc) if bcc else ()
    archive = mailbox.parse_mailboxes("archive", archive) if archive else ()
    campaign = members.get("campaign_id")
    if campaign is not None and len(campaign.encode("utf-8")) > MAX_CAMPAIGN_BYTES:
        raise refusals.campaign_too_long(MAX_CAMPAIGN_BYTES)
    rest = (
        campaign,
        None if metadata is None else strict_json.compact(metadata),
        tags,
        dropped_tags,
        cc,
        bcc,
        archive,
        (*ignored, *ignored_options),
    )
    return ApiHeader._make((*map(options.get, _OPTIONS_IN_USE), *rest))


def _check_types(
    members: Mapping[str, Any], types: Mapping[str, type], prefix: str = ""
) -> Sequence[str]:
    """Refuse a member of a wrong type and return the unknown keys."""
    unknown: list[str] = []
    for key, member in members.items():
        wanted = types.get(key)
        if wanted is None:
            unknown.append(prefix + key)
        elif not isinstance(member, wanted):
            raise refusals.wrong_type(prefix + key, _NAMES[wanted])
    return unknown


def _check_options(options: dict[str, Any] | None) -> tuple[Mapping[str, Any], Sequence[str]]:
    """Return the options that are present, and the names of those without effect.

    An option that is null counts as absent.
    """
    if options is None:
        return {}, ()
    if None in options.values():
        options = {key: option for key, option in options.items() if option is not None}
    _check_types(options, _OPTIONS, "options.")
    if options.keys() <= _OPTIONS_IN_USE.keys():
        return options, ()
    in_use = {key: option for key, option in options.items() if key in _OPTIONS_IN_USE}
    return in_use, [f"options.{key}" for key in options if key not in _OPTIONS_IN_USE]


def _check_tags(tags: list[Any] | None) -> tuple[tuple[str, ...] | None, int]:
    """Return the different tags, ten at most, and how many more there are."""
    if tags is None:
        return None, 0
    for tag in tags:
        if not isinstance(tag, str):
            raise refusals.wrong_type(f"tags[{tags.index(tag)}]", _NAMES[str])
    different = tuple(dict.fromkeys(tags))
    dropped = len(different) - MAX_TAGS
    return (different, 0) if dropped <= 0 else (different[:MAX_TAGS], dropped)
