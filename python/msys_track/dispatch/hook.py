"""A program's own decision about each link: leave it, name it, or lead it elsewhere."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypeAlias

from msys_track.logs import event_logger
from msys_track.rewriting.engine import Engine, Link, Plan
from msys_track.rewriting.rules import Rules

log = event_logger(__name__)

_Change: TypeAlias = tuple[str, str | None] | None


class LinkChange(NamedTuple):
    """What a program wants of a link that is wrapped; None keeps what the message says."""

    target: str | None = None
    """Where a click leads: an `http://` or `https://` URL."""
    name: str | None = None
    """`target_link_name` of its events, cut to 63 bytes of UTF-8."""


OnLink: TypeAlias = Callable[[Link], LinkChange | Literal[False] | None]
"""Is called once for each link of a message that copies may wrap; False leaves the link alone."""


class HookedEngine:
    """An engine whose plans do what a hook says of their links."""

    __slots__ = ("_engine", "_on_link", "header_fields")

    def __init__(self, engine: Engine, on_link: OnLink) -> None:
        self._engine = engine
        self._on_link = on_link
        self.header_fields = engine.header_fields

    def plan(self, message: bytes, rules: Rules, /, *, drop_headers: Sequence[bytes] = ()) -> Plan:
        """Scan a message once, and call the hook for each link.

        Raises:
            RewriteError: a defect of the engine; the caller sends the original.
        """
        plan = self._engine.plan(message, rules, drop_headers=drop_headers)
        return revise_plan(plan, self._on_link)


def revise_plan(plan: Plan, on_link: OnLink) -> Plan:
    """Call the hook for each link of a plan, and return a plan that does what it says.

    A hook that fails, or answers what no link can have, leaves its link alone: the mail goes on,
    and the log says why.

    Raises:
        RewriteError: a defect of the engine; the caller sends the original.
    """
    changes: dict[int, _Change] = {}
    for number, link in enumerate(plan.links):
        try:
            answer = on_link(link)
            if answer is not None:
                changes[number] = _read_answer(answer, link)
        except Exception:
            log.exception("link.hook_failed", target=link.target)
            changes[number] = None
    if not changes:
        return plan
    try:
        return plan.revise(changes)
    except ValueError:
        return plan.revise(
            {number: _check_change(plan, number, change) for number, change in changes.items()}
        )


def _read_answer(answer: object, link: Link) -> _Change:
    if answer is False:
        return None
    if not isinstance(answer, LinkChange):
        raise TypeError(f"on_link returned {answer!r}; return a LinkChange, False or None")
    return answer.target or link.target, answer.name or link.name


def _check_change(plan: Plan, number: int, change: _Change) -> _Change:
    try:
        plan.revise({number: change})
    except ValueError:
        log.exception("link.hook_failed", target=plan.links[number].target)
        return None
    return change
