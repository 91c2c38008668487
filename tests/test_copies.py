import json

import pytest
from structlog.testing import capture_logs
from tests import oracle

from msys_track.copies import Copy, Rewriter, rewrite
from msys_track.errors import HeaderRefused, RewriteFailed
from msys_track.keys import KeyRing
from msys_track.options.tracking import TrackingOptions
from msys_track.reasons import Reason
from msys_track.rewriting.native import NativeEngine, NativePlan, Rules

ON = TrackingOptions(open_tracking=True, click_tracking=True, tracking_domain="click.example.com")
NOW = 1_700_000_000
BODY = b"<body><a href='http://e.com/?a=1&amp;b=2'>x</a></body>\r\n"
MESSAGE = b"Subject: x\r\nContent-Type: text/html\r\n\r\n" + BODY
THREE = ("a@example.com", "b@example.com", "c@example.com")
KEYS = KeyRing.temporary()


def api(value: object, message: bytes = MESSAGE) -> bytes:
    return b"X-MSYS-API: " + json.dumps(value).encode() + b"\r\n" + message


def copies(message: bytes, options: TrackingOptions | None = None) -> tuple[Copy, ...]:
    return Rewriter(keys=KEYS, options=options).copies(message, THREE, now=NOW)


def path(url: str) -> str:
    return url.removeprefix("http://click.example.com")


def test_tracking_is_off_by_default() -> None:
    [copy] = copies(MESSAGE)
    assert copy.message == MESSAGE
    assert copy.recipients == THREE
    assert copy.reasons == (Reason.TRACKING_OFF,)


def test_each_recipient_has_a_copy_with_links_of_its_own() -> None:
    header = {"campaign_id": "spring", "metadata": {"user": 7, "name": "Jö"}}
    urls = set()
    for copy, recipient in zip(copies(api(header), ON), THREE, strict=True):
        assert copy.recipients == (recipient,)
        found = oracle.difference(MESSAGE, copy.message)
        [(_, link)], [pixel] = found.links, found.pixels
        for url, kind in ((link, "click"), (pixel, "open")):
            claims = KEYS.open(path(url))
            assert claims.kind == kind
            assert claims.engagement.recipient == recipient
            assert claims.engagement.message_id == copy.message_id
            assert claims.engagement.campaign_id == "spring"
            assert json.loads(claims.engagement.metadata or "") == header["metadata"]
            assert claims.engagement.injected_at == NOW
            assert claims.engagement.expires_at == NOW + 31_536_000
        assert KEYS.open(path(link)).target == "http://e.com/?a=1&b=2"
        urls |= {link, pixel}
    assert len(urls) == 6


def test_all_copies_of_a_message_share_a_transmission() -> None:
    found = [oracle.difference(MESSAGE, copy.message) for copy in copies(MESSAGE, ON)]
    claims = [KEYS.open(path(each.pixels[0])).engagement for each in found]
    assert len({each.transmission_id for each in claims}) == 1
    assert len({each.message_id for each in claims}) == 3


def test_the_header_overrides_the_configuration_attribute_by_attribute() -> None:
    off = copies(api({"options": {"open_tracking": False}}), ON)
    assert [(copy.wrapped_links, copy.pixels) for copy in off] == [(1, 0)] * 3
    on = copies(api({"options": {"open_tracking": True}}), TrackingOptions(click_tracking=False))
    assert [(copy.wrapped_links, copy.pixels) for copy in on] == [(0, 1)] * 3


def test_the_header_is_in_no_copy_whether_tracked_or_not() -> None:
    for options in (None, ON):
        for copy in copies(api({}), options):
            assert b"X-MSYS-API" not in copy.message
    [copy] = copies(api({}))
    assert copy.message == MESSAGE


def test_a_message_untracked_by_its_header_tells_its_removal_as_an_edit() -> None:
    message = api({})
    rewritten = Rewriter(keys=KEYS).rewritten(message, "a@example.com", now=NOW)
    length = len(message) - len(MESSAGE)
    assert list(rewritten.edits) == [(0, length, b"")]


def test_a_malformed_header_is_refused() -> None:
    with pytest.raises(HeaderRefused, match=r"550 5\.6\.0 JSON parsing error"):
        copies(b"X-MSYS-API: {\r\n" + MESSAGE)


def test_metadata_in_clicks_can_be_switched_off_and_stays_in_opens() -> None:
    options = TrackingOptions(
        open_tracking=True,
        click_tracking=True,
        click_tracking_include_metadata=False,
        tracking_domain="click.example.com",
    )
    copy = copies(api({"metadata": {"a": 1}}), options)[0]
    found = oracle.difference(MESSAGE, copy.message)
    assert KEYS.open(path(found.links[0][1])).engagement.metadata is None
    assert KEYS.open(path(found.pixels[0])).engagement.metadata == '{"a":1}'


def test_the_library_function_gives_the_copy_s_bytes() -> None:
    out = rewrite(MESSAGE, recipient="a@example.com", keys=KEYS, options=ON)
    assert len(oracle.difference(MESSAGE, out).links) == 1
    assert rewrite(MESSAGE, recipient="a@example.com", keys=KEYS) == MESSAGE


class BrokenEngine(NativeEngine):
    """An engine with a defect, which the real one can't be made to show."""

    def plan(
        self, message: bytes, rules: Rules, *, drop_header: bytes | None = None
    ) -> NativePlan:
        raise RewriteFailed(f"planning {len(message)} bytes by {rules} failed ({drop_header!r})")


def test_a_defect_of_the_core_sends_the_original_without_the_header() -> None:
    rewriter = Rewriter(keys=KEYS, options=ON, engine=BrokenEngine())
    with capture_logs() as logs:
        [copy] = rewriter.copies(api({}), THREE, now=NOW)
    assert (copy.message, copy.recipients) == (MESSAGE, THREE)
    assert copy.reasons == (Reason.CORE_FAILURE,)
    assert [entry["event"] for entry in logs] == ["message.rewrite_failed"]
