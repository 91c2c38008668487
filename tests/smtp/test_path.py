"""Paths: what may be the recipient of a mail, for the library and for every command."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.dispatch.library import rewrite
from msys_track.errors import RecipientError, TrackingError
from msys_track.keys.ring import KeyRing
from msys_track.options.tracking import TrackingOptions
from msys_track.policy.context import Context, Contexts
from msys_track.policy.guard import Guard
from msys_track.policy.hooks import Hook, OnFailed, Transaction
from msys_track.smtp.path import check_recipients, is_path

KEYS = KeyRing.temporary()
ON = TrackingOptions(open_tracking=True, tracking_domain="click.example.com")
MESSAGE = b"Subject: x\r\nContent-Type: text/html\r\n\r\n<body>x</body>\r\n"
NOT_ADDRESSES = (
    "",
    "Jo <jo@example.com>",
    "Jo<jo@example.com>",
    "<jo@example.com>",
    '"Jo Reader" <jo@example.com>',
    "jo@example.com (Jo)",
    "jo@example.com, al@example.com",
    " jo@example.com",
    "jo@example.com\n",
    "jo@example.com\r\nRCPT TO:<al@example.com>",
    "jo\0@example.com",
    "jo\t@example.com",
    "jo\x7f@example.com",
    "jo\x85@example.com",
    '"j\x1bo"@example.com',
    "jo\ud800@example.com",
)


ADDRESS_PIECES = st.lists(st.sampled_from('a@."\\<> \r\n\t\x00\x7f\x85ü\udcff'), max_size=8).map(
    "".join
)


def closing_bracket(argument: str) -> int | None:
    """Where a server that obeys RFC 5321 section 4.1.2 sees the end of a path; naively."""
    quoted, escaped = False, False
    for place, character in enumerate(argument):
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == ">" and not quoted:
            return place
    return None


@given(address=ADDRESS_PIECES | st.text(max_size=12))
@example(address='"a>b"@c')
@example(address='"a\\"> b"@c')
@example(address='"a\\\\"> b@c')
def test_a_path_ends_where_the_command_says_it_ends(address: str) -> None:
    if is_path(address):
        assert closing_bracket(f"{address}>") == len(address)
        assert not re.search(r"[\x00-\x1f\x7f-\x9f]", address)
        address.encode("utf-8")


@pytest.mark.parametrize(
    "address",
    [
        *("", "a@b", "postmaster", "a.b+c=d@e.example", '"a b"@c', '"a\\"b"@c'),
        *("a@[127.0.0.1]", "a@[IPv6:::1]", "jö@bücher.example", "=?utf-8?q?x?=@c"),
    ],
)
def test_an_address_of_mail_is_a_path(address: str) -> None:
    assert is_path(address)
    if address:
        check_recipients((address,))
        copy = Dispatcher(keys=KEYS, options=ON).copies(MESSAGE, [address], now=1)[0]
        assert (copy.recipients, copy.pixels) == ((address,), 1)


@pytest.mark.parametrize("recipient", NOT_ADDRESSES)
@pytest.mark.parametrize("options", [ON, None])
def test_the_library_refuses_a_recipient_that_is_not_an_address_alone(
    recipient: str, options: TrackingOptions | None
) -> None:
    rewriter = Dispatcher(keys=KEYS, options=options)
    both = ["al@example.com", recipient]
    for refuse in (
        lambda: rewrite(MESSAGE, recipient=recipient, keys=KEYS, options=options),
        lambda: rewriter.copy_for(recipient, MESSAGE, now=1),
        lambda: rewriter.copies(MESSAGE, both, now=1),
        lambda: rewriter.decide(MESSAGE, both),
        lambda: rewriter.open(MESSAGE, both),
        lambda: rewriter.copy_for(recipient, rewriter.open(MESSAGE), now=1),
    ):
        with pytest.raises(RecipientError) as refused:
            refuse()
        assert str(refused.value) == (
            f"recipient {recipient!r} is not an address; "
            "give the address alone, such as jo@example.com"
        )
        assert str(refused.value).isprintable()
        assert isinstance(refused.value, TrackingError)
        assert isinstance(refused.value, ValueError)


def test_one_string_is_not_taken_for_a_list_of_recipients() -> None:
    rewriter = Dispatcher(keys=KEYS, options=ON)
    fault = r"'jo@example\.com', one string; give a sequence of addresses"
    for refuse in (rewriter.decide, rewriter.open):
        with pytest.raises(RecipientError, match=fault):
            refuse(MESSAGE, "jo@example.com")


def test_a_long_value_is_cut_in_the_message() -> None:
    with pytest.raises(RecipientError) as refused:
        check_recipients(["x " * 10_000])
    assert len(str(refused.value)) < 300


def test_policy_is_not_asked_about_what_is_not_a_recipient() -> None:
    recipients: list[str] = []

    class RecordingPolicy:
        hooks = frozenset({Hook.EACH_RCPT})

        def call(self, _hook: Hook, transaction: Transaction, _on_failed: OnFailed) -> None:
            recipients.append(transaction.recipient or "")

    rewriter = Dispatcher(keys=KEYS, options=ON, policy=Guard(RecordingPolicy()))
    contexts = Contexts(connection=Context(), message=Context())
    transaction = Transaction(contexts=contexts, peer="10.0.0.7:51234", listen="127.0.0.1:25")
    with pytest.raises(RecipientError):
        rewriter.decide(MESSAGE, ["al@example.com", "<jo@e.com>"], transaction=transaction)
    assert recipients == []
    rewriter.decide(MESSAGE, ["al@example.com"], transaction=transaction)
    assert recipients == ["al@example.com"]
