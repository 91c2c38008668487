import json
import re
from collections.abc import Sequence
from dataclasses import replace
from email import message_from_bytes
from email.policy import SMTP
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import oracle
from tests.captured_logs import capture_logs

from msys_track.dispatch.copies import Copy
from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.dispatch.library import rewrite
from msys_track.errors import PolicyRefusedError, RewriteError
from msys_track.keys.ring import Claims, KeyRing
from msys_track.options.arguments import Arguments
from msys_track.options.tracking import TrackingOptions
from msys_track.policy.context import Context, Contexts
from msys_track.policy.guard import Guard
from msys_track.policy.hooks import Hook, OnFailed, Rejection, Transaction
from msys_track.reasons import Reason
from msys_track.rewriting.engine import Plan
from msys_track.rewriting.native import NativeEngine
from msys_track.rewriting.rules import Rules

ON = TrackingOptions(open_tracking=True, click_tracking=True, tracking_domain="click.example.com")
NOW = 1_700_000_000
BODY = b"<body><a href='http://e.com/?a=1&amp;b=2'>x</a></body>\r\n"
MESSAGE = b"Subject: x\r\nContent-Type: text/html\r\n\r\n" + BODY
THREE = ("a@example.com", "b@example.com", "c@example.com")
KEYS = KeyRing.temporary()


def api(value: object, message: bytes = MESSAGE) -> bytes:
    return b"X-MSYS-API: " + json.dumps(value).encode() + b"\r\n" + message


def copies(
    message: bytes,
    options: TrackingOptions | None = None,
    transaction: Transaction | None = None,
    **more: Any,
) -> tuple[Copy, ...]:
    rewriter = Dispatcher(keys=KEYS, options=options, **more)
    return rewriter.copies(message, THREE, now=NOW, transaction=transaction)


def open_url(url: str) -> Claims:
    return KEYS.open(url.removeprefix("http://click.example.com"))


def open_all(copy: Copy) -> list[Claims]:
    found = re.findall(rb"http://click\.example\.com/[^\"' >]+", copy.message)
    return [open_url(url.decode()) for url in found]


def test_each_recipient_has_a_copy_with_links_of_its_own() -> None:
    header = {"campaign_id": "spring", "metadata": {"user": 7, "name": "Jö"}}
    urls = set()
    for copy, recipient in zip(copies(api(header), ON), THREE, strict=True):
        assert copy.recipients == (recipient,)
        found = oracle.difference(MESSAGE, copy.message)
        [(_, link)], [pixel] = found.links, found.pixels
        for url, kind in ((link, "click"), (pixel, "open")):
            claims = open_url(url)
            assert claims.kind == kind
            assert claims.engagement.recipient == recipient
            assert claims.engagement.message_id == copy.message_id
            assert claims.engagement.campaign_id == "spring"
            assert json.loads(claims.engagement.metadata or "") == header["metadata"]
            assert claims.engagement.injected_at == NOW
            assert claims.engagement.expires_at == NOW + 31_536_000
        assert open_url(link).target == "http://e.com/?a=1&b=2"
        urls |= {link, pixel}
    assert len(urls) == 6


def test_the_header_is_in_no_copy_whether_tracked_or_not() -> None:
    for options in (None, ON):
        for copy in copies(api({}), options):
            assert b"X-MSYS-API" not in copy.message
    [copy] = copies(api({}))  # tracking is off by default
    assert (copy.message, copy.recipients) == (MESSAGE, THREE)
    assert copy.reasons == (Reason.TRACKING_OFF,)
    assert list(copy.edits) == [(0, len(api({})) - len(MESSAGE), b"")]


def test_metadata_in_clicks_can_be_switched_off_and_stays_in_opens() -> None:
    options = replace(ON, click_tracking_include_metadata=False)
    copy = copies(api({"metadata": {"a": 1}}), options)[0]
    found = oracle.difference(MESSAGE, copy.message)
    assert open_url(found.links[0][1]).engagement.metadata is None
    assert open_url(found.pixels[0]).engagement.metadata == '{"a":1}'


