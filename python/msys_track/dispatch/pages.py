"""Opens HTML documents that are no part of a message, such as pages."""

import secrets
import time

from msys_track.keys.ring import Engagement, KeyRing, TrackedUrls
from msys_track.options.resolve import resolve
from msys_track.options.scopes import Scope
from msys_track.options.tracking import TrackingOptions
from msys_track.rewriting.rules import Rules
from msys_track.rewriting.stream import HtmlRewriter
from msys_track.smtp.path import check_recipients


def open_page(
    recipient: str,
    *,
    keys: KeyRing,
    options: TrackingOptions,
    charset: str | None = None,
    now: int | None = None,
) -> HtmlRewriter:
    """Begin the copy of an HTML document for one recipient.

    Args:
        recipient: the address that opens and clicks are counted for, without a name.
        keys: seals the links.
        options: what is tracked, and how.
        charset: the document's encoding; None if nothing names it.
        now: the injection time in Unix seconds; None means the present.

    Raises:
        RecipientError: the recipient is not a mail address alone.
    """
    check_recipients((recipient,))
    injected_at = int(time.time()) if now is None else now
    resolved = resolve((Scope(name="options", options=options),))
    engagement = Engagement(
        message_id=secrets.token_hex(10),
        recipient=recipient,
        injected_at=injected_at,
        expires_at=injected_at + resolved.tracking_link_expiry_seconds.value,
        customer_id=resolved.customer_id.value,
        campaign_id=resolved.campaign_id.value,
        metadata=resolved.metadata.value,
        tags=resolved.tags.value,
        subaccount_id=resolved.subaccount_id.value,
        open_tracking=resolved.open_tracking.value,
        click_tracking=resolved.click_tracking.value,
        initial_pixel=resolved.open_tracking.value and resolved.initial_open.value,
        transactional=resolved.transactional.value,
    )
    urls = TrackedUrls(
        domain=resolved.tracking_domain.value,
        click_scheme=resolved.click_tracking_scheme.value,
        open_scheme=resolved.open_tracking_scheme.value,
        click_metadata=resolved.click_tracking_include_metadata.value,
        allow_downgrade=resolved.allow_downgrade.value,
    )
    rules = Rules(
        outlook_links=resolved.outlook_links.value,
        keep_link_attributes=resolved.keep_link_attributes.value,
        never_wrap=resolved.never_wrap.value,
        foreign_opt_outs=resolved.foreign_opt_outs.value,
        spare_url_text=resolved.spare_url_text.value,
        pixel_placeholder=resolved.pixel_placeholder.value or None,
    )
    return HtmlRewriter(keys=keys, engagement=engagement, urls=urls, rules=rules, charset=charset)
