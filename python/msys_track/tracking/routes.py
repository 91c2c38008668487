"""From a request target to its reply: which paths exist, and what their tokens may do.

Pure but for the counters: no socket, no clock, no queue. Everything the tracker promises about
links can be read, and tested, here.
"""

import re
from collections.abc import Mapping
from copy import copy
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Self

from msys_track.errors import InvalidTokenError
from msys_track.keys.link import find_path_and_query, has_own_form, parse_path
from msys_track.keys.ring import Claims, KeyRing
from msys_track.metrics import Counters
from msys_track.tracking import forms
from msys_track.tracking.location import is_http, make_location, percent_encode
from msys_track.tracking.replies import Replies, Response
from msys_track.tracking.settings import REFUSE, Expired
from msys_track.tracking.withdrawal import Withdrawal

_CLICKS = "/f/"
_OPENS = "/q/"
_UNSUBSCRIBES = "/u/"
# Of Momentum's, which sends /o/ to its tracker as well: an image too, so that none looks broken.
_IMAGES: Final = (_OPENS, "/o/")
# What Momentum and SparkPost made; /e/ is their older form.
_FOREIGN: Final = ("/f/", "/q/", "/o/", "/u/", "/e/")
_VISIBLE: Final = re.compile(rb"[!-~]+")
# A browser would climb out of the folder, or take a backslash for a slash (URL Standard 4.4).
_CLIMBS: Final = re.compile(r"\\|/\.{1,2}(/|\Z)")

_CLICK_KINDS = frozenset({"click", "amp_click", "link_unsubscribe"})
_OPEN_KINDS = frozenset({"open", "initial_open", "amp_open", "amp_initial_open"})
_UNSUBSCRIBE_KINDS = frozenset({"list_unsubscribe"})
_LINK_UNSUBSCRIBE_KINDS = frozenset({"link_unsubscribe"})
_NO_FACTS: Final[Mapping[str, Any]] = MappingProxyType({})


class Outcome(NamedTuple):
    """The answer, and the claims that make the event of the request.

    Attributes:
        defect: Why the reply is only a makeshift; log it once the reader has its answer.
        facts: What the answer says of the event, beside the claims.
    """

    reply: Response
    claims: Claims | None = None
    defect: Exception | None = None
    facts: Mapping[str, Any] = _NO_FACTS


