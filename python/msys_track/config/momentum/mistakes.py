"""Finds mistakes about tracking among the names that are unknown here, and what was meant.

All else that Momentum knows is ignored; a misspelt tracking option must not be.
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Final

from msys_track.config.momentum.names import (
    CONNECTION_OPTIONS,
    ENGAGEMENT,
    GLOBAL,
    HOMES,
    OURS,
    TRACKING,
    TRACKING_SCOPES,
    StanzaKind,
)
from msys_track.config.momentum.stanzas import Item, Option, Stanza
from msys_track.config.problems import nearest
from msys_track.config.schema.tables import FAMILIES, TABLES

_TYPO: Final = 0.85
"""How similar a misspelt name is to the known one at least (difflib's ratio)."""

_OF_SCOPES: Final = {**TRACKING, **OURS}
_OPTION_HOMES: Final[Mapping[str, str]] = {
    **dict.fromkeys(_OF_SCOPES, TRACKING_SCOPES),
    **dict.fromkeys(ENGAGEMENT, "engagement_tracker"),
    "unprotected": "msys_track",  # an old name of open_relay, which Momentum has too
}


def list_options(body: Sequence[Item]) -> Iterator[Option]:
    """Yield the options of a body, including those of the stanzas in it."""
    for item in body:
        if isinstance(item, Option):
            yield item
        else:
            yield from list_options(item.body)


def find_mistake(name: str, scope: StanzaKind) -> str | None:
    """Say why an unknown option can't be Momentum's own, or None."""
    if name == "pathway" and scope.name in ("pathway", "pathway_group"):
        return "a pathway can't be put on another one"
    known = {**scope.options, **_OF_SCOPES, **ENGAGEMENT}
    close = _find_close(name, known)
    if scope.is_ours:
        suggestion, allowed = nearest(name, scope.options), f"allowed: {', '.join(scope.options)}"
    elif name in _OPTION_HOMES:
        return f"has no effect in {_where(scope)}; it belongs in {_OPTION_HOMES[name]}"
    elif close or "tracking" in name:
        switch = f"{name}_enabled"
        suggestion = close or (switch if switch in known else nearest(name, known))
        allowed = f"known: {', '.join(TRACKING)}"
    else:
        return None
    return f"unknown; did you mean {suggestion}?" if suggestion else f"unknown; {allowed}"


def find_close_stanza(stanza: Stanza, scope: StanzaKind) -> str | None:
    """Find the stanza that a misspelt one means; our options in it make it more likely."""
    close = _find_close(stanza.name, scope.inner)
    if close or not scope.name:
        return close
    has_ours = any(_find_close(option.name, _OF_SCOPES) for option in list_options(stanza.body))
    return nearest(stanza.name, scope.inner) if has_ours else None


def explain_unknown(name: str) -> str:
    """Say what somebody may have meant by an unknown stanza at the top; empty if nothing."""
    if name in TABLES or name in FAMILIES:
        return f"; [{name}] is a table of msys-track.toml, which msys-track config import makes"
    # Momentum has listeners of its own.
    near = None if name.endswith("_listener") else nearest(name, GLOBAL.inner)
    return f"; did you mean {near}?" if near else ""


def find_stanza_mistake(stanza: Stanza, scope: StanzaKind) -> str | None:
    """Say why a stanza is in the wrong place, or should be an option; None if neither."""
    if home := HOMES.get(stanza.name):
        # Without our options it may be Momentum's own.
        if not any(option.name in CONNECTION_OPTIONS for option in list_options(stanza.body)):
            return None
        return f"has no effect in {_where(scope)}; {stanza.written} must stand in {home}"
    if stanza.name in scope.options:
        return f"found a stanza, allowed: {stanza.written} = value"
    return find_mistake(stanza.name, scope)


def _where(scope: StanzaKind) -> str:
    return scope.name or "the global scope"


def _find_close(name: str, known: Mapping[str, object]) -> str | None:
    return next(iter(get_close_matches(name, known, n=1, cutoff=_TYPO)), None)
