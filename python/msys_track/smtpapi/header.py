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
MAX_RECIPIENTS: Final = 1000

EXTENSION: Final = "x_msys_track"
"""The key of what Momentum's header lacks. Other software ignores it as any unknown key."""
_RECIPIENTS: Final = f"{EXTENSION}.recipients"

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
    EXTENSION: dict,
}
PRIVACY: Final = ("full", "truncated", "aggregate")
_EXTENSION_KEYS: Final[Mapping[str, type]] = {
    "recipients": dict,
    "privacy": str,
    "keep_messages": bool,
}
_RECIPIENT_KEYS: Final = {
    **{key: _KEYS[key] for key in ("campaign_id", "metadata", "tags", "options")},
    "privacy": str,
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
    privacy: str | None = None
    """What events may keep of their reader, one of `PRIVACY`."""
    recipients: "Mapping[str, ApiHeader] | None" = None
    """What is asked for one recipient alone, by `Mailbox.identity`; None where nothing is."""
    keep_messages: bool | None = None
    """Whether the message may be kept for click maps; of `x_msys_track`, not an option."""

    def find_recipient(self, address: str) -> "ApiHeader | None":
        """Return what is asked for one recipient alone; None if nothing is."""
        if self.recipients is None:
            return None
        return self.recipients.get(Mailbox(address).identity)


# An option with an effect is one of the first fields; the others are reported.
_OPTIONS_IN_USE: Final[Mapping[str, type]] = {
    name: bool
    for name, hint in get_type_hints(ApiHeader).items()
    if hint == bool | None and name not in _EXTENSION_KEYS
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
        raise refusals.not_json(fault) from fault
    header = _read_requests(members, _KEYS)
    cc, bcc, archive = members.get("cc"), members.get("bcc"), members.get("archive")
    if cc or bcc or archive:
        header = _read_copies(header, cc or (), bcc or (), archive or ())
    extension = members.get(EXTENSION)
    return header if extension is None else _read_extension(header, extension)


def _read_requests(members: dict[str, Any], keys: Mapping[str, type], path: str = "") -> ApiHeader:
    """Read the keys that a message and one recipient of it may have, and check the others' types.

    Args:
        members: an object; one of its members that is null is removed from it.
        keys: what it may have.
        path: where it stands, for the refusal; empty for the header itself.
    """
    ignored = _check_types(members, keys, path)
    options, ignored_options = _check_options(members.get("options"), f"{path}options.")
    metadata = members.get("metadata")
    tags, dropped_tags = _check_tags(members.get("tags"), f"{path}tags")
    campaign = members.get("campaign_id")
    if campaign is not None and len(campaign.encode("utf-8")) > MAX_CAMPAIGN_BYTES:
        raise refusals.campaign_too_long(MAX_CAMPAIGN_BYTES)
    rest = (
        campaign,
        None if metadata is None else strict_json.compact(metadata),
        tags,
        dropped_tags,
        (),
        (),
        (),
        (*ignored, *ignored_options),
        _check_privacy(members, path) if "privacy" in keys else None,
        None,
        None,
    )
    return ApiHeader._make((*map(options.get, _OPTIONS_IN_USE), *rest))


def _read_copies(
    header: ApiHeader, cc: Sequence[object], bcc: Sequence[object], archive: Sequence[object]
) -> ApiHeader:
    if len(cc) + len(bcc) + len(archive) > MAX_COPIES:
        raise refusals.make_refusal(
            f"X-MSYS-API 'cc', 'bcc' and 'archive' are limited to {MAX_COPIES} recipients"
        )
    return header._replace(
        cc=mailbox.parse_mailboxes("cc", cc),
        bcc=mailbox.parse_mailboxes("bcc", bcc),
        archive=mailbox.parse_mailboxes("archive", archive),
    )


def _read_extension(header: ApiHeader, extension: dict[str, Any]) -> ApiHeader:
    """Read what is asked for single recipients. A refusal counts them from 0, as those of `cc`."""
    ignored = [*header.ignored_keys, *_check_types(extension, _EXTENSION_KEYS, f"{EXTENSION}.")]
    entries: dict[str, Any] = extension.get("recipients", {})
    if len(entries) > MAX_RECIPIENTS:
        raise refusals.make_refusal(
            f"X-MSYS-API '{_RECIPIENTS}' is limited to {MAX_RECIPIENTS} recipients"
        )
    found: dict[str, ApiHeader] = {}
    dropped_tags = header.dropped_tags
    mailboxes = mailbox.parse_mailboxes(_RECIPIENTS, tuple(entries))
    for place, (named, members) in enumerate(zip(mailboxes, entries.values(), strict=True)):
        path = f"{_RECIPIENTS}[{place}]"
        if members is None:
            continue
        if not isinstance(members, dict):
            raise refusals.wrong_type(path, _NAMES[dict])
        own = found[named.identity] = _read_requests(members, _RECIPIENT_KEYS, f"{path}.")
        ignored += own.ignored_keys
        dropped_tags += own.dropped_tags
    return header._replace(
        recipients=found or None,
        privacy=_check_privacy(extension, f"{EXTENSION}."),
        keep_messages=extension.get("keep_messages"),
        ignored_keys=tuple(ignored),
        dropped_tags=dropped_tags,
    )


def _check_privacy(members: dict[str, Any], path: str) -> str | None:
    privacy: str | None = members.get("privacy")
    if privacy is not None and privacy not in PRIVACY:
        raise refusals.not_a_word(f"{path}privacy", PRIVACY)
    return privacy


def _check_types(
    members: dict[str, Any], types: Mapping[str, type], path: str = ""
) -> Sequence[str]:
    """Refuse a member of a wrong type and return the unknown keys.

    A member that is null counts as absent, and is removed.
    """
    if None in members.values():
        for key in [key for key, member in members.items() if member is None]:
            del members[key]
    unknown: list[str] = []
    for key, member in members.items():
        wanted = types.get(key)
        if wanted is None:
            unknown.append(path + key)
        elif not isinstance(member, wanted):
            raise refusals.wrong_type(path + key, _NAMES[wanted])
    return unknown


def _check_options(
    options: dict[str, Any] | None, path: str
) -> tuple[Mapping[str, Any], Sequence[str]]:
    """Return the options that are present, and the names of those without effect."""
    if options is None:
        return {}, ()
    _check_types(options, _OPTIONS, path)
    if options.keys() <= _OPTIONS_IN_USE.keys():
        return options, ()
    in_use = {key: option for key, option in options.items() if key in _OPTIONS_IN_USE}
    return in_use, [path + key for key in options if key not in _OPTIONS_IN_USE]


def _check_tags(tags: list[Any] | None, path: str) -> tuple[tuple[str, ...] | None, int]:
    """Return the different tags, ten at most, and how many more there are."""
    if tags is None:
        return None, 0
    for tag in tags:
        if not isinstance(tag, str):
            raise refusals.wrong_type(f"{path}[{tags.index(tag)}]", _NAMES[str])
    different = tuple(dict.fromkeys(tags))
    dropped = len(different) - MAX_TAGS
    return (different, 0) if dropped <= 0 else (different[:MAX_TAGS], dropped)
