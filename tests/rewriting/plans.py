"""Plans and copies by the core alone: what the tests of the engine have in common."""

from typing import Any

from msys_track.keys.ring import Engagement, KeyRing, TrackedUrls
from msys_track.rewriting.engine import Plan, Rendered
from msys_track.rewriting.native import NativeEngine
from msys_track.rewriting.rules import Rules

KEYS = KeyRing.temporary()
URLS = TrackedUrls(
    domain="click.example.com", click_scheme="https", open_scheme="https", click_metadata=True
)


def engagement(*, click_tracking: bool = True, **options: Any) -> Engagement:
    return Engagement(
        message_id="00" * 10,
        recipient="jo@example.com",
        injected_at=1_700_000_000,
        expires_at=1_700_000_060,
        customer_id=1,
        click_tracking=click_tracking,
        **options,
    )


def plan(message: bytes, **rules: Any) -> Plan:
    return NativeEngine().plan(message, Rules(**rules), drop_headers=[b"X-MSYS-API"])


def render(planned: Plan, insertions: Any = (), **options: Any) -> Rendered:
    asked = engagement(**{"open_tracking": True, **options})
    return planned.render(KEYS, asked, URLS, insertions)


def wrap_links(message: bytes, **rules: Any) -> bytes:
    return plan(message, **rules).render(KEYS, engagement(), URLS).message
