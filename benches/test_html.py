"""Rewriting through the Python API beside its peers: same newsletter, same process, same rounds.

`make bench` runs it and asserts the bars; what each subject is stands in docs/performance.md.
"""

import binascii
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import pytest
from benches.conftest import Report
from benches.corpus import newsletter
from benches.peers import careful_regex, python_lolhtml, pytracking_fernet
from benches.race import Called, Race, Subject

from msys_track import KeyRing, Rewriter, TrackingOptions, rewrite

ROUNDS = 100
NOW = 1_795_510_800
RECIPIENT = "jo.reader@example.org"
DOMAIN = "click.shop.example"
LINK = f"https://{DOMAIN}/f/a/{'x' * 370}"
PIXEL = f'<img src="https://{DOMAIN}/q/{"x" * 370}" width="1" height="1" alt="">'
KEYS = KeyRing.temporary()
OPTIONS = TrackingOptions(
    open_tracking=True,
    click_tracking=True,
    open_tracking_scheme="https",
    click_tracking_scheme="https",
    tracking_domain=DOMAIN,
)

FIRST = "msys-track, first recipient"
NEXT = "msys-track, next recipient, same plan"
PYTRACKING = "pytracking 0.2.2, Fernet"
REGEX = "careful regex, constant URL"
LOLHTML = "python-lolhtml 0.1.0, Python callbacks, constant URL"
LOLHTML_PASSING = "python-lolhtml 0.1.0, no handler"
RUST_PASSING = "lol_html 3, no handler, in Rust"


class Bar(NamedTuple):
    """`ours` must be `least` times as fast as `peer`."""

    ours: str
    least: float
    peer: str


BARS = (
    Bar(FIRST, 25, PYTRACKING),
    Bar(FIRST, 2, REGEX),
    Bar(FIRST, 1.2, LOLHTML),
    Bar(FIRST, 0.35, LOLHTML_PASSING),
    Bar(FIRST, 0.35, RUST_PASSING),
    Bar(NEXT, 8, FIRST),
)


class Benchmark(Protocol):
    """What is used of pytest-benchmark's fixture."""

    extra_info: dict[str, object]

    def pedantic(self, target: Callable[[], object], *, rounds: int) -> object: ...


@dataclass(frozen=True, slots=True)
class RustPass:
    """`benches/html.rs`, which stays up and times its own passes."""

    process: subprocess.Popen[str]

    def seconds(self, times: int) -> float:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{times}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline()) / 1e9


Start = Callable[[bytes], RustPass]


