"""Policy: code of the operator's that is asked at Momentum's hooks, in Python or Lua."""

from msys_track.policy.context import Context, Contexts
from msys_track.policy.hooks import Headers, Hook, Policy, Rejection, Transaction

__all__ = ["Context", "Contexts", "Headers", "Hook", "Policy", "Rejection", "Transaction"]
