"""Clients that use a server again and again, beside what a test does to it."""

import threading
from typing import Self

from tests.service.running_proxy import wait_until

# A client's between two uses: without it there are as many as the machine can have.
_PAUSE_SECONDS = 0.005


class Clients:
    """Threads that use a server until the test goes on; none may fail. A subclass says how."""

    def __init__(self, count: int, *, uses: int) -> None:
        """Prepare so many threads; `run_on` waits for so many uses."""
        self._uses = uses
        self._is_over = threading.Event()
        self.answered = 0
        self.failures: list[Exception | int] = []
        self._threads = [threading.Thread(target=self._use_on_and_on) for _ in range(count)]

    def __enter__(self) -> Self:
        for each in self._threads:
            each.start()
        self.run_on()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for each in self._threads:
            each.join()

    def run_on(self, uses: int | None = None) -> None:
        """Wait until there were some more uses."""
        goal = self.answered + (uses or self._uses)
        wait_until(lambda: self.answered >= goal or self.failures)

    def _goes_on(self) -> bool:
        """Pause, and say whether to use the server once more."""
        return not self._is_over.wait(_PAUSE_SECONDS)

    def _use_on_and_on(self) -> None:
        raise NotImplementedError
