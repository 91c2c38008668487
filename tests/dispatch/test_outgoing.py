"""What the proxy sends is byte for byte what the library makes, and says the same of it."""

import json
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests import shared_corpus
from tests.captured_logs import capture_logs
from tests.thoroughness import some_of

from msys_track.dispatch import inputs
from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.dispatch.outgoing import OutgoingCopy, make_outgoing
from msys_track.errors import HeaderRefusedError, RewriteError
from msys_track.keys.ring import KeyRing
from msys_track.options.scopes import Scope, Scopes
from msys_track.options.tracking import TrackingOptions
from msys_track.policy.context import Context, Contexts
from msys_track.policy.hooks import Transaction
from msys_track.reasons import Reason, list_reasons
from msys_track.rewriting.engine import Plan
from msys_track.rewriting.native import NativeEngine
from msys_track.rewriting.rules import Rules
from msys_track.smtp.data import stuff

KEYS = KeyRing.temporary()
NOW = 1_700_000_000
ONE = ("a@example.com",)
THREE = (*ONE, "b@example.com", "c@example.com")
HTML = (
    b"Subject: x\r\nContent-Type: text/html\r\n\r\n"
    b"<body>\r\n.<a href='http://e.com/?a=1'>x</a>\r\n..\r\n</body>\r\n"
)
ON = TrackingOptions(
    open_tracking=True,
    click_tracking=True,
    initial_open=True,
    tracking_domain="click.example.com",
)
OPTIONS = {
    "all on": ON,
    "clicks in all parts": TrackingOptions(
        click_tracking=True,
        click_tracking_text=True,
        click_tracking_scheme="https",
        open_tracking_scheme="https",
        keep_link_attributes=False,
        signed_mail="strip",
    ),
    "off": TrackingOptions(),
    "off, options stripped": TrackingOptions(strip_text_options=True, keep_x_msys_api=True),
    "escapes taken back": replace(ON, unescape_curly_macros=True),
    "readers not told apart": replace(ON, privacy="aggregate"),
    "fields of its own": replace(
        ON, add_message_id=True, list_unsubscribe="one-click", click_tracking_scheme="https"
    ),
    "fields of its own, off": TrackingOptions(add_message_id=True),
}
CC = {"cc": ["cc@x.test"], "bcc": ["bcc@x.test"], "archive": ["archive@x.test"]}


class SteadyIds(list[bytes]):
    """Ids that are always the same, so that equal copies have equal bytes."""

    def pop(self, *_: Any) -> bytes:
        return b"0123456789"


class PlainEngine:
    """The core by its general methods only."""

    header_fields = staticmethod(NativeEngine.header_fields)
    plan = staticmethod(NativeEngine.plan)


class BrokenEngine(PlainEngine):
    @staticmethod
    def plan(message: bytes, rules: Rules, /, *, drop_headers: Sequence[bytes] = ()) -> Plan:
        raise RewriteError(f"planning {len(message)} bytes by {rules} failed ({drop_headers!r})")


@pytest.fixture
def steady_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "_drawn_ids", SteadyIds())


def api(value: object, message: bytes = HTML) -> bytes:
    return b"X-MSYS-API: " + json.dumps(value).encode() + b"\r\n" + message


def send(
    dispatcher: Dispatcher, message: bytes, recipients: Sequence[str] = ONE, **more: Any
) -> list[OutgoingCopy]:
    decision = dispatcher.decide(message, recipients, **more)
    return [make_outgoing(decision, copy, now=NOW) for copy in decision.copies]


def assert_as_the_library(
    dispatcher: Dispatcher, message: bytes, recipients: Sequence[str], **more: Any
) -> None:
    try:
        copies = dispatcher.copies(message, recipients, now=NOW, **more)
    except HeaderRefusedError:
        with pytest.raises(HeaderRefusedError):
            send(dispatcher, message, recipients, **more)
        return
    sent = send(dispatcher, message, recipients, **more)
    if not more:
        copy = dispatcher.copy_for(recipients[0], message, now=NOW)
        assert dispatcher.message_for(recipients[0], message, now=NOW) == copy.message
    assert len(copies) == len(sent)
    for copy, outgoing in zip(copies, sent, strict=True):
        assert outgoing.wire == stuff(copy.message)
        assert (outgoing.readers, outgoing.size) == (copy.readers, len(copy.message))
        assert outgoing.is_seven_bit == copy.message.isascii()
        assert outgoing.message_id == copy.message_id
        assert (outgoing.wrapped_links, outgoing.pixels) == (copy.wrapped_links, copy.pixels)
        assert set(list_reasons(outgoing.reasons)) == set(copy.reasons)
        assert outgoing.notices == copy.notices


