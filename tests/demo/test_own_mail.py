"""Any file goes through, and the page says what became of it."""

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import pytest
from tests import shared_corpus
from tests.thoroughness import some_of

from msys_track.demo import page as pages
from msys_track.demo.catalogue import Mail
from msys_track.demo.check import Ledger
from msys_track.demo.stage import Stage
from msys_track.demo.tour import tour
from msys_track.event_fields import EventType
from msys_track.events import Event
from msys_track.reasons import Reason
from msys_track.testing.fidelity import split_received
from msys_track.testing.sender import Answer
from msys_track.testing.sink import Arrival

pytestmark = pytest.mark.anyio

OWN = "reader@example.net's copy"
# An archive is sent the same bytes.
SHARED = "reader@example.net, a@x.example's copy"
HTML = b"Subject: x\r\nContent-Type: text/html; charset=utf-8\r\n"
LINK = b"<a href='http://a.example/?x=1&amp;y=2'>a</a>"


Spoil: TypeAlias = Callable[[Callable[[Arrival], list[Arrival]]], None]


@pytest.fixture
def spoil(monkeypatch: pytest.MonkeyPatch) -> Spoil:
    """Put others in the place of each arrival."""
    arrivals = Stage.arrivals

    def begin(change: Callable[[Arrival], list[Arrival]]) -> None:
        monkeypatch.setattr(
            Stage,
            "arrivals",
            lambda stage: [it for each in arrivals(stage) for it in change(each)],
        )

    return begin


def add_remark(text: str, remark: str) -> str:
    """Write what the page has where a remark is too long for the second column."""
    return f"{text}\n{' ' * 18}{remark}"


async def show_mail(stage: Stage, content: bytes) -> tuple[Ledger, str]:
    page: list[str] = []
    ledger = await tour(stage, page.append, Mail(file="my.eml", content=content))
    assert [line for line in page if len(line) > pages.WIDTH] == []
    return ledger, "\n".join([*page, *pages.show_verdict(ledger)])


async def test_links_lead_where_they_led_and_the_rest_says_why_not(stage: Stage) -> None:
    content = HTML + b"\r\n" + LINK + b"<a href='mailto:a@b.c'><a href='/rel'>"
    content += b"<a href='http://b.example/' data-msys-clicktrack=0></body>\r\n"
    ledger, page = await show_mail(stage, content)
    assert not any(ledger.find_failures())
    assert "   answered     250 2.0.0 Ok: in the mailbox" in page
    assert "   tracking     opens on (configuration), clicks on (configuration)" in page
    assert "   came out     1 link wrapped and 1 pixel added" in page
    assert "   clicked      http://a.example/?x=1&y=2" in page
    not_http = f"not_http: {Reason.NOT_HTTP.meaning}"
    assert "   left alone   " + add_remark("mailto:a@b.c", not_http) in page
    assert add_remark("/rel", not_http) in page
    assert add_remark("http://b.example/", "opted_out") in page
    assert "   stored       1 open, 1 click" in page
    assert page.endswith(f"all {ledger.total} expectations held")


async def test_reasons_are_put_beside_the_links_of_a_base64_mail_too(stage: Stage) -> None:
    body = base64.encodebytes(LINK + b"<a href='tel:+1'>call</a>")
    head = HTML + b"Content-Transfer-Encoding: base64\r\n\r\n"
    ledger, page = await show_mail(stage, head + body)
    assert not any(ledger.find_failures())
    assert "   left alone   " + add_remark("tel:+1", "not_http") in page


async def test_what_is_said_of_the_whole_mail_stands_beside_its_links(stage: Stage) -> None:
    _, page = await show_mail(stage, b"DKIM-Signature: v=1\r\n" + HTML + b"\r\n" + LINK)
    assert "   left alone   " + add_remark("http://a.example/?x=1&y=2", "signed_message") in page
    assert page.count("signed_message") == 1


async def test_where_links_and_reasons_do_not_fit_they_are_told_apart(stage: Stage) -> None:
    # For HTML a comment ends at --!> too; the demo's quick glance at an own mail knows only -->.
    content = HTML + b"\r\n<!-- --!><a href='tel:+1'>call</a>\r\n"
    ledger, page = await show_mail(stage, content)
    assert not any(ledger.find_failures())
    assert "   left alone   " + add_remark("1 link or the pixel", "not_http") in page


