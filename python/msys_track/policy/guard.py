"""The guard around policy: a file that fails decides nothing and does not lose mail.

Every call of a policy goes through here, so that a failure means the same at every hook.
"""

from collections.abc import Callable
from typing import Literal, TypeAlias

from msys_track.errors import PolicyFailedError
from msys_track.logs import event_logger
from msys_track.policy.hooks import Hook, Policy, Rejection, Transaction

log = event_logger(__name__)

OnFailure: TypeAlias = Literal["continue", "refuse"]

# RFC 3463: a temporary fault of the mail system; the client tries again.
_FAILED = Rejection(code=451, text="4.3.0 Policy failed; try again later")


class Guard:
    """A policy whose failures are counted, logged and answered as configured.

    Args:
        policy: the policy to call.
        on_failure: with `continue`, the mail goes on as if the failed file did not have the hook;
            at `validate_auth` nobody gets in for that. With `refuse`, the mail gets 451 and later
            files are not called.
        count: called with `policy.continued` or `policy.refused` for each failure of a file.
    """

    __slots__ = ("_count", "_policy", "_refuses")

    def __init__(
        self,
        policy: Policy,
        on_failure: OnFailure = "continue",
        count: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._policy = policy
        self._refuses = on_failure == "refuse"
        self._count = count

    @property
    def hooks(self) -> frozenset[Hook]:
        """The hooks that the policy has. Calling another does nothing."""
        return self._policy.hooks

    def call(self, hook: Hook, transaction: Transaction) -> Rejection | None:
        """Call the policy; None if the mail goes on."""
        if hook not in self._policy.hooks:
            return None

        # Mail does not get lost for a policy's sake, but nobody gets in for its sake either.
        refuses = self._refuses or hook is Hook.AUTH

        def answer_failure(failure: PolicyFailedError) -> Rejection | None:
            log.error("policy.failed", hook=hook.value, why=str(failure))
            self._count("policy.refused" if refuses else "policy.continued")
            return _FAILED if refuses else None

        return self._policy.call(hook, transaction, answer_failure)
