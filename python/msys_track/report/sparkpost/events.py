"""`GET /api/v1/events/message`, and `/api/v1/message-events` as it was before: single events."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

from msys_track.report.sparkpost.parameters import Parameters
from msys_track.report.sparkpost.problems import RequestError, refuse
from msys_track.report.sparkpost.search.cursor import Cursor
from msys_track.report.sparkpost.search.page import Page, find_page
from msys_track.report.sparkpost.search.wanted import Wanted
from msys_track.sinks.store.reading import Store

MESSAGE_PATH: Final = "/api/v1/events/message"
EARLIER_PATH: Final = "/api/v1/message-events"

MAX_PER_PAGE: Final = 10_000
_PER_PAGE: Final = 1_000
_INITIAL: Final = "initial"
_MAX_STARS: Final = 2
# The pages before one that is asked for by its number are read too.
_MAX_PASSED_OVER: Final = 10_000
_MAX_STEPS: Final = 20

TYPES: Final = frozenset(
    {
        "injection", "policy_rejection", "open", "initial_open", "click", "amp_open",
        "amp_initial_open", "amp_click", "list_unsubscribe", "link_unsubscribe", "reclassified",
        # What is only there if somebody imported it: nothing here makes it.
        "bounce", "delay", "delivery", "generation_failure", "generation_rejection",
        "out_of_band", "sms_status", "spam_complaint",
    }
)  # fmt: skip
"""What `events` may name: SparkPost's types of message events, and our own `reclassified`."""

