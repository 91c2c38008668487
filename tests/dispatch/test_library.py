"""The library's functions, as a program calls them."""

import copy
import json
import os
import pickle
import re
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from email import message_from_bytes, policy
from email.message import EmailMessage, Message
from email.mime.text import MIMEText
from typing import Any

import pytest

from msys_track.dispatch.library import (
    MessageSource,
    Rewriter,
    open_page,
    rewrite,
    rewrite_all,
    rewrite_html,
    rewrite_text,
)
from msys_track.dispatch.recipients import Reader
from msys_track.errors import HeaderRefusedError, MessageError, RecipientError, SettingsError
from msys_track.events import Event
from msys_track.keys.link import open_link
from msys_track.keys.ring import Claims, Engagement, KeyRing
from msys_track.options.tracking import TrackingOptions
from msys_track.policy.context import Context, Contexts
from msys_track.policy.hooks import Transaction
from msys_track.reasons import Reason
from msys_track.rewriting.native import NativeEngine
from msys_track.rewriting.rules import Rules

KEYS = KeyRing.temporary()
TO = "jo@example.com"
NOW = 1_795_510_800
ON = TrackingOptions(open_tracking=True, click_tracking=True, tracking_domain="click.example.com")
HTML = '<body><a href="http://e.example/?a=1&amp;b=2">Grüße</a></body>'
HEAD = b"Subject: x\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
MESSAGE = HEAD + HTML.encode() + b"\r\n"
TARGET = "http://e.example/?a=1&b=2"

_TRACKED = re.compile(rb"http://click\.example\.com/[^\"'<> \r\n]+")


def claims_in(rewritten: bytes | str) -> list[Claims]:
    found = rewritten.encode() if isinstance(rewritten, str) else rewritten
    return [open_link(url, KEYS) for url in _TRACKED.findall(found)]


def kinds_and_targets(rewritten: bytes | str) -> list[tuple[str, str | None]]:
    return [(each.kind, each.target) for each in claims_in(rewritten)]


CLICK_AND_OPEN = [("click", TARGET), ("open", None)]


def email_message() -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"] = "Grüße"
    mail.set_content(HTML, subtype="html")
    return mail


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview])
def test_a_message_may_be_in_any_form_of_bytes(form: Callable[[bytes], MessageSource]) -> None:
    rewritten = rewrite(form(MESSAGE), recipient=TO, keys=KEYS, options=ON)
    assert type(rewritten) is bytes
    assert kinds_and_targets(rewritten) == CLICK_AND_OPEN


def test_part_of_a_buffer_may_be_a_message() -> None:
    buffer = memoryview(b"before" + MESSAGE + b"after")[6:-5]
    assert rewrite(buffer, recipient=TO, keys=KEYS) == MESSAGE


@pytest.mark.parametrize(
    "mail",
    [
        email_message(),
        MIMEText(HTML, "html", "utf-8"),
        message_from_bytes(MESSAGE),
        message_from_bytes(MESSAGE, policy=policy.default),
    ],
    ids=["EmailMessage", "MIMEText", "compat32", "parsed"],
)
def test_a_message_of_the_standard_library_is_taken_as_smtplib_sends_it(
    mail: Message,
) -> None:
    untracked = rewrite(mail, recipient=TO, keys=KEYS)
    assert untracked.count(b"\n") == untracked.count(b"\r\n") > 2
    sent, given = (
        message_from_bytes(each).get_payload(decode=True) for each in (untracked, mail.as_bytes())
    )
    assert isinstance(sent, bytes)
    assert isinstance(given, bytes)
    assert sent.splitlines() == given.splitlines()
    assert rewrite_all(mail, [TO], keys=KEYS, options=ON)[0].wrapped_links == 1


@pytest.mark.parametrize(
    "html",
    [
        b"<!DOCTYPE html>\n<p>x: y",
        b"<html><body>",
        b" \r\n\t<p>",
        b"<!-- x: y -->",
        b"\xef\xbb\xbf<HTML>",
    ],
    ids=range(5),
)
def test_html_without_a_header_section_is_refused_with_a_hint(html: bytes) -> None:
    calls: list[Callable[[], object]] = [
        lambda: rewrite(html, recipient=TO, keys=KEYS),
        lambda: rewrite_all(html, [TO], keys=KEYS),
        lambda: Rewriter(keys=KEYS).open(html),
        lambda: Rewriter(keys=KEYS).copy_for(TO, bytearray(html)),
        lambda: Rewriter(keys=KEYS).copies(html, [TO]),
    ]
    for call in calls:
        with pytest.raises(MessageError, match=r"HTML without a header section.*rewrite_html"):
            call()


