"""What events may keep of their reader is sealed into the links of a copy."""

import re
from typing import Literal

import pytest

from msys_track import KeyRing, Rewriter, TrackingOptions
from msys_track.keys.ring import Claims

KEYS = KeyRing.temporary()
MAIL = (
    b'From: shop@example.com\r\nX-MSYS-API: {"metadata": {"user": 7}%s}\r\n'
    b"Content-Type: text/html\r\n\r\n<a href='https://e.test/'>x</a>\r\n"
)
TO = ("ann@example.com", "bob@example.com")


def options(privacy: Literal["full", "truncated", "aggregate"] | None = None) -> TrackingOptions:
    return TrackingOptions(
        open_tracking=True, click_tracking=True, tracking_domain="t.test", privacy=privacy
    )


def open_links(message: bytes) -> list[Claims]:
    paths = re.findall(rb"http://t\.test(/[fq]/[^\s'\"]+)", message)
    assert len(paths) == 2
    return [KEYS.open(path.decode()) for path in paths]


def test_copies_are_sealed_in_full_unless_asked_otherwise() -> None:
    copies = Rewriter(keys=KEYS, options=options()).copies(MAIL % b"", TO)
    for address, copy in zip(TO, copies, strict=True):
        for claims in open_links(copy.message):
            assert claims.engagement.privacy == "full"
            assert claims.engagement.recipient == address


def test_truncated_copies_still_name_their_reader() -> None:
    for copy in Rewriter(keys=KEYS, options=options("truncated")).copies(MAIL % b"", TO):
        for claims in open_links(copy.message):
            assert claims.engagement.privacy == "truncated"
            assert claims.engagement.recipient == copy.recipients[0]


def test_aggregate_copies_are_the_same_for_every_reader_of_a_mail() -> None:
    rewriter = Rewriter(keys=KEYS, options=options("aggregate"))
    first, second = rewriter.copies(MAIL % b"", TO)
    assert first.message == second.message
    assert first.message_id == second.message_id
    for claims in open_links(first.message):
        assert claims.engagement.privacy == "aggregate"
        assert claims.engagement.recipient == ""
        assert claims.engagement.metadata is None
    later, _ = rewriter.copies(MAIL % b"", TO, now=1_700_000_000)
    earlier, _ = rewriter.copies(MAIL % b"", TO, now=1_700_000_900)
    assert later.message == earlier.message, "nor do links tell one mail of an hour from another"


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        (b'"privacy": "aggregate"', ("aggregate", "aggregate")),
        (b'"recipients": {"ann@example.com": {"privacy": "truncated"}}', ("truncated", "full")),
        (
            b'"privacy": "aggregate", "recipients": {"bob@example.com": {"privacy": "full"}}',
            ("aggregate", "full"),
        ),
        (b'"privacy": null', ("full", "full")),
    ],
)
def test_the_header_asks_for_it(asked: bytes, wanted: tuple[str, str]) -> None:
    message = MAIL % (b', "x_msys_track": {%s}' % asked)
    copies = Rewriter(keys=KEYS, options=options()).copies(message, TO)
    found = {copy.recipients[0]: open_links(copy.message)[0] for copy in copies}
    assert tuple(found[each].engagement.privacy for each in TO) == wanted
