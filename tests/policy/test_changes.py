from typing import Any

import pytest
from tests.policy.policies import transaction

from msys_track.errors import PolicyFailedError
from msys_track.policy.chain import CONTINUE, Chain, Verdict
from msys_track.policy.changes import (
    DISCARD_REASON,
    MAX_ADDED_RECIPIENTS,
    MAX_FIELD_OCTETS,
    MAX_HEADER_CHANGES,
    MAX_HEADER_OCTETS,
    Changes,
    HeaderChange,
)
from msys_track.policy.headers import Headers
from msys_track.policy.hooks import Hook, Transaction
from msys_track.policy.python import PythonPolicy

MESSAGE = b"From: a@shop.example\r\nX-Two: 1\r\nSubject: Hi\r\nx-two: 2\r\n\r\nBody\r\n"


def headers() -> Headers:
    return Headers(MESSAGE, Changes())


@pytest.mark.parametrize("value", ["a\r\nBcc: x@y", "a\nBcc: x@y", "a\rBcc: x@y", "a\0Bcc: x@y"])
def test_a_value_never_makes_a_new_line(value: str) -> None:
    assert HeaderChange("Subject", value).value == "a Bcc: x@y"


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "é", "x" * 79])
def test_a_field_has_a_name_of_printable_ascii(name: str) -> None:
    with pytest.raises(ValueError, match="is not a field's name"):
        HeaderChange(name, "1")


def test_nothing_is_converted_to_text_silently() -> None:
    number: Any = 4
    with pytest.raises(TypeError, match="X-A: a field's value must be a string, found int"):
        HeaderChange("X-A", number)
    with pytest.raises(TypeError, match="name must be a string, found int"):
        HeaderChange(number, "1")
    with pytest.raises(ValueError, match="allowed: replace, append, prepend"):
        (HeaderChange("X-A", "1", "after"),)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="half of a surrogate pair"):
        HeaderChange("X-A", "\ud800")


