"""Several policy files asked as one: in the order of the configuration, the first no wins.

A file that fails has decided nothing. What the others set holds: a mail that one of them has
switched off must not go out tracked because of a defect in another.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from msys_track.errors import PolicyFailed
from msys_track.policy.hooks import Hook, OnFailed, Rejection, Transaction


class Verdict(NamedTuple):
    """What one file says at one hook."""

    rejection: Rejection | None
    is_done: bool
    """The files after it are not asked at this hook (Momentum's VALIDATE_DONE)."""


CONTINUE: Final = Verdict(rejection=None, is_done=False)
DONE: Final = Verdict(rejection=None, is_done=True)


class PolicyFile(Protocol):
    """One policy file, in whichever language."""

    @property
    def path(self) -> Path:
        """Where it was read from."""
        ...

    @property
    def hooks(self) -> frozenset[Hook]:
        """Those it has."""
        ...

    def ask(self, hook: Hook, transaction: Transaction) -> Verdict:
        """Run one hook that it has.

        Raises:
            PolicyFailed: it came to no answer.
        """
        ...


class Chain:
    """The policy that files make together."""

    __slots__ = ("_asked", "files")

    def __init__(self, files: Sequence[PolicyFile]) -> None:
        self.files = tuple(files)
        self._asked = {
            hook: asked for hook in Hook if (asked := tuple(f for f in files if hook in f.hooks))
        }

    @property
    def hooks(self) -> frozenset[Hook]:
        """The hooks that at least one file has."""
        return frozenset(self._asked)

    def call(self, hook: Hook, transaction: Transaction, on_failed: OnFailed) -> Rejection | None:
        """Ask file by file, until one rejects or says that it was the last to be asked.

        What a file that fails has set in this call is undone; `on_failed` may reject for it.
        """
        contexts = transaction.contexts
        for file in self._asked.get(hook, ()):
            before = contexts.connection.copy(), contexts.message.copy()
            try:
                rejection, is_done = file.ask(hook, transaction)
            except PolicyFailed as failure:
                contexts.connection.restore(before[0])
                contexts.message.restore(before[1])
                rejection, is_done = on_failed(failure), False
            if rejection is not None or is_done:
                return rejection
        return None