@pytest.mark.parametrize(
    "message", [b"", b"\r\n", b"<", b"<1>: x\r\n\r\n", b"\xef\xbb\xbfA: b\r\n\r\n"]
)
def test_a_message_that_only_looks_odd_is_not_refused(message: bytes) -> None:
    assert rewrite(message, recipient=TO, keys=KEYS) == message


@pytest.mark.parametrize("thing", [MESSAGE.decode(), None, ["x"], 7])
def test_what_is_not_a_message_is_refused(thing: Any) -> None:
    with pytest.raises(MessageError, match=f"^found {type(thing).__name__}, which is not a mess"):
        rewrite(thing, recipient=TO, keys=KEYS)


def test_arguments_of_another_type_are_refused_in_plain_words() -> None:
    anything: Any = {"click_tracking": True}
    with pytest.raises(SettingsError, match="options: found dict; give TrackingOptions"):
        rewrite(MESSAGE, recipient=TO, keys=KEYS, options=anything)
    with pytest.raises(SettingsError, match="options: found dict"):
        rewrite_text("x", recipient=TO, keys=KEYS, options=anything)
    with pytest.raises(SettingsError, match="options: found dict"):
        open_page(recipient=TO, keys=KEYS, options=anything)
    anything = "keys.toml"
    with pytest.raises(SettingsError, match=r"keys: found str; give a KeyRing, such as KeyRing\."):
        Rewriter(keys=anything)
    with pytest.raises(SettingsError, match="engine: found 'rust'; give one of native, reference"):
        rewrite(MESSAGE, recipient=TO, keys=KEYS, engine="rust")
    with pytest.raises(RecipientError, match="give the address alone"):
        rewrite_html(HTML, recipient="Jo <jo@example.com>", keys=KEYS)
    with pytest.raises(RecipientError, match="one string"):
        rewrite_all(MESSAGE, TO, keys=KEYS)
    with pytest.raises(TypeError, match="campaign"):
        rewrite(MESSAGE, recipient=TO, keys=KEYS, campaign="x")  # type: ignore[call-arg]


def test_an_engine_of_the_program_s_own_is_used() -> None:
    class Counting(NativeEngine):
        plans = 0

        def plan(self, message: bytes, rules: Rules, /, **more: Any) -> Any:  # type: ignore[override]
            type(self).plans += 1
            return super().plan(message, rules, **more)

    engine = Counting()
    assert rewrite_html(HTML, recipient=TO, keys=KEYS, options=ON, engine=engine) != HTML
    assert Counting.plans == 1


def test_html_as_text_comes_back_as_text_and_bytes_as_bytes() -> None:
    text = rewrite_html(HTML, recipient=TO, keys=KEYS, options=ON)
    encoded = rewrite_html(HTML.encode(), recipient=TO, keys=KEYS, options=ON)
    assert kinds_and_targets(text) == kinds_and_targets(encoded) == CLICK_AND_OPEN
    assert "Grüße" in text
    assert "Grüße".encode() in encoded
    assert rewrite_html(HTML, recipient=TO, keys=KEYS) == HTML


def test_html_says_the_same_as_the_html_part_of_a_mail() -> None:
    html = rewrite_html(HTML, recipient=TO, keys=KEYS, options=ON)
    mail = rewrite(MESSAGE, recipient=TO, keys=KEYS, options=ON)
    constant = [_TRACKED.sub(b"*", each) for each in (HEAD + html.encode() + b"\r\n", mail)]
    assert constant[0].replace(b"\r\n", b"") == constant[1].replace(b"\r\n", b"")


def test_bytes_are_read_by_their_charset() -> None:
    html = '<a href="http://e.example/ひ">x</a>'.encode("shift_jis")
    tracked = rewrite_html(html, recipient=TO, keys=KEYS, options=ON, charset="shift_jis")
    assert kinds_and_targets(tracked)[0] == ("click", "http://e.example/ひ")
    with pytest.raises(SettingsError, match="charset: found 'a; b'; give a name such as utf-8"):
        rewrite_html(html, recipient=TO, keys=KEYS, charset="a; b")