def test_the_library_function_gives_the_bytes_of_the_copy() -> None:
    out = rewrite(MESSAGE, recipient="a@example.com", keys=KEYS, options=ON)
    assert len(oracle.difference(MESSAGE, out).links) == 1
    assert rewrite(MESSAGE, recipient="a@example.com", keys=KEYS) == MESSAGE


class BrokenEngine:
    """An engine with a defect, which the real one can't be made to show."""

    header_fields = staticmethod(NativeEngine.header_fields)

    def plan(self, message: bytes, rules: Rules, /, *, drop_headers: Sequence[bytes] = ()) -> Plan:
        raise RewriteError(f"planning {len(message)} bytes by {rules} failed ({drop_headers!r})")


def test_a_defect_of_the_core_sends_the_original_without_the_header() -> None:
    with capture_logs() as logs:
        [copy] = copies(api({}), ON, engine=BrokenEngine())
    assert (copy.message, copy.recipients) == (MESSAGE, THREE)
    assert copy.reasons == (Reason.CORE_FAILURE,)
    assert [entry["event"] for entry in logs] == ["message.rewrite_failed"]


CC = {
    "cc": [{"email": "cc@x.test", "name": "Zoë"}],
    "bcc": ["bcc@x.test"],
    "archive": ["archive@x.test"],
}


def test_a_failure_to_explain_costs_no_copy() -> None:
    def fail(*_: object) -> None:
        raise ValueError("no words for it")

    dispatcher = Dispatcher(keys=KEYS, options=ON, on_rendered=fail)
    with capture_logs() as logs:
        dispatcher.explain(dispatcher.decide(MESSAGE, THREE), now=NOW)
    assert [each["event"] for each in logs] == ["explanation.failed"]


def test_each_reader_has_a_copy_with_links_of_their_type_in_one_transmission() -> None:
    first, second, third, cc, bcc = copies(api(CC), ON)
    assert first.recipients == ("a@example.com", "archive@x.test")
    assert [second.recipients, third.recipients] == [("b@example.com",), ("c@example.com",)]
    assert (cc.recipients, bcc.recipients) == (("cc@x.test",), ("bcc@x.test",))
    transmissions, messages = set(), set()
    for copy, kind in ((first, "to"), (second, "to"), (third, "to"), (cc, "cc"), (bcc, "bcc")):
        (link, pixel) = (each.engagement for each in open_all(copy))
        assert link.recipient == pixel.recipient == copy.recipients[0]
        assert link.recipient_type == pixel.recipient_type == kind
        transmissions |= {link.transmission_id, pixel.transmission_id}
        messages.add(copy.message_id)
        message = message_from_bytes(copy.message, policy=SMTP)
        assert message["Cc"] == "Zoë <cc@x.test>"
        assert message["Bcc"] == ("bcc@x.test" if kind == "bcc" else None)
        assert b"archive@x.test" not in copy.message
    assert (len(transmissions), len(messages)) == (1, 5)


def test_untracked_copies_are_one_but_for_the_blind_ones() -> None:
    shared, blind = copies(api(CC))
    assert shared.recipients == (THREE[0], "archive@x.test", *THREE[1:], "cc@x.test")
    cc = b"Cc: =?utf-8?q?Zo=C3=AB?= <cc@x.test>\r\n"
    assert shared.message == cc + MESSAGE
    assert blind.message == cc + b"Bcc: bcc@x.test\r\n" + MESSAGE


def test_the_edits_of_a_copy_with_more_readers_give_the_message_back() -> None:
    message = b"Cc: x@y.test\r\n" + api(CC)
    (rewritten,) = (each for each in copies(message, ON) if each.readers[0].type == "bcc")
    out = bytearray(rewritten.message)
    shift = sum(len(text) - length for _, length, text in rewritten.edits)
    for offset, length, text in reversed(rewritten.edits):
        shift -= len(text) - length
        start = offset + shift
        assert out[start : start + len(text)] == text
        out[start : start + len(text)] = message[offset : offset + length]
    assert bytes(out) == message


class Answers:
    """A policy with an answer for each recipient."""

    hooks = frozenset({Hook.EACH_RCPT})

    def __init__(self, answers: dict[str, dict[str, str] | Rejection]) -> None:
        self.answers = answers

    def call(self, hook: Hook, transaction: Transaction, _on_failed: OnFailed) -> Rejection | None:
        assert hook is Hook.EACH_RCPT
        answer = self.answers.get(transaction.recipient or "", {})
        if isinstance(answer, Rejection):
            return answer
        for name, value in answer.items():
            transaction.contexts.message.set(name, value)
        return None


