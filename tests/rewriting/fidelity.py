"""One message through the product and then before the oracle: the promise of fidelity, whole."""

from collections import Counter
from dataclasses import dataclass

from tests import oracle

from msys_track.dispatch.copies import Copy
from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.keys.ring import KeyRing
from msys_track.options.tracking import TrackingOptions

DOMAIN = "click.example.com"
KEYS = KeyRing.temporary()
# What the oracle knows of: links of the markup that everybody is shown, and one pixel.
REWRITER = Dispatcher(
    keys=KEYS,
    options=TrackingOptions(
        open_tracking=True,
        click_tracking=True,
        tracking_domain=DOMAIN,
        outlook_links=False,
        keep_link_attributes=True,
    ),
)
OF_A_LINK = frozenset({"not_http", "no_host", "opted_out"})
OF_ROOM = frozenset({"line_too_long", "url_too_long", "already_tracked"})


@dataclass(frozen=True, slots=True)
class CheckedCopy:
    """A copy that has passed, and what the oracle saw."""

    copy: Copy
    difference: oracle.Difference


def check(message: bytes, rewriter: Dispatcher = REWRITER) -> CheckedCopy:
    """Rewrite a message for one recipient and prove that nothing else came of it.

    Raises:
        AssertionError: a byte differs that must not, a link leads elsewhere, or something was
            left alone without the right reason.
        HeaderRefusedError: `X-MSYS-API` is malformed.
    """
    copy = rewriter.copy_for("jo@example.com", message, now=1_700_000_000)
    assert oracle.replay_edits(message, copy.edits) == copy.message
    assert oracle.undone(message, copy.message, copy.edits) == message
    oracle.check_edits(message, copy.edits)
    found = oracle.difference(message, copy.message)
    assert (len(found.links), len(found.pixels)) == (copy.wrapped_links, copy.pixels)
    _check_claims(found)
    if rewriter is REWRITER:
        reasons = Counter(reason.value for _, _, reason in copy.left_alone)
        _check_reasons(found, reasons, hides_links=_hides_links(message))
    return CheckedCopy(copy, found)


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


def _hides_links(message: bytes) -> bool:
    """Whether there may be links in comments, which are reported and left alone."""
    for part in oracle.read_parts(message):
        text = b"" if part.body is None else part.body.text.lower()
        if b"<!--[if" in text or b"<v:" in text:
            return True
    return False


def _check_reasons(found: oracle.Difference, reasons: Counter[str], *, hides_links: bool) -> None:
    """Each href that stayed has its reason, and no other; so has a pixel that is not there."""
    if not found.has_html:
        assert reasons, "nothing was tracked, and nothing says why"
        return
    wanted = Counter(href.reason for href in found.kept)
    reported = Counter({reason: reasons[reason] for reason in OF_A_LINK if reasons[reason]})
    of_markup = Counter({reason: count for reason, count in wanted.items() if reason is not None})
    assert reported >= of_markup
    assert hides_links or reported == of_markup
    # Where it would have made a boundary line, a place is none.
    refused = reasons["no_pixel_place"] - found.pixels_lost
    assert refused >= 0
    without_room = wanted[None] + found.pixel_places - len(found.pixels) - refused
    assert without_room == sum(reasons[reason] for reason in OF_ROOM)
