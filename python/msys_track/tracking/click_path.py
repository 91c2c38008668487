"""The click path: plain GETs of tracked links, answered in one call into the compiled core.

The core answers a read as the tracker does in Python, byte for byte, or leaves it: whatever is not
plain (`rust/http/`) goes through `request.py` and `routes.py`, where all rules are.
"""

from collections.abc import Mapping

from msys_track.eventlog.hits import HitLog
from msys_track.keys.ring import KeyRing
from msys_track.tracking.replies import Replies
from msys_track.tracking.settings import TrackerSettings
from msys_track.tracking.withdrawal import Withdrawal

try:
    from msys_track._core import ClickPath
    from msys_track._core import HitLog as _CoreHitLog
except ModuleNotFoundError:  # a package without the compiled core
    ClickPath = None  # type: ignore[assignment, misc]

__all__ = ["ClickPath", "make_click_path"]


def make_click_path(  # noqa: PLR0913 - what answers depend on
    settings: TrackerSettings,
    replies: Replies,
    hits: HitLog,
    keys: KeyRing,
    *,
    keys_by_host: Mapping[str, KeyRing],
    overrides: Mapping[str, str],
    withdrawal: Withdrawal,
) -> ClickPath | None:
    """Make the core's part of a tracker; None where all has to be answered in Python.

    It keeps what it is given as it is now: once keys or files have changed, another one is made.

    Args:
        settings: The limits, and which proxies are trusted.
        replies: What is answered.
        hits: Takes the hits; only the core's hit log can.
        keys: Open the links.
        keys_by_host: Those of tenants, by hosts in lower case, without ports.
        overrides: Links to these old targets are left to Python.
        withdrawal: Links of these recipients are, too.
    """
    if ClickPath is None or not isinstance(hits, _CoreHitLog):
        return None
    return ClickPath(
        hits,
        keys=keys.core,
        keys_by_host={host: each.core for host, each in keys_by_host.items()},
        redirect_start=replies.redirect_start,
        redirect_end=replies.redirect_end,
        pixel_head=replies.pixel.head,
        pixel_body=replies.pixel.body,
        trusted=[str(network) for network in settings.trusted_proxies],
        limits=(
            settings.max_request_line_bytes,
            settings.max_header_bytes,
            settings.max_headers,
            settings.max_pipelined_requests,
        ),
        targets=set(overrides),
        recipients=set(withdrawal.addresses),
        hashes=set(map(bytes.fromhex, withdrawal.hashes)),
    )
