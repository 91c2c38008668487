"""The click map: a kept mail as it was sent, with each link's share of the clicks on it.

A mail is somebody else's text. Its frame has no scripts, loads nothing, leads nowhere and belongs
to no origin: the answer's own policy says so, and the attribute of the frame says it again.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, Literal, TypeAlias

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from msys_track.kept_mail.form import KeptLink, KeptMail, list_mails, read_mail
from msys_track.report.period import Period, read_period
from msys_track.report.queries import LinkStats, read_links
from msys_track.report.rendering import ask_store, render
from msys_track.report.showing import make_link, write_number, write_rate
from msys_track.sinks.store.reading import Store

Who: TypeAlias = Literal["people", "machines", "all"]
Part: TypeAlias = Literal["html", "text"]

PATH: Final = "/campaign/clicks"
FRAME_PATH: Final = "/campaign/clicks/frame"

_WHO: Final[tuple[Who, ...]] = ("people", "machines", "all")
_PARTS: Final[tuple[Part, ...]] = ("html", "text")
_MARKER: Final = re.compile(r"#msys-(html|text)-([0-9]{1,9})\b")
# Chromium connects to the servers of these before it asks the policy, or without asking it
# (`preconnect`): then the sender's server would see who looks at the report.
_CONNECTING: Final = re.compile(
    "<(?=link|frame|iframe|fencedframe|object|embed|applet|portal)", re.IGNORECASE
)
_DOCTYPE: Final = re.compile(r"\s*<!doctype[^>]*>", re.IGNORECASE)
_FRAME_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src {images}; font-src 'none'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'; sandbox"
)
_FRAME_HEADERS: Final = {
    "X-Frame-Options": "SAMEORIGIN",
    "X-DNS-Prefetch-Control": "off",
}
# `!important` in the layer that comes first outdoes all rules of the mail: those of later layers
# and those of none. It has no name, so that none can be added to it.
_STYLE: Final = """
a[href="{marker}"] {{
outline: 2px solid {colour} !important; outline-offset: 1px !important; }}
a[href="{marker}"]::after {{
all: initial !important; content: "{share}" !important; display: inline-block !important;
margin: 0 2px !important; padding: 0 4px !important; border-radius: 3px !important;
font: bold 12px/16px sans-serif !important; color: #fff !important;
background: {colour} !important; }}
"""
# Darker with the share; each has a contrast of at least 4.5 with white.
_COLOURS: Final = ("#6a737d", "#2f6f9f", "#0b57a4", "#7a3ea8", "#a4000f")
_STEPS: Final = (0.0, 0.1, 0.25, 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A link of a mail, with its clicks.

    Attributes:
        link: The link.
        clicks: How many.
        share: Of all clicks on this part of the mail, from 0 to 1.
    """

    link: KeptLink
    clicks: int
    share: float

    @property
    def percent(self) -> str:
        """Return the share as people read it."""
        return write_rate(round(self.share * 1_000), 1_000)

    @property
    def colour(self) -> str:
        """Return the colour of its badge."""
        return _COLOURS[sum(self.share > step for step in _STEPS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What of a campaign is to be seen: it all stands in the page's address."""

    campaign: str
    period: Period
    shape: str
    part: Part
    who: Who

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "Wish":
        """Read a query string.

        Raises:
            PeriodError: its days can't be used.
        """
        return cls(
            campaign=query.get("name", ""),
            period=read_period(query),
            shape=query.get("shape", ""),
            part=next((each for each in _PARTS if each == query.get("part")), "html"),
            who=next((each for each in _WHO if each == query.get("who")), "people"),
        )

    def link(self, path: str = PATH, **changes: str) -> str:
        """Make the address of the same, but for some changes."""
        known = {
            "name": self.campaign,
            "from": str(self.period.first),
            "to": str(self.period.last),
            "shape": self.shape,
            "part": self.part,
            "who": self.who,
        }
        return make_link(path, {**known, **changes})


def place_clicks(mail: KeptMail, stats: Sequence[LinkStats], wish: Wish) -> list[Place]:
    """Return the links of a part of a mail with their clicks, in their order."""
    clicks: dict[tuple[str, int, str], int] = {}
    for each in stats:
        key = (each.part, each.number, each.name)
        clicks[key] = clicks.get(key, 0) + count_clicks(each, wish.who)
    links = [link for link in mail.links if link.part == wish.part]
    found = [clicks.get((link.part, link.number, link.name), 0) for link in links]
    total = sum(found)
    return [
        Place(link=link, clicks=count, share=count / total if total else 0.0)
        for link, count in zip(links, found, strict=True)
    ]


def list_others(
    mail: KeptMail | None, stats: Sequence[LinkStats], wish: Wish
) -> list[tuple[LinkStats, int]]:
    """Return the clicked links that this mail has not: those of other shapes."""
    own = {(link.part, link.number, link.name) for link in mail.links} if mail else set()
    return [
        (each, count_clicks(each, wish.who))
        for each in stats
        if (each.part, each.number, each.name) not in own
    ]


def count_clicks(link: LinkStats, who: Who) -> int:
    """Return how often a link was clicked by people, by machines, or by whomever."""
    return sum(link.events.values()) if who == "all" else link.events.get(who, 0)


def make_frame(mail: KeptMail, places: Sequence[Place]) -> str:
    """Return the mail's HTML with a badge at each link: rules of style, no scripts."""
    badges = "".join(
        _STYLE.format(marker=place.link.marker, colour=place.colour, share=place.percent)
        for place in places
    )
    mail_html = _CONNECTING.sub("<no-", mail.html)  # elements that no browser knows
    # Before all of the mail, where nothing that it leaves open can swallow it.
    start = _DOCTYPE.match(mail_html)
    end = start.end() if start else 0
    style = f'<meta charset="utf-8"><style>@layer {{{badges}}}</style>'
    return f"{mail_html[:end]}{style}{mail_html[end:]}"


def split_text(text: str, places: Sequence[Place]) -> Iterator[tuple[str, Place | None]]:
    """Yield pieces of the text part, each with the link that stands behind it, if one does."""
    by_marker = {place.link.marker: place for place in places}
    at = 0
    for found in _MARKER.finditer(text):
        if found[0] in by_marker:
            yield text[at : found.start()], by_marker[found[0]]
            at = found.end()
    yield text[at:], None


async def show_click_map(request: Request) -> Response:
    """Show a campaign's mail with its clicks."""
    wish = Wish.read(request.query_params)
    stats = await _read_stats(request, wish)
    mails = await _list_mails(request, wish.campaign)
    mail = next((each for each in mails if each.shape == wish.shape), mails[0] if mails else None)
    places = place_clicks(mail, stats, wish) if mail else []
    return render(
        request,
        "clickmap.html",
        page="campaigns",
        wish=wish,
        mail=mail,
        mails=mails,
        places=places,
        others=list_others(mail, stats, wish),
        pieces=list(split_text(mail.text, places)) if mail and wish.part == "text" else [],
        frame=wish.link(FRAME_PATH, shape=mail.shape) if mail else "",
        parts=_PARTS,
        readers=_WHO,
        number=write_number,
    )


async def show_frame(request: Request) -> Response:
    """Show the mail alone, for the frame of the page."""
    wish = Wish.read(request.query_params)
    folder = request.app.state.kept_mail
    if folder is None:
        raise HTTPException(404)
    mail = await run_in_threadpool(read_mail, folder, wish.campaign, wish.shape)
    if mail is None:
        raise HTTPException(404)
    stats = await _read_stats(request, wish)
    images = "data:"
    if request.app.state.settings.allow_remote_images:
        images = "data: http: https:"
    if mail.html:
        body = make_frame(mail, place_clicks(mail, stats, wish))
    else:
        body = f"<!doctype html><title>-</title><pre>{escape(mail.text)}</pre>"
    headers = {**_FRAME_HEADERS, "Content-Security-Policy": _FRAME_POLICY.format(images=images)}
    return HTMLResponse(body, headers=headers)


async def _read_stats(request: Request, wish: Wish) -> list[LinkStats]:
    def read(store: Store) -> list[LinkStats]:
        return read_links(store, wish.campaign, wish.period)

    return await ask_store(request, read)


async def _list_mails(request: Request, campaign: str) -> list[KeptMail]:
    folder = request.app.state.kept_mail
    if folder is None:
        return []
    mails: list[KeptMail] = await run_in_threadpool(list_mails, folder, campaign)
    return mails


ROUTES: Final = (
    Route(PATH, show_click_map, methods=["GET"]),
    Route(FRAME_PATH, show_frame, methods=["GET"]),
)