_SHARED: Final = (
    "from", "to", "timezone", "delimiter", "per_page", "cursor", "events", "recipients",
    "recipient_domains", "message_ids", "messages", "transmission_ids", "transmissions",
    "subaccounts", "subject", "subjects", "sending_domains", "reason", "event_ids",
)  # fmt: skip
_NAMES: Final = {
    MESSAGE_PATH: {*_SHARED, "campaigns", "from_addresses"},
    EARLIER_PATH: {*_SHARED, "page", "campaign_ids", "campaigns", "friendly_froms"},
}
_NO_TEMPLATES: Final = "mail comes over SMTP, so no event has a template or a test of two"
_NO_DELIVERY: Final = "mail is handed on, so no event tells of its delivery"
_UNKNOWABLE: Final[Mapping[str, str]] = {
    "templates": _NO_TEMPLATES,
    "template_ids": _NO_TEMPLATES,
    "ab_tests": _NO_TEMPLATES,
    "ab_test_ids": _NO_TEMPLATES,
    "ab_test_version": _NO_TEMPLATES,
    "bounce_classes": _NO_DELIVERY,
    "sending_ips": _NO_DELIVERY,
    "ip_pools": _NO_DELIVERY,
    "mailbox_providers": _NO_DELIVERY,
    "mailbox_provider_regions": _NO_DELIVERY,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRequest:
    """A request of events that can be answered.

    Attributes:
        path: Of the endpoint.
        pairs: Its query, without `cursor` and `page`.
        since: Unix seconds; events of this second or later.
        until: Unix seconds; events before this second.
        per_page: How many events an answer has at most.
        cursor: Where the page begins; None: at the newest event.
        page: From 1 on, of the earlier endpoint.
    """

    path: str
    pairs: tuple[tuple[str, str], ...]
    wanted: Wanted
    since: int
    until: int
    per_page: int
    cursor: Cursor | None
    page: int


def read_event_request(path: str, pairs: Sequence[tuple[str, str]], now: float) -> EventRequest:
    """Read the query of a request for events.

    Args:
        path: `MESSAGE_PATH` or `EARLIER_PATH`.
        pairs: Names and values of the query, decoded.
        now: Unix seconds.

    Raises:
        RequestError: a parameter is unknown, wrong, or about what no event here has.
    """
    parameters = Parameters(pairs, _NAMES[path], _UNKNOWABLE)
    per_page = parameters.number("per_page", _PER_PAGE, lowest=1, highest=MAX_PER_PAGE)
    page = parameters.number("page", 1, lowest=1, highest=_MAX_PASSED_OVER)
    if (page - 1) * per_page > _MAX_PASSED_OVER:
        raise refuse(
            f"page {page} is more than {_MAX_PASSED_OVER:,} events away; follow the links "
            "of the answers, which have a cursor"
        )
    since, until = parameters.window(now)
    texts = {
        "transmission_id": parameters.values("transmission_ids", "transmissions"),
        "subaccount_id": parameters.values("subaccounts"),
        "friendly_from": parameters.values("from_addresses", "friendly_froms"),
        "sending_domain": _read_patterns(parameters, "sending_domains"),
        "subject": _read_patterns(parameters, "subject", "subjects", is_list=False),
        "reason": _read_patterns(parameters, "reason", is_list=False),
    }
    if path == EARLIER_PATH:
        # What `*` is now was SQL's `%` there.
        texts["reason"] = tuple(each.replace("%", "*") for each in texts["reason"])
    return EventRequest(
        path=path,
        pairs=tuple(each for each in pairs if each[0] not in ("cursor", "page")),
        wanted=Wanted(
            types=_read_types(parameters),
            campaigns=_read_patterns(parameters, "campaigns", "campaign_ids"),
            recipients=parameters.values("recipients"),
            domains=tuple(
                each.lower() for each in _read_patterns(parameters, "recipient_domains")
            ),
            messages=parameters.values("message_ids", "messages"),
            events=parameters.values("event_ids"),
            texts={name: patterns for name, patterns in texts.items() if patterns},
        ),
        since=since,
        until=until,
        per_page=per_page,
        cursor=_read_cursor(parameters.text("cursor")),
        page=page,
    )


def answer_events(store: Store, request: EventRequest) -> dict[str, Any]:
    """Read what a request wants: `results`, `total_count` and `links`.

    Raises:
        RequestError: the page can't be found by its number.
        SinkError: the store can't be read; the text says what to do.
    """
    cursor = request.cursor or Cursor.begin(store, request.since, request.until)
    if request.path == EARLIER_PATH and request.cursor is None:
        page = _find_numbered(store, request, cursor)
    else:
        page = find_page(store, request.wanted, cursor, request.per_page)
    links = [{"href": _link(request, _INITIAL), "rel": "first"}]
    if page.next is not None:
        links.append({"href": _link(request, page.next.write()), "rel": "next"})
    return {
        "results": [_write_event(fields) for fields in page.events],
        "total_count": page.total,
        "links": links,
    }


def _find_numbered(store: Store, request: EventRequest, cursor: Cursor) -> Page:
    """Find a page that is full, as one that is counted has to be; the pages before are read."""
    left = (request.page - 1) * request.per_page
    kept: list[dict[str, Any]] = []
    for _ in range(_MAX_STEPS):
        size = left or request.per_page - len(kept)
        page = find_page(store, request.wanted, cursor, size)
        if left:
            left -= len(page.events)
        else:
            kept += page.events
        if page.next is None or len(kept) == request.per_page:
            return replace(page, events=kept)
        cursor = page.next
    raise RequestError(
        400,
        "Search is too wide",
        "few of many events fit; give a shorter time, or use /api/v1/events/message, "
        "whose pages are followed by their links",
    )


def _write_event(fields: dict[str, Any]) -> dict[str, Any]:
    """Return an event as this API has it: the time is ISO 8601, where a webhook has seconds."""
    try:
        at = datetime.fromtimestamp(int(fields["timestamp"]), UTC)
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return fields
    return {**fields, "timestamp": at.isoformat(timespec="milliseconds")}


def _link(request: EventRequest, cursor: str) -> str:
    return f"{request.path}?{urlencode([*request.pairs, ('cursor', cursor)])}"


def _read_cursor(text: str | None) -> Cursor | None:
    if text is None or text == _INITIAL:
        return None
    try:
        return Cursor.read(text)
    except ValueError as error:
        raise refuse("cursor must be initial, or that of a link in an answer") from error


def _read_types(parameters: Parameters) -> tuple[str, ...]:
    types = parameters.values("events")
    for each in types:
        if each not in TYPES:
            raise refuse(f"events: {each[:100]} is no type of event; there are {_join(TYPES)}")
    return types


def _read_patterns(parameters: Parameters, *names: str, is_list: bool = True) -> tuple[str, ...]:
    read: Callable[..., Iterable[str | None]] = (
        parameters.values if is_list else lambda *each: (parameters.text(*each),)
    )
    patterns = tuple(each for each in read(*names) if each)
    for each in patterns:
        if each.count("*") > _MAX_STARS:
            raise refuse(f"{names[0]}: more than {_MAX_STARS} * in {each[:100]}")
    return patterns


def _join(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
