"""A program's own decision about each link: leave it, name it, or lead it elsewhere."""

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

from msys_track.logs import event_logger
from msys_track.rewriting.engine import Link, Plan

log = event_logger(__name__)


class LinkChange(NamedTuple):
    """What a program wants of a link that is wrapped; None keeps what the message says."""

    target: str | None = None
    """Where a click leads: an `http://` or `https://` URL."""
    name: str | None = None
    """`target_link_name` of its events, cut to 63 bytes of UTF-8."""


OnLink: TypeAlias = Callable[[Link], LinkChange | Literal[False] | None]
"""Is called once for each link of a message that copies may wrap; False leaves the link alone."""


def revise_plan(plan: Plan, on_link: OnLink | None) -> Plan:
    """Call the hook for each link of a plan, and return a plan that does what it says.

    A hook that fails leaves its link alone, so that the mail goes on.

    Raises:
        RewriteError: a defect of the engine; the caller sends the original.
        ValueError: a new target is not an http or https URL with a host.
    """
    if on_link is None:
        return plan
    changes: dict[int, tuple[str, str | None] | None] = {}
    for number, link in enumerate(plan.links):
        try:
            answer = on_link(link)
        except Exception:
            log.exception("link.hook_failed", target=link.target)
            answer = False
        if answer is False:
            changes[number] = None
        elif answer is not None:
            changes[number] = (answer.target or link.target, answer.name or link.name)
    return plan.revise(changes) if changes else plan
