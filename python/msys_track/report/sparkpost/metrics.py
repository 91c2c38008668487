"""`GET /api/v1/metrics/…`: the counts that a store keeps, under SparkPost's names.

They come from the roll-ups alone, so a request costs the same however many events there are. A
number that the roll-ups can't tell is refused and not guessed: what an upstream delivers or
bounces is unknown here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

from msys_track.report.sparkpost.parameters import Parameters
from msys_track.report.sparkpost.problems import RequestError, refuse
from msys_track.report.sparkpost.tallies import By, Key, Question, Tally, read_tallies
from msys_track.sinks.store.reading import Store

PATH: Final = "/api/v1/metrics"

Grouping: TypeAlias = Literal["", "time-series", "campaign", "domain", "link-name"]

_OPENS: Final = frozenset({"open", "amp_open"})
_INITIAL_OPENS: Final = frozenset({"initial_open", "amp_initial_open"})
_CLICKS: Final = frozenset({"click", "amp_click"})
_INJECTIONS: Final = frozenset({"injection"})
_REJECTIONS: Final = frozenset({"policy_rejection"})
_UNSUBSCRIBES: Final = frozenset({"list_unsubscribe", "link_unsubscribe"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """How a number is made.

    Attributes:
        meaning: What it says here.
        types: Of the events that are counted.
        action: What messages are counted by that had it for the first time; in place of types.
        is_direct: Whether machines are left out.
    """

    meaning: str
    types: frozenset[str] = frozenset()
    action: str = ""
    is_direct: bool = False

    def read(self, tally: Tally) -> int:
        """Return the number."""
        if self.action:
            return (tally.direct_messages if self.is_direct else tally.messages)[self.action]
        events = tally.direct_events if self.is_direct else tally.events
        return sum(events[each] for each in self.types)


_COPIES = "copies that the proxy handed on (`injection`)"
_UNIQUE_OPENS = "messages that were opened for the first time, whichever pixel was loaded"
_CONFIRMED = "messages that were opened or clicked for the first time"
_DIRECT = ", without machines"

METRICS: Final[Mapping[str, Metric]] = {
    "count_targeted": Metric(
        meaning="copies that the proxy handed on, and what policy refused",
        types=_INJECTIONS | _REJECTIONS,
    ),
    "count_injected": Metric(meaning=_COPIES, types=_INJECTIONS),
    "count_sent": Metric(meaning=_COPIES, types=_INJECTIONS),
    "count_accepted": Metric(
        meaning=f"{_COPIES}: accepted by the upstream, not by the recipient's server",
        types=_INJECTIONS,
    ),
    "count_rejected": Metric(meaning="what policy refused", types=_REJECTIONS),
    "count_policy_rejection": Metric(meaning="what policy refused", types=_REJECTIONS),
    "count_rendered": Metric(
        meaning="loads of the pixel at the end (`open`, `amp_open`)", types=_OPENS
    ),
    "count_nonprefetched_rendered": Metric(
        meaning=f"the same{_DIRECT}", types=_OPENS, is_direct=True
    ),
    "count_initial_rendered": Metric(
        meaning="loads of the pixel at the top (`initial_open`, `amp_initial_open`)",
        types=_INITIAL_OPENS,
    ),
    "count_nonprefetched_initial_rendered": Metric(
        meaning=f"the same{_DIRECT}", types=_INITIAL_OPENS, is_direct=True
    ),
    "count_unique_rendered": Metric(meaning=_UNIQUE_OPENS, action="open"),
    "count_nonprefetched_unique_rendered": Metric(
        meaning=f"the same{_DIRECT}", action="open", is_direct=True
    ),
    "count_unique_initial_rendered": Metric(meaning=_UNIQUE_OPENS, action="open"),
    "count_nonprefetched_unique_initial_rendered": Metric(
        meaning=f"the same{_DIRECT}", action="open", is_direct=True
    ),
    "count_unique_confirmed_opened": Metric(meaning=_CONFIRMED, action="confirmed"),
    "count_nonprefetched_unique_confirmed_opened": Metric(
        meaning=f"the same{_DIRECT}", action="confirmed", is_direct=True
    ),
    "count_clicked": Metric(meaning="clicks (`click`, `amp_click`)", types=_CLICKS),
    "count_unique_clicked": Metric(
        meaning="messages that were clicked for the first time", action="click"
    ),
    "count_unsubscribe": Metric(
        meaning="unsubscriptions (`list_unsubscribe`, `link_unsubscribe`)", types=_UNSUBSCRIBES
    ),
}
"""The metrics that are answered, by SparkPost's names."""

