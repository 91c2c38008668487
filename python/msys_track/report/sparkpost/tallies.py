"""Sums of a store's roll-ups, as metrics need them: events by type, messages by action."""

# ruff: noqa: S608 - the parts of a query are ours, values are bound

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from msys_track.sinks.store.reading import Store
from msys_track.sinks.store.rows import READERS

By: TypeAlias = Literal["", "time", "campaign", "domain", "link-name"]
Key: TypeAlias = str | int

_SECONDS_AN_HOUR: Final = 3_600
_SECONDS_A_DAY: Final = 86_400
_MACHINES: Final = "machines"


@dataclass(frozen=True, slots=True)
class Tally:
    """What happened to some mail in some time.

    Attributes:
        events: How many events, by type.
        direct_events: Those that no machine made.
        messages: With how many messages an action happened for the first time, by the action:
            `open`, `click`, `unsubscribe`, or `confirmed`, which is an open or a click.
        direct_messages: The same for what no machine did.
    """

    events: Counter[str] = field(default_factory=Counter)
    direct_events: Counter[str] = field(default_factory=Counter)
    messages: Counter[str] = field(default_factory=Counter)
    direct_messages: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        """Add what happened to other mail, or at another time."""
        for name in ("events", "direct_events", "messages", "direct_messages"):
            getattr(self, name).update(getattr(other, name))


def read_tallies(  # noqa: PLR0913 - what can be asked for
    store: Store,
    *,
    by: By,
    since: int,
    until: int,
    by_day: bool,
    campaigns: Sequence[str] = (),
    domains: Sequence[str] = (),
) -> dict[Key, Tally]:
    """Read the sums of a time, by key: the Unix seconds, the campaign, the domain or the link.

    Args:
        store: It is read.
        by: What there is one result for each of; empty: one for all.
        since: Unix seconds; the beginning of an hour, or a day.
        until: Unix seconds; before the beginning of an hour, or a day.
        by_day: Whether whole days are meant; true for domains and links.
        campaigns: Only these.
        domains: Only mail to these.

    Raises:
        SinkError: the store can't be read; the text says what to do.
    """
    raise NotImplementedError