def make_transaction(**connection: str) -> Transaction:
    contexts = Contexts(connection=Context(connection), message=Context())
    return Transaction(contexts=contexts, peer="10.0.0.7:51234", listen="127.0.0.1:2525")


def copies_by_policy(
    answers: dict[str, dict[str, str] | Rejection], message: bytes
) -> tuple[Copy, ...]:
    return copies(message, ON, make_transaction(), policy=Guard(Answers(answers)))


def test_options_in_text_go_where_nothing_is_tracked_if_that_is_configured() -> None:
    text = b'To: a@e.com\r\nX-MSYS-API: {}\r\n\r\nhttp://e.com/[[data-msys-clicktrack="0"]] x\r\n'
    untracked = TrackingOptions(click_tracking=False, open_tracking=False)
    [kept] = copies(text, untracked)
    assert kept.message == text.replace(b"X-MSYS-API: {}\r\n", b"")
    strips = replace(untracked, strip_text_options=True)
    [copy] = copies(text, strips)
    assert copy.message == b"To: a@e.com\r\n\r\nhttp://e.com/ x\r\n"
    assert (copy.reasons, copy.message_id) == (("tracking_off",), None)
    assert oracle.undone(text, copy.message, copy.edits) == text
    assert copy.left_alone == [(0, len(text), Reason.TRACKING_OFF)]


def test_policy_decides_for_each_recipient_apart() -> None:
    off = {"smtpapi_open_tracking": "0", "smtpapi_click_tracking": "0"}
    first, third, second = copies_by_policy(
        {"b@example.com": off, "c@example.com": {"smtpapi_campaign_id": "third"}}, MESSAGE
    )
    assert (second.recipients, second.message) == (("b@example.com",), MESSAGE)
    assert {each.engagement.campaign_id for each in open_all(first)} == {None}
    assert {each.engagement.campaign_id for each in open_all(third)} == {"third"}


def test_a_recipient_that_policy_refuses_refuses_the_message() -> None:
    no = Rejection(code=550, text="5.7.1 not to c")
    with pytest.raises(PolicyRefusedError) as refused:
        copies_by_policy({"c@example.com": no}, MESSAGE)
    assert (refused.value.code, refused.value.text) == (550, "5.7.1 not to c")


def test_a_bypassed_recipient_gets_the_message_as_it_came() -> None:
    message = api({"campaign_id": "x"})
    *tracked, bypassed = copies_by_policy({"b@example.com": {"__bypass_smtpapi": "true"}}, message)
    assert [copy.recipients for copy in tracked] == [("a@example.com",), ("c@example.com",)]
    assert (bypassed.recipients, bypassed.message) == (("b@example.com",), message)
    assert bypassed.reasons == (Reason.BYPASSED,)


def test_a_header_that_is_not_heeded_is_a_header_like_any_other() -> None:
    [copy] = copies(b"X-MSYS-API: {\r\n" + MESSAGE, ON, heeds_header=False)
    assert copy.message == b"X-MSYS-API: {\r\n" + MESSAGE


@pytest.mark.parametrize("options", [ON, TrackingOptions()], ids=["on", "off"])
@pytest.mark.parametrize("keeps", [False, True])
def test_nobody_sees_the_bcc_readers_that_the_message_names(
    options: TrackingOptions, *, keeps: bool
) -> None:
    bcc = b"bcc: secret@x.test,\r\n a@x.test\r\n"
    own = b'X-MSYS-API: {"bcc": ["b@x.test"]}\r\n'
    message = own + b"To: t@x.test\r\n" + bcc + MESSAGE
    options = replace(options, keep_x_msys_api=keeps)
    for copy in copies(message, options):
        named = message_from_bytes(copy.message).get_all("Bcc")
        assert named == (["b@x.test"] if copy.recipients == ("b@x.test",) else None)
        assert copy.message.endswith(MESSAGE) or copy.wrapped_links == 1
        assert copy.message.count(b"X-MSYS-API") == copy.message.count(own) == int(keeps)


