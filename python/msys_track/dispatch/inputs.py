"""What engines take, made of resolved options."""

import os
from functools import lru_cache
from typing import Final

from msys_track.dispatch.recipients import Reader
from msys_track.keys.ring import Engagement, TrackedUrls
from msys_track.options.resolve import Resolved
from msys_track.rewriting.rules import Rules

# Many copies have the same few.
_make_urls: Final = lru_cache(maxsize=1024)(TrackedUrls)


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


def make_engagement(
    resolved: Resolved,
    reader: Reader,
    *,
    now: int,
    transmission_id: int = 0,
    has_amp: bool = False,
) -> Engagement:
    """Return what all links of a copy say; the copy's id is a new one.

    Args:
        resolved: the options.
        reader: whose opens and clicks they count for.
        now: the injection time in Unix seconds.
        transmission_id: the same for all copies of a message; 0 for none.
        has_amp: whether an AMP part of the message is tracked.
    """
    return Engagement(
        message_id=os.urandom(10).hex(),
        transmission_id=transmission_id,
        recipient=reader.address,
        recipient_type=reader.type,
        injected_at=now,
        expires_at=now + resolved.tracking_link_expiry_seconds.value,
        campaign_id=resolved.campaign_id.value,
        metadata=resolved.metadata.value,
        tags=resolved.tags.value,
        customer_id=resolved.customer_id.value,
        subaccount_id=resolved.subaccount_id.value,
        open_tracking=resolved.open_tracking.value,
        click_tracking=resolved.click_tracking.value,
        initial_pixel=resolved.open_tracking.value and resolved.initial_open.value,
        amp_enabled=has_amp,
        transactional=resolved.transactional.value,
    )