_EARLIER_NAMES: Final[Mapping[str, str]] = {
    f"{name}_approx": name
    for name in ("count_unique_rendered", "count_unique_confirmed_opened", "count_unique_clicked")
}
_OF_LINKS: Final = frozenset({"count_clicked"})

_NO_SUCH_COUNT: Final = "the counts of the store are not kept by it"
_UNKNOWABLE: Final[Mapping[str, str]] = dict.fromkeys(
    (
        "templates", "sending_ips", "ip_pools", "sending_domains", "subaccounts",
        "mailbox_providers", "mailbox_provider_regions", "subject_campaigns", "query_filters",
    ),
    _NO_SUCH_COUNT,
)  # fmt: skip
_SHARED: Final = frozenset({"from", "to", "timezone", "delimiter"})
_FILTERS: Final = frozenset({"metrics", "precision", "campaigns", "domains"})
_NAMES: Final[Mapping[Grouping, frozenset[str]]] = {
    "": _SHARED | _FILTERS,
    "time-series": _SHARED | _FILTERS,
    "campaign": _SHARED | _FILTERS | {"limit", "order_by"},
    "domain": _SHARED | _FILTERS | {"limit", "order_by"},
    "link-name": _SHARED | {"metrics", "campaigns", "limit"},
}
_KEYS: Final[Mapping[Grouping, str]] = {
    "campaign": "campaign_id",
    "domain": "domain",
    "link-name": "link_name",
}
_FINE: Final = ("1min", "5min", "15min")
_SECONDS: Final[Mapping[str, int]] = {"hour": 3_600, "12hr": 43_200, "day": 86_400}
_MAX_HOURLY_SECONDS: Final = 31 * 86_400
_END_OF_TIME: Final = int(datetime(9999, 1, 1, tzinfo=UTC).timestamp())
_MAX_RESULTS: Final = 10_000
_LIMIT: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRequest:
    """A request of metrics that can be answered.

    Attributes:
        metrics: By the names that it has for them.
        since: Unix seconds; the beginning of an hour or a day.
        until: Unix seconds; before the beginning of an hour or a day.
        campaigns: Only these; empty: all.
        domains: Only mail to these; empty: all.
        precision: Of a series: `hour`, `12hr`, `day`, `week` or `month`.
        order_by: The name of the metric that results are sorted by, the largest first.
    """

    grouping: Grouping
    metrics: Mapping[str, Metric]
    since: int
    until: int
    campaigns: tuple[str, ...]
    domains: tuple[str, ...]
    precision: str
    order_by: str
    limit: int
    parameters: Parameters


