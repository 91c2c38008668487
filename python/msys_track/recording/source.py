"""Where a recorder's events come from: hits of this machine, or a stream of other machines."""

from typing import Protocol


class Source(Protocol):
    """Makes events durable in the event log; it holds the log's lock until it is closed.

    All is called in one thread at a time, without a loop.

    Attributes:
        next_sequence: Of the event that is written next.
    """

    next_sequence: int

    def record(self) -> int:
        """Write the next events; return how many were new to read, 0 where there are none yet.

        Raises:
            SinkError: it has to be tried again.
        """

    def close(self) -> None:
        """Keep where it stands, and let the next writer in."""

    def remove_delivered(self, before_sequence: int, keep_seconds: float) -> None:
        """Remove events that every sink has, and that are old enough."""

    def count_bytes_left(self) -> int:
        """Count the bytes of what is not in the event log yet."""

    def find_time(self, sequence: int) -> float:
        """Return about when an event was written, in Unix seconds."""
