"""Policy's context variables, read into the values they stand for.

All of them are strings, and set by people: a value that means nothing is left out and told, so
that the next source decides. The sender is not to blame for it, unlike for the header's faults.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple, Protocol

from msys_track.options.tracking import RULES
from msys_track.smtpapi import json as strict_json
from msys_track.smtpapi import refusals
from msys_track.smtpapi.header import MAX_CAMPAIGN_BYTES, MAX_TAGS
from msys_track.smtpapi.json import JsonFault

_MAX_CUSTOMER: Final = 2**32 - 1

BYPASS: Final = "__bypass_smtpapi"
PATHWAY: Final = "pathway"


class Lookup(Protocol):
    """Where variables stand: the message's own first, then the connection's."""

    def lookup(self, name: str) -> str | None:
        """Return the variable's value; None where it is not set."""
        ...


class Ignored(NamedTuple):
    """A variable whose value means nothing."""

    name: str
    value: str
    allowed: str


class Variables(NamedTuple):
    """What policy decided; None where it said nothing."""

    open_tracking: bool | None = None
    click_tracking: bool | None = None
    open_tracking_scheme: str | None = None
    click_tracking_scheme: str | None = None
    tracking_domain: str | None = None
    tracking_link_expiry_seconds: int | None = None
    campaign_id: str | None = None
    metadata: str | None = None
    """Compact JSON text of an object."""
    tags: tuple[str, ...] | None = None
    customer_id: int | None = None
    ignored: tuple[Ignored, ...] = ()


class _Meaningless(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, allowed: str) -> None:
        super().__init__(allowed)
        self.allowed = allowed


def read(contexts: Lookup) -> Variables:
    """Read the variables that decide about tracking (Momentum's smtpapi module).

    Raises:
        HeaderRefused: 550, the campaign is too long; Momentum answers so for policy's too.
    """
    given = {name: value for name in _READERS if (value := contexts.lookup(name)) is not None}
    if not given:
        return NOTHING
    ignored: list[Ignored] = []
    values: dict[str, Any] = dict(_values(given, ignored))
    return Variables(**values, ignored=tuple(ignored))


def is_bypassed(contexts: Lookup) -> bool:
    """Whether policy wants the module to leave the message alone, header and all."""
    value = contexts.lookup(BYPASS)
    return value is not None and value.lower() in ("1", "true")


def _values(given: Mapping[str, str], ignored: list[Ignored]) -> Iterator[tuple[str, object]]:
    for name, value in given.items():
        field, reader = _READERS[name]
        try:
            yield field, reader(value)
        except _Meaningless as meaningless:
            ignored.append(Ignored(name, value, meaningless.allowed))


def _switch(value: str) -> bool:
    match value.lower():
        case "1" | "true":
            return True
        case "0" | "false":
            return False
        case _:
            raise _Meaningless('"1", "0", "true" or "false"')


def _ruled(option: str, value: object) -> object:
    rule = RULES[option]
    if not rule.allows(value):
        raise _Meaningless(rule.allowed)
    return value


def _scheme(value: str) -> object:
    return _ruled("open_tracking_scheme", value.lower())


def _domain(value: str) -> object:
    return _ruled("tracking_domain", value)


def _expiry(value: str) -> object:
    return _ruled("tracking_link_expiry_seconds", _decimal(value))


def _decimal(value: str) -> int | None:
    return int(value) if value.isascii() and value.isdigit() and len(value) < 20 else None  # noqa: PLR2004 - the digits of 64 bits


def _campaign(value: str) -> str:
    try:
        octets = value.encode("utf-8")
    except UnicodeEncodeError:
        raise _Meaningless("text that UTF-8 can write") from None
    if not octets:
        raise _Meaningless("a campaign's name; delete the variable to have none")
    if len(octets) > MAX_CAMPAIGN_BYTES:
        raise refusals.campaign_too_long(MAX_CAMPAIGN_BYTES)
    return value


def _metadata(value: str) -> str:
    try:
        return strict_json.compact(strict_json.parse_object(value))
    except JsonFault as fault:
        raise _Meaningless(f"a JSON object; column {fault.column}: {fault.what}") from None


def _tags(value: str) -> tuple[str, ...]:
    try:
        (tags,) = strict_json.parse_object(f'{{"tags":{value}}}').values()
    except (JsonFault, ValueError):
        tags = None
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise _Meaningless("a JSON array of strings")
    return tuple(dict.fromkeys(tags))[:MAX_TAGS]


def _customer(value: str) -> int:
    number = _decimal(value)
    if number is None or number > _MAX_CUSTOMER:
        raise _Meaningless(f"a whole number from 0 to {_MAX_CUSTOMER}")
    return number


_READERS: Final[Mapping[str, tuple[str, Callable[[str], object]]]] = {
    "smtpapi_open_tracking": ("open_tracking", _switch),
    "smtpapi_click_tracking": ("click_tracking", _switch),
    "smtpapi_open_tracking_scheme": ("open_tracking_scheme", _scheme),
    "smtpapi_click_tracking_scheme": ("click_tracking_scheme", _scheme),
    "smtpapi_tracking_domain": ("tracking_domain", _domain),
    "smtpapi_tracking_link_expiry": ("tracking_link_expiry_seconds", _expiry),
    "smtpapi_campaign_id": ("campaign_id", _campaign),
    "smtpapi_metadata": ("metadata", _metadata),
    "smtpapi_tags": ("tags", _tags),
    "mo_customer_id": ("customer_id", _customer),
}
NOTHING: Final = Variables()
