"""The keys of a scope: the tracking options, and what only a scope of a configuration has."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from msys_track.errors import MessageRefusedError
from msys_track.options import variables as policy_variables
from msys_track.options.resolve import resolve
from msys_track.options.scopes import Scope
from msys_track.options.tracking import TrackingOptions
from msys_track.policy.context import Context, Contexts
from msys_track.settings.key import Key, list_keys, write_setting
from msys_track.settings.kinds import NAME, Kind, NotAllowedError


def _read_variables(value: object) -> Mapping[str, str]:
    """Read context variables, which are texts; those that decide about tracking must be valid."""
    if not isinstance(value, dict):
        raise NotAllowedError(value, _VARIABLES.allowed)
    errors: list[tuple[str, NotAllowedError]] = []
    for name, text in value.items():
        allowed = ""
        if not isinstance(text, str):
            allowed = "a text, in quotes, as variables are"
        else:
            try:
                only = Contexts(connection=Context({name: text}), message=Context())
                ignored = policy_variables.read_variables(only).ignored
                allowed = ignored[0].allowed if ignored else ""
            except ValueError as error:
                allowed = str(error)
            except MessageRefusedError as refused:
                allowed = refused.text.partition(" ")[2]
        if allowed:
            errors.append((name, NotAllowedError(text, allowed)))
    if errors:
        raise NotAllowedError.of_items(value, errors)
    return dict(value)


_VARIABLES: Final = Kind(
    read=_read_variables,
    allowed='a table of texts as in { smtpapi_open_tracking = "1" }',
    json_schema={"type": "object", "additionalProperties": {"type": "string"}},
)
_DEFAULTS: Final = dict(resolve(()).origins())
_OPTIONS: Final = {
    name: replace(key, default=write_setting(_DEFAULTS[key.fields[0]].value))
    for name, key in list_keys(TrackingOptions).items()
}
_MODULE: Final = ("click_tracking_include_metadata", "max_metadata_len")

ENGAGEMENT_TRACKER: Final[Mapping[str, Key]] = {name: _OPTIONS[name] for name in _MODULE}
"""Options of Momentum's module, which no scope has."""

_SCOPE_ONLY: Final[Mapping[str, Key]] = {
    "pathway": Key(
        NAME,
        "the pathway that mail of this scope is on; not for pathways and their groups",
        settings=Scope,
        fields=("pathway",),
        example="receipts",
        unset="none",
    ),
    "context": Key(
        _VARIABLES,
        "context variables of the connection, which count as policy's",
        settings=Scope,
        fields=("context",),
        example={"smtpapi_campaign_id": "spring"},
        unset="none",
    ),
}
_IN_SCOPES: Final = [(name, key) for name, key in _OPTIONS.items() if name not in _MODULE]
_FIRST_OF_OURS: Final = [name for name, _ in _IN_SCOPES].index("initial_open_pixel_tracking")

SCOPE: Final[Mapping[str, Key]] = dict(
    [*_IN_SCOPES[:_FIRST_OF_OURS], *_SCOPE_ONLY.items(), *_IN_SCOPES[_FIRST_OF_OURS:]]
)
"""Momentum's options come first, then those that it lacks."""