def test_a_line_of_html_has_no_limit() -> None:
    html = "x" * 2_000 + HTML
    assert kinds_and_targets(rewrite_html(html, recipient=TO, keys=KEYS, options=ON)) == (
        CLICK_AND_OPEN
    )


def test_text_is_tracked_without_an_option_for_it() -> None:
    text = "Grüße: http://e.example/?a=1&b=2 (bis bald)"
    tracked = rewrite_text(text, recipient=TO, keys=KEYS, options=ON)
    assert kinds_and_targets(tracked) == [("click", TARGET)]
    assert _TRACKED.sub(TARGET.encode(), tracked.encode()).decode() == text
    assert rewrite_text(text.encode(), recipient=TO, keys=KEYS) == text.encode()


@pytest.mark.parametrize("function", [rewrite_html, rewrite_text])
def test_a_body_that_is_neither_text_nor_bytes_is_refused(function: Callable[..., Any]) -> None:
    with pytest.raises(MessageError, match="found NoneType; give text or bytes"):
        function(None, recipient=TO, keys=KEYS)
    with pytest.raises(UnicodeEncodeError):
        function("\ud800", recipient=TO, keys=KEYS)


def test_rewrite_all_makes_a_copy_for_each_reader() -> None:
    header = b'X-MSYS-API: {"archive": ["vault@example.com"], "cc": ["boss@example.com"]}\r\n'
    copies = rewrite_all(header + MESSAGE, [TO, "al@example.com"], keys=KEYS, options=ON, now=NOW)
    assert [each.readers for each in copies] == [
        (Reader(TO, "to"), Reader("vault@example.com", "archive")),
        (Reader("al@example.com", "to"),),
        (Reader("boss@example.com", "cc"),),
    ]
    for each in copies:
        for claims in claims_in(each.message):
            assert claims.engagement.recipient == each.recipients[0]
            assert claims.engagement.injected_at == NOW


def engagement_of(
    header: object = None, contexts: Contexts | None = None, **arguments: Any
) -> Engagement:
    message = MESSAGE
    if header is not None:
        message = b"X-MSYS-API: " + json.dumps(header).encode() + b"\r\n" + MESSAGE
    rewriter = Rewriter(keys=KEYS, options=ON)
    if contexts is None:
        [copied] = rewriter.copies(message, [TO], **arguments)
    else:
        transaction = Transaction(contexts=contexts, peer="10.0.0.7:1", listen="127.0.0.1:25")
        [copied] = rewriter._dispatcher.copies(  # noqa: SLF001 - programs give no policy
            message,
            [TO],
            now=NOW,
            transaction=transaction,
            arguments=arguments["arguments"],
        )
    return claims_in(copied.message)[0].engagement


def test_a_call_s_engagement_data_are_in_every_link() -> None:
    engagement = engagement_of(
        campaign_id="spring", metadata={"user": 7}, tags=["a", "b"], subaccount_id=3
    )
    assert (engagement.campaign_id, engagement.tags) == ("spring", ("a", "b"))
    assert (engagement.metadata, engagement.subaccount_id) == ('{"user":7}', 3)
    event = Event.from_claims(Claims(kind="open", engagement=engagement), at=NOW)
    assert event.subaccount_id == 3
    assert event.rcpt_meta == {"user": 7}


def test_a_call_stands_before_the_header_and_leaves_it_what_it_does_not_say() -> None:
    header = {"campaign_id": "header", "metadata": {"from": "header"}, "tags": ["header"]}
    engagement = engagement_of(header, campaign_id="call", tags=[])
    assert (engagement.campaign_id, engagement.tags) == ("call", ())
    assert engagement.metadata == '{"from":"header"}'
    assert engagement_of(header, metadata={}).metadata is None


def test_policy_stands_before_a_call() -> None:
    from msys_track.options.arguments import check_arguments  # noqa: PLC0415 - beside its use

    contexts = Contexts(connection=Context(), message=Context({"smtpapi_campaign_id": "policy"}))
    arguments = check_arguments(campaign_id="call", subaccount_id=3)
    engagement = engagement_of({"campaign_id": "header"}, contexts, arguments=arguments)
    assert (engagement.campaign_id, engagement.subaccount_id) == ("policy", 3)