def test_header_changes_are_bounded() -> None:
    with pytest.raises(ValueError, match=f"at most {MAX_FIELD_OCTETS}"):
        HeaderChange("X-A", "é" * MAX_FIELD_OCTETS)
    given = headers()
    for _ in range(MAX_HEADER_CHANGES):
        given.append("X-A", "1")
    with pytest.raises(ValueError, match=f"at most {MAX_HEADER_CHANGES} header changes"):
        given.append("X-A", "1")
    given = headers()
    for _ in range(MAX_HEADER_OCTETS // MAX_FIELD_OCTETS - 1):
        given.append("X-A", "x" * MAX_FIELD_OCTETS)
    with pytest.raises(ValueError, match=f"at most {MAX_HEADER_OCTETS} bytes"):
        given.append("X-A", "x" * MAX_FIELD_OCTETS)


def test_set_leaves_one_field_at_the_place_of_the_first() -> None:
    given = headers()
    given.set("X-TWO", "3")
    assert given.get("x-two") == ["3"]
    assert given.names() == ("From", "X-TWO", "Subject")


def test_set_adds_a_field_that_is_absent_at_the_end() -> None:
    given = headers()
    given.set("X-New", "1")
    assert given.get("x-new") == ["1"]
    assert given.names() == ("From", "X-Two", "Subject", "x-two", "X-New")


def test_append_stands_after_its_namesakes_and_prepend_at_the_top() -> None:
    given = headers()
    given.append("X-Two", "3")
    given.prepend("X-Two", "0")
    given.append("X-New", "1")
    assert given.get("x-two") == ["0", "1", "2", "3"]
    assert given.names() == ("X-Two", "From", "X-Two", "Subject", "x-two", "X-Two", "X-New")


def test_remove_takes_all_fields_of_a_name() -> None:
    given = headers()
    given.remove("X-two")
    given.remove("X-Absent")
    assert given.get("X-Two") == []
    assert given.names() == ("From", "Subject")


def test_a_header_cant_change_before_there_is_a_message() -> None:
    with pytest.raises(ValueError, match="from validate_data_spool on"):
        transaction(message=None).headers.set("X-A", "1")


def test_an_envelope_changes_where_momentum_lets_it() -> None:
    at_rcpt = transaction(message=None)
    at_spool, at_each = transaction(recipient=None), transaction()
    for given in (at_rcpt, at_spool):
        given.add_recipient("archive@shop.example")
        given.add_recipient("archive@shop.example")
        assert given.changes.added_recipients == ["archive@shop.example"]
        with pytest.raises(ValueError, match="in validate_data_spool_each_rcpt"):
            given.set_recipient("al@shop.example")
    with pytest.raises(ValueError, match="from validate_mailfrom to validate_data_spool"):
        at_each.add_recipient("archive@shop.example")
    with pytest.raises(ValueError, match="from validate_rcptto on"):
        transaction(message=None, recipient=None).discard()
    at_rcpt.discard()
    assert at_rcpt.changes.is_discarded
    with pytest.raises(ValueError, match="from validate_data_spool on"):
        at_rcpt.set_sender("a@b.example")
    at_each.set_recipient("al@shop.example")
    at_each.set_sender("")
    assert (at_each.changes.recipient, at_each.changes.sender) == ("al@shop.example", "")
    assert (at_each.recipient, at_each.sender) == ("jo@example.org", "news@shop.example")


@pytest.mark.parametrize("address", ["", "a b@c.example", "a@b.example>", "a@b\r\n", 4])
def test_an_address_changes_nothing_around_it(address: Any) -> None:
    with pytest.raises(ValueError, match="can't be a recipient"):
        transaction().set_recipient(address)
    with pytest.raises(ValueError, match="can't be an added recipient"):
        Changes().add_recipient(address)


def test_added_recipients_are_bounded() -> None:
    changes = Changes()
    for number in range(MAX_ADDED_RECIPIENTS):
        changes.add_recipient(f"r{number}@shop.example")
    with pytest.raises(ValueError, match=f"at most {MAX_ADDED_RECIPIENTS}"):
        changes.add_recipient("one@shop.example")


@pytest.mark.parametrize(
    ("reason", "logged"),
    [
        ("550 Bounce\r\nprocessed", "550 Bounce??processed"),
        ("no code", DISCARD_REASON),
        ("", DISCARD_REASON),
    ],
)
def test_a_discarded_mail_has_a_reason_with_a_code(reason: str, logged: str) -> None:
    changes = Changes()
    assert not changes
    changes.discard(reason)
    assert changes
    assert (changes.is_discarded, changes.discard_reason) == (True, logged)


def test_a_recipients_changes_begin_as_the_messages_and_are_its_own() -> None:
    whole = Changes()
    whole.change_header(HeaderChange("X-All", "1"))
    own = whole.for_recipient()
    own.change_header(HeaderChange("X-Own", "1"))
    assert [each.name for each in own.headers] == ["X-All", "X-Own"]
    assert [each.name for each in whole.headers] == ["X-All"]


class _Fails(PythonPolicy):
    def ask(self, hook: Hook, given: Transaction) -> Verdict:
        assert super().ask(hook, given) == CONTINUE
        raise PolicyFailedError("at the end")


def test_a_file_that_fails_changes_nothing(tmp_path: Any) -> None:
    source = (
        b"def validate_data_spool(it):\n it.headers.set('X-A', '1')\n it.discard()\n"
        b" it.set_sender('')\n it.add_recipient('a@b.example')"
    )
    given = transaction(recipient=None)
    given.headers.set("X-Earlier", "1")
    before = given.changes.save()
    Chain([_Fails(tmp_path / "a.py", source)]).call(Hook.DATA_SPOOL, given, lambda _: None)
    assert given.changes.save() == before
    assert given.headers.get("X-A") == []
