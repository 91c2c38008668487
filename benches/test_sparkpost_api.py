"""SparkPost's read APIs over a large store: none of their requests takes long.

`--events 10000000` makes it as large as the figures of docs/sparkpost-api.md: 14 GB, half an hour.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import orjson
from benches.conftest import Bars, Benchmark, Report
from benches.test_store import clock, fill

from msys_track.report.sparkpost.events import MESSAGE_PATH, answer_events, read_event_request
from msys_track.report.sparkpost.metrics import (
    METRICS,
    Grouping,
    answer_metrics,
    read_metric_request,
)
from msys_track.sinks.store.reading import Filter, open_store
from msys_track.sinks.store.rows import read_fields

LARGEST = "a page of 10,000 events"


def test_requests(
    benchmark: Benchmark, report: Report, bars: Bars, store_path: Path, events: int
) -> None:
    benchmark.pedantic(lambda: fill(store_path, events, []), rounds=1)
    took = measure(store_path)
    rows = [[what, f"{seconds * 1000:,.1f} ms"] for what, seconds in took.items()]
    report.table(f"SparkPost's read APIs, {events:,} events", ["", ""], rows)
    for what, seconds in took.items():
        if what != LARGEST:
            bars.at_most(what, seconds * 1e6, 200_000)


def measure(path: Path) -> dict[str, float]:
    """Time each kind of request over all of a store; return seconds by what is asked for."""
    with open_store(path) as store:
        fields = read_fields(store.newest(Filter(), 2)[0][1])
        oldest, newest = store.select("SELECT min(at), max(at) FROM events")[0]
    ever = [("from", write(oldest)), ("to", write(newest + 60))]
    metrics = [*ever, ("metrics", ",".join(METRICS))]

    def find(**filters: str) -> Callable[[], object]:
        request = read_event_request(MESSAGE_PATH, [*ever, *filters.items()], newest)
        return lambda: read(lambda store: answer_events(store, request))

    def count(grouping: Grouping, **filters: str) -> Callable[[], object]:
        request = read_metric_request(grouping, [*metrics, *filters.items()], newest)
        return lambda: read(lambda store: answer_metrics(store, request))

    def read(answer: Callable[..., object]) -> bytes:
        with open_store(path) as store:
            return orjson.dumps(answer(store))

    campaign, domain = fields["campaign_id"], fields["recipient_domain"]
    requests = {
        "a page of 1,000 events": find(),
        LARGEST: find(per_page="10000"),
        "events of one type": find(events="click"),
        "events of a campaign": find(campaigns=campaign),
        "events of a type and a campaign": find(campaigns=campaign, events="click"),
        "events of a recipient": find(recipients=fields["rcpt_to"]),
        "events of a message": find(message_ids=fields["message_id"]),
        "events of a domain that nobody has": find(recipient_domains="none.test"),
        "events of a subject that none has": find(subject="none"),
        "all metrics": count(""),
        "all metrics by campaign": count("campaign"),
        "all metrics by domain": count("domain"),
        "all metrics of a domain": count("", domains=domain),
        "all metrics by day": count("time-series"),
    }
    return {what: clock(ask) for what, ask in requests.items()}


def write(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M")