async def test_the_mails_own_header_decides_and_is_taken_out(stage: Stage) -> None:
    header = b'X-MSYS-API: {"options": {"click_tracking": false}, "campaign_id": "mine"}\r\n'
    ledger, page = await show_mail(stage, header + HTML + b"\r\n" + LINK)
    assert not any(ledger.find_failures())
    assert "opens on (configuration), clicks off (X-MSYS-API)" in page
    assert "0 links wrapped and 1 pixel added" in page
    assert "all other bytes as they were, without its X-MSYS-API" in page
    assert add_remark("http://a.example/?x=1&y=2", "tracking_off") in page
    assert 'campaign_id "mine"' in page


HOW_ASKED = [
    (b"", b"<a data-msys-sublink='open-in-app' href='https://d.example/'>", "/f/open-in-app/"),
    (b"", b"<a href=https://d.example/ DATA-MSYS-Sublink=&#97;pp/v2>", "/f/app/v2/"),
    (b"", b"<a data-msys-sublink='../x' href='https://d.example/'>", "/f/a/"),
    (b"", b"<a data-msys-unsubscribe=1 href='https://d.example/'>", "1 link_unsubscribe"),
    (b"", b"<a data-msys-unsubscribe=0 href='https://d.example/'>", "1 open, 1 click"),
    (b"", b"<a title='>' href='https://d.example/' data-msys-unsubscribe=' True '>", "subscribe"),
    (b'{"options":{"initial_open":true}}', LINK, "2 pixels added"),
    (b'{"options":{"initial_open":true,"open_tracking":false}}', LINK, "0 pixels added"),
    (b'{"cc":["c@x.example"],"bcc":["b@x.example"]}', LINK, "also for     c@x.example"),
    (b'{"archive":["a@x.example"]}', LINK, "also for     a@x.example"),
    (b'{"cc":[{"email":"c@X.example","name":"J\\u00f6rg, D"}]}', LINK, "its Cc got c@X.example"),
    (b'{"cc":["reader@example.net"]}', LINK, "its Cc got reader@example.net"),
    (b'{"bcc":["b@x.example"],"options":{"open_tracking":false}}', b"hello", "b@x.example"),
    (b'{"metadata": 1}', LINK, "550 5.6.0 X-MSYS-API 'metadata'"),
    (b"no JSON", LINK, "550 5.6.0 JSON parsing error"),
    (b'{"cc":["nobody"]}', LINK, "550 5.6.0 X-MSYS-API 'cc[0]'"),
]


@pytest.mark.parametrize(
    "fields", [b"", b"Cc: x@y.example,\r\n z@y.example\r\nBcc: s@y.example\r\n"]
)
@pytest.mark.parametrize(("header", "body", "told"), HOW_ASKED)
async def test_what_a_mail_may_ask_for_is_expected(
    stage: Stage, fields: bytes, header: bytes, body: bytes, told: str
) -> None:
    api = b"X-MSYS-API: " + header + b"\r\n" if header else b""
    content = fields + api + HTML + b"\r\n<html><body>" + body + b"</body></html>\r\n"
    ledger, page = await show_mail(stage, content)
    assert not any(ledger.find_failures()), page
    assert told in page


TO_ALL = b'{"cc":["c@x.example"],"bcc":["b@x.example"],"archive":["a@x.example"]}'
ASKING = b"<a data-msys-sublink=app data-msys-unsubscribe=1 href='https://d.example/'>"


@pytest.mark.parametrize(
    ("was", "is_now", "noticed"),
    [
        (b"/f/app/", b"/f/a/", f"what differs in {SHARED} beyond links and pixel"),
        (b"data-msys-unsubscribe=1", b"", f"what differs in {SHARED} beyond links and pixel"),
        (b"c@x.example", b"d@x.example", f"who was added to Cc and Bcc in {SHARED}"),
        (b"Cc: c@x.example\r\n", b"", f"who was added to Cc and Bcc in {SHARED}"),
        (b"Cc: ", b"Cc: e@x.example\r\nCc: ", f"what differs in {SHARED} beyond links and pixel"),
        (b"Bcc: b@x.example\r\n", b"", "who was added to Cc and Bcc in b@x.example's copy"),
        (
            b"Subject: x",
            b"Bcc: b@x.example\r\nSubject: x",
            f"what differs in {SHARED} beyond links and pixel",
        ),
        (b"max-height:1px", b"max-height:2px", f"what differs in {SHARED} beyond links and pixel"),
    ],
)
async def test_a_copy_that_is_not_as_asked_for_is_noticed(
    stage: Stage, spoil: Spoil, was: bytes, is_now: bytes, noticed: str
) -> None:
    spoil(lambda each: [replace(each, message=each.message.replace(was, is_now))])
    api = b"X-MSYS-API: " + TO_ALL[:-1] + b',"options":{"initial_open":true}}\r\n'
    ledger, _ = await show_mail(stage, api + HTML + b"\r\n<html><body>" + ASKING)
    assert noticed in [each.what for each in ledger.find_failures()]


