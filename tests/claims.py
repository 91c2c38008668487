"""Claims for tests: any that a token can hold, and what they say as plain values to compare."""

from typing import Any

from hypothesis import strategies as st

from msys_track.keys.ring import Claims, Engagement

ENGAGEMENT = (
    "message_id",
    "transmission_id",
    "injected_at",
    "expires_at",
    "customer_id",
    "subaccount_id",
    "recipient",
    "recipient_type",
    "campaign_id",
    "metadata",
    "tags",
    "open_tracking",
    "click_tracking",
    "initial_pixel",
    "amp_enabled",
    "transactional",
)
LINK = ("kind", "target", "link_name")

KINDS = (
    "click",
    "open",
    "initial_open",
    "amp_click",
    "amp_open",
    "amp_initial_open",
    "list_unsubscribe",
    "link_unsubscribe",
)

# UTF-8 has no half of a surrogate pair.
_ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
_URLS = st.from_regex(
    r"https?://(www\.)?[a-z]{2,9}\.(com|fr|co\.uk)/([a-z]{2,9}/)?(\?utm_source=[a-z0-9]{1,9})?",
    fullmatch=True,
)
_JSON = st.from_regex(r'\{("[a-z_]{1,9}":("[a-z0-9 ]{0,9}"|[0-9]{1,5}),?){0,5}\}', fullmatch=True)
TEXTS = _ANY_TEXT | _URLS | _JSON
_UNSIGNED_32 = st.integers(0, 2**32 - 1)
_UNSIGNED_64 = st.integers(0, 2**64 - 1)


@st.composite
def claims(draw: st.DrawFn) -> Claims:
    """Any claims: each kind, each field there or not, texts of every sort."""
    injected_at, expires_at = sorted((draw(_UNSIGNED_64), draw(_UNSIGNED_64)))
    flags = {name: draw(st.booleans()) for name in ENGAGEMENT[-5:]}
    engagement = Engagement(
        message_id=draw(st.from_regex(r"[0-9a-f]{20}", fullmatch=True) | TEXTS),
        transmission_id=draw(_UNSIGNED_64),
        injected_at=injected_at,
        expires_at=expires_at,
        customer_id=draw(_UNSIGNED_32),
        subaccount_id=draw(st.none() | _UNSIGNED_32),
        recipient=draw(TEXTS),
        recipient_type=draw(st.sampled_from(["to", "cc", "bcc", "archive"])),
        campaign_id=draw(st.none() | TEXTS),
        metadata=draw(st.none() | TEXTS),
        tags=draw(st.lists(TEXTS, max_size=4)),
        **flags,
    )
    return Claims(
        kind=draw(st.sampled_from(KINDS)),
        engagement=engagement,
        target=draw(st.none() | TEXTS),
        link_name=draw(st.none() | TEXTS),
    )


def said(claims: Claims) -> dict[str, Any]:
    """Every field of some claims, by name."""
    return {name: getattr(claims.engagement, name) for name in ENGAGEMENT} | {
        name: getattr(claims, name) for name in LINK
    }


def made(fields: dict[str, Any]) -> Claims:
    """The claims that have these fields; the inverse of `said`."""
    engagement = Engagement(**{name: fields[name] for name in ENGAGEMENT})
    return Claims(engagement=engagement, **{name: fields[name] for name in LINK})
