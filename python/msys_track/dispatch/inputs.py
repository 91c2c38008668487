"""What engines take, made of resolved options."""

import os
import struct
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Final

from msys_track.dispatch.recipients import Reader
from msys_track.event_fields import NO_MESSAGE_ID
from msys_track.keys.ring import Engagement, KeyRing, TrackedUrls
from msys_track.options.resolve import Resolved
from msys_track.rewriting.engine import Engine
from msys_track.rewriting.recipe import PlainRecipe, Recipe
from msys_track.rewriting.recipe import Reader as RecipeReader
from msys_track.rewriting.rules import Rules

# Many copies have the same few.
_make_urls: Final = lru_cache(maxsize=1024)(TrackedUrls)

MAX_GROWTH_BYTES: Final = 8 << 20
"""How much longer than its message a tracked copy may be: 20,000 links of 400 bytes."""

_ID_BYTES: Final = 10
_HOUR: Final = 3600

# Drawn for so many ids at once: a call of the system for each would cost more than the ids.
_IDS_DRAWN: Final = 256
_IDS: Final = struct.Struct(f"{_ID_BYTES}s" * _IDS_DRAWN)
# `pop` takes an id for one thread alone.
_drawn_ids: Final[list[bytes]] = []
# A child that is forked would draw the ids of its parent again.
os.register_at_fork(after_in_child=_drawn_ids.clear)


def draw_id() -> bytes:
    """Return ten random bytes that no other call returns."""
    try:
        return _drawn_ids.pop()
    except IndexError:
        block = os.urandom(_ID_BYTES * _IDS_DRAWN)
        first: bytes
        first, *rest = _IDS.unpack(block)
        _drawn_ids.extend(rest)
        return first


def draw_message_id() -> str:
    """Return the id of a new copy: 20 hexadecimal digits."""
    return draw_id().hex()


def draw_transmission_id() -> int:
    """Return the id of all copies of a new message, of 63 bits."""
    return int.from_bytes(draw_id()[:8]) >> 1


def make_rules(resolved: Resolved) -> Rules:
    """Return what may be touched."""
    return Rules(
        resolved.signed_mail.value,
        resolved.outlook_links.value,
        resolved.click_tracking_text.value,
        resolved.keep_link_attributes.value,
        resolved.never_wrap.value,
        resolved.fold_long_lines.value,
        resolved.foreign_opt_outs.value,
        resolved.spare_url_text.value,
        resolved.strip_text_options.value,
        resolved.pixel_placeholder.value or None,
    )


def make_urls(resolved: Resolved) -> TrackedUrls:
    """Return where links lead."""
    return _make_urls(
        domain=resolved.tracking_domain.value,
        click_scheme=resolved.click_tracking_scheme.value,
        open_scheme=resolved.open_tracking_scheme.value,
        click_metadata=resolved.click_tracking_include_metadata.value,
        allow_downgrade=resolved.allow_downgrade.value,
    )


def make_engagement(  # noqa: PLR0913 - all that links say
    resolved: Resolved,
    reader: Reader,
    *,
    now: int,
    transmission_id: int = 0,
    has_amp: bool = False,
    message_id: str | None = None,
) -> Engagement:
    """Return what all links of a copy say.

    With `privacy = "aggregate"` that is the same for all mail of a campaign in an hour.

    Args:
        resolved: the options.
        reader: whose opens and clicks they count for.
        now: the injection time in Unix seconds.
        transmission_id: the same for all copies of a message; 0 for none.
        has_amp: whether an AMP part of the message is tracked.
        message_id: the copy's id; None: it gets a new one.
    """
    name, reader_type, injected_at, own_id, all_id = make_recipe_reader(
        resolved, reader, now, message_id or draw_message_id(), transmission_id
    )
    return Engagement(
        message_id=own_id,
        transmission_id=all_id,
        recipient=name,
        recipient_type=reader_type,
        injected_at=injected_at,
        expires_at=injected_at + resolved.tracking_link_expiry_seconds.value,
        campaign_id=resolved.campaign_id.value,
        # Senders put ids of their readers there.
        metadata=resolved.metadata.value if resolved.privacy.value != "aggregate" else None,
        tags=resolved.tags.value,
        customer_id=resolved.customer_id.value,
        subaccount_id=resolved.subaccount_id.value,
        open_tracking=resolved.open_tracking.value,
        click_tracking=resolved.click_tracking.value,
        initial_pixel=resolved.open_tracking.value and resolved.initial_open.value,
        amp_enabled=has_amp,
        transactional=resolved.transactional.value,
        privacy=resolved.privacy.value,
    )


def make_recipe_reader(
    resolved: Resolved, reader: Reader, now: int, message_id: str, transmission_id: int
) -> RecipeReader:
    """Return whose copy it is and what tells it from others, as far as links may say that."""
    if resolved.privacy.value == "aggregate":
        return "", "to", now - now % _HOUR, NO_MESSAGE_ID, 0
    return reader.address, reader.type, now, message_id, transmission_id


def make_recipe(
    engine: Engine, keys: KeyRing, resolved: Resolved, drop_headers: Sequence[bytes]
) -> Recipe:
    """Return how the copies with these options are made; fields of `drop_headers` are in none."""
    # An inherited one would know nothing of how a program's own engine plans.
    has_own = "make_recipe" in vars(type(engine))
    make = getattr(engine, "make_recipe") if has_own else partial(PlainRecipe, engine)  # noqa: B009
    recipe: Recipe = make(
        keys,
        make_engagement(resolved, Reader("", "to"), now=0),
        make_urls(resolved),
        make_rules(resolved),
        drop_headers=drop_headers,
        tracks_amp=makes_amp_urls(resolved),
        max_growth_bytes=MAX_GROWTH_BYTES,
    )
    return recipe


def makes_amp_urls(resolved: Resolved) -> bool:
    """Tell whether the URLs of AMP parts are tracked; AMP allows `https` only."""
    clicks = resolved.click_tracking.value and resolved.click_tracking_scheme.value != "http"
    opens = resolved.open_tracking.value and resolved.open_tracking_scheme.value == "https"
    return clicks or opens
