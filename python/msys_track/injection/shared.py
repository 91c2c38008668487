"""What the sessions of one listener share, and what they are to it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from msys_track.injection.acceptance import Acceptance
from msys_track.injection.access.access import Access
from msys_track.injection.access.origin import Origin
from msys_track.injection.access.visitor import Visitor
from msys_track.injection.budget import Budget
from msys_track.injection.settings import ProxySettings
from msys_track.metrics import Counters
from msys_track.policy.guard import Guard
from msys_track.relay.upstream import NextHop
from msys_track.smtp.auth import MECHANISMS
from msys_track.smtp.capabilities import Capabilities
from msys_track.smtp.commands.offer import Offer
from msys_track.smtp.proxies import IDENT
from msys_track.smtp.reply import Reply
from msys_track.smtp.xclient import ATTRIBUTES

if TYPE_CHECKING:
    from msys_track.injection.arrival import Arrival


class ClientSession(Protocol):
    """A session, as the listener that stops sees it."""

    def drain(self) -> None:
        """End the session: at once if it waits for a command, else after its message."""

    async def wait_for_message(self) -> None:
        """Wait until the message under way is answered, or the client is gone."""

    def abort(self) -> None:
        """Cut the connection."""

    def check_time(self, now: float) -> None:
        """End the session if its client is silent or slow; `now` is the loop's time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """The state that the sessions of one listener share."""

    settings: ProxySettings
    access: Access
    upstream: NextHop
    acceptance: Acceptance
    budget: Budget
    counters: Counters
    clock: Callable[[], float]
    """Returns the time in Unix seconds."""
    keeps_always: bool = False
    """Whether the spool takes mail that could not be sent at all."""
    sessions: set["ClientSession"] = field(default_factory=set)
    answers: set[asyncio.Task[Reply]] = field(default_factory=set)
    """Messages being relayed, some of them perhaps for clients that are gone."""
    arrivals: set["Arrival"] = field(default_factory=set)
    """Connections whose session has not begun."""
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the listener takes no more clients."""

    @property
    def ident(self) -> str:
        """What follows the host's name in the greeting."""
        return f"{IDENT} {self.upstream.identity.mark}"

    @property
    def is_full(self) -> bool:
        """Whether there are as many clients as there may be."""
        return len(self.sessions) + len(self.arrivals) >= self.settings.max_connections

    def offer(self, upstream: Capabilities | None, visitor: Visitor, origin: Origin) -> Offer:
        """Return what a client is offered; None: the upstream can't be asked."""
        known, access = upstream or Capabilities(), self.access
        size = min(visitor.limits.max_message_bytes, self.budget.largest_message_bytes)
        if known.size:
            # Below the upstream's by what tracking may add, but never below half of it.
            below = max(known.size - self.settings.size_margin_bytes, known.size // 2)
            size = min(size, below)
        return Offer(
            size=size,
            eight_bit_mime=known.eight_bit_mime,
            smtp_utf8=known.smtp_utf8,
            enhanced_status_codes=known.enhanced_status_codes,
            dsn=known.dsn,
            starttls=access.has_tls and not visitor.is_encrypted,
            auth=MECHANISMS if self._is_auth_offered(known, visitor) else (),
            xclient=ATTRIBUTES if access.may_use_xclient(origin.neighbour) else (),
            is_settled=upstream is not None,
        )

    def _is_auth_offered(self, upstream: Capabilities, visitor: Visitor) -> bool:
        """Whether a client can log in now; an upstream that checks users must offer it too."""
        is_checked = not self.access.rules.auth_passthrough or bool(upstream.auth_mechanisms)
        return visitor.may_authenticate and is_checked

    @property
    def guard(self) -> Guard | None:
        """The policy to call at each command; another one may take its place at any time."""
        return self.acceptance.rewriter.policy

    def count_rejection(self, rejection: Reply) -> Reply:
        """Count what policy refuses, and return the reply."""
        self.counters.add("policy.rejected")
        return rejection