# Lines that are neither a field nor the continuation of one.
JUNK = ("Bad line", "Bcc", ": x", "a b: c", "From jo@x.test Mon Jan  1 2024", "é: " + "x" * 2_000)


@pytest.mark.parametrize("options", [ON, TrackingOptions()], ids=["on", "off"])
@pytest.mark.parametrize("eol", ["\r\n", "\n"], ids=["crlf", "lf"])
@pytest.mark.parametrize("junk", JUNK, ids=range(len(JUNK)))
def test_a_line_that_is_not_a_field_uncovers_no_blind_recipient(
    junk: str, eol: str, options: TrackingOptions
) -> None:
    top, end = (
        (junk, "Subject: hello"),
        ("Content-Type: text/html", "", "<a href='http://e.com/'>"),
    )
    own = ('X-MSYS-API: {"bcc":', junk, '\t["boss@x.test"]}')
    bcc = ("Bcc: one@x.test,", " two@x.test,", junk, junk, "\tthree@x.test")
    *others, blind = copies(eol.join((*top, *own, *bcc, *end)).encode(), options)
    shared = eol.join((*top, junk, junk, junk, *end)).encode()
    assert {copy.message for copy in others} == {shared}
    seen = eol.join((*top, "Bcc: boss@x.test", junk, junk, junk, *end)).encode()
    assert (blind.recipients, blind.message) == (("boss@x.test",), seen)


def test_a_folded_header_is_read_in_a_section_with_a_line_that_is_not_a_field() -> None:
    folded = b'X-MSYS-API: {"options": {"open_tracking": true},\n "campaign_id": "x"}\n'
    opened = Dispatcher(keys=KEYS).open(
        b"Subject hello\nFrom: a@x.test\n" + folded + b"\nx", THREE
    )
    assert opened.header is not None
    assert opened.header.campaign_id == "x"


Lines = list[tuple[str, bool]]
"""Lines of a header section, and whether they are in no copy."""


def block(name: str, *values: str, goes: bool = False) -> st.SearchStrategy[Lines]:
    """A field, folded between its values, with lines that are not a field before each fold."""
    junk = st.lists(st.sampled_from([(line, False) for line in JUNK]), max_size=2)
    space = st.sampled_from([" ", "\t", "  "])

    @st.composite
    def lines(draw: st.DrawFn) -> Lines:
        first, *folds = values
        drawn = [(f"{name}:{first}", goes)]
        for value in folds:
            drawn += [*draw(junk), (draw(space) + value, goes)]
        return drawn + draw(junk)

    return lines()


FIELDS = st.one_of(
    block("Bcc", "one@x.test,", "two@x.test,", "Bcc: three@x.test", goes=True),
    block("bCC \t", "", "one@x.test", "", goes=True),
    block("Subject", "hello", "Bcc: you"),
    block("To", ""),
)


@given(
    st.lists(st.sampled_from([(line, False) for line in (*JUNK, " x", "\t")]), max_size=3),
    st.lists(FIELDS, max_size=4),
    block("X-Msys-Api", '{"bcc":', '["boss@x.test"]', "", "}", goes=True),
    st.lists(FIELDS, max_size=4),
    st.sampled_from(["\r\n", "\n"]),
)
def test_what_goes_from_a_header_section_goes_whole_and_nothing_else_goes(
    top: Lines, before: list[Lines], own: Lines, after: list[Lines], eol: str
) -> None:
    sections = [top, *before, own, *after]
    message = "".join(line + eol for section in sections for line, _ in section) + eol
    kept = ["".join(line + eol for line, goes in section if not goes) for section in sections]
    shared, blind = copies(message.encode())
    assert shared.message == ("".join(kept) + eol).encode()
    kept.insert(1 + len(before), f"Bcc: boss@x.test{eol}")
    assert blind.message == ("".join(kept) + eol).encode()


def test_a_bcc_field_stays_where_x_msys_api_names_nobody() -> None:
    message = api({"cc": ["b@x.test"]}, b"Bcc: a@x.test\r\n" + MESSAGE)
    for copy in copies(message, ON):
        assert message_from_bytes(copy.message)["Bcc"] == "a@x.test"