class Routes:
    """The tracker's paths, over one key ring.

    Attributes:
        overrides: The new target of each old one; another mapping may take its place.
        withdrawal: Of whom no events are made; another list may take its place.
    """

    __slots__ = (
        "_confirms", "_counters", "_expired", "_expired_url", "_files", "_keys", "_old_tracker",
        "_replies", "overrides", "withdrawal",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913 - what answers depend on
        self,
        keys: KeyRing,
        replies: Replies,
        counters: Counters,
        expired: Expired = "redirect",
        *,
        unknown_links: str = REFUSE,
        expired_url: str | None = None,
        confirms: bool = False,
        files: Mapping[str, bytes] = MappingProxyType({}),
    ) -> None:
        """Prepare to answer.

        Args:
            keys: Open the links.
            replies: What can be answered.
            counters: Count it.
            expired: As in `TrackerSettings`.
            unknown_links: The same.
            expired_url: The same.
            confirms: `confirm_unsubscribe` there.
            files: JSON files, by their paths.
        """
        self._expired = expired
        self._expired_url = expired_url
        self._old_tracker = None if unknown_links == REFUSE else unknown_links
        self._keys = keys
        self._replies = replies
        self._counters = counters
        self._confirms = confirms
        self._files = {path: replies.file(content) for path, content in files.items()}
        self._files["/robots.txt"] = replies.robots
        self.overrides: Mapping[str, str] = {}
        self.withdrawal = Withdrawal()

    def use(self, keys: KeyRing) -> None:
        """Open links with another ring from now on."""
        self._keys = keys

    def with_keys(self, keys: KeyRing) -> Self:
        """Return the same routes with another ring."""
        other = copy(self)
        other.use(keys)
        return other

    def answer(
        self, method: bytes, target: bytes, now: float, *, content_type: bytes, body: bytes
    ) -> Outcome:
        """Answer a request at Unix time `now`; only a POST has a type and a body."""
        if method == b"GET":
            return self.outcome(target, now)
        if method == b"HEAD":
            # Scanners use HEAD; readers don't: it makes no event, but says whose GET follows.
            outcome = self.outcome(target, now)
            if outcome.claims is None:
                return outcome
            self._counters.add("heads")
            return outcome._replace(facts={**outcome.facts, "method": "HEAD"})
        if method == b"POST":
            submitted = self.submit(target, content_type, body, now)
            if submitted is not None:
                return submitted
        self._counters.add("refused_methods")
        if target.startswith(_UNSUBSCRIBES.encode()) and method != b"POST":
            return Outcome(self._replies.refused_form)
        return Outcome(self._replies.refusals[HTTPStatus.METHOD_NOT_ALLOWED])

    def outcome(self, target: bytes, now: float) -> Outcome:
        """Answer a GET or HEAD of a request target (RFC 9112 section 3.2) at Unix time `now`."""
        path = parse_path(target)
        outcome = None
        if path.startswith(_CLICKS):
            outcome = self._click(path, now)
        elif path.startswith(_OPENS):
            outcome = self._open(path, now)
        elif path.startswith(_UNSUBSCRIBES):
            outcome = self._ask(path, now)
        elif path in self._files:
            return Outcome(self._files[path])
        return outcome or self._hand_on(target, path) or self._refuse(path)

    def submit(
        self, target: bytes, content_type: bytes, body: bytes, now: float
    ) -> Outcome | None:
        """Answer a POST; None where there is nothing to post.

        Only a POST unsubscribes by `/u/`: mailbox providers send one (RFC 8058 section 3.1), and
        so does the button of our page, while scanners follow links by GET.
        """
        path = parse_path(target)
        if path.startswith(_UNSUBSCRIBES):
            return self._leave(path, content_type, body, now)
        if path.startswith(_CLICKS) and self._confirms:
            return self._leave_by_link(path, content_type, body, now)
        return None

    def _ask(self, path: str, now: float) -> Outcome | None:
        claims = self._open_token(path, _UNSUBSCRIBE_KINDS)
        if claims is None:
            return None
        if self._drop_expired(claims, now) is None:
            return Outcome(self._replies.too_old)
        return Outcome(self._replies.ask)

    def _leave(self, path: str, content_type: bytes, body: bytes, now: float) -> Outcome | None:
        claims = self._open_token(path, _UNSUBSCRIBE_KINDS)
        if claims is None:
            is_foreign = self._old_tracker is not None and not has_own_form(path, self._keys.ids)
            return None if is_foreign else self._refuse(path)
        form = forms.read_form(content_type, body)
        if not form.asks_to_leave:
            return Outcome(self._replies.use_form)
        if self._drop_expired(claims, now) is None:
            return Outcome(self._replies.too_old)
        self._counters.add("unsubscribes")
        if form.is_confirmed:
            return Outcome(self._replies.done, claims, facts={"confirmed": True})
        return Outcome(self._replies.unsubscribed, claims)

    def _leave_by_link(
        self, path: str, content_type: bytes, body: bytes, now: float
    ) -> Outcome | None:
        claims = self._open_token(path, _LINK_UNSUBSCRIBE_KINDS)
        if claims is None or not _has_target(claims):
            return None
        if not forms.read_form(content_type, body).asks_to_leave:
            return Outcome(self._replies.use_form)
        outcome = self._lead(claims, now, has_left=True)
        if outcome is None or outcome.reply is self._replies.gone:
            return outcome
        outcome = outcome._replace(reply=self._replies.see_other(outcome.reply))
        if outcome.claims is None:
            return outcome
        self._counters.add("unsubscribes")
        return outcome._replace(facts={**outcome.facts, "confirmed": True})

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
        if path.startswith(_IMAGES):
            # Send the image anyway: the reader would see a broken one.
            self._counters.add("invalid_tokens")
            return Outcome(self._replies.pixel)
        is_link = path.startswith((_CLICKS, _UNSUBSCRIBES))
        self._counters.add("invalid_tokens" if is_link else "not_found")
        return Outcome(self._replies.not_found)

    def _click(self, path: str, now: float) -> Outcome | None:
        claims = self._open_token(path, _CLICK_KINDS)
        return None if claims is None or not _has_target(claims) else self._lead(claims, now)

    def _lead(self, claims: Claims, now: float, *, has_left: bool = False) -> Outcome | None:
        """Answer a click on an authentic link whose target is good.

        With `has_left` the reader has said in a form that the link is to unsubscribe them.
        """
        try:
            unexpired = self._drop_expired(claims, now)
            if unexpired is None:
                if self._expired_url is not None:
                    return Outcome(self._replies.redirect(self._expired_url))
                if self._expired == "gone":
                    return Outcome(self._replies.gone)
            elif self._confirms and claims.kind == "link_unsubscribe" and not has_left:
                return Outcome(self._replies.ask_and_lead)
            redirect = self._redirect(claims)
            if redirect is None:
                return None
            self._counters.add("clicks")
            return redirect._replace(claims=self._keep(unexpired))
        except Exception as defect:  # noqa: BLE001 - no defect of ours keeps a reader from the target
            return self._lead_somehow(claims, defect)

    def _redirect(self, claims: Claims) -> Outcome | None:
        """Redirect to an authentic target, or to what has taken its place."""
        target = claims.target or ""
        try:
            new = self.overrides.get(target)
            if new is not None and (where := make_location(new)) is not None:
                return Outcome(self._replies.redirect(where), facts={"redirected_to": new})
            where = make_location(target)
            return None if where is None else Outcome(self._replies.redirect(where))
        except Exception as defect:  # noqa: BLE001 - as above, and the event is still known
            return self._lead_somehow(claims, defect)

    def _lead_somehow(self, claims: Claims, defect: Exception) -> Outcome:
        """Redirect to an authentic target with as little as can fail."""
        self._counters.add("failures")
        location = percent_encode(claims.target or "")
        return Outcome(self._replies.redirect(location), defect=defect)

    def _open(self, path: str, now: float) -> Outcome | None:
        claims = self._open_token(path, _OPEN_KINDS)
        if claims is None:
            return None
        self._counters.add("opens")
        try:
            return Outcome(self._replies.pixel, self._keep(self._drop_expired(claims, now)))
        except Exception as defect:  # noqa: BLE001 - no defect of ours shows a broken image
            self._counters.add("failures")
            return Outcome(self._replies.pixel, defect=defect)

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

    def _keep(self, claims: Claims | None) -> Claims | None:
        """Drop the claims of who has withdrawn; to unsubscribe is their own wish, and stays."""
        if (
            claims is None
            or claims.kind == "link_unsubscribe"
            or not self.withdrawal
            or claims.engagement.recipient not in self.withdrawal
        ):
            return claims
        self._counters.add("withdrawn")
        return None


def _has_target(claims: Claims) -> bool:
    # The core seals http and https only; this is the second guard.
    return claims.target is not None and is_http(claims.target)