async def test_a_field_is_compared_whole_where_a_line_stands_in_it_that_is_none(
    stage: Stage,
) -> None:
    cc = b"Cc: x@y.example,\r\njunk\r\n z@y.example\r\n"
    bcc = b"Bcc: s@y.example,\r\njunk\r\n\tt@y.example\r\n"
    api = b"X-MSYS-API: " + TO_ALL[:-1] + b"\r\njunk\r\n }\r\n"
    ledger, page = await show_mail(stage, cc + bcc + api + HTML + b"\r\n" + LINK)
    assert not any(ledger.find_failures()), page
    assert "its Cc got c@x.example" in page


@pytest.mark.parametrize("missing", ["reader@example.net", "c@x.example", "b@x.example"])
async def test_a_copy_that_is_missing_is_noticed(stage: Stage, spoil: Spoil, missing: str) -> None:
    spoil(lambda each: [] if missing in each.recipients else [each])
    ledger, _ = await show_mail(stage, b"X-MSYS-API: " + TO_ALL + b"\r\n" + HTML + b"\r\n" + LINK)
    assert "who received it" in [each.what for each in ledger.find_failures()]


async def test_a_further_reader_whose_copy_is_not_tracked_is_noticed(
    stage: Stage, spoil: Spoil
) -> None:
    content = b"X-MSYS-API: " + TO_ALL + b"\r\n" + HTML + b"\r\n" + LINK + b"\r\n"
    untracked = b"Cc: c@x.example\r\n" + HTML + b"\r\n" + LINK + b"\r\n"
    to = "c@x.example"

    def leave(each: Arrival) -> list[Arrival]:
        received, _ = split_received(each.message)
        return [replace(each, message=received + untracked) if to in each.recipients else each]

    spoil(leave)
    ledger, _ = await show_mail(stage, content)
    what = "links and pixels in c@x.example's copy, as the product says"
    assert [each.what for each in ledger.find_failures()] == [what]


async def test_an_event_of_another_kind_is_noticed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_events = Stage.new_events

    async def others(stage: Stage) -> list[Event]:
        return [replace(each, type=EventType.CLICK) for each in await new_events(stage)]

    monkeypatch.setattr(Stage, "new_events", others)
    ledger, _ = await show_mail(stage, HTML + b"\r\n" + ASKING)
    assert [each.what for each in ledger.find_failures()] == ["events in the store"]


async def test_a_refusal_without_a_cause_is_noticed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: object) -> Answer:
        return Answer(code=550, text="5.6.0 JSON parsing error in X-MSYS-API")

    monkeypatch.setattr(Stage, "send", refused)
    ledger, _ = await show_mail(stage, b"X-MSYS-API: {}\r\n" + HTML + b"\r\n" + LINK)
    assert [each.what for each in ledger.find_failures()] == ["the answer to the mail"]


async def test_a_mail_that_arrives_though_it_must_be_refused_is_noticed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"X-MSYS-API: no JSON\r\n" + HTML + b"\r\n" + LINK
    arrival = Arrival(sender="", recipients=("reader@example.net",), message=content)

    async def accepted(*_: object) -> Answer:
        return Answer(code=250, text="2.0.0 queued")

    monkeypatch.setattr(Stage, "send", accepted)
    monkeypatch.setattr(Stage, "arrivals", lambda _: [arrival])
    ledger, page = await show_mail(stage, content)
    noticed = [each.what for each in ledger.find_failures()]
    assert {"the answer to the mail", "who received it", f"X-MSYS-API in {OWN}"} <= {*noticed}
    assert "   tracking " not in page


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no_html_part"),
        (b"\n", "no_html_part"),
        (b"hello", "malformed_message: its header section has a line"),
        (bytes(range(256)) * 64, "malformed_message: its header"),
        (b"\x7fELF\x02\x01\x01" + bytes(5_000), "malformed_message"),
        (b"Subject: x\n\nhttp://a.example/\n", "in plain text"),
        (
            b"DKIM-Signature: v=1\r\n" + HTML + b"\r\n" + LINK,
            "signed_message: it has DKIM",
        ),
        (HTML.replace(b"utf-8", b"utf-16") + b"\r\n" + LINK, "unsupported_charset"),
    ],
)
async def test_what_can_not_be_tracked_arrives_byte_for_byte(
    stage: Stage, content: bytes, told: str
) -> None:
    ledger, page = await show_mail(stage, content)
    assert not any(ledger.find_failures())
    assert "   came out     byte for byte as it was" in page
    assert told in " ".join(page.split())
    assert "   stored       no event" in page


