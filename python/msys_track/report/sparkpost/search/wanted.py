"""Which events a request wants: as a condition in SQL, and of the fields of an event."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from msys_track.sinks.store.rows import RECLASSIFIED, pack_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which events are wanted; an empty list is no condition.

    Patterns may have `*` for any text, and are compared with regard to case.

    Attributes:
        types: Empty: all but our own `reclassified`.
        campaigns: Patterns.
        recipients: Addresses; case is ignored.
        domains: Patterns of recipients' domains, in lower case.
        messages: Ids.
        events: Ids.
        texts: Patterns that a field of the event must fit, by its name.
    """

    types: tuple[str, ...] = ()
    campaigns: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def condition(self) -> tuple[str, list[Any]]:
        """Return what the columns of a row say of it in SQL, and the values in it."""
        parts = [
            _one_of("type", self.types, has_patterns=False)
            if self.types
            else ("type NOT IN ('', ?)", (RECLASSIFIED,)),
            _one_of("campaign_id", self.campaigns),
            _one_of("rcpt_to", map(str.lower, self.recipients), has_patterns=False),
            _one_of("rcpt_to", (f"*@{each}" for each in self.domains)),
            _one_of("message_id", self.messages, has_patterns=False),
            _one_of("event_id", map(pack_id, self.events), has_patterns=False),
        ]
        condition = " AND ".join(text for text, _ in parts if text)
        return condition, [each for _, values in parts for each in values]

    def condition_of_counts(self) -> tuple[str, list[Any]]:
        """Return the part of it that the counts of whole hours have columns for."""
        return replace(self, recipients=(), domains=(), messages=(), events=()).condition()

    def fits(self, fields: Mapping[str, Any]) -> bool:
        """Tell whether an event's fields fit the patterns of `texts`."""
        return all(
            any(fits_pattern(str(fields.get(name, "")), each) for each in patterns)
            for name, patterns in self.texts.items()
        )


def fits_pattern(text: str, pattern: str) -> bool:
    """Tell whether a text fits a pattern in which `*` is any text; in one pass through it."""
    first, *pieces = pattern.split("*")
    if not pieces:
        return text == pattern
    *pieces, last = pieces
    if not text.startswith(first) or not text[len(first) :].endswith(last):
        return False
    place, end = len(first), len(text) - len(last)
    for piece in pieces:
        found = text.find(piece, place, end)
        if found < 0:
            return False
        place = found + len(piece)
    return True


def write_marks(values: Sequence[Any]) -> str:
    """Return the question marks that so many values are bound to."""
    return ", ".join("?" * len(values))


def _one_of(
    column: str, values: Iterable[Any], *, has_patterns: bool = True
) -> tuple[str, Sequence[Any]]:
    """Return the condition that a column is one of these; an empty one without any."""
    known = tuple(values)
    patterns = tuple(each for each in known if has_patterns and "*" in each)
    exact = tuple(each for each in known if each not in patterns)
    parts = [f"{column} IN ({write_marks(exact)})"] if exact else []
    parts += [f"{column} GLOB ?"] * len(patterns)
    condition = f"({' OR '.join(parts)})" if parts else ""
    # GLOB knows more than `*`: what else means something there stands for itself in brackets.
    globs = (re.sub(r"[\[?]", r"[\g<0>]", each) for each in patterns)
    return condition, (*exact, *globs)
