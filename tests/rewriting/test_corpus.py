"""Fidelity over real mail: everything but links and one pixel is what it was."""

from collections.abc import Iterator

import pytest
from tests import oracle, shared_corpus

from msys_track.copies import Rewriter, Rewritten
from msys_track.errors import HeaderRefused
from msys_track.keys import KeyRing
from msys_track.options.tracking import TrackingOptions
from msys_track.rewriting.native import NativeEngine, NativePlan, Rules


class MarkupAlone(NativeEngine):
    """An engine that changes what the oracle knows; the rest is in files of their own."""

    def plan(
        self, message: bytes, rules: Rules, *, drop_header: bytes | None = None
    ) -> NativePlan:
        rules = Rules(outlook_links=False, text_links=False, keep_link_attributes=True)
        return super().plan(message, rules, drop_header=drop_header)


KEYS = KeyRing.temporary()
REWRITER = Rewriter(
    keys=KEYS,
    engine=MarkupAlone(),
    options=TrackingOptions(
        open_tracking=True, click_tracking=True, tracking_domain="click.example.com"
    ),
)
HTML_HEAD = b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"


def rewritten(message: bytes) -> Rewritten:
    return REWRITER.rewritten(message, "jo@example.com", now=1_700_000_000)


def undone(copy: Rewritten, message: bytes) -> bytes:
    """Put back what each edit replaced, and nothing else."""
    pieces = []
    before = after = 0
    for offset, length, inserted in copy.edits:
        kept = offset - before
        pieces += [copy.message[after : after + kept], message[offset : offset + length]]
        before, after = offset + length, after + kept + len(inserted)
        assert copy.message[after - len(inserted) : after] == inserted
    return b"".join([*pieces, copy.message[after:]])


def check(message: bytes) -> Rewritten:
    copy = rewritten(message)
    assert undone(copy, message) == message
    assert copy.pixels <= 1
    if copy.wrapped_links + copy.pixels == 0:
        assert copy.message == message
    return copy


def messages_with_html() -> Iterator[tuple[str, bytes]]:
    yield from shared_corpus.messages()
    for name, html in shared_corpus.templates():
        yield name, HTML_HEAD + html


@shared_corpus.needs_corpus
@pytest.mark.timeout(300)
def test_real_mail_changes_in_links_and_pixel_only() -> None:
    links = 0
    for name, message in messages_with_html():
        copy = check(message)
        if copy.message == message:
            continue
        found = oracle.difference(message, copy.message)
        assert len(found.links) == copy.wrapped_links, name
        assert len(found.pixels) == copy.pixels, name
        links += copy.wrapped_links
    assert links > 5_000


@shared_corpus.needs_corpus
@pytest.mark.timeout(300)
def test_every_link_of_real_mail_opens_to_where_it_led() -> None:
    for name, html in shared_corpus.templates():
        message = HTML_HEAD + html
        copy = rewritten(message)
        for raw, url in oracle.difference(message, copy.message).links:
            claims = KEYS.open(url.removeprefix("http://click.example.com"))
            assert claims.target == oracle.browser_target(raw), (name, raw)


@shared_corpus.needs_corpus
@pytest.mark.timeout(300)
def test_hostile_input_comes_back_whole() -> None:
    for name, data, kind in shared_corpus.hostile():
        try:
            check(HTML_HEAD + data if kind == "html" else data)
        except HeaderRefused:
            assert b"X-MSYS-API:" in data, name
