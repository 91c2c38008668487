"""Several policy files called as one, in the order of the configuration. The first rejection wins.

A file that fails decides nothing, and what the others set stays. If one file switches tracking
off for a mail, a defect in another must not switch it on again.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from msys_track.errors import PolicyFailedError
from msys_track.policy.hooks import Hook, OnFailed, Rejection, Transaction


class Verdict(NamedTuple):
    """The answer of one file at one hook."""

    rejection: Rejection | None
    is_done: bool
    """True if later files are not called at this hook (Momentum's VALIDATE_DONE)."""


CONTINUE: Final = Verdict(rejection=None, is_done=False)
DONE: Final = Verdict(rejection=None, is_done=True)


class PolicyFile(Protocol):
    """One policy file, in any language."""

    @property
    def path(self) -> Path:
        """The file it was read from."""
        ...

    @property
    def hooks(self) -> frozenset[Hook]:
        """The hooks it has."""
        ...

    @property
    def notices(self) -> tuple[str, ...]:
        """What has no effect here, found when it was read, each as `file:line: what`."""
        ...

    def ask(self, hook: Hook, transaction: Transaction) -> Verdict:
        """Call one of its hooks.

        Raises:
            PolicyFailedError: it gave no answer.
        """
        ...


class Chain:
    """The policy that several files make together."""

    __slots__ = ("_by_hook", "files", "hooks")

    def __init__(self, files: Sequence[PolicyFile]) -> None:
        self.files = tuple(files)
        self._by_hook = {
            hook: having for hook in Hook if (having := tuple(f for f in files if hook in f.hooks))
        }
        self.hooks = frozenset(self._by_hook)
        """Those that at least one file has."""

    @property
    def notices(self) -> tuple[str, ...]:
        """What has no effect here in any of the files, each as `file:line: what`."""
        return tuple(notice for file in self.files for notice in file.notices)

    def call(self, hook: Hook, transaction: Transaction, on_failed: OnFailed) -> Rejection | None:
        """Call file by file until one rejects or ends the chain.

        If a file fails, what it set in this call is undone, and `on_failed` may reject.
        """
        contexts, changes = transaction.contexts, transaction.changes
        for file in self._by_hook.get(hook, ()):
            before = contexts.connection.save(), contexts.message.save(), changes.save()
            try:
                rejection, is_done = file.ask(hook, transaction)
            except PolicyFailedError as failure:
                contexts.connection.restore(before[0])
                contexts.message.restore(before[1])
                changes.restore(before[2])
                rejection, is_done = on_failed(failure), False
            if rejection is not None or is_done:
                return rejection
        return None
