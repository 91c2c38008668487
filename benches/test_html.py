"""Rewriting through the Python API beside its peers: same newsletter, same process, same rounds.

`make bench` runs it and asserts the bars; what each subject is stands in docs/performance.md.
"""

import binascii
import email
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any, cast

import pytest
from benches.conftest import Bar, Bars, Benchmark, Report
from benches.corpus import newsletter
from lolhtml import HTMLRewriter

from msys_track import (
    Engagement,
    HtmlRewriter,
    KeyRing,
    Rewriter,
    Rules,
    TrackedUrls,
    TrackingOptions,
    rewrite,
)
from msys_track.comparison.peers import Links, careful_regex, python_lolhtml, pytracking_fernet
from msys_track.comparison.race import Called, Race, Subject
from msys_track.rewriting.native import NativeEngine

ROUNDS = 100
NOW = 1_795_510_800
RECIPIENT = "jo.reader@example.org"
DOMAIN = "click.shop.example"
KEYS = KeyRing.temporary()
OPTIONS = TrackingOptions(
    open_tracking=True,
    click_tracking=True,
    open_tracking_scheme="https",
    click_tracking_scheme="https",
    tracking_domain=DOMAIN,
)
HREF = re.compile(rb'<a href="([^"]*)"')
TRACKED = re.compile(rb'"https://click\.shop\.example(/[^"]*)"')

FIRST = "msys-track, first recipient"
NEXT = "msys-track, next recipient, same plan"
REFERENCE = "msys-track, first recipient, by the engine in pure Python"
PYTRACKING = "pytracking 0.2.2, Fernet"
REGEX = "careful regex, constant URL"
LOLHTML = "python-lolhtml 0.1.0, Python callbacks, constant URL"
LOLHTML_PASSING = "python-lolhtml 0.1.0, no handler"
RUST_PASSING = "lol_html 3, no handler, in Rust"

STREAM = "msys-track, stream in chunks of 64 KiB"
PLAN = "msys-track, plan and one copy"
CHUNK_BYTES = 65_536
ENGAGEMENT = Engagement(
    message_id="00066d2bb36a0f10a4d3",
    recipient=RECIPIENT,
    injected_at=NOW,
    expires_at=NOW + 31_536_000,
    customer_id=1,
    metadata=json.dumps(newsletter.METADATA, separators=(",", ":")),
    open_tracking=True,
    click_tracking=True,
)
URLS = TrackedUrls(domain=DOMAIN, click_scheme="https", open_scheme="https", click_metadata=True)
UNUSUAL = (
    b"<script><!-- x --></script><noscript><p>x</p></noscript>"
    b"<svg viewBox='0 0 9 9'><g><title>x</title><path d='M0 0h9v9z'/></g></svg>"
)

BARS = (
    Bar(FIRST, 45, PYTRACKING),
    Bar(FIRST, 25, REFERENCE),
    Bar(FIRST, 2, REGEX),
    Bar(FIRST, 2.2, LOLHTML),
    Bar(FIRST, 0.55, RUST_PASSING),
)
SMALL_BARS = (Bar(FIRST, 1.4, LOLHTML),)


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


def test_a_newsletter_of_80_kb(
    benchmark: Benchmark, report: Report, rust_pass: Start, bars: Bars
) -> None:
    body = newsletter.html(80)
    race = Race(subjects=everyone(body, rust_pass))
    assert_the_work_is_done(race.subjects, body)
    run(benchmark, race)
    report_times(report, title(body), race, body)
    bars.hold(race, BARS)


def test_a_mail_of_10_kb(
    benchmark: Benchmark, report: Report, rust_pass: Start, bars: Bars
) -> None:
    body = newsletter.html(10)
    race = Race(subjects=everyone(body, rust_pass))
    assert_the_work_is_done(race.subjects, body)
    run(benchmark, race)
    report_times(report, title(body), race, body)
    bars.hold(race, SMALL_BARS)


