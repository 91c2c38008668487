"""The proxy beside a stock relay: generator, relay and sink are processes of this machine.

`make bench` runs it and asserts the bar; what each subject is stands in docs/performance.md.
"""

import base64
import email
import json
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from email import policy
from html import unescape
from pathlib import Path
from statistics import median
from typing import Literal

import pytest
from benches.conftest import Bar, Bars, Benchmark, Report
from benches.smtp import mail
from benches.smtp.processes import Process, running

from msys_track import KeyRing
from msys_track.comparison.race import Race

ROUNDS = 9
CONNECTIONS = 50
MESSAGES = 1_000
"""Of one relay in one round."""

TRACKING = "msys-track proxy, tracking on"
PASSING = "msys-track proxy, tracking off"
STOCK = "aiosmtpd + aiosmtplib as documented"
TUNED = "aiosmtpd + aiosmtplib, uvloop and a name for EHLO"
DIRECT = "no relay: generator and sink alone"

BARS = (Bar(TRACKING, 8, STOCK),)

COMMAND = Path(sysconfig.get_path("scripts")) / "msys-track"
CONFIGURATION = """\
keys = "keys.toml"
[listener]
open_tracking_enabled = {tracking}
click_tracking_enabled = {tracking}
tracking_domain = "{domain}"
[proxy]
listen = "127.0.0.1:0"
upstream = "127.0.0.1:{upstream}"
"""
HREF = re.compile(r'<a href="([^"]*)"')
TRACKED_URL = re.compile(rf'"http://{re.escape(mail.TRACKING_DOMAIN)}(/[^"]*)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Relaying:
    """Mail sent through one relay; every run is held to what arrived."""

    generator: Process
    sink: Process
    port: int
    relay: Process | None
    arrives: Literal["tracked", "untouched"]
    cpu_seconds: list[float] = field(default_factory=list)
    """Of the relay for each message, one figure a run."""

    def seconds(self, times: int) -> float:
        before = self._cpu_seconds()
        took = float(self.generator.ask(f"{self.port} {CONNECTIONS} {times}"))
        after = self._cpu_seconds()
        if before is not None and after is not None:
            self.cpu_seconds.append((after - before) / times)
        seen = json.loads(self.sink.ask(""))
        assert (seen["messages"], seen[self.arrives]) == (times, times), seen
        return took

    def last(self) -> bytes:
        """Send one message and return it as it arrived."""
        self.generator.ask(f"{self.port} 1 1")
        return base64.b64decode(json.loads(self.sink.ask(""))["last"])

    def _cpu_seconds(self) -> float | None:
        return self.relay.cpu_seconds() if self.relay else None


Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts processes, which end with the test."""
    with ExitStack() as stack:

        def start_one(name: str, *command: str) -> Process:
            return stack.enter_context(running(command, tmp_path / f"{name}.log"))

        yield start_one


@pytest.fixture
def relays(start: Start, tmp_path: Path) -> dict[str, Relaying]:
    generator = start("generator", sys.executable, "-m", "benches.smtp.generator")
    sink = start("sink", sys.executable, "-m", "benches.smtp.sink")
    upstream = sink.port()
    subprocess.run([COMMAND, "keys", "new", tmp_path / "keys.toml"], check=True)  # noqa: S603

    def relaying(
        relay: Process | None, arrives: Literal["tracked", "untouched"] = "untouched"
    ) -> Relaying:
        port = relay.port() if relay else upstream
        return Relaying(generator=generator, sink=sink, port=port, relay=relay, arrives=arrives)

    def proxy(name: str, *, tracking: bool) -> Process:
        file = tmp_path / f"{name}.toml"
        file.write_text(
            CONFIGURATION.format(
                tracking=str(tracking).lower(), domain=mail.TRACKING_DOMAIN, upstream=upstream
            )
        )
        return start(name, str(COMMAND), "proxy", "--config", str(file))

    def stock(how: str) -> Process:
        return start(how, sys.executable, "-m", "benches.smtp.stock_relay", how, str(upstream))

    return {
        TRACKING: relaying(proxy("tracking", tracking=True), "tracked"),
        PASSING: relaying(proxy("passing", tracking=False)),
        STOCK: relaying(stock("documented")),
        TUNED: relaying(stock("tuned")),
        DIRECT: relaying(None),
    }


@pytest.mark.timeout(300)
def test_small_mails_over_many_connections(
    relays: dict[str, Relaying], tmp_path: Path, benchmark: Benchmark, report: Report, bars: Bars
) -> None:
    assert_links_are_sealed(relays[TRACKING].last(), KeyRing.load(tmp_path / "keys.toml"))
    for relay in relays.values():
        relay.seconds(CONNECTIONS)  # opens pools, fills caches
        relay.cpu_seconds.clear()
    race = Race(subjects=relays, times=dict.fromkeys(relays, MESSAGES))
    benchmark.pedantic(race.round, rounds=ROUNDS)
    benchmark.extra_info["messages_per_second"] = {name: 1 / race.seconds(name) for name in relays}
    report_relays(report, race, relays)
    bars.hold(race, BARS)


def assert_links_are_sealed(copy: bytes, keys: KeyRing) -> None:
    """Each link opens with the key, to where it led; then comes the pixel."""
    hrefs = [unescape(href) for href in HREF.findall(html_of(mail.message()))]
    assert len(hrefs) == mail.LINKS
    claims = [keys.open(path) for path in TRACKED_URL.findall(html_of(copy))]
    assert [each.target for each in claims] == [*hrefs, None]
    assert {each.engagement.recipient for each in claims} == {mail.RECIPIENT}


def html_of(message: bytes) -> str:
    parsed = email.message_from_bytes(message, policy=policy.default)
    html = parsed.get_body(("html",))
    assert html is not None
    text = html.get_content()
    assert isinstance(text, str)
    return text


def report_relays(report: Report, race: Race, relays: dict[str, Relaying]) -> None:
    rows = []
    for name, relay in relays.items():
        ratio = 1 if name == TRACKING else race.ratio(TRACKING, name).median
        cpu = f"{median(relay.cpu_seconds) * 1e6:,.0f}" if relay.cpu_seconds else ""
        rows.append([name, f"{1 / race.seconds(name):,.0f}", f"{ratio:.2f}", cpu])
    size = f"{len(mail.message()) / 1000:.1f} KB, {mail.LINKS} links"
    report.table(
        f"Mails of {size}, over {CONNECTIONS} connections",
        ["", "messages/s", "tracking is times as fast", "CPU of the relay, µs a message"],
        rows,
    )