def messages() -> Iterator[tuple[str, bytes]]:
    yield "plain", HTML
    yield "empty", b""
    yield "cut", b"Subject: x"
    yield "escaped", HTML.replace(b"?a=", b"?a={{opening_double_curly()}}")
    own = {"b@example.com": {"metadata": {"a": 1}}, "c@example.com": {"campaign_id": "of c"}}
    yield "requests of recipients", api({"x_msys_track": {"recipients": own}})
    yield "all kinds of readers", api(CC)
    yield "with Bcc and Cc", api(CC, b"Bcc: z@x.test\r\nCc: y@x.test\r\n" + HTML)
    yield "unknown keys", api({"colour": 1, "tags": [str(each) for each in range(12)]})
    yield "no room for metadata", api({"metadata": {"m": "x" * 3_000}})
    yield "malformed", b"X-MSYS-API: {\r\n" + HTML
    if shared_corpus.FOLDER.is_dir():
        yield from some_of(shared_corpus.messages(), 50)
        for name, content, kind in some_of(shared_corpus.hostile(), 9):
            if len(content) < 200_000:
                head = b"Content-Type: text/html\r\n\r\n" if kind == "html" else b""
                yield name, head + content


@pytest.mark.usefixtures("steady_ids")
@pytest.mark.parametrize(
    ("engine", "recipients"),
    [(NativeEngine(), ONE), (NativeEngine(), THREE[:2]), (PlainEngine(), ONE)],
    ids=["native", "two", "plain"],
)
@pytest.mark.parametrize("options", OPTIONS)
def test_a_copy_that_is_sent_is_that_of_the_library(
    engine: Any, options: str, recipients: Sequence[str]
) -> None:
    dispatcher = Dispatcher(keys=KEYS, options=OPTIONS[options], engine=engine)
    for name, message in messages():
        with capture_logs():
            try:
                assert_as_the_library(dispatcher, message, recipients)
            except AssertionError as error:
                raise AssertionError(name) from error


@pytest.mark.usefixtures("steady_ids")
def test_the_reference_engine_sends_the_same_copies() -> None:
    engines = ("native", "reference")
    native, reference = (Dispatcher(keys=KEYS, options=ON, engine=each) for each in engines)
    for message in (HTML, api(CC), api({"metadata": {"a": "b"}})):
        assert send(native, message, THREE) == send(reference, message, THREE)


@pytest.mark.usefixtures("steady_ids")
@pytest.mark.parametrize("setting", ["__bypass_smtpapi", "smtpapi_click_tracking"])
def test_a_policy_s_variables_count_in_what_is_sent(setting: str) -> None:
    contexts = Contexts(connection=Context(), message=Context({setting: "1"}))
    transaction = Transaction(contexts=contexts, peer="127.0.0.1:1", listen="", message=HTML)
    dispatcher = Dispatcher(keys=KEYS)
    assert_as_the_library(dispatcher, HTML, THREE, transaction=transaction)
    [off] = send(dispatcher, HTML, ONE)  # and in nothing that is sent later
    assert list_reasons(off.reasons) == (Reason.TRACKING_OFF,)


def test_a_defect_of_the_engine_sends_the_original_without_the_header() -> None:
    for recipients in (ONE, THREE):
        with capture_logs() as logs:
            [copy] = send(
                Dispatcher(keys=KEYS, options=ON, engine=BrokenEngine()), api({}), recipients
            )
        assert (copy.wire, copy.message_id) == (stuff(HTML), None)
        assert list_reasons(copy.reasons) == (Reason.CORE_FAILURE,)
        assert [each["event"] for each in logs] == ["message.rewrite_failed"]


@pytest.mark.parametrize("engine", [NativeEngine(), PlainEngine()], ids=["native", "plain"])
def test_metadata_that_find_no_room_are_left_out_and_noticed(engine: Any) -> None:
    message = b"Content-Type: text/html\r\n\r\n<p><a href='https://shop.example/'>buy</a>\r\n"
    dispatcher = Dispatcher(keys=KEYS, options=ON, engine=engine)
    [copy] = send(dispatcher, api({"metadata": {"k": "x" * 800}}, message), ONE)
    assert (copy.wrapped_links, copy.notices) == (1, ("left_out_metadata",))