def test_a_newsletter_of_80_kb_in_chunks(benchmark: Benchmark, report: Report, bars: Bars) -> None:
    body = newsletter.html(80)
    message = newsletter.message(body, "8bit")
    race = Race(
        subjects={STREAM: Called(lambda: stream(body)), PLAN: Called(lambda: plan(message))}
    )
    assert len(TRACKED.findall(stream(body))) == newsletter.links(body) + 1
    run(benchmark, race)
    report_times(report, f"{title(body)}, as a stream", race, body, ours=STREAM)
    bars.hold(race, (Bar(STREAM, 0.7, PLAN),))


def test_a_newsletter_of_80_kb_with_svg_and_scripts(
    benchmark: Benchmark, report: Report, rust_pass: Start, bars: Bars
) -> None:
    body = newsletter.html(80).replace(b"</body>", UNUSUAL + b"</body>", 1)
    message = newsletter.message(body, "8bit")
    race = Race(subjects={**ours(message), RUST_PASSING: rust_pass(body)})
    assert_links_are_sealed(race.subjects, body)
    run(benchmark, race)
    report_times(report, f"{title(body)}, SVG, noscript and a script's comment", race, body)
    bars.hold(race, (Bar(FIRST, 0.3, RUST_PASSING),))


@pytest.mark.parametrize("encoding", ["quoted-printable", "base64"])
def test_a_newsletter_of_80_kb_encoded(
    benchmark: Benchmark, report: Report, encoding: newsletter.TransferEncoding
) -> None:
    body = newsletter.html(80)
    message = newsletter.message(body, encoding)
    copy = rewrite(message, recipient=RECIPIENT, keys=KEYS, options=OPTIONS, now=NOW)
    links = links_like(copy)
    peer = f"{REGEX}, between the standard library's decoder and encoder"
    race = Race(
        subjects={
            **ours(message),
            peer: Called(
                around_regex(newsletter.encode_for_transfer(body, encoding), encoding, links)
            ),
        }
    )
    assert_links_are_sealed(race.subjects, body)
    rewritten = decode_body(output_of(race.subjects[peer]), encoding)
    assert_constants_stand(rewritten, links.click_url, links.pixel, body)
    run(benchmark, race)
    report_times(report, f"{title(body)}, in {encoding}", race, body)


def stream(body: bytes) -> bytes:
    rewriter = HtmlRewriter(keys=KEYS, engagement=ENGAGEMENT, urls=URLS)
    chunks = [
        rewriter.write(body[at : at + CHUNK_BYTES]) for at in range(0, len(body), CHUNK_BYTES)
    ]
    return b"".join([*chunks, rewriter.end()])


def plan(message: bytes) -> bytes:
    return NativeEngine().plan(message, Rules()).render(KEYS, ENGAGEMENT, URLS).message


def ours(message: bytes) -> Mapping[str, Subject]:
    rewriter = Rewriter(keys=KEYS, options=OPTIONS)
    opened = rewriter.open(message)
    return {
        FIRST: Called(
            lambda: rewrite(message, recipient=RECIPIENT, keys=KEYS, options=OPTIONS, now=NOW)
        ),
        NEXT: Called(lambda: rewriter.copy_for(RECIPIENT, opened, now=NOW).message),
    }


def everyone(body: bytes, rust_pass: Start) -> Mapping[str, Subject]:
    message = newsletter.message(body, "8bit")
    copy = rewrite(message, recipient=RECIPIENT, keys=KEYS, options=OPTIONS, now=NOW)
    links = links_like(copy)
    return {
        **ours(message),
        REFERENCE: Called(
            lambda: rewrite(
                message,
                recipient=RECIPIENT,
                keys=KEYS,
                options=OPTIONS,
                now=NOW,
                engine="reference",
            )
        ),
        PYTRACKING: Called(pytracking_fernet.rewriting(body, links)),
        REGEX: Called(careful_regex.rewriting(body, links)),
        LOLHTML: Called(python_lolhtml.rewriting(body, links)),
        LOLHTML_PASSING: Called(pass_through_lolhtml(body)),
        RUST_PASSING: rust_pass(body),
    }


def pass_through_lolhtml(html: bytes) -> Callable[[], bytes]:
    def through() -> bytes:
        chunks: list[bytes] = []
        rewriter = HTMLRewriter(cast("Any", chunks.append))
        rewriter.write(html)
        rewriter.end()
        return b"".join(chunks)

    return through


