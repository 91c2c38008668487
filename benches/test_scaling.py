"""Hostile messages: ten times the bytes may take twelve times as long.

`make bench` runs it and asserts the bars.
"""

from collections.abc import Mapping
from typing import Final

import pytest
from benches.conftest import Bar, Bars, Benchmark

from msys_track import KeyRing, TrackingOptions, rewrite
from msys_track.comparison.race import Called, Race

ROUNDS = 15
SMALL_BYTES = 100_000
TIMES = 10
MOST_TIMES = 12
NOW = 1_795_510_800
KEYS = KeyRing.temporary()
OPTIONS = TrackingOptions(
    open_tracking=True, click_tracking=True, tracking_domain="click.shop.example"
)
HTML: Final[Mapping[str, tuple[bytes, bytes]]] = {
    "open brackets": (b"", b"<"),
    "a tag without an end": (b"<a ", b'b="'),
    "attributes without an end": (b"<a ", b"b "),
    "comments that are not closed": (b"", b"<!--[if x"),
    "dashes of a comment": (b"<!--", b"- --"),
    "conditional comments": (b"", b"<!--[if x]><a href=http://e><![endif]-->"),
    "a script that looks closed": (b"<script>", b"<!--<script </scriptx"),
    "raw text that looks closed": (b"<style>", b"</styl "),
    "open elements": (b"", b"<table><td><div style=display:none><a href=http://e>"),
    "foreign content": (b"", b"<svg><desc><math><mi>"),
    "links": (b"", b"<a href=http://e>"),
    "character references": (b'<a href="http://e/', b"&amp&notit;&#x"),
    "our attributes": (b"<a ", b"data-msys-linkname=x href=http://e "),
}


def message(content_type: bytes, start: bytes, unit: bytes, size: int) -> bytes:
    head = b"MIME-Version: 1.0\r\nContent-Type: %b\r\n\r\n" % content_type
    units = unit * ((size - len(start)) // len(unit))
    return head + start + units


def hostile() -> Mapping[str, tuple[bytes, bytes]]:
    """Return messages by name, the second of each pair of ten times the size."""
    made = {
        name: (
            message(b"text/html", start, unit, SMALL_BYTES),
            message(b"text/html", start, unit, TIMES * SMALL_BYTES),
        )
        for name, (start, unit) in HTML.items()
    }
    others = {
        "URLs of text": (b"text/plain", b"", b"http://e/(*_"),
        "boundary lines": (
            b"multipart/mixed; boundary=b",
            b"",
            b"\r\n--b\r\n\r\n<a href=http://e>",
        ),
        "boundaries within boundaries": (
            b"multipart/mixed; boundary=b",
            b"",
            b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n",
        ),
    }
    for name, (content_type, start, unit) in others.items():
        made[name] = (
            message(content_type, start, unit, SMALL_BYTES),
            message(content_type, start, unit, TIMES * SMALL_BYTES),
        )
    return made


HOSTILE = hostile()


@pytest.mark.parametrize("name", HOSTILE)
def test_ten_times_the_bytes(benchmark: Benchmark, bars: Bars, name: str) -> None:
    once, often = HOSTILE[name]
    small, large = f"{name}, {len(once):,} bytes", f"{name}, {len(often):,} bytes"
    race = Race(subjects={small: track(once), large: track(often)})
    race.warm_up()
    benchmark.pedantic(race.round, rounds=ROUNDS)
    bars.hold(race, (Bar(large, round(1 / MOST_TIMES, 3), small),))


def track(message: bytes) -> Called:
    return Called(
        lambda: rewrite(message, recipient="jo@example.org", keys=KEYS, options=OPTIONS, now=NOW)
    )