def read_metric_request(
    grouping: Grouping, pairs: Sequence[tuple[str, str]], now: float
) -> MetricRequest:
    """Read the query of a request for metrics.

    Args:
        grouping: What stands behind `/metrics/deliverability/`.
        pairs: Names and values of the query, decoded.
        now: Unix seconds.

    Raises:
        RequestError: a parameter or a metric is missing, unknown, or can't be told here.
    """
    parameters = Parameters(pairs, _NAMES[grouping], _UNKNOWABLE)
    metrics = _read_metrics(parameters, grouping)
    if parameters.text("from") is None:
        raise refuse("from is required: a time as in 2026-11-29T08:00")
    since, until = parameters.window(now)
    domains = tuple(each.lower() for each in parameters.values("domains"))
    by_day = bool(domains) or grouping in ("domain", "link-name")
    precision = _read_precision(parameters, grouping, by_day=by_day)
    if precision == "hour" and until - since > _MAX_HOURLY_SECONDS:
        raise refuse("precision: hour is for 31 days at most; use day")
    step = 86_400 if by_day or precision in ("day", "week", "month") else 3_600
    order_by = parameters.text("order_by") or next(iter(metrics))
    if order_by not in metrics:
        raise refuse("order_by must be one of metrics")
    return MetricRequest(
        grouping=grouping,
        metrics=metrics,
        since=since // step * step,
        until=-(-until // step) * step,
        campaigns=parameters.values("campaigns"),
        domains=domains,
        precision=precision,
        order_by=order_by,
        limit=parameters.number("limit", _LIMIT, lowest=1, highest=_MAX_RESULTS),
        parameters=parameters,
    )


def answer_metrics(store: Store, request: MetricRequest) -> dict[str, Any]:
    """Read what a request wants: `results`, and `links` to what else there is.

    Raises:
        RequestError: the series would be too long.
        SinkError: the store can't be read; the text says what to do.
    """
    tallies = read_tallies(store, _ask(request))
    if request.grouping == "time-series":
        return {"results": list(_make_series(request, tallies))}
    if not request.grouping:
        total = tallies.get("", Tally())
        return {"results": [_read_metrics_of(request, total)], "links": _DELIVERABILITY_LINKS}
    results = [
        {**_read_metrics_of(request, tally), _KEYS[request.grouping]: key}
        for key, tally in tallies.items()
    ]
    results = [each for each in results if any(each[name] for name in request.metrics)]
    results.sort(key=lambda each: (-each[request.order_by], each[_KEYS[request.grouping]]))
    return {"results": results[: request.limit]}


def _ask(request: MetricRequest) -> Question:
    by: By = "hour" if request.precision in ("hour", "12hr") else "day"
    if request.grouping != "time-series":
        by = request.grouping
    return Question(
        by=by,
        since=request.since,
        until=request.until,
        campaigns=request.campaigns,
        domains=request.domains,
        types=frozenset[str]().union(*(each.types for each in request.metrics.values())),
        actions=frozenset(each.action for each in request.metrics.values() if each.action),
    )


def answer_root() -> dict[str, Any]:
    """Return the links that SparkPost's root of metrics has, as far as they are answered."""
    names = ("campaigns", "deliverability", "domains")
    return {"results": {}, "links": [_link(f"/{name}", name) for name in names]}


def _link(path: str, rel: str) -> dict[str, str]:
    return {"href": PATH + path, "rel": rel, "method": "GET"}


_DELIVERABILITY_LINKS: Final = [
    _link(f"/deliverability{f'/{each}' if each else ''}", each or "deliverability")
    for each in _NAMES
]


def _read_metrics(parameters: Parameters, grouping: Grouping) -> dict[str, Metric]:
    metrics: dict[str, Metric] = {}
    known = _OF_LINKS if grouping == "link-name" else METRICS.keys()
    for name in parameters.values("metrics"):
        full_name = _EARLIER_NAMES.get(name, name)
        if full_name not in known:
            raise refuse(
                f"metrics: {name[:100]} is not known here; there are {', '.join(sorted(known))}"
            )
        metrics[name] = METRICS[full_name]
    if not metrics:
        raise refuse(f"metrics is required; there are {', '.join(sorted(known))}")
    return metrics


def _read_precision(parameters: Parameters, grouping: Grouping, *, by_day: bool) -> str:
    series = grouping == "time-series"
    allowed = ("hour", "12hr", "day", "week", "month") if series else ("hour", "day")
    precision = parameters.choice("precision", (*_FINE, *allowed))
    if precision in _FINE:
        raise refuse(f"precision: the counts are of whole hours; use {' or '.join(allowed[:2])}")
    if by_day and precision in ("hour", "12hr"):
        raise refuse("precision: what is counted by domain is of whole days; use day")
    return precision or ("day" if series else "")


def _read_metrics_of(request: MetricRequest, tally: Tally) -> dict[str, Any]:
    return {name: metric.read(tally) for name, metric in request.metrics.items()}


def _make_series(request: MetricRequest, tallies: Mapping[Key, Tally]) -> Iterator[dict[str, Any]]:
    """Yield a result for each step, those in which nothing happened too."""
    steps = list(_make_steps(request))
    place = 0
    sums = [Tally() for _ in steps]
    for at in sorted(tallies, key=int):
        while place + 1 < len(steps) and steps[place + 1] <= int(at):
            place += 1
        sums[place].add(tallies[at])
    zone = request.parameters.zone if request.precision in ("hour", "12hr") else UTC
    for step, tally in zip(steps, sums, strict=True):
        begins = datetime.fromtimestamp(step, UTC).astimezone(zone)
        yield {**_read_metrics_of(request, tally), "ts": begins.isoformat(timespec="seconds")}


def _make_steps(request: MetricRequest) -> Iterator[int]:
    """Yield the Unix seconds at which each step of a series begins."""
    if request.until > _END_OF_TIME:  # the step after it would have no date
        raise RequestError(400, "Invalid parameter", "to must be before the year 9999")
    at, number = datetime.fromtimestamp(request.since, UTC), 0
    if request.precision == "12hr":
        at = at.replace(hour=at.hour // 12 * 12)
    elif request.precision == "week":
        at -= timedelta(days=at.weekday())
    elif request.precision == "month":
        at = at.replace(day=1)
    while int(at.timestamp()) < request.until:
        number += 1
        if number > _MAX_RESULTS:
            text = "from and to are too far apart for this precision; use a coarser one"
            raise RequestError(400, "Invalid parameter", text)
        yield int(at.timestamp())
        if request.precision == "month":
            at = (at + timedelta(days=31)).replace(day=1)
        elif request.precision == "week":
            at += timedelta(days=7)
        else:
            at += timedelta(seconds=_SECONDS[request.precision])