def test_each_recipient_of_an_opened_message_may_have_metadata_of_their_own() -> None:
    rewriter = Rewriter(keys=KEYS, options=ON)
    opened = rewriter.open(MESSAGE)
    assert opened.header is None
    assert repr(opened) == f"<Message of {len(MESSAGE)} bytes>"
    for user in range(3):
        copied = rewriter.copy_for(TO, opened, metadata={"user": user})
        assert {each.engagement.metadata for each in claims_in(copied.message)} == {
            json.dumps({"user": user}, separators=(",", ":"))
        }
    assert claims_in(rewriter.copy_for(TO, opened).message)[0].engagement.metadata is None


def test_the_header_of_an_opened_message_can_be_read() -> None:
    opened = Rewriter(keys=KEYS).open(b'X-MSYS-API: {"campaign_id": "x"}\r\n' + MESSAGE)
    assert opened.header is not None
    assert opened.header.campaign_id == "x"
    with pytest.raises(HeaderRefusedError):
        Rewriter(keys=KEYS).open(b"X-MSYS-API: {\r\n" + MESSAGE)


def test_a_page_in_chunks_says_the_same_as_in_one_piece() -> None:
    page = open_page(
        recipient=TO, keys=KEYS, options=ON, campaign_id="spring", subaccount_id=3, now=NOW
    )
    pieces = [page.write(HTML.encode()[at : at + 5]) for at in range(0, len(HTML) + 5, 5)]
    chunked = b"".join([*pieces, page.end()])
    assert kinds_and_targets(chunked) == CLICK_AND_OPEN
    assert (page.wrapped_links, page.pixels) == (1, 1)
    [claims, _] = claims_in(chunked)
    assert (claims.engagement.campaign_id, claims.engagement.subaccount_id) == ("spring", 3)
    assert claims.engagement.injected_at == NOW
    untracked = open_page(recipient=TO, keys=KEYS)
    assert untracked.write(HTML.encode()) + untracked.end() == HTML.encode()
    with pytest.raises(RecipientError):
        open_page(recipient="", keys=KEYS)


VALUES: Sequence[Any] = [
    ON,
    Rules(never_wrap=("http://e.example/*",)),
    Reason.VETOED,
    Reader(TO, "to"),
    claims_in(rewrite(MESSAGE, recipient=TO, keys=KEYS, options=ON))[0],
    claims_in(rewrite(MESSAGE, recipient=TO, keys=KEYS, options=ON))[0].engagement,
    Event.from_claims(
        claims_in(rewrite(MESSAGE, recipient=TO, keys=KEYS, options=ON, metadata={"a": 1}))[0],
        at=NOW,
    ),
    rewrite_all(b'X-MSYS-API: {"tags": ["a"]}\r\n' + MESSAGE, [TO], keys=KEYS)[0],
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_are_equal_after_pickle_and_copy(value: Any) -> None:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(value, protocol)) == value  # noqa: S301 - our own
    assert copy.deepcopy(value) == copy.copy(value) == value
    assert type(value).__name__ in repr(value) or isinstance(value, str)


def live_things() -> list[tuple[Any, str]]:
    rewriter = Rewriter(keys=KEYS, options=ON)
    [copied] = rewriter.copies(MESSAGE, [TO])
    return [
        (KEYS, "load it where it is needed"),
        (rewriter, "make one in each process"),
        (rewriter.open(MESSAGE), "open them again"),
        (open_page(recipient=TO, keys=KEYS), "make another one"),
        (copied.plan, "plan the message again"),
        (copied.rendered, "pickle its message"),
        (copied, "pickle its `message`"),
    ]


@pytest.mark.parametrize(("thing", "advice"), live_things(), ids=lambda each: type(each).__name__)
def test_what_can_t_be_pickled_says_so_and_what_to_do(thing: Any, advice: str) -> None:
    for attempt in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError) as raised:
            attempt(thing)
        assert advice in str(raised.value)


def test_no_repr_shows_a_key_or_a_whole_message() -> None:
    secret = bytes(range(32))
    keys = KeyRing.from_secrets({3: secret})
    assert repr(keys) == "KeyRing(ids=(3,))"
    assert len(repr(Rewriter(keys=keys).open(HEAD + b"x" * 100_000))) < 100


def test_equal_options_are_one_key_and_others_are_not() -> None:
    assert (
        TrackingOptions(
            open_tracking=True, click_tracking=True, tracking_domain="click.example.com"
        )
        == ON
    )
    assert len({ON, copy.copy(ON), TrackingOptions()}) == 2


