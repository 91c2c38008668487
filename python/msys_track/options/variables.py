"""Parses policy's context variables, which are strings written by people.

A value that can't be parsed is ignored and reported, and the next source decides. The mail is not
refused, because its sender can't mend a policy.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

from msys_track.options.tracking import KINDS
from msys_track.smtpapi import json as strict_json
from msys_track.smtpapi import refusals
from msys_track.smtpapi.header import MAX_CAMPAIGN_BYTES, MAX_TAGS
from msys_track.smtpapi.json import JsonError

MAX_ID: Final = 2**32 - 1
"""The largest id of a customer or a subaccount."""
_ON: Final = ("1", "true")
_OFF: Final = ("0", "false")

BYPASS: Final = "__bypass_smtpapi"
PATHWAY: Final = "pathway"
SUBACCOUNT: Final = "subaccount_id"
WORKSPACE: Final = "workspace_id"
"""Bird's; it decides nothing here."""


class Lookup(Protocol):
    """Context variables: the message's first, then the connection's."""

    def lookup(self, name: str) -> str | None:
        """Return the value of a variable; None if it is not set."""
        ...


@dataclass(frozen=True, slots=True)
class IgnoredVariable:
    """A context variable whose value can't be parsed, and what is allowed."""

    name: str
    value: str
    allowed: str


class Variables(NamedTuple):
    """Policy's decisions; None where it did not decide."""

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
    subaccount_id: int | None = None
    ignored: tuple[IgnoredVariable, ...] = ()


class _MeaninglessError(Exception):
    """A value that can't be parsed; its text is what is allowed."""


def read_variables(contexts: Lookup) -> Variables:
    """Read the variables that decide about tracking (Momentum's smtpapi module).

    Raises:
        HeaderRefusedError: 550. The campaign is too long; Momentum also refuses a policy's.
    """
    given = {name: value for name in _PARSERS if (value := contexts.lookup(name)) is not None}
    if not given:
        return NOTHING
    ignored: list[IgnoredVariable] = []
    values: dict[str, Any] = {}
    for name, value in given.items():
        field, parse = _PARSERS[name]
        try:
            values[field] = parse(value)
        except _MeaninglessError as meaningless:
            ignored.append(IgnoredVariable(name, value, str(meaningless)))
    return Variables(**values, ignored=tuple(ignored))


def is_bypassed(contexts: Lookup | None) -> bool:
    """Return whether policy wants the message left as it is, X-MSYS-API included."""
    value = contexts.lookup(BYPASS) if contexts is not None else None
    return value is not None and value.lower() in _ON


def _parse_switch(value: str) -> bool:
    if value.lower() not in (*_ON, *_OFF):
        raise _MeaninglessError('"1", "0", "true" or "false"')
    return value.lower() in _ON


def _parse_as(
    option: str, parse: Callable[[str], object] = str
) -> tuple[str, Callable[[str], object]]:
    kind = KINDS[option]

    def parse_option(value: str) -> object:
        parsed = parse(value)
        if not kind.allows(parsed):
            raise _MeaninglessError(kind.allowed)
        return parsed

    return option, parse_option


def _parse_decimal(value: str) -> int | None:
    return int(value) if re.fullmatch("[0-9]{1,19}", value) else None


def _check_campaign(value: str) -> str:
    if not value:
        raise _MeaninglessError("a campaign's name; delete the variable to have none")
    if len(value.encode()) > MAX_CAMPAIGN_BYTES:
        raise refusals.campaign_too_long(MAX_CAMPAIGN_BYTES)
    return value


def _compact_metadata(value: str) -> str:
    try:
        return strict_json.compact(strict_json.parse_object(value))
    except JsonError as fault:
        raise _MeaninglessError(f"a JSON object; column {fault.column}: {fault.what}") from None


def _parse_tags(value: str) -> tuple[str, ...]:
    try:
        tags = strict_json.parse_array(value)
    except JsonError:
        tags = [None]
    if not all(isinstance(tag, str) for tag in tags):
        raise _MeaninglessError("a JSON array of strings")
    return tuple(dict.fromkeys(tags))[:MAX_TAGS]


def _parse_id(value: str) -> int:
    number = _parse_decimal(value)
    if number is None or number > MAX_ID:
        raise _MeaninglessError(f"a whole number from 0 to {MAX_ID}")
    return number


_PARSERS: Final[Mapping[str, tuple[str, Callable[[str], object]]]] = {
    "smtpapi_open_tracking": ("open_tracking", _parse_switch),
    "smtpapi_click_tracking": ("click_tracking", _parse_switch),
    "smtpapi_open_tracking_scheme": _parse_as("open_tracking_scheme", str.lower),
    "smtpapi_click_tracking_scheme": _parse_as("click_tracking_scheme", str.lower),
    "smtpapi_tracking_domain": _parse_as("tracking_domain"),
    "smtpapi_tracking_link_expiry": _parse_as("tracking_link_expiry_seconds", _parse_decimal),
    "smtpapi_campaign_id": ("campaign_id", _check_campaign),
    "smtpapi_metadata": ("metadata", _compact_metadata),
    "smtpapi_tags": ("tags", _parse_tags),
    "mo_customer_id": ("customer_id", _parse_id),
    SUBACCOUNT: ("subaccount_id", _parse_id),
}
FIELDS: Final[Mapping[str, str]] = {name: field for name, (field, _) in _PARSERS.items()}
"""From each variable that decides about tracking to its field of `Variables`."""
NOTHING: Final = Variables()