QUOTED = MESSAGE.replace(
    b"text/html", b"text/html\r\nContent-Transfer-Encoding: quoted-printable"
).replace(b"=", b"=3D")
CLICKS_WITHOUT = replace(ON, open_tracking=False, click_tracking_include_metadata=False)


@pytest.mark.parametrize(
    ("message", "options", "notices"),
    [(MESSAGE, ON, ("left_out_metadata",)), (QUOTED, ON, ()), (MESSAGE, CLICKS_WITHOUT, ())],
    ids=["no room", "room in quoted-printable", "clicks are not to have them"],
)
def test_metadata_that_find_no_room_are_left_out_and_noticed(
    message: bytes, options: TrackingOptions, notices: tuple[str, ...]
) -> None:
    for copy in copies(api({"metadata": {"k": "x" * 800}}, message), options):
        assert (copy.wrapped_links, copy.pixels) == (1, int(options is ON))
        assert copy.notices == notices


def test_what_could_not_be_had_is_noticed() -> None:
    tags = [str(number) for number in range(11)]
    message = api({"no_such": 1, "metadata": {"a": "x" * 2000}, "tags": tags})
    noticed = ("ignored_key", "dropped_tags", "truncated_metadata", "ignored_variable")
    for copy in copies(message, ON, make_transaction(smtpapi_click_tracking="maybe")):
        assert copy.notices == noticed


def test_customer_and_initial_pixel_are_in_every_link() -> None:
    options = replace(ON, initial_open=True)
    for copy in copies(MESSAGE, options, make_transaction(mo_customer_id="1005")):
        assert {each.engagement.customer_id for each in open_all(copy)} == {1005}
        assert {each.engagement.initial_pixel for each in open_all(copy)} == {True}


@pytest.mark.parametrize(
    ("scheme", "kind", "enabled"),
    [
        ("https", b"alternative", True),
        ("same", b"alternative", True),
        ("http", b"alternative", False),
        ("https", b"mixed", False),
    ],
)
def test_links_say_whether_the_amp_part_is_tracked(
    scheme: Literal["https", "same", "http"], kind: bytes, *, enabled: bool
) -> None:
    message = (
        b"Content-Type: multipart/" + kind + b"; boundary=b\r\n\r\n"
        b"--b\r\nContent-Type: text/x-amp-html\r\n\r\n<html amp4email><body></body></html>\r\n"
        b"--b\r\nContent-Type: text/html\r\n\r\n" + BODY + b"--b--\r\n"
    )
    options = replace(ON, click_tracking_scheme=scheme, open_tracking_scheme="http")
    copy = Dispatcher(keys=KEYS, options=options).copy_for("a@example.com", message, now=NOW)
    path = re.search(rb"//click\.example\.com(/f/a/[\w-]+)", copy.message)
    assert path is not None
    assert KEYS.open(path[1].decode()).engagement.amp_enabled is enabled


def test_bcc_leak() -> None:
    message = (
        b"Bad line\r\nFrom: a@example.com\r\nTo: x@example.com\r\nSubject: hello\r\n"
        b'X-MSYS-API: {"bcc": ["boss@example.com"]}\r\n'
        b"Bcc: secret1@example.com,\r\n secret2@example.com\r\n"
        b"Content-Type: text/html\r\n\r\n"
        b'<a href="https://x.example/">x</a>\r\n'
    )
    copies = Dispatcher(keys=KEYS, options=ON).copies(message, ["x@example.com"], now=NOW)
    assert [copy.recipients for copy in copies] == [("x@example.com",), ("boss@example.com",)]
    for copy in copies:
        assert b"secret" not in copy.message
        assert b"Subject: hello\r\n" in copy.message