async def test_line_ends_are_made_as_mail_programs_make_them(stage: Stage) -> None:
    content = (HTML + b"\r\n" + LINK).replace(b"\r\n", b"\n")
    ledger, page = await show_mail(stage, content)
    assert not any(ledger.find_failures())
    assert "3 line ends made CRLF" in page
    assert "the last line was given an end" in page
    assert "1 link wrapped" in page


async def test_a_line_of_a_megabyte_goes_through(stage: Stage) -> None:
    ledger, page = await show_mail(stage, HTML + b"\r\n<p>" + b"x" * 1_000_000 + LINK)
    assert not any(ledger.find_failures())
    assert "1 link wrapped" in page


async def test_what_is_8bit_goes_through(stage: Stage) -> None:
    content = HTML + "\r\n<a href='https://exämple.org/ü?é=1'>é</a>".encode()
    ledger, page = await show_mail(stage, content)
    assert not any(ledger.find_failures())
    assert "   clicked      https://xn--exmple-cua.org/%C3%BC?%C3%A9=1" in page


async def test_what_a_terminal_would_obey_is_shown_escaped(stage: Stage) -> None:
    _, page = await show_mail(stage, HTML + b"\r\n<a href='java\x1b[2J:x'>\x1b[31m</a>")
    assert "\x1b" not in page
    assert "java\\x1b[2J:x" in page


async def test_of_many_links_some_are_shown_and_a_thousand_clicked(stage: Stage) -> None:
    links = b"".join(b"<a href=http://a.example/%d>x</a>\r\n" % at for at in range(1_200))
    ledger, page = await show_mail(stage, HTML + b"\r\n" + links)
    assert not any(ledger.find_failures())
    assert "1,200 links wrapped" in page
    assert "http://a.example/24" in page
    assert "http://a.example/25" not in page
    assert "and 975 more" in page
    assert "1 open, 1,000 clicks" in page


@pytest.mark.parametrize(
    "spoil_field",
    [
        lambda message: split_received(message)[1],
        lambda message: split_received(message)[0] + message,
        lambda message: message.replace(b"(msys-track)", b"(other)", 1),
    ],
    ids=["missing", "twice", "of another"],
)
async def test_a_received_field_that_is_not_just_one_of_ours_is_noticed(
    stage: Stage, spoil: Spoil, spoil_field: Callable[[bytes], bytes]
) -> None:
    spoil(lambda each: [replace(each, message=spoil_field(each.message))])
    ledger, _ = await show_mail(stage, HTML + b"\r\n" + LINK)
    assert f"one Received field of the proxy at the top of {OWN}" in [
        each.what for each in ledger.find_failures()
    ]


async def test_a_copy_that_was_changed_is_noticed(stage: Stage, spoil: Spoil) -> None:
    spoil(lambda each: [replace(each, message=each.message.replace(b"lovely", b"lonely"))])
    ledger, page = await show_mail(stage, HTML + b"\r\n" + LINK + b"lovely")
    assert f"what differs in {OWN} beyond links and pixel" in [
        each.what for each in ledger.find_failures()
    ]
    assert "with differences that must not be" in page
    assert f"NOT ALL: 2 of {ledger.total} expectations failed, see below" in page
    assert page.endswith(f"2 of {ledger.total} expectations failed")


@shared_corpus.needs_corpus
@pytest.mark.timeout(300)
async def test_hostile_files_go_through(stage: Stage) -> None:
    for name, data, kind in some_of(list(shared_corpus.hostile())[::3]):
        if len(data) > 50_000:
            continue
        content = HTML + b"\r\n" + data if kind == "html" else data
        ledger, page = await show_mail(stage, content)
        assert not any(ledger.find_failures()), (name, page)


@shared_corpus.needs_corpus
@pytest.mark.timeout(300)
async def test_real_mails_go_through(stage: Stage) -> None:
    for _, message in some_of(list(shared_corpus.messages())[::40], 3):
        ledger, page = await show_mail(stage, message)
        assert not any(ledger.find_failures()), page
