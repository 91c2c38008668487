"""The click path: plain GETs of tracked links, answered in one call into the compiled core.

The core answers a read as the tracker does in Python, byte for byte, or leaves it: whatever is not
plain (`rust/http/`) goes through `request.py` and `routes.py`, where all rules are.
"""

from collections.abc import Mapping
from typing import Protocol

from msys_track.eventlog.hits import HitLog
from msys_track.keys.ring import KeyRing
from msys_track.tracking.replies import Replies
from msys_track.tracking.settings import TrackerSettings
from msys_track.tracking.withdrawal import Withdrawal

try:
    from msys_track._core import ClickPath as _CoreClickPath
    from msys_track._core import HitLog as _CoreHitLog
except ModuleNotFoundError:  # a package without the compiled core
    _CoreClickPath = None  # type: ignore[assignment, misc]


class ClickPath(Protocol):
    """Answers reads of whole, plain GETs."""

    def answer(self, read: bytes, peer: str | None, at: int, /) -> tuple[bytes, bool] | None:
        """Answer a read, and record its hits; None leaves it to others, with nothing done.

        Args:
            read: Bytes that begin with a request.
            peer: The client's address, as events have it.
            at: Unix time in milliseconds.

        Returns:
            What is to be written, and whether the connection ends with it.
        """

    def take_counts(self) -> tuple[int, int]:
        """Return how many clicks and opens it has answered since the last call."""


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
    May be called from any thread; that of the event loop is not held up by long lists then.

    Args:
        settings: The limits, and which proxies are trusted.
        replies: What is answered.
        hits: Takes the hits; only the core's hit log can.
        keys: Open the links.
        keys_by_host: Those of tenants, by hosts in lower case, without ports.
        overrides: Links to these old targets are left to Python.
        withdrawal: Links of these recipients are, too.
    """
    if _CoreClickPath is None or not isinstance(hits, _CoreHitLog):
        return None
    return _CoreClickPath(
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
        targets="\n".join(overrides),
        recipients="\n".join(withdrawal.addresses),
        hashes=bytes.fromhex("".join(withdrawal.hashes)),
    )