THREADS = 8
MESSAGES = 100


def test_threads_that_share_a_rewriter_never_mix_up_their_recipients() -> None:
    rewriter = Rewriter(keys=KEYS, options=ON)
    opened = rewriter.open(MESSAGE)

    def work(thread: int) -> Counter[bool]:
        checked: Counter[bool] = Counter()
        for number in range(MESSAGES):
            to = f"{thread}.{number}@example.com"
            copies = [
                rewriter.copy_for(to, opened, metadata={"to": to}),
                rewriter.copy_for(to, MESSAGE, metadata={"to": to}),
                *rewriter.copies(MESSAGE, [to, f"x{to}"], metadata={"to": to}),
            ]
            for each in copies:
                for claims in claims_in(each.message):
                    engagement = claims.engagement
                    is_right = engagement.recipient == each.recipients[0]
                    checked[is_right and to in (engagement.metadata or "")] += 1
        return checked

    with ThreadPoolExecutor(THREADS) as pool:
        checked = sum(pool.map(work, range(THREADS)), Counter())
    assert checked == {True: THREADS * MESSAGES * 4 * 2}


def test_children_of_a_fork_go_on_with_the_same_rewriter_and_repeat_no_link() -> None:
    rewriter = Rewriter(keys=KEYS, options=ON)
    opened = rewriter.open(MESSAGE)
    rewriter.copy_for(TO, opened)
    found: list[list[bytes]] = []
    for _ in range(3):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:  # pragma: no cover - another process
            try:
                made = [rewriter.copy_for(TO, opened), rewriter.copy_for(TO, MESSAGE)]
                links = [url for each in made for url in _TRACKED.findall(each.message)]
                os.write(writer, b"\n".join(links))
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            found.append(pipe.read().split(b"\n"))
        assert os.waitpid(child, 0)[1] == 0
    urls = [url for links in found for url in links]
    assert len(set(urls)) == len(urls) == 3 * 2 * 2
    assert {open_link(url, KEYS).engagement.recipient for url in urls} == {TO}


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize("length", [0, 800, 960, 985, 998, 1_200])
def test_html_and_text_have_no_limit_of_lines_whatever_their_length(
    engine: str, length: int
) -> None:
    html = "y" * length + '<a href="https://a.example/1">x</a>'
    text = "y" * length + " https://a.example/1"
    call: dict[str, Any] = {"recipient": "jo@example.com", "keys": KEYS, "options": ON}
    assert "/f/" in rewrite_html(html, engine=engine, **call)
    assert "/f/" in rewrite_text(text, engine=engine, **call)


def test_recipients_may_come_from_an_iterator() -> None:
    addresses = ["jo@example.com", "al@example.com"]
    message = b"Subject: hello\r\n\r\nhello"
    for copies in (
        rewrite_all(message, iter(addresses), keys=KEYS),
        Rewriter(keys=KEYS).copies(message, iter(addresses)),
    ):
        assert [to for copy in copies for to in copy.recipients] == addresses


@pytest.mark.parametrize(
    "wrong",
    [
        {"now": "1"},
        {"now": -1},
        {"now": 1.5},
        {"now": 2**70},
        {"engine": None},
        {"engine": 3},
        {"on_link": "veto"},
        {"charset": 3},
    ],
    ids=str,
)
def test_an_argument_that_can_t_be_is_refused_by_its_name(wrong: dict[str, Any]) -> None:
    [name] = wrong
    with pytest.raises(SettingsError, match=f"^{name}: found "):
        rewrite_html(b"x", recipient="jo@example.com", keys=KEYS, options=ON, **wrong)


@pytest.mark.parametrize("charset", [3, "x;y", "a b"])
def test_a_page_refuses_what_is_not_a_charset_s_name(charset: Any) -> None:
    with pytest.raises(SettingsError, match=r"^charset: found "):
        open_page(recipient="jo@example.com", keys=KEYS, charset=charset)


@pytest.mark.parametrize("recipient", [None, 3, ["jo@example.com"], b"jo@example.com"])
def test_a_recipient_that_is_not_a_text_is_refused(recipient: Any) -> None:
    with pytest.raises(RecipientError, match="is not an address"):
        rewrite_html("x", recipient=recipient, keys=KEYS)