OWN = api(
    {
        "campaign_id": "spring",
        "metadata": {"of": "all"},
        "cc": ["cc@example.com"],
        "x_msys_track": {
            "recipients": {
                "b@EXAMPLE.com": {"metadata": {"of": "b"}, "tags": ["x"]},
                "c@example.com": {"options": {"open_tracking": False, "click_tracking": False}},
                "nobody@example.com": {"campaign_id": "of nobody"},
            }
        },
    }
)


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_what_the_header_asks_for_one_recipient_holds_for_that_one_alone(engine: str) -> None:
    of = {copy.readers[0].address: copy for copy in copies(OWN, ON, engine=engine)}
    assert all(b"x_msys_track" not in copy.message for copy in of.values())
    said = {
        address: {(each.engagement.metadata, each.engagement.tags) for each in open_all(copy)}
        for address, copy in of.items()
    }
    of_all = {('{"of":"all"}', ())}
    assert said["a@example.com"] == said["cc@example.com"] == of_all
    assert said["b@example.com"] == {('{"of":"b"}', ("x",))}
    assert said["c@example.com"] == set()
    options = {address: copy.resolved for address, copy in of.items() if copy.resolved}
    assert {each.campaign_id.value for each in options.values()} == {"spring"}
    sources = [each.source for each in options["b@example.com"].metadata.chain()]
    assert sources == ["header (recipient)", "header", "default"]


def test_policy_and_the_call_stand_above_what_the_header_asks_for_one_recipient() -> None:
    dispatcher = Dispatcher(keys=KEYS, options=ON)
    by_call = dispatcher.copy_for(
        "b@example.com", OWN, now=NOW, arguments=Arguments(metadata='{"of":"call"}')
    )
    assert {each.engagement.metadata for each in open_all(by_call)} == {'{"of":"call"}'}
    assert {each.engagement.tags for each in open_all(by_call)} == {("x",)}
    by_policy = copies(OWN, ON, make_transaction(smtpapi_tags='["policy"]'))
    (own,) = [copy for copy in by_policy if copy.readers[0].address == "b@example.com"]
    assert {each.engagement.tags for each in open_all(own)} == {("policy",)}
    assert {each.engagement.metadata for each in open_all(own)} == {'{"of":"b"}'}


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.parametrize("options", [ON, TrackingOptions()], ids=["tracked", "untracked"])
def test_escaped_curly_braces_are_taken_back_where_that_is_switched_on(
    options: TrackingOptions, engine: str
) -> None:
    message = (
        b'X-MSYS-API: {"campaign_id": "' + b"{{opening_double_curly()}}" * 3 + b'"}\r\n'
        b"Subject: {{opening_double_curly()}}x{{closing_double_curly()}}\r\n"
        b"Content-Type: text/html\r\n\r\n<body>{{closing_double_curly()}}"
        b"<a href='http://e.com/?q={{opening_double_curly()}}'>x</a></body>\r\n"
    )
    (kept, *_) = copies(message.replace(b"X-MSYS-API", b"X-Other"), options, engine=engine)
    assert b"Subject: {{opening_double_curly()}}x" in kept.message
    on = replace(options, unescape_curly_macros=True)
    (copy, *_) = copies(message, on, engine=engine)
    assert b"Subject: {{x}}\r\n" in copy.message
    assert b"<body>}}<a" in copy.message
    assert copy.resolved is not None
    assert copy.resolved.campaign_id.value == "{{{{{{"
    if options is ON:
        assert "http://e.com/?q={{" in {each.target for each in open_all(copy)}
    else:
        assert b"<a href='http://e.com/?q={{'>" in copy.message


class Renames:
    """A policy that leads a recipient's mail elsewhere."""

    hooks = frozenset({Hook.EACH_RCPT})

    def call(self, _hook: Hook, transaction: Transaction, _on_failed: OnFailed) -> None:
        if transaction.recipient == "b@example.com":
            transaction.changes.recipient = "elsewhere@example.com"


def test_what_the_header_asks_for_a_recipient_holds_where_policy_leads_the_mail_elsewhere() -> (
    None
):
    made = copies(OWN, ON, make_transaction(), policy=Guard(Renames()))
    (own,) = [copy for copy in made if copy.readers[0].address == "elsewhere@example.com"]
    assert {each.engagement.metadata for each in open_all(own)} == {'{"of":"b"}'}


def test_a_bypassed_message_keeps_its_escapes() -> None:
    message = b"Subject: {{opening_double_curly()}}\r\n\r\nx\r\n"
    bypassing = make_transaction(__bypass_smtpapi="true")
    (copy,) = copies(message, replace(ON, unescape_curly_macros=True), bypassing)
    assert copy.message == message
