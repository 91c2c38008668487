"""How much mail may be in memory, counted over all sessions."""

from typing import Final

# A small message finds room although large ones have taken all that they may.
_SMALL_BYTES: Final = 1 << 20
_SHARE_OF_SMALL: Final = 8


class Budget:
    """Bytes of mail in flight, and their limit."""

    __slots__ = ("in_flight_bytes", "max_bytes")

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.in_flight_bytes = 0

    @property
    def largest_message_bytes(self) -> int:
        """The longest message that could ever be taken."""
        small = min(self.max_bytes // 2, _SMALL_BYTES)
        return max(small, (self.max_bytes - self.max_bytes // _SHARE_OF_SMALL) // 2)

    def hold(self) -> "Hold":
        """Open the account of one message; close it with `Hold.release`."""
        return Hold(self)


class Hold:
    """The share of the budget that one message takes, from its first byte to the answer.

    Bytes that are received count twice: for the message, and for the copy that is made of it. So
    whatever has been received can be sent, even when the budget is used up.
    """

    __slots__ = ("_budget", "held_bytes")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.held_bytes = 0

    def take(self, count: int) -> bool:
        """Take room for `count` more bytes of the message and of one copy.

        False if that is over the budget; then nothing is taken.
        """
        return self.borrow(2 * count)

    def borrow(self, count: int) -> bool:
        """Take `count` bytes, for a copy beside the first; False if that is over the budget.

        A message of more than 1 MiB leaves an eighth of the budget to smaller ones.
        """
        budget = self._budget
        limit = budget.max_bytes
        if self.held_bytes + count > 2 * _SMALL_BYTES:
            limit -= limit // _SHARE_OF_SMALL
        in_flight = budget.in_flight_bytes + count
        if in_flight > limit:
            return False
        budget.in_flight_bytes = in_flight
        self.held_bytes += count
        return True

    def add(self, count: int) -> None:
        """Count bytes that are there already: what a copy has more than its message."""
        self._budget.in_flight_bytes += count
        self.held_bytes += count

    def give_back(self, count: int) -> None:
        """Give back what was borrowed or added."""
        self.add(-count)

    def release(self) -> None:
        """Give everything back; a second call changes nothing."""
        if self.held_bytes:
            self.add(-self.held_bytes)
