"""The health of an upstream, judged by how mail to it fared; without clock and sockets.

One that failed is left alone for a while, so that not every mail waits for it. Then one mail is
sent its way, as only mail can tell whether it takes mail.
"""

from collections.abc import Callable
from typing import Final

_FIRST_SECONDS: Final = 1.0
_MOST_DOUBLINGS: Final = 17  # more than a day
_SPREAD: Final = 0.2


class Health:
    """Whether an upstream is up, and if not, when it is worth a try.

    Times are seconds of one clock that never goes back.
    """

    __slots__ = ("_failures", "_is_probed", "_longest", "_random", "retry_at")

    def __init__(self, longest_seconds: float, random: Callable[[], float]) -> None:
        """Begin as up.

        Args:
            longest_seconds: The longest time for which it is left alone.
            random: Returns a number from 0 to 1; it spreads the tries of several proxies.
        """
        self._longest = longest_seconds
        self._random = random
        self._failures = 0
        self._is_probed = False
        self.retry_at = 0.0

    @property
    def is_up(self) -> bool:
        """Whether the last mail to it fared well, or there was none yet."""
        return self._failures == 0

    @property
    def is_probed(self) -> bool:
        """Whether one mail is finding out just now."""
        return self._is_probed

    def is_usable(self, now: float) -> bool:
        """Whether mail may be sent to it: it is up, or due to be tried by one mail."""
        return self.is_up or (not self._is_probed and now >= self.retry_at)

    def begin(self) -> bool:
        """Note that a mail is sent to it; return whether that is the one that finds out."""
        self._is_probed = not self.is_up
        return self._is_probed

    def succeed(self) -> bool:
        """Note that it answered; return whether it was down until now."""
        was_down = not self.is_up
        self._failures, self._is_probed = 0, False
        return was_down

    def fail(self, now: float, *, is_probe: bool) -> float | None:
        """Note that it did not answer; return for how many seconds it is left alone now.

        None if that is known already: many mails, and many recipients of the one that finds out,
        may be under way in the moment when it fails, which is one failure.
        """
        if not self.is_up and not (is_probe and self._is_probed):
            return None
        self._is_probed = False
        doubled = float(1 << min(self._failures, _MOST_DOUBLINGS))
        seconds = min(_FIRST_SECONDS * doubled, self._longest)
        self._failures += 1
        seconds *= 1 - _SPREAD * self._random()
        self.retry_at = now + seconds
        return seconds

    def give_up(self) -> None:
        """Note that the mail that was to find out was cancelled; another one may."""
        self._is_probed = False
