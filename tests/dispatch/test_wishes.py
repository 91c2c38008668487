"""What is done of what policy wants for each recipient; the rest is tested through real SMTP."""

import pytest

from msys_track.cli.explanation import format_explanation
from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.dispatch.edition import Edition
from msys_track.dispatch.explain import explain
from msys_track.keys.ring import KeyRing
from msys_track.options.tracking import TrackingOptions
from msys_track.policy.context import Context, Contexts
from msys_track.policy.guard import Guard
from msys_track.policy.hooks import Hook, OnFailed, Rejection, Transaction

KEYS = KeyRing.temporary()
HTML = b"Subject: x\r\nContent-Type: text/html\r\n\r\n<a href='http://e.example/'>x</a>\r\n"
MANY = tuple(f"reader{number}@example.com" for number in range(40))
NOW = 1_700_000_000


class OwnHeader:
    """A policy that writes each recipient into the header, or does what it is told."""

    hooks = frozenset({Hook.EACH_RCPT})

    def call(self, _: Hook, transaction: Transaction, _on_failed: OnFailed) -> Rejection | None:
        assert transaction.recipient is not None
        transaction.headers.set("X-Reader", transaction.recipient)
        return None


class NewAddress(OwnHeader):
    def call(self, _: Hook, transaction: Transaction, _on_failed: OnFailed) -> Rejection | None:
        transaction.set_recipient(f"new-{transaction.recipient}")
        return None


def make_dispatcher(engine: str, policy: OwnHeader | None = None) -> Dispatcher:
    options = TrackingOptions(open_tracking=True, click_tracking=True, tracking_domain="c.test")
    guard = Guard(policy or OwnHeader())
    return Dispatcher(keys=KEYS, options=options, policy=guard, engine=engine)


def transaction(message: bytes) -> Transaction:
    contexts = Contexts(connection=Context(), message=Context())
    return Transaction(
        contexts=contexts,
        peer="10.0.0.7:1",
        listen="127.0.0.1:25",
        sender="a@b.c",
        message=message,
    )


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_each_reader_has_the_edition_made_for_them(engine: str) -> None:
    dispatcher = make_dispatcher(engine)
    decision = dispatcher.decide(HTML, MANY, transaction=transaction(HTML))
    copies = dispatcher.render(decision, now=NOW)
    assert [each.recipients for each in copies] == [(to,) for to in MANY]
    for copy in copies:
        own = HTML.replace(b"\r\n\r\n", b"\r\nX-Reader: %b\r\n\r\n" % copy.recipients[0].encode())
        assert copy.wrapped_links == 1
        assert copy.message.startswith(own.partition(b"http:")[0])


def test_an_edition_is_not_kept_once_the_next_is_open() -> None:
    decision = make_dispatcher("native").decide(HTML, MANY, transaction=transaction(HTML))
    sources = [each.source for each in decision.copies]
    assert all(isinstance(each, Edition) for each in sources)
    first = sources[0].open()
    assert sources[0].open() is first
    sources[1].open()
    assert sources[0].open() is not first
    assert sources[0].open().transmission_id == first.transmission_id


def test_an_explanation_tells_of_each_edition() -> None:
    dispatcher = make_dispatcher("native")
    decision = dispatcher.decide(HTML, MANY[:2], transaction=transaction(HTML))
    explanation = explain(decision, dispatcher.render(decision, now=NOW))
    assert [each.recipients for each in explanation.decided] == [(MANY[0],), (MANY[1],)]
    assert [link.line for each in explanation.decided for link in each.links] == [5, 5]


def test_what_the_header_says_of_a_recipient_holds_where_policy_changes_the_address() -> None:
    header = (
        b'X-MSYS-API: {"x_msys_track": {"recipients": '
        b'{"reader0@example.com": {"options": {"click_tracking": false}}}}}\r\n'
    )
    message = header + HTML
    decision = make_dispatcher("native", NewAddress()).decide(
        message, MANY[:2], transaction=transaction(message)
    )
    tracked = {to: each.click_tracking.value for to, each in decision.options.items()}
    assert tracked == {f"new-{MANY[0]}": False, f"new-{MANY[1]}": True}
    assert dict(decision.renamed) == {f"new-{to}": to for to in MANY[:2]}


class Everything(OwnHeader):
    def call(self, _: Hook, transaction: Transaction, _on_failed: OnFailed) -> Rejection | None:
        match transaction.recipient:
            case "reader0@example.com":
                transaction.headers.remove("Subject")
                transaction.headers.append("X-A", "ä")
                transaction.set_sender("")
            case "reader1@example.com":
                transaction.set_recipient("new@example.com")
            case _:
                transaction.discard("550 5.7.1 no")
        return None


def test_an_explanation_tells_what_policy_changes() -> None:
    dispatcher = make_dispatcher("native", Everything())
    message = b"DKIM-Signature: h=subject\r\n" + HTML
    decision = dispatcher.decide(message, MANY[:3], transaction=transaction(message))
    explanation = explain(decision, dispatcher.render(decision, now=NOW))
    told = explanation.as_json()
    assert told["changes"] == [
        {
            "recipients": ["reader0@example.com"],
            "headers": [{"name": "X-A", "value": "ä", "how": "append"}],
            "sender": "",
            "has_skipped": True,
        }
    ]
    assert told["renamed"] == {"new@example.com": "reader1@example.com"}
    assert told["discarded"] == {"reader2@example.com": "550 5.7.1 no"}
    lines = format_explanation(explanation, width=100)
    start = lines.index("changes by policy")
    assert lines[start + 1 : start + 7] == [
        "  for reader0@example.com",
        "    X-A: 'ä' (one more)",
        "    the sender becomes <>",
        "    fields that a signature covers stay, as signed_mail is skip",
        "  reader1@example.com becomes new@example.com",
        "  discarded for reader2@example.com: 550 5.7.1 no",
    ]
