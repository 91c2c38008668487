"""Policy: the operator's own code, in Python or Lua, called at Momentum's hooks."""

from msys_track.policy.changes import Changes, HeaderChange
from msys_track.policy.context import Context, Contexts
from msys_track.policy.hooks import Headers, Hook, Policy, Rejection, Transaction

__all__ = [
    "Changes",
    "Context",
    "Contexts",
    "HeaderChange",
    "Headers",
    "Hook",
    "Policy",
    "Rejection",
    "Transaction",
]
