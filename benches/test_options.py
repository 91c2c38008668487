"""What the options of a mail cost: its header and its scopes, beside `json.loads` of that header.

Every mail pays this before a byte of it is looked at, also the mail that asks for nothing.
"""

import json
from collections.abc import Callable, Mapping
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Network

import pytest
from benches.conftest import Bar, Bars, Benchmark, Report
from benches.corpus import newsletter

from msys_track.comparison.race import Called, Race
from msys_track.options.resolve import Resolved, resolve
from msys_track.options.scopes import Listen, Networks, Scope, Scopes
from msys_track.options.tracking import TrackingOptions
from msys_track.rewriting.native import NativeEngine
from msys_track.smtpapi import header

ROUNDS = 100

HEADERS = {
    "two switches": {"options": {"open_tracking": True, "click_tracking": False}},
    "a campaign": {
        "campaign_id": "spring-2026",
        "metadata": {"user_id": "4711", "order": {"id": 815, "total": "12.50"}},
        "tags": ["spring", "newsletter"],
        "options": {"open_tracking": True, "click_tracking": True, "transactional": False},
    },
    "ten tags, much metadata": {
        "campaign_id": "spring-2026",
        "metadata": {f"key_{number}": f"value {number}" for number in range(30)},
        "tags": [f"tag-{number}" for number in range(10)],
        "options": {"open_tracking": True, "click_tracking": True, "ip_pool": "bulk"},
    },
}
SCOPES = (
    Scope(name='listen "127.0.0.1:2525"', options=TrackingOptions(open_tracking=True)),
    Scope(name="listener", options=TrackingOptions(tracking_domain="click.shop.example")),
)

JSON = "json.loads"
READ = "header and resolution"
FOLDED = "header and resolution, folded"
HEADER_BARS = (Bar(READ, 0.2, JSON), Bar(FOLDED, 0.2, JSON))
"""Reading and resolving may take five times what the parser alone takes for the same header."""

NETWORK_BARS = (
    Bar("Networks.around, 10,000", 0.67, "Networks.around, 10"),
    Bar("Scopes.layers, 10,000", 0.67, "Scopes.layers, 10"),
)
"""A look-up among 10,000 networks may take 1.5 times the one among ten."""


def run_race(benchmark: Benchmark, subjects: Mapping[str, Callable[[], object]]) -> Race:
    race = Race(subjects={name: Called(call) for name, call in subjects.items()})
    race.warm_up()
    benchmark.pedantic(race.round, rounds=ROUNDS)
    return race


def resolve_header(value: bytes) -> Resolved:
    return resolve(SCOPES, header.parse_header([value]))


@pytest.mark.parametrize("name", HEADERS)
def test_header_and_resolution(
    benchmark: Benchmark, report: Report, bars: Bars, name: str
) -> None:
    text = json.dumps(HEADERS[name])
    folded = text.replace(", ", ",\r\n ").encode()
    race = run_race(
        benchmark,
        {
            JSON: partial(json.loads, text),
            f"{JSON} of bytes": partial(json.loads, text.encode()),
            READ: partial(resolve_header, text.encode()),
            FOLDED: partial(resolve_header, folded),
            "resolution without a header": partial(resolve, SCOPES),
        },
    )
    rows = [
        [each, f"{race.seconds(each) * 1e6:.2f}", f"{race.ratio(JSON, each).median:.2f}"]
        for each in race.subjects
    ]
    report.table(f"Options of a mail: {name}", ["", "µs", f"over {JSON}"], rows)
    bars.hold(race, HEADER_BARS)


def test_mail_without_the_header(benchmark: Benchmark, report: Report) -> None:
    engine = NativeEngine()
    message = newsletter.message(newsletter.html(40), "8bit")
    race = run_race(
        benchmark,
        {
            f"header_fields of {len(message)} bytes": partial(
                engine.header_fields, message, header.NAME
            ),
            "parse of no field": partial(header.parse_header, []),
            "resolution": partial(resolve, SCOPES),
        },
    )
    rows = [[each, f"{race.seconds(each) * 1e6:.2f}"] for each in race.subjects]
    report.table("A mail without X-MSYS-API", ["", "µs"], rows)


def scopes_of(networks: int) -> Scopes:
    peers: dict[IPv4Network | IPv6Network, Scope] = {
        IPv4Network((0x0A000000 + number * 256, 24)): Scope(
            name=f"peer {number}", options=TrackingOptions(click_tracking=bool(number % 2))
        )
        for number in range(networks)
    }
    listen = Listen(scope=SCOPES[0], peers=Networks(peers))
    return Scopes(listener=SCOPES[1], peers=Networks(peers), listens={"127.0.0.1:2525": listen})


def test_ten_thousand_peers(benchmark: Benchmark, report: Report, bars: Bars) -> None:
    few, many = scopes_of(10), scopes_of(10_000)
    # Ten clients each: within a network, at its edge, and outside of all.
    clients = [IPv4Address(0x0A000000 + number * 256 * 997 % (10 * 256)) for number in range(9)]
    clients.append(IPv4Address("192.0.2.1"))

    def look_up(scopes: Scopes) -> None:
        for client in clients:
            scopes.layers("127.0.0.1:2525", client)

    def around(networks: Networks[Scope]) -> None:
        for client in clients:
            networks.find(client)

    race = run_race(
        benchmark,
        {
            "Networks.around, 10": partial(around, few.peers),
            "Networks.around, 10,000": partial(around, many.peers),
            "Scopes.layers, 10": partial(look_up, few),
            "Scopes.layers, 10,000": partial(look_up, many),
        },
    )
    rows = [[each, f"{race.seconds(each) / len(clients) * 1e6:.2f}"] for each in race.subjects]
    report.table("One client's scopes among peers", ["", "µs"], rows)
    bars.hold(race, NETWORK_BARS)
