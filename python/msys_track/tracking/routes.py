"""From a request target to its reply: which paths exist, and what their tokens may do.

Pure but for the counters: no socket, no clock, no queue. Everything the tracker promises about
links can be read, and tested, here.
"""

import re
from typing import Final, NamedTuple

from msys_track.errors import InvalidTokenError
from msys_track.keys.link import find_path_and_query, has_own_form, parse_path
from msys_track.keys.ring import Claims, KeyRing
from msys_track.metrics import Counters
from msys_track.tracking.location import is_http, make_location, percent_encode
from msys_track.tracking.replies import Replies, Response
from msys_track.tracking.settings import REFUSE, Expired

_CLICKS = "/f/"
_OPENS = "/q/"
# What Momentum and SparkPost made; /e/ is their older form.
_FOREIGN: Final = ("/f/", "/q/", "/o/", "/u/", "/e/")
_VISIBLE: Final = re.compile(rb"[!-~]+")
# A browser would climb out of the folder, or take a backslash for a slash (URL Standard 4.4).
_CLIMBS: Final = re.compile(r"\\|/\.{1,2}(/|\Z)")

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
    """The tracker's paths, over one key ring.

    `expired` and `unknown_links` are what `TrackerSettings` says.
    """

    __slots__ = ("_counters", "_expired", "_keys", "_old_tracker", "_replies")

    def __init__(
        self,
        keys: KeyRing,
        replies: Replies,
        counters: Counters,
        expired: Expired = "redirect",
        *,
        unknown_links: str = REFUSE,
    ) -> None:
        self._expired = expired
        self._old_tracker = None if unknown_links == REFUSE else unknown_links
        self._keys = keys
        self._replies = replies
        self._counters = counters

    def use(self, keys: KeyRing) -> None:
        """Open links with another ring from now on."""
        self._keys = keys

    def outcome(self, target: bytes, now: float) -> Outcome:
        """Answer a GET or HEAD of a request target (RFC 9112 section 3.2) at Unix time `now`."""
        path = parse_path(target)
        outcome = None
        if path.startswith(_CLICKS):
            outcome = self._click(path, now)
        elif path.startswith(_OPENS):
            outcome = self._open(path, now)
        return outcome or self._hand_on(target, path) or self._refuse(path)

    def _hand_on(self, target: bytes, path: str) -> Outcome | None:
        """Send a link of another tracker on to it; None for one of ours, and for other paths.

        Only the configured origin is ever gone to: what the client sent begins with a slash there.
        """
        if (
            self._old_tracker is None
            or not path.startswith(_FOREIGN)
            or has_own_form(path, self._keys.ids)
            or _CLIMBS.search(path)
        ):
            return None
        path_and_query = find_path_and_query(target)
        if not _VISIBLE.fullmatch(path_and_query):
            return None
        self._counters.add("handed_on")
        location = self._old_tracker + path_and_query.decode("ascii")
        return Outcome(self._replies.redirect(location))

    def _refuse(self, path: str) -> Outcome:
        if path.startswith(_OPENS):
            # Send the image anyway: the reader would see a broken one.
            self._counters.add("invalid_tokens")
            return Outcome(self._replies.pixel)
        self._counters.add("invalid_tokens" if path.startswith(_CLICKS) else "not_found")
        return Outcome(self._replies.not_found)

    def _click(self, path: str, now: float) -> Outcome | None:
        claims = self._open_token(path, _CLICK_KINDS)
        redirect = None
        if claims is not None and claims.target is not None:
            redirect = self._redirect(claims.target)
        if claims is None or redirect is None:
            return None
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

    def _open(self, path: str, now: float) -> Outcome | None:
        claims = self._open_token(path, _OPEN_KINDS)
        if claims is None:
            return None
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
