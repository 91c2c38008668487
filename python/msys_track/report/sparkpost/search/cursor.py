"""Where a page begins, as a text that a client holds from one page to the next."""

import base64
from dataclasses import dataclass
from typing import Final, Self

import orjson

from msys_track.sinks.store.reading import Store

_LARGEST: Final = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Where a page begins, and what the first one found out.

    Attributes:
        since: Unix seconds; events of this second or later.
        until: Unix seconds; events before this second.
        newest: The highest sequence that existed then.
        at: The time of the event before, in Unix seconds.
        sequence: The sequence of the event before.
        total: How many events there are on all pages; where that is unknown, how many were found
            so far, less one, as a negative number.
    """

    since: int
    until: int
    newest: int
    at: int
    sequence: int
    total: int = -1

    @classmethod
    def begin(cls, store: Store, since: int, until: int) -> Self:
        """Return the cursor of a first page.

        Raises:
            SinkError: the store can't be read.
        """
        newest = store.last_sequence()
        return cls(since=since, until=until, newest=newest, at=until, sequence=0)

    @classmethod
    def read(cls, text: str) -> Self:
        """Read what `write` returned.

        Raises:
            ValueError: it is something else.
        """
        try:
            values = orjson.loads(base64.urlsafe_b64decode(text.encode()))
            since, until, newest, at, sequence, total = values
        except (TypeError, ValueError) as error:
            raise ValueError("not a cursor") from error
        if not all(type(each) is int and -_LARGEST < each < _LARGEST for each in values):
            raise ValueError("not a cursor")
        return cls(since=since, until=until, newest=newest, at=at, sequence=sequence, total=total)

    def write(self) -> str:
        """Return it as a text for a query string."""
        values = (self.since, self.until, self.newest, self.at, self.sequence, self.total)
        return base64.urlsafe_b64encode(orjson.dumps(values)).decode()
