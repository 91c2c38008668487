"""Mails through a real proxy, and what their tracked URLs say behind it."""

import asyncio
import json
import re
import smtplib
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.upstreams import ScriptedUpstream

from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.injection.server import Proxy, serve
from msys_track.injection.settings import ProxySettings
from msys_track.keys.ring import Claims, KeyRing
from msys_track.relay.settings import UpstreamSettings
from msys_track.relay.upstream import Upstream

# One policy for every case: the mail itself says what is set.
OBEDIENT_POLICY = """
import json

def validate_data_spool_each_rcpt(transaction):
    for text in transaction.headers.get("X-Policy"):
        for name, value in json.loads(text).items():
            transaction.contexts.message.set(name, value)
"""

_TRACKED_URL = re.compile(rb"(https?)://([^/\"' ]+)(/[fq]/[\w./-]+)")


@asynccontextmanager
async def run_proxy(
    rewriter: Dispatcher, settings: ProxySettings | None = None, **serve_with: Any
) -> AsyncIterator[tuple[Proxy, ScriptedUpstream]]:
    """Run a proxy in front of an upstream that takes everything."""
    async with AsyncExitStack() as ends:
        hop = await ends.enter_async_context(ScriptedUpstream())
        upstream = Upstream(UpstreamSettings(port=hop.port))
        ends.push_async_callback(upstream.close)
        settings = settings or ProxySettings(listen_port=0, drain_seconds=1)
        proxy = await serve(settings, rewriter, upstream, **serve_with)
        ends.push_async_callback(proxy.close)
        yield proxy, hop


async def send_mail(
    port: int,
    message: bytes,
    *,
    sender: str = "news@shop.example",
    to: str = "jo@reader.example",
    options: Sequence[str] = (),
) -> None:
    """Inject a mail with the standard library's client."""

    def send() -> None:
        with smtplib.SMTP("127.0.0.1", port) as client:
            client.sendmail(sender, [to], message, options)

    await asyncio.to_thread(send)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedUrl:
    """A tracked URL of a mail that arrived."""

    scheme: str
    domain: str
    claims: Claims

    @property
    def metadata(self) -> Any:
        return json.loads(self.claims.engagement.metadata or "null")


def find_tracked_urls(message: bytes, keys: KeyRing) -> list[TrackedUrl]:
    return [
        TrackedUrl(scheme=scheme.decode(), domain=domain.decode(), claims=keys.open(path.decode()))
        for scheme, domain, path in _TRACKED_URL.findall(message)
    ]


def read_attributes(message: bytes, keys: KeyRing) -> dict[str, Any]:
    """What each attribute was for a mail that arrived, as far as its tracked URLs show it."""
    found = find_tracked_urls(message, keys)
    kinds = {each.claims.kind for each in found}
    attributes: dict[str, Any] = {
        "open_tracking": "open" in kinds,
        "click_tracking": "click" in kinds,
        "initial_open": "initial_open" in kinds,
    }
    for each in found:
        engagement = each.claims.engagement
        attributes |= {
            "click_scheme" if each.claims.kind == "click" else "open_scheme": each.scheme,
            "domain": each.domain,
            "lifetime": engagement.expires_at - engagement.injected_at,
            "campaign": engagement.campaign_id,
            "metadata": each.metadata,
            "tags": list(engagement.tags),
            "customer": engagement.customer_id,
            "subaccount": engagement.subaccount_id,
        }
    return attributes
