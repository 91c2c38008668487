"""What a probe has found, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: The thing, as an operator names it.
        state: How bad it is.
        found: What is the case.
        advice: What to do; empty where all is well.
    """

    what: str
    state: State
    found: str
    advice: str = ""


def approve(what: str, found: str) -> Finding:
    """Find that something is as it should be."""
    return Finding(what=what, state=State.OK, found=found)


def warn(what: str, found: str, advice: str) -> Finding:
    """Find something that works, but hardly as it is wanted."""
    return Finding(what=what, state=State.WARNING, found=found, advice=advice)


def blame(what: str, found: str, advice: str) -> Finding:
    """Find something that does not work."""
    return Finding(what=what, state=State.FAULT, found=found, advice=advice)
