"""The pages of numbers, of a message, of a recipient, and the search."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from msys_track.event_fields import NO_MESSAGE_ID
from msys_track.report.charts import Row, Series, draw_rows, draw_series
from msys_track.report.export import read_dimension
from msys_track.report.period import Period
from msys_track.report.queries import (
    Dimension,
    LinkStats,
    find_period,
    read_campaigns,
    read_groups,
    read_links,
    read_series,
    read_totals,
)
from msys_track.report.rendering import ask_store, render, translate
from msys_track.report.searching import search
from msys_track.report.showing import make_link, write_number, write_time
from msys_track.report.timelines import EventView, read_message, read_recipient
from msys_track.report.view import GROUPED, KINDS_OF_DEEDS, View, count_merged, merge_steps
from msys_track.sinks.store.reading import Store
from msys_track.sinks.store.stats import KINDS, Stats

_MAX_CAMPAIGNS: Final = 500
_MAX_GROUPS: Final = 200
_SHOWN_GROUPS: Final = 8
_MAX_BARS: Final = 20
_EVENTS_A_PAGE: Final = 100
_MAX_FOUND: Final = 50
# The last number that the store can give an event.
_MAX_SEQUENCE: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class _Group:
    """The largest values of a dimension, as a list of bars and as a table.

    Attributes:
        name: The dimension; `campaign` for campaigns.
        has_mail: Whether mail is counted by it too; else only what readers did is.
    """

    name: str
    has_mail: bool
    rows: Sequence[Stats]
    chart: Markup


@dataclass(frozen=True, slots=True)
class _Numbers:
    """What was read for a page; `newest` are the last days with events, if there are any."""

    totals: Stats
    series: Sequence[Stats]
    groups: Mapping[str, Sequence[Stats]]
    newest: Period | None
    links: Sequence[LinkStats] = ()


async def show_overview(request: Request) -> Response:
    """Show what happened to all mail."""
    view = replace(View.read(request.query_params), campaign=None)

    def read(store: Store) -> _Numbers:
        campaigns = read_campaigns(store, view.period, limit=_SHOWN_GROUPS)
        return _Numbers(
            read_totals(store, view.period),
            read_series(store, view.period),
            {"campaign": campaigns, **_read_groups(store, view)},
            find_period(store),
        )

    return _render_numbers(request, "overview.html", view, await ask_store(request, read))


async def show_campaign(request: Request) -> Response:
    """Show what happened to a campaign's mail; without a name, to mail without a campaign."""
    name = request.query_params.get("name", "")
    view = replace(View.read(request.query_params), campaign=name)

    def read(store: Store) -> _Numbers:
        return _Numbers(
            read_totals(store, view.period, name),
            read_series(store, view.period, name),
            _read_groups(store, view),
            find_period(store, name),
            read_links(store, name, view.period),
        )

    return _render_numbers(request, "campaign.html", view, await ask_store(request, read))


async def show_campaigns(request: Request) -> Response:
    """Show all campaigns of a period."""
    view = replace(View.read(request.query_params), campaign=None)
    found = await ask_store(
        request, partial(read_campaigns, period=view.period, limit=_MAX_CAMPAIGNS + 1)
    )
    shown = found[:_MAX_CAMPAIGNS]
    return render(
        request,
        "campaigns.html",
        page="campaigns",
        view=view,
        path="/campaigns",
        group=_make_group("campaign", view, shown, bars=_MAX_BARS),
        is_cut=len(found) > len(shown),
    )


async def show_groups(request: Request) -> Response:
    """Show all values of a dimension."""
    view, dimension = View.read(request.query_params), read_dimension(request)
    found = await ask_store(
        request,
        lambda store: read_groups(
            store, view.period, dimension, view.campaign, limit=_MAX_GROUPS + 1
        ),
    )
    shown = found[:_MAX_GROUPS]
    return render(
        request,
        "groups.html",
        page="overview" if view.campaign is None else "campaigns",
        view=view,
        path="/groups",
        by=str(dimension),
        group=_make_group(str(dimension), view, shown, bars=_MAX_BARS),
        is_cut=len(found) > len(shown),
    )


async def show_message(request: Request) -> Response:
    """Show everything that happened to one message."""
    message_id = request.path_params["message_id"]
    found: list[EventView] = []
    if message_id != NO_MESSAGE_ID:  # which mail with privacy `aggregate` has, all of it
        found = await ask_store(request, partial(read_message, message_id=message_id))
        found.sort(key=lambda event: (event.at, event.sequence))
    subjects = [each.fields.get("subject") for each in found]
    return render(
        request,
        "message.html",
        status=200 if found else 404,
        message_id=message_id,
        events=found,
        subject=next((each for each in subjects if isinstance(each, str)), ""),
    )


async def show_recipient(request: Request) -> Response:
    """Show what happened to the mail of one recipient, the newest first."""
    address = request.query_params.get("address", "").strip()
    before = _read_sequence(request.query_params.get("before", ""))
    found: list[EventView] = []
    if address:
        found = await ask_store(
            request,
            lambda store: read_recipient(store, address, limit=_EVENTS_A_PAGE + 1, before=before),
        )
    shown = found[:_EVENTS_A_PAGE]
    older = shown[-1].sequence if len(found) > len(shown) else None
    return render(
        request,
        "recipient.html",
        status=200 if found else 404,
        address=address,
        events=shown,
        is_first=before is None,
        older=older and make_link("/recipient", {"address": address, "before": older}),
    )


