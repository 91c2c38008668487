"""The page on one's own mail: what went in, what came out of it, and why the rest did not."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from msys_track.demo import own_mail, table
from msys_track.demo.expectations import Ledger, Section
from msys_track.demo.own_mail import RECIPIENT, OwnJourney
from msys_track.demo.readership import ReadersCopy
from msys_track.demo.stage import Stage
from msys_track.demo.words import explained
from msys_track.dispatch.copies import Copy
from msys_track.options.resolve import Origin
from msys_track.reasons import Reason
from msys_track.testing.browser import Response
from msys_track.testing.mail_reader import Link, Place, glance
from msys_track.testing.sender import WireForm

_MAX_ROWS: Final = 25
_SOURCES: Final = {"header": "X-MSYS-API"}

# What is said of one link; all other reasons are said of a part, of the pixel or of the mail.
_OF_A_LINK: Final = frozenset(
    {
        Reason.NOT_HTTP,
        Reason.NO_HOST,
        Reason.OPTED_OUT,
        Reason.ALREADY_TRACKED,
        Reason.URL_TOO_LONG,
        Reason.LINE_TOO_LONG,
    }
)


async def show(stage: Stage, say: Callable[[str], None], name: str, content: bytes) -> Ledger:
    """Send what a file holds, show what became of it, and return what was expected and found."""
    ledger = Ledger()
    section = ledger.section(name)
    seen = await own_mail.travel(stage, content)
    own_mail.check(seen, section)
    for line in (*table.opening(stage), *_page(name, stage, seen, section)):
        say(line)
    return ledger


def _page(name: str, stage: Stage, seen: OwnJourney, section: Section) -> Iterator[str]:
    yield ""
    yield table.cut(name, table.WIDTH)
    yield from table.row("went in", *_went_in(seen.wire))
    yield from table.row("answered", seen.answer.line)
    if seen.said is None:
        yield from table.row("came out", "nothing")
    else:
        left = _left_alone(stage, seen.copy, seen.said)
        yield from table.row("tracking", _tracking(seen.said))
        yield from table.row(
            "came out",
            *table.came_out(seen.wire.message, seen.copy, seen.changes),
            *_names(seen.copies),
        )
        yield from table.row("also for", *_shortened(list(_further(seen))))
        yield from table.row("opened", *map(_gif, seen.images))
        yield from table.row("clicked", *_clicked(seen))
        yield from table.row("left alone", *_shortened(list(left)))
        yield from table.row("stored", *table.stored(seen.events))
    yield from table.row("expected", table.held(section))


def _went_in(wire: WireForm) -> Iterator[str]:
    lines = wire.message.count(b"\r\n")
    at_least = "at least " if len(wire.message) >= own_mail.MAX_BYTES else ""
    size = table.counted(len(wire.message), "byte")
    yield f"{at_least}{size}, {table.counted(lines, 'line')}"
    if wire.converted:
        yield f"{table.counted(wire.converted, 'line end')} made CRLF, as mail programs do"
    if wire.was_unended:
        yield "the last line was given an end, as SMTP has no other lines"
    if not wire.message.isascii():
        yield "8-bit, so sent as BODY=8BITMIME"
    yield f"to {RECIPIENT}"


def _names(copies: Sequence[ReadersCopy]) -> Iterator[str]:
    for own in copies:
        if RECIPIENT in own.arrival.recipients and own.named[0]:
            yield f"its Cc got {', '.join(address for _, address in own.named[0])}"


def _further(seen: OwnJourney) -> Iterator[str]:
    """Name all other readers, one a line, as they may be many."""
    yield from (to for each in seen.arrived for to in each.recipients if to != RECIPIENT)


def _tracking(said: Copy) -> str:
    if said.resolved is None:
        return "opens and clicks off"
    opens, clicks = said.resolved.open_tracking, said.resolved.click_tracking
    return f"opens {_switch(opens)}, clicks {_switch(clicks)}"


def _switch(origin: Origin[bool]) -> str:
    return f"{'on' if origin.value else 'off'} ({_SOURCES.get(origin.source, origin.source)})"


def _gif(image: Response) -> str:
    return "the pixel is a GIF" if image.is_gif else f"THE PIXEL IS NO GIF: {image.status}"


def _clicked(seen: OwnJourney) -> Iterator[str]:
    yield from _shortened([_led(click) for click in seen.clicks])
    if len(seen.clicks) < len(seen.changes.wrapped):
        yield f"and on no more than these {len(seen.clicks):,}"


def _led(click: Response) -> str:
    return click.location or f"NO REDIRECT: {click.status}"


def _left_alone(stage: Stage, copy: bytes, said: Copy) -> Iterator[str]:
    links = [link for link in glance(copy).links if not stage.is_tracked(link.href)]
    remarks = _remarks(links, said)
    for link, remark in zip(links, remarks, strict=True):
        yield table.pair(link.href, remark)
    told = Counter(reason for _, _, reason in said.left_alone)
    for reason, number in told.items():
        if explained(reason) in remarks:
            continue
        if reason in _OF_A_LINK:
            what = "1 link or the pixel" if number == 1 else f"{number:,} links, or the pixel"
            yield table.pair(what, explained(reason))
        else:
            yield f"the mail or a part of it: {explained(reason)}"


def _remarks(links: Sequence[Link], said: Copy) -> list[str]:
    """Say of each link why it is as it was, as far as that can be told.

    Reasons come in the order of the mail, as links do. But the product and the standard library
    may find different links in a broken document; then no reason is put beside a link.
    """
    if said.resolved is None or not said.resolved.click_tracking.value:
        return [explained(Reason.TRACKING_OFF)] * len(links)
    told = [reason for _, _, reason in sorted(said.left_alone)]
    of_links = [reason for reason in told if reason in _OF_A_LINK]
    shown = [link for link in links if link.place is Place.HTML]
    if not of_links and len(told) == 1:  # said of the whole
        of_links = told * len(shown)
    if len(of_links) != len(shown) or not all(map(_is_plausible, shown, of_links)):
        of_links = []
    remarks = map(explained, of_links)
    return [next(remarks, "") if link.place is Place.HTML else link.place for link in links]


def _is_plausible(link: Link, reason: Reason) -> bool:
    is_http = link.href.lower().startswith(("http://", "https://"))
    return not (is_http and reason is Reason.NOT_HTTP)


def _shortened(rows: Sequence[str]) -> Iterator[str]:
    yield from rows[:_MAX_ROWS]
    if len(rows) > _MAX_ROWS:
        yield f"and {len(rows) - _MAX_ROWS} more"
