"""One hit as a line of a hit log: what a link's token says, and who fetched it."""

import json
import os
from ipaddress import ip_address, ip_network
from typing import Any, Final

from msys_track.events import make_event_id
from msys_track.keys.ring import Claims

_OPTIONS: Final = (
    "open_tracking", "click_tracking", "initial_pixel", "amp_enabled", "transactional",
)  # fmt: skip
_NUMBERS: Final = ("at", "customer_id")  # zero means something
_KEPT_BITS: Final = {4: 24, 6: 48}


def write_hit(  # noqa: PLR0913, PLR0917 - what is known of a hit
    claims: Claims,
    at: int,
    address: str | None,
    agent: str | None,
    language: str | None,
    request: str | None,
    randomness: bytes | None = None,
) -> bytes:
    """Write a hit as JSON on one line, without what is unknown or empty.

    Args:
        claims: What the link's token says.
        at: When it was fetched, Unix time in milliseconds.
        address: The client's, if it is known.
        agent: The header `User-Agent`.
        language: The header `Accept-Language`.
        request: What else is known of the request, as JSON text of an object.
        randomness: 10 bytes for the event's id, fresh ones unless given.
    """
    engagement = claims.engagement
    privacy = engagement.privacy
    if privacy == "aggregate":
        address = agent = language = None
    elif privacy == "truncated":
        address = truncate_address(address)
    members: dict[str, Any] = {
        "id": make_event_id(at, os.urandom(10) if randomness is None else randomness),
        "at": at,
        "kind": claims.kind,
        "message_id": engagement.message_id,
        "recipient": engagement.recipient,
        "recipient_type": "" if engagement.recipient_type == "to" else engagement.recipient_type,
        "injected_at": engagement.injected_at,
        "expires_at": engagement.expires_at,
        "customer_id": engagement.customer_id,
        "subaccount_id": engagement.subaccount_id,
        "transmission_id": engagement.transmission_id,
        "campaign_id": engagement.campaign_id,
        "metadata": engagement.metadata,
        "tags": list(engagement.tags),
        "options": [name for name in _OPTIONS if getattr(engagement, name)],
        "privacy": "" if privacy == "full" else privacy,
        "target": claims.target,
        "link_name": claims.link_name,
        "link_number": claims.link_number,
        "link_part": claims.link_part,
        "address": address,
        "agent": agent,
        "language": language,
    }
    known = {name: value for name, value in members.items() if value or name in _NUMBERS}
    text = json.dumps(known, ensure_ascii=False, separators=(",", ":"))
    if request is not None:
        text = f'{text[:-1]},"request":{request}}}'
    return text.encode("utf-8", "replace")


def truncate_address(address: str | None) -> str | None:
    """Return the network that an address is in: /24, or /48 of IPv6; None for what is none.

    An address with a zone is none: it means something on one machine only.
    """
    try:
        ip = ip_address(address or "")
    except ValueError:
        return None
    if "%" in str(ip):
        return None
    return str(ip_network((ip, _KEPT_BITS[ip.version]), strict=False).network_address)