async def show_search(request: Request) -> Response:
    """Search for a recipient, a message, a campaign or a link."""
    text = request.query_params.get("q", "").strip()
    found = await ask_store(request, partial(search, text=text, limit=_MAX_FOUND))
    return render(
        request,
        "search.html",
        page="search",
        text=text,
        found=found,
        is_cut=len(found) == _MAX_FOUND,
    )


def _read_groups(store: Store, view: View) -> dict[str, Sequence[Stats]]:
    return {
        dimension.value: read_groups(
            store, view.period, dimension, view.campaign, limit=_SHOWN_GROUPS
        )
        for dimension in GROUPED
    }


def _read_sequence(text: str) -> int | None:
    is_number = text.isascii() and text.isdigit()
    return min(int(text[:20]), _MAX_SEQUENCE) if is_number else None


def _render_numbers(request: Request, template: str, view: View, numbers: _Numbers) -> Response:
    count = count_merged(len(numbers.series))
    step = f"step.{view.period.step}{'s' if count > 1 else ''}"
    each = translate(step, count=count)
    series = merge_steps(numbers.series, count)
    return render(
        request,
        template,
        status=200 if view.campaign is None or numbers.newest else 404,
        page="overview" if view.campaign is None else "campaigns",
        path=request.url.path,
        view=view,
        newest=numbers.newest,
        is_empty=not numbers.totals.events,
        totals=numbers.totals,
        series=series,
        series_title=translate("chart.table", step=each),
        charts=_draw_charts(view, series, each) if numbers.totals.events else (),
        groups=[
            _make_group(name, view, rows, bars=_SHOWN_GROUPS)
            for name, rows in numbers.groups.items()
        ],
        links=numbers.links,
        links_chart=_draw_links(view, numbers.links),
    )


def _draw_charts(view: View, series: Sequence[Stats], step: str) -> list[tuple[str, Markup]]:
    """Draw a chart for mail that was sent, and one for each thing that readers do."""
    times = [write_time(int(stats.key)) for stats in series]
    labels = [_label_hour(time) if view.period.step == "hour" else time[:10] for time in times]
    period = translate("chart.period", first=view.period.first, last=view.period.last, step=step)
    sent = [Series("sent", [stats.sent for stats in series])]
    drawn = [(translate("chart.sent.total"), "sent", sent)]
    for what in KINDS_OF_DEEDS:
        numbers = [view.deeds(stats, what) for stats in series]
        parts = [
            Series(reader, [view.number(deeds, reader) for deeds in numbers]) for reader in KINDS
        ]
        drawn.append((translate(f"chart.{what}.{view.count}"), what, parts))
    return [
        (
            title,
            draw_series(f"chart-{name}", title, f"{period} {_sum_up(parts)}", labels, parts),
        )
        for title, name, parts in drawn
    ]


def _sum_up(parts: Sequence[Series]) -> str:
    return " ".join(
        translate(f"chart.sum.{each.kind}", number=write_number(sum(each.values)))
        for each in parts
    )


def _label_hour(time: str) -> str:
    """Label an hour by its time, and the first one of a day by the day."""
    return time[:10] if time[11:13] == "00" else time[11:16]


def _make_group(name: str, view: View, rows: Sequence[Stats], *, bars: int) -> _Group:
    shown = [
        Row(
            str(stats.key) or translate("campaign.none"),
            [(reader, view.number(view.deeds(stats), reader)) for reader in KINDS],
        )
        for stats in rows[:bars]
    ]
    chart = draw_rows(
        f"chart-{name}",
        translate(f"group.{name}"),
        translate("chart.rows", what=translate(f"chart.{view.what}.{view.count}")),
        shown,
    )
    has_mail = name in {"campaign", Dimension.TAG, Dimension.DOMAIN}
    return _Group(name, has_mail, rows, chart)


def _draw_links(view: View, links: Sequence[LinkStats]) -> Markup:
    def parts(link: LinkStats) -> list[tuple[str, int]]:
        numbers = link.messages if view.count == "unique" else link.events
        return [(reader, numbers[reader]) for reader in KINDS]

    most = sorted(links, key=lambda link: -sum(number for _, number in parts(link)))[:_MAX_BARS]
    return draw_rows(
        "chart-links",
        translate("group.link"),
        translate("chart.rows", what=translate(f"chart.clicked.{view.count}")),
        [Row(_label_link(link), parts(link)) for link in most],
    )


def _label_link(link: LinkStats) -> str:
    place = f"{link.number}. " if link.number else ""
    return place + (link.name or link.target.partition("://")[2] or link.target)


ROUTES: Final = [
    Route("/", show_overview, methods=["GET"]),
    Route("/campaigns", show_campaigns, methods=["GET"]),
    Route("/campaign", show_campaign, methods=["GET"]),
    Route("/groups", show_groups, methods=["GET"]),
    Route("/message/{message_id:path}", show_message, methods=["GET"]),
    Route("/recipient", show_recipient, methods=["GET"]),
    Route("/search", show_search, methods=["GET"]),
]