@pytest.mark.parametrize("engine", [NativeEngine(), PlainEngine()], ids=["native", "plain"])
@pytest.mark.parametrize("recipients", [ONE, THREE], ids=["one", "three"])
def test_a_message_that_would_grow_too_much_goes_on_as_it_came(
    monkeypatch: pytest.MonkeyPatch, engine: Any, recipients: Sequence[str]
) -> None:
    monkeypatch.setattr(inputs, "MAX_GROWTH_BYTES", 1_000)
    links = b"<a href='http://e.com'>x</a>\r\n" * 10
    dispatcher = Dispatcher(keys=KEYS, options=ON, engine=engine)
    for copy in send(dispatcher, api({}, HTML + links), recipients):
        assert copy.wire == stuff(HTML + links)
        assert list_reasons(copy.reasons) == (Reason.TOO_MUCH_GROWTH,)
        assert (copy.wrapped_links, copy.pixels, copy.message_id) == (0, 0, None)
    for copy in send(dispatcher, api({}, HTML), recipients):
        assert copy.wrapped_links == 1


def test_options_are_those_of_the_message_s_own_header_and_scopes() -> None:
    """What one message asked for is kept for its like, and for no other."""
    off = Scope(name="off", options=TrackingOptions(click_tracking=False))
    scopes = [Scopes(listener=off), Scopes(listener=Scope(name="on", options=ON))]
    first, second = (Dispatcher(keys=KEYS, scopes=each) for each in scopes)
    headers = [
        {"options": {"click_tracking": each}, "campaign_id": str(each)} for each in (True, False)
    ]
    for _ in range(2):
        for dispatcher, header, links in (
            (first, headers[0], 1), (first, headers[1], 0), (second, headers[0], 1),
            (second, headers[1], 0),
        ):  # fmt: skip
            [copy] = send(dispatcher, api(header))
            assert copy.wrapped_links == links
        assert [send(each, HTML)[0].wrapped_links for each in (first, second)] == [0, 1]


def test_each_copy_has_an_id_of_its_own() -> None:
    dispatcher = Dispatcher(keys=KEYS, options=ON)
    ids = {copy.message_id for _ in range(300) for copy in send(dispatcher, HTML)}
    assert len(ids) == 300
    assert all(each is not None and len(each) == 20 for each in ids)


def test_threads_draw_no_id_twice() -> None:
    drawn: list[list[bytes]] = [[] for _ in range(8)]

    def draw(own: list[bytes]) -> None:
        own.extend(inputs.draw_id() for _ in range(5_000))

    threads = [threading.Thread(target=draw, args=(own,)) for own in drawn]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({each for own in drawn for each in own}) == 8 * 5_000


def test_a_forked_child_draws_ids_of_its_own() -> None:
    inputs.draw_id()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b"".join(inputs.draw_id() for _ in range(300)))
        os._exit(0)
    os.waitpid(child, 0)
    of_child = os.read(reading, 10_000)
    os.close(reading)
    os.close(writing)
    own = {inputs.draw_id() for _ in range(300)}
    assert not own & {of_child[at : at + 10] for at in range(0, len(of_child), 10)}


_HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "campaign_id": st.sampled_from(["a", "b", "Zoë"]),
        "metadata": st.dictionaries(st.sampled_from("ab"), st.text(max_size=5), max_size=2),
        "tags": st.lists(st.sampled_from("abc"), max_size=3),
        "options": st.dictionaries(
            st.sampled_from(["open_tracking", "click_tracking", "initial_open", "sandbox"]),
            st.booleans(),
        ),
        "cc": st.lists(st.sampled_from(["a@example.com", "cc@x.test"]), max_size=2),
        "bcc": st.lists(st.sampled_from(["A@EXAMPLE.COM", "bcc@x.test"]), max_size=2),
        "archive": st.lists(st.just("archive@x.test"), max_size=1),
    },
)


@given(headers=st.lists(_HEADERS, min_size=1, max_size=4), name=st.sampled_from(sorted(OPTIONS)))
def test_whatever_a_header_asks_for_is_sent_as_the_library_makes_it(
    headers: list[dict[str, Any]], name: str
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inputs, "_drawn_ids", SteadyIds())
        dispatcher = Dispatcher(keys=KEYS, options=OPTIONS[name])
        for header in headers:
            assert_as_the_library(dispatcher, api(header), THREE)
