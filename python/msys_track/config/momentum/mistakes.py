"""Momentum's names that mean nothing here: which are a mistake about tracking, and what was meant.

Whatever else Momentum knows is passed over; a misspelt tracking option would be off in silence.
"""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Final

from msys_track.config.momentum.names import (
    CONNECTION_OPTIONS,
    ENGAGEMENT,
    HOMES,
    OURS,
    TRACKING,
    TRACKING_SCOPES,
    Scope,
)
from msys_track.config.momentum.protection import is_guard
from msys_track.config.momentum.stanzas import Item, Option, Stanza
from msys_track.config.problems import nearest

_TYPO: Final = 0.85
"""How like a known name another must be to be taken for a misspelt one (difflib's ratio)."""


def options(body: Sequence[Item]) -> Iterator[Option]:
    """Yield the options of a body, those of the stanzas in it included."""
    for item in body:
        if isinstance(item, Option):
            yield item
        else:
            yield from options(item.body)


def why_ignored(option: Option) -> str:
    """Say why an option that is no mistake has no effect."""
    if is_guard(option):
        return "not enforced by msys-track; protect its ports by other means"
    return "no option of msys-track"


def mistake(name: str, scope: Scope) -> str | None:
    """Say why an unknown option can't be Momentum's own, or None."""
    if scope.is_ours:
        near = nearest(name, scope.options)
        allowed = f"allowed: {', '.join(scope.options)}"
        return f"unknown; did you mean {near}?" if near else f"unknown; {allowed}"
    if why := _belongs_elsewhere(name, scope):
        return why
    known = {**scope.options, **TRACKING, **OURS, **ENGAGEMENT}
    if close := _close(name, known):
        return f"unknown; did you mean {close}?"
    if "tracking" not in name:
        return None
    near = f"{name}_enabled" if f"{name}_enabled" in known else nearest(name, known)
    return f"unknown; did you mean {near}?" if near else f"unknown; known: {', '.join(TRACKING)}"


def _belongs_elsewhere(name: str, scope: Scope) -> str | None:
    if name == "pathway" and scope.name in ("pathway", "pathway_group"):
        return "a pathway can't be put on another one"
    where = _where(scope)
    if name in TRACKING or name in OURS:
        return f"means nothing in {where}; it belongs in {TRACKING_SCOPES}"
    if name in ENGAGEMENT:
        return f"means nothing in {where}; it belongs in engagement_tracker"
    if name == "unprotected":
        return f"means nothing in {where}; it belongs in msys_track"
    return None


def stanza_meant(stanza: Stanza, scope: Scope) -> str | None:
    """Find the stanza that a misspelt one is; what has our options in it is one more likely."""
    close = _close(stanza.name, scope.inner)
    if close or not scope.name:
        return close
    known = {**TRACKING, **OURS}
    has_ours = any(_close(option.name, known) for option in options(stanza.body))
    return nearest(stanza.name, scope.inner) if has_ours else None


def misplaced(stanza: Stanza, scope: Scope) -> str | None:
    """Say where a stanza of ours must stand, if it does not and has our options in it."""
    if stanza.name not in HOMES:
        return None
    if not any(option.name in CONNECTION_OPTIONS for option in options(stanza.body)):
        return None  # Momentum may well know it here
    home = HOMES[stanza.name]
    return f"means nothing in {_where(scope)}; {stanza.written} must stand in {home}"


def written_as_stanza(stanza: Stanza, scope: Scope) -> str | None:
    """Say why a stanza is an option that was written as one, or None."""
    if stanza.name in HOMES:
        return None  # `pathway` is both
    if stanza.name in scope.options:
        return f"found a stanza, allowed: {stanza.written} = value"
    return mistake(stanza.name, scope)


def _where(scope: Scope) -> str:
    return scope.name or "the global scope"


def _close(name: str, known: Mapping[str, object]) -> str | None:
    return next(iter(get_close_matches(name, known, n=1, cutoff=_TYPO)), None)
