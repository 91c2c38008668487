"""One message through the product and then before the oracle: the promise of fidelity, whole."""

from collections import Counter
from dataclasses import dataclass

from tests import oracle

from msys_track.copies import Rewriter, Rewritten
from msys_track.keys import KeyRing
from msys_track.options.tracking import TrackingOptions
from msys_track.rewriting.native import NativeEngine, NativePlan, Rules

DOMAIN = "click.example.com"
KEYS = KeyRing.temporary()


class MarkupAlone(NativeEngine):
    """Changes what the oracle knows; `test_text.py` and `test_outlook.py` are about the rest."""

    def plan(
        self, message: bytes, rules: Rules, *, drop_header: bytes | None = None
    ) -> NativePlan:
        rules = Rules(outlook_links=False, text_links=False, keep_link_attributes=True)
        return super().plan(message, rules, drop_header=drop_header)


REWRITER = Rewriter(
    keys=KEYS,
    engine=MarkupAlone(),
    options=TrackingOptions(open_tracking=True, click_tracking=True, tracking_domain=DOMAIN),
)
OF_A_LINK = frozenset({"not_http", "no_host", "opted_out"})
OF_ROOM = frozenset({"line_too_long", "url_too_long", "already_tracked"})


@dataclass(frozen=True, slots=True)
class Checked:
    """A copy that has passed, and what the oracle saw."""

    copy: Rewritten
    difference: oracle.Difference


def check(message: bytes, rewriter: Rewriter = REWRITER) -> Checked:
    """Rewrite a message for one recipient and prove that nothing else came of it.

    Raises:
        AssertionError: a byte differs that must not, a link leads elsewhere, or something was
            left alone without the right reason.
        HeaderRefused: `X-MSYS-API` is malformed.
    """
    copy = rewriter.rewritten(message, "jo@example.com", now=1_700_000_000)
    assert oracle.replayed(message, copy.edits) == copy.message
    assert oracle.undone(message, copy.message, copy.edits) == message
    oracle.check_edits(message, copy.edits)
    found = oracle.difference(message, copy.message)
    assert (len(found.links), len(found.pixels)) == (copy.wrapped_links, copy.pixels)
    _check_claims(found)
    if rewriter is REWRITER:
        _check_reasons(found, Counter(reason.value for _, _, reason in copy.left_alone))
    return Checked(copy, found)


def _check_claims(found: oracle.Difference) -> None:
    for (raw, url), href in zip(found.links, found.wrapped, strict=True):
        claims = KEYS.open(_path(url))
        assert (claims.kind, claims.target) == ("click", href.target), raw
        assert claims.link_name == href.name, raw
    for url in found.pixels:
        assert KEYS.open(_path(url)).kind == "open"


def _path(url: str) -> str:
    scheme, _, rest = url.partition("://")
    assert (scheme, rest.partition("/")[0]) == ("http", DOMAIN)
    return rest.partition("/")[2]


def _check_reasons(found: oracle.Difference, reasons: Counter[str]) -> None:
    """Each href that stayed has its reason, and no other; so has a pixel that is not there."""
    if not found.has_html:
        assert reasons, "nothing was tracked, and nothing says why"
        return
    wanted = Counter(href.reason for href in found.kept)
    told = {reason: reasons[reason] for reason in OF_A_LINK if reasons[reason]}
    assert told == {reason: count for reason, count in wanted.items() if reason is not None}
    without_room = wanted[None] + (found.has_pixel_place and not found.pixels)
    pixel_lost = not found.has_pixel_place
    if "no_pixel_place" in reasons and found.has_pixel_place:
        without_room -= 1  # it would have made a boundary line
    assert without_room == sum(reasons[reason] for reason in OF_ROOM)
    assert reasons["no_pixel_place"] >= pixel_lost
