"""How much mail may be in memory, counted over all sessions."""


class Budget:
    """Bytes of mail in flight, and their limit."""

    __slots__ = ("in_flight_bytes", "max_bytes")

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.in_flight_bytes = 0

    def hold(self) -> "Hold":
        """Open the account of one message; close it with `Hold.release`."""
        return Hold(self)


class Hold:
    """The share of the budget that one message takes, from its first byte to the answer."""

    __slots__ = ("_budget", "held_bytes")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.held_bytes = 0

    def take(self, count: int) -> bool:
        """Take `count` bytes more; return False and take nothing if that is over the budget."""
        if self._budget.in_flight_bytes + count > self._budget.max_bytes:
            return False
        self._budget.in_flight_bytes += count
        self.held_bytes += count
        return True

    def could_ever_take(self, count: int) -> bool:
        """Tell whether `count` bytes more would fit if no other message were in flight."""
        return self.held_bytes + count <= self._budget.max_bytes

    def release(self) -> None:
        """Give everything back; a second call changes nothing."""
        self._budget.in_flight_bytes -= self.held_bytes
        self.held_bytes = 0
