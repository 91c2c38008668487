"""Any table of the report as a file: CSV for spreadsheets, NDJSON for programs.

The address of an export is that of the page, with the same query.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from msys_track.event_fields import NO_MESSAGE_ID
from msys_track.report.queries import (
    Dimension,
    read_campaigns,
    read_groups,
    read_links,
    read_series,
)
from msys_track.report.rendering import ask_store
from msys_track.report.searching import search
from msys_track.report.tables import (
    Table,
    make_links_table,
    make_search_table,
    make_stats_table,
)
from msys_track.report.view import GROUPED, View
from msys_track.sinks.store.exporting import Page, make_csv, make_csv_lines
from msys_track.sinks.store.reading import Filter, Store, open_store
from msys_track.sinks.store.rows import read_fields

_TYPES: Final = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}
# Beyond what a page shows, and still bounded: addresses and names are chosen by others.
_MAX_ROWS: Final = 100_000
_MAX_FOUND: Final = 1_000


async def export_table(request: Request) -> Response:
    """Answer with a table as a file."""
    name, form = request.path_params["table"], request.path_params["form"]
    if form not in _TYPES:
        raise HTTPException(404)
    if name == "events":
        return await _export_events(request, form)
    if name not in _TABLES:
        raise HTTPException(404)
    table = await ask_store(request, partial(_TABLES[name], request=request))
    body = make_csv_lines([table.columns, *table.rows]) if form == "csv" else _make_ndjson(table)
    return Response(body, media_type=_TYPES[form], headers=_name_file(name, form))


async def _export_events(request: Request, form: str) -> Response:
    """Answer with events as they are stored: of a message, a recipient, or a view's mail."""
    query = request.query_params
    only_without_campaign = False
    if message := query.get("message"):
        if message == NO_MESSAGE_ID:  # of more mails than there can be on one page
            raise HTTPException(404)
        wanted = Filter(message=message)
    elif address := query.get("address"):
        wanted = Filter(recipient=address)
    else:
        view = View.read(query)
        wanted = Filter(
            campaign=view.campaign or None, since=view.period.since, until=view.period.until
        )
        only_without_campaign = view.campaign == ""
    if request.method == "HEAD":  # nobody takes what would be read
        return Response(media_type=_TYPES[form], headers=_name_file("events", form))
    # The first page is read before the answer begins: then there can still be an error's page.
    first = await ask_store(request, partial(_read_page, wanted=wanted))
    pages = _read_pages(request.app.state.store, wanted, first)
    if only_without_campaign:
        pages = map(_leave_campaigns_out, pages)
    pieces = make_csv(pages) if form == "csv" else map(_join_lines, pages)
    return StreamingResponse(pieces, media_type=_TYPES[form], headers=_name_file("events", form))


def _read_page(store: Store, wanted: Filter) -> Page:
    return next(store.pages(wanted), [])


def _read_pages(path: Path, wanted: Filter, page: Page) -> Iterator[Page]:
    """Yield all pages. The store is opened for each: another thread may ask for it."""
    while page:
        yield page
        if wanted.message is not None:  # it is one page
            return
        wanted = replace(wanted, after=page[-1][0])
        with open_store(path) as store:
            page = _read_page(store, wanted)


def _leave_campaigns_out(page: Page) -> Page:
    return [row for row in page if not read_fields(row[1]).get("campaign_id")]


def _join_lines(page: Page) -> bytes:
    return b"".join(b"%b\n" % event for _, event in page)


def _make_ndjson(table: Table) -> bytes:
    return b"".join(
        orjson.dumps(dict(zip(table.columns, row, strict=True)), option=orjson.OPT_APPEND_NEWLINE)
        for row in table.rows
    )


def _name_file(table: str, form: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{table}.{form}"'}


def _list_series(store: Store, request: Request) -> Table:
    view = View.read(request.query_params)
    return make_stats_table("time", read_series(store, view.period, view.campaign))


def _list_campaigns(store: Store, request: Request) -> Table:
    view = View.read(request.query_params)
    return make_stats_table("campaign", read_campaigns(store, view.period, limit=_MAX_ROWS))


def _list_groups(store: Store, request: Request) -> Table:
    view, dimension = View.read(request.query_params), read_dimension(request)
    found = read_groups(store, view.period, dimension, view.campaign, limit=_MAX_ROWS)
    return make_stats_table(str(dimension), found)


def _list_links(store: Store, request: Request) -> Table:
    view = View.read(request.query_params)
    return make_links_table(read_links(store, view.campaign or "", view.period))


def _list_found(store: Store, request: Request) -> Table:
    return make_search_table(search(store, request.query_params.get("q", ""), limit=_MAX_FOUND))


def read_dimension(request: Request) -> Dimension:
    """Read what to group by.

    Raises:
        HTTPException: there is no such grouping; the answer is 404.
    """
    for dimension in GROUPED:
        if dimension == request.query_params.get("by"):
            return dimension
    raise HTTPException(404)


_TABLES: Final[dict[str, Callable[..., Table]]] = {
    "series": _list_series,
    "campaigns": _list_campaigns,
    "groups": _list_groups,
    "links": _list_links,
    "search": _list_found,
}

ROUTES: Final = [Route("/export/{table}.{form}", export_table, methods=["GET"])]