@pytest.fixture
def rust_pass(tmp_path: Path) -> Iterator[Start]:
    """Starts the Rust pass over some HTML; cargo builds it if `make bench` has not."""
    cargo = shutil.which("cargo") or pytest.skip("cargo is not on PATH")
    running: list[subprocess.Popen[str]] = []

    def start(html: bytes) -> RustPass:
        source = tmp_path / "newsletter.html"
        source.write_bytes(html)
        command = [cargo, "bench", "--quiet", "--locked", "--profile", "release"]
        process = subprocess.Popen(  # noqa: S603 - our own bench
            [*command, "--bench", "html", "--", str(source)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return RustPass(process)

    yield start
    for process in running:
        process.communicate()


def ours(html: bytes, encoding: newsletter.TransferEncoding) -> Mapping[str, Subject]:
    message = newsletter.message(html, encoding)
    planned = Rewriter(keys=KEYS, options=OPTIONS).plan(message)
    return {
        FIRST: Called(
            lambda: rewrite(message, recipient=RECIPIENT, keys=KEYS, options=OPTIONS, now=NOW)
        ),
        NEXT: Called(lambda: planned.render(RECIPIENT, now=NOW).message),
    }


def everyone(html: bytes, rust_pass: Start) -> Mapping[str, Subject]:
    # Our message has CRLF line breaks, as SMTP has; its peers get the same bytes.
    body = newsletter.encoded(html, "8bit")
    return {
        **ours(html, "8bit"),
        PYTRACKING: Called(
            pytracking_fernet.rewriting(body, newsletter.METADATA, f"https://{DOMAIN}/")
        ),
        REGEX: Called(careful_regex.rewriting(body, LINK.encode(), PIXEL.encode())),
        LOLHTML: Called(python_lolhtml.rewriting(body, LINK, PIXEL)),
        LOLHTML_PASSING: Called(python_lolhtml.passing(body)),
        RUST_PASSING: rust_pass(body),
    }


def test_a_newsletter_of_80_kb(
    benchmark: Benchmark, report: Report, rust_pass: Start, *, bars: bool
) -> None:
    html = newsletter.html(80)
    race = Race(subjects=everyone(html, rust_pass))
    assert_every_link_is_rewritten(race.subjects, newsletter.links(html))
    run(benchmark, race)
    tell_times(report, f"HTML of {size(html)}, {newsletter.links(html)} links", race, html)
    tell_bars(report, race)
    missed = [bar for bar in BARS if race.ratio(bar.ours, bar.peer).median < bar.least]
    assert not (bars and missed), f"missed: {missed}"


def test_a_mail_of_10_kb(benchmark: Benchmark, report: Report, rust_pass: Start) -> None:
    html = newsletter.html(10)
    race = Race(subjects=everyone(html, rust_pass))
    run(benchmark, race)
    tell_times(report, f"HTML of {size(html)}, {newsletter.links(html)} links", race, html)


@pytest.mark.parametrize("encoding", ["quoted-printable", "base64"])
def test_a_newsletter_of_80_kb_encoded(
    benchmark: Benchmark, report: Report, encoding: newsletter.TransferEncoding
) -> None:
    html = newsletter.html(80)
    race = Race(
        subjects={
            **ours(html, encoding),
            f"{REGEX}, between the standard library's decoder and encoder": Called(
                around_regex(html, encoding)
            ),
        }
    )
    run(benchmark, race)
    tell_times(report, f"The same HTML in {encoding}", race, html)


def around_regex(html: bytes, encoding: newsletter.TransferEncoding) -> Callable[[], bytes]:
    body = newsletter.encoded(html, encoding)
    decode = binascii.a2b_base64 if encoding == "base64" else binascii.a2b_qp

    def decode_rewrite_encode() -> bytes:
        rewrite_decoded = careful_regex.rewriting(decode(body), LINK.encode(), PIXEL.encode())
        return newsletter.transferred(rewrite_decoded(), encoding)

    return decode_rewrite_encode


def run(benchmark: Benchmark, race: Race) -> None:
    race.warm_up()
    # One round of the benchmark is one round of the race: its own times say how long a round
    # takes; what each subject took goes into the JSON of --benchmark-json.
    benchmark.pedantic(race.round, rounds=ROUNDS)
    benchmark.extra_info["microseconds"] = {
        name: race.seconds(name) * 1e6 for name in race.subjects
    }


def assert_every_link_is_rewritten(subjects: Mapping[str, Subject], links: int) -> None:
    for name in (FIRST, NEXT, PYTRACKING, REGEX, LOLHTML):
        subject = subjects[name]
        assert isinstance(subject, Called)
        rewritten = subject.call()
        text = rewritten.decode() if isinstance(rewritten, bytes) else rewritten
        assert text.count(f'"https://{DOMAIN}/') == links + 1, f"{name}: links and one pixel"


def tell_times(report: Report, title: str, race: Race, html: bytes) -> None:
    rows = []
    for name in race.subjects:
        seconds = race.seconds(name)
        ratio = 1 if name == FIRST else race.ratio(FIRST, name).median
        rows.append(
            [name, f"{seconds * 1e6:,.0f}", f"{len(html) / seconds / 1e6:,.0f}", f"{ratio:.2f}"]
        )
    report.table(title, ["", "µs", "MB/s of HTML", "its time over our first recipient's"], rows)


def tell_bars(report: Report, race: Race) -> None:
    rows = []
    for bar in BARS:
        ratio = race.ratio(bar.ours, bar.peer)
        rows.append(
            [
                f"{bar.ours}, against {bar.peer}",
                f"{bar.least}",
                f"{ratio.median:.2f}",
                f"{ratio.low:.2f} to {ratio.high:.2f}",
                "yes" if ratio.median >= bar.least else "NO",
            ]
        )
    report.table(
        f"Bars: times as fast, median of {ROUNDS} interleaved rounds",
        ["", "at least", "measured", "middle half of the rounds", "held"],
        rows,
    )


def size(html: bytes) -> str:
    return f"{len(html) / 1000:.0f} KB"
