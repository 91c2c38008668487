"""Which event is the first of its message, and of its link: from memory, or from the store."""

from collections.abc import Sequence
from typing import Final, Protocol, runtime_checkable

from msys_track.errors import SinkError
from msys_track.event_fields import OPENS, EventType

_OPENED: Final = tuple(sorted(each.value for each in OPENS))
_CLICKED: Final = (EventType.CLICK.value, EventType.AMP_CLICK.value)


@runtime_checkable
class Remembers(Protocol):
    """A store that knows older events."""

    def has_seen(self, message_id: str, types: Sequence[str], link: str | None) -> bool:
        """Whether it has an event of one of the types.

        Args:
            message_id: Of the event.
            types: The event is of one of these.
            link: The event's link (`events.link_key`); None: any.

        Raises:
            SinkError: it can't say.
        """


class FirstSeen:
    """Remembers messages and links that had an event: at least half of `size`, the last ones.

    Attributes:
        store: Is asked about messages that are older than what is remembered.
        since: All events since then are remembered, Unix time in milliseconds.
    """

    def __init__(self, size: int, store: Remembers | None = None) -> None:
        self._size = max(1, size // 2)
        # Hashes: texts would take three times as much.
        self._younger: set[int] = set()
        self._older: set[int] = set()
        self._younger_since = 0
        self.store = store
        self.since = 0

    def begin(self, at: int) -> None:
        """Say that what was before this time, Unix milliseconds, is not known."""
        self.since = self._younger_since = at

    def note(
        self, message_id: str, kind: EventType, link: str | None, at: int, injected_at: int
    ) -> dict[str, bool]:
        """Remember an event; return what it is the first of, without what is not known.

        Args:
            message_id: The event's.
            kind: The event's type.
            link: Names the event's link (`events.link_key`).
            at: When, Unix time in milliseconds.
            injected_at: When the message was injected, in Unix seconds.
        """
        types = _find_types(kind)
        # The clocks of the proxy and of the tracker may differ a little.
        is_covered = injected_at * 1000 > self.since
        first: dict[str, bool] = {}
        for name, of in (("message", None), ("link", link)):
            if name == "link" and link is None:
                continue
            key = hash((message_id, types[0], of))
            if key in self._younger:
                first[name] = False
                continue
            if key in self._older:
                first[name] = False
            elif is_covered:
                first[name] = True
            elif (seen := self._ask_store(message_id, types, of)) is not None:
                first[name] = not seen
            self._add(key, at)
        return first

    def has_opened(self, message_id: str, injected_at: int) -> bool | None:
        """Whether a message had an open; None where that is not known."""
        key = hash((message_id, _OPENED[0], None))
        if key in self._younger or key in self._older:
            return True
        if injected_at * 1000 > self.since:
            return False
        return self._ask_store(message_id, _OPENED, None)

    def _ask_store(self, message_id: str, types: Sequence[str], link: str | None) -> bool | None:
        try:
            return None if self.store is None else self.store.has_seen(message_id, types, link)
        except SinkError:  # its delivery says so as well
            return None

    def _add(self, key: int, at: int) -> None:
        if len(self._younger) >= self._size:
            self.since = max(self.since, self._younger_since)
            self._older, self._younger = self._younger, set()
            self._younger_since = at
        self._younger.add(key)


def _find_types(kind: EventType) -> tuple[str, ...]:
    if kind in OPENS:
        return _OPENED
    return _CLICKED if kind.value in _CLICKED else (kind.value,)
