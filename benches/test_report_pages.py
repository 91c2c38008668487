"""The report's pages over a large store: none takes long, from the request to its last byte.

`--events 10000000` makes it as large as the figures of docs/report.md: 14 GB, half an hour.
"""

import time
from pathlib import Path
from urllib.parse import urlencode

from benches.conftest import Bars, Benchmark, Report
from benches.test_store import fill
from tests.report.visitor import make_visitor

from msys_track.report import export, pages
from msys_track.report.queries import find_period
from msys_track.sinks.store.reading import Filter, open_store
from msys_track.sinks.store.rows import read_fields

_ROUNDS = 5


def test_pages(
    benchmark: Benchmark, report: Report, bars: Bars, store_path: Path, events: int
) -> None:
    benchmark.pedantic(lambda: fill(store_path, events, []), rounds=1)
    took = measure(store_path)
    rows = [
        [what, f"{seconds * 1000:,.1f} ms", f"{size / 1000:,.0f} KB"]
        for what, (seconds, size) in took.items()
    ]
    report.table(f"pages of the report, {events:,} events", ["", "", ""], rows)
    for what, (seconds, _) in took.items():
        bars.at_most(what, seconds * 1e6, 200_000)


def measure(path: Path) -> dict[str, tuple[float, int]]:
    """Time each page over all of a store; return seconds and bytes by what it shows."""
    with open_store(path) as store:
        fields = read_fields(store.newest(Filter(), 1)[0][1])
        newest = find_period(store)
    assert newest is not None
    month = {"from": str(newest.first), "to": str(newest.last)}
    days = {"from": str(newest.last), "to": str(newest.last)}
    decade = {"from": str(newest.last.replace(year=newest.last.year - 10)), "to": month["to"]}
    campaign = {"name": fields["campaign_id"]}
    addresses = {
        "overview of 30 days": ("/", month),
        "overview of a day": ("/", days),
        "overview of ten years": ("/", decade),
        "campaigns": ("/campaigns", month),
        "a campaign": ("/campaign", campaign | month),
        "domains": ("/groups", {"by": "domain"} | month),
        "a message": (f"/message/{fields['message_id']}", {}),
        "a recipient": ("/recipient", {"address": fields["rcpt_to"]}),
        "a search for an address": ("/search", {"q": fields["rcpt_to"][:9]}),
        "a search for a part of a name": ("/search", {"q": "aign"}),
        "a search that finds nothing": ("/search", {"q": "nobody has this"}),
        "export of campaigns": ("/export/campaigns.csv", month),
    }
    visitor = make_visitor(path, (*pages.ROUTES, *export.ROUTES))

    def ask(address: str, query: dict[str, str]) -> tuple[float, int]:
        begin = time.perf_counter()
        answer = visitor.get(f"{address}?{urlencode(query)}")
        assert answer.status_code == 200
        return time.perf_counter() - begin, len(answer.content)

    return {
        what: sorted(ask(*address) for _ in range(_ROUNDS))[_ROUNDS // 2]
        for what, address in addresses.items()
    }
