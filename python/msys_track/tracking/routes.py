"""From a request target to its reply: which paths exist, and what their tokens may do.

Pure but for the counters: no socket, no clock, no queue. Everything the tracker promises about
links can be read, and tested, here.
"""

from typing import NamedTuple

from msys_track.errors import InvalidTokenError
from msys_track.keys.link import parse_path
from msys_track.keys.ring import Claims, KeyRing
from msys_track.metrics import Counters
from msys_track.tracking.location import is_http, make_location, percent_encode
from msys_track.tracking.replies import Replies, Response
from msys_track.tracking.settings import Expired

_CLICKS = "/f/"
_OPENS = "/q/"

_CLICK_KINDS = frozenset({"click", "amp_click", "link_unsubscribe"})
_OPEN_KINDS = frozenset({"open", "initial_open", "amp_open", "amp_initial_open"})


class Outcome(NamedTuple):
    """The answer, and the claims that make the event of a GET.

    Attributes:
        defect: Why the reply is only a makeshift; log it once the reader has its answer.
    """

    reply: Response
    claims: Claims | None = None
    defect: Exception | None = None


class Routes:
    """The tracker's paths, over one key ring; `expired` is what `TrackerSettings` says."""

    __slots__ = ("_counters", "_expired", "_keys", "_replies")

    def __init__(
        self, keys: KeyRing, replies: Replies, counters: Counters, expired: Expired = "redirect"
    ) -> None:
        self._expired = expired
        self._keys = keys
        self._replies = replies
        self._counters = counters

    def use(self, keys: KeyRing) -> None:
        """Open links with another ring from now on."""
        self._keys = keys

    def outcome(self, target: bytes, now: float) -> Outcome:
        """Answer a GET or HEAD of a request target (RFC 9112 section 3.2) at Unix time `now`."""
        path = parse_path(target)
        if path.startswith(_CLICKS):
            return self._click(path, now)
        if path.startswith(_OPENS):
            return self._open(path, now)
        self._counters.add("not_found")
        return Outcome(self._replies.not_found)

    def _click(self, path: str, now: float) -> Outcome:
        claims = self._open_token(path, _CLICK_KINDS)
        redirect = None
        if claims is not None and claims.target is not None:
            redirect = self._redirect(claims.target)
        if claims is None or redirect is None:
            self._counters.add("invalid_tokens")
            return Outcome(self._replies.not_found)
        unexpired = self._drop_expired(claims, now)
        if unexpired is None and self._expired == "gone":
            return Outcome(self._replies.gone)
        self._counters.add("clicks")
        return redirect._replace(claims=unexpired)

    def _redirect(self, target: str) -> Outcome | None:
        """Redirect to an authentic target; None for what must never be redirected to."""
        # The core seals http and https only; this is the second guard.
        if not is_http(target):
            return None
        try:
            where = make_location(target)
            return None if where is None else Outcome(self._replies.redirect(where))
        except Exception as defect:  # noqa: BLE001 - no defect of ours keeps a reader from the target
            self._counters.add("failures")
            return Outcome(self._replies.redirect(percent_encode(target)), defect=defect)

    def _open(self, path: str, now: float) -> Outcome:
        claims = self._open_token(path, _OPEN_KINDS)
        if claims is None:
            # Send the image anyway: the reader would see a broken one.
            self._counters.add("invalid_tokens")
            return Outcome(self._replies.pixel)
        self._counters.add("opens")
        return Outcome(self._replies.pixel, self._drop_expired(claims, now))

    def _open_token(self, path: str, kinds: frozenset[str]) -> Claims | None:
        try:
            claims = self._keys.open(path)
        except InvalidTokenError:
            return None
        return claims if claims.kind in kinds else None

    def _drop_expired(self, claims: Claims, now: float) -> Claims | None:
        if not claims.is_expired(now):
            return claims
        self._counters.add("expired")
        return None