def links_like(copy: bytes) -> Links:
    click_url, pixel = constants_in(html_of(copy))
    return Links(click_url, pixel, newsletter.METADATA, f"https://{DOMAIN}/")


def constants_in(html: bytes) -> tuple[bytes, bytes]:
    """Take URL and pixel from a copy: peers that seal nothing get them, to write as much."""
    link = re.search(rb'"(https://click\.shop\.example/f/[^"]*)"', html)
    pixel = re.search(rb'<img[^>]*"https://click\.shop\.example/q/[^>]*>', html)
    assert link
    assert pixel
    return link[1], pixel[0]


def around_regex(
    body: bytes, encoding: newsletter.TransferEncoding, links: Links
) -> Callable[[], bytes]:
    def decode_rewrite_encode() -> bytes:
        rewrite_decoded = careful_regex.rewriting(decode_body(body, encoding), links)
        return newsletter.encode_for_transfer(rewrite_decoded(), encoding)

    return decode_rewrite_encode


def decode_body(body: bytes, encoding: newsletter.TransferEncoding) -> bytes:
    return binascii.a2b_base64(body) if encoding == "base64" else binascii.a2b_qp(body)


def run(benchmark: Benchmark, race: Race) -> None:
    race.warm_up()
    # One round of the benchmark is one round of the race: its own times say how long a round
    # takes; what each subject took goes into the JSON of --benchmark-json.
    benchmark.pedantic(race.round, rounds=ROUNDS)
    benchmark.extra_info["microseconds"] = {
        name: race.seconds(name) * 1e6 for name in race.subjects
    }


def assert_the_work_is_done(subjects: Mapping[str, Subject], body: bytes) -> None:
    """Hold every subject to its output: a peer that skips links would be quick for nothing."""
    assert_links_are_sealed(subjects, body, (FIRST, NEXT, REFERENCE))
    for name in (REGEX, LOLHTML):
        output = output_of(subjects[name])
        assert_constants_stand(output, *constants_in(output), body)
    links_and_pixel = newsletter.links(body) + 1
    assert len(TRACKED.findall(output_of(subjects[PYTRACKING]))) == links_and_pixel
    assert output_of(subjects[LOLHTML_PASSING]) == body  # the Rust pass asserts the same itself


def assert_links_are_sealed(
    subjects: Mapping[str, Subject], body: bytes, ours: Sequence[str] = (FIRST, NEXT)
) -> None:
    """Our copies: each URL opens with the key, to where the link led, with the metadata."""
    hrefs = [unescape(href.decode()) for href in HREF.findall(body)]
    assert len(hrefs) == newsletter.links(body) > 0
    for name in ours:
        paths = TRACKED.findall(html_of(output_of(subjects[name])))
        claims = [KEYS.open(path.decode()) for path in paths]
        assert [each.target for each in claims] == [*hrefs, None], f"{name}: links, then the pixel"
        for each in claims:
            assert json.loads(each.engagement.metadata or "{}") == newsletter.METADATA


def assert_constants_stand(html: bytes, link: bytes, pixel: bytes, body: bytes) -> None:
    assert html == HREF.sub(b'<a href="%b"' % link, body).replace(b"</body", pixel + b"</body")


def output_of(subject: Subject) -> bytes:
    assert isinstance(subject, Called)
    output = subject.call()
    return output if isinstance(output, bytes) else output.encode()


def html_of(message: bytes) -> bytes:
    html = email.message_from_bytes(message).get_payload(decode=True)
    assert isinstance(html, bytes)
    return html


def title(body: bytes) -> str:
    return f"HTML of {len(body) / 1000:.0f} KB, {newsletter.links(body)} links"


def report_times(
    report: Report, title: str, race: Race, body: bytes, *, ours: str = FIRST
) -> None:
    rows = []
    for name in race.subjects:
        seconds = race.seconds(name)
        ratio = 1 if name == ours else race.ratio(ours, name).median
        rows.append(
            [name, f"{seconds * 1e6:,.0f}", f"{len(body) / seconds / 1e6:,.0f}", f"{ratio:.2f}"]
        )
    reference = "our first recipient's" if ours == FIRST else "the stream's"
    report.table(title, ["", "µs", "MB/s of HTML", f"its time over {reference}"], rows)
