"""Header changes in bytes: every other byte stays, and a value is one field whatever it says."""

import email
import email.policy
from email.header import decode_header, make_header

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msys_track.dispatch.header_edits import (
    change_header,
    find_signed_names,
    write_field,
)
from msys_track.policy.changes import HeaderChange
from msys_track.rewriting.engine import Engine
from msys_track.rewriting.engines import find_engine

MAIL = b"A: 1\r\nB: 2\r\n b\r\nA: 3\r\n\r\nA: body\r\n"
NATIVE = find_engine("native").header_fields
TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs"]).filter(lambda c: c not in "\r\n\0"),
    max_size=300,
)


@pytest.fixture(params=["native", "reference"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return find_engine(request.param)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (HeaderChange("a", "x"), b"a: x\r\nB: 2\r\n b\r\n\r\nA: body\r\n"),
        (HeaderChange("b", "x"), b"A: 1\r\nb: x\r\nA: 3\r\n\r\nA: body\r\n"),
        (HeaderChange("C", "x"), b"A: 1\r\nB: 2\r\n b\r\nA: 3\r\nC: x\r\n\r\nA: body\r\n"),
        (HeaderChange("A", None), b"B: 2\r\n b\r\n\r\nA: body\r\n"),
        (HeaderChange("C", None), MAIL),
        (
            HeaderChange("b", "x", "append"),
            b"A: 1\r\nB: 2\r\n b\r\nb: x\r\nA: 3\r\n\r\nA: body\r\n",
        ),
        (HeaderChange("C", "x", "append"), MAIL.replace(b"\r\n\r\n", b"\r\nC: x\r\n\r\n")),
        (HeaderChange("b", "x", "prepend"), b"b: x\r\n" + MAIL),
        (HeaderChange("C", ""), MAIL.replace(b"\r\n\r\n", b"\r\nC:\r\n\r\n")),
    ],
)
def test_a_change_is_made_where_it_belongs(
    engine: Engine, change: HeaderChange, expected: bytes
) -> None:
    assert change_header(MAIL, [change], engine.header_fields) == expected


@pytest.mark.parametrize("odd", ["(" * 3_000, "x:" * 3_000])
def test_addresses_that_can_t_be_read_are_written_as_text(odd: str) -> None:
    written = write_field("To", f"{odd}\N{SNOWMAN}", b"\r\n")
    value = email.message_from_bytes(written + b"\r\n")["To"]
    assert str(make_header(decode_header(value))).replace(" ", "") == f"{odd}\N{SNOWMAN}"


def test_changes_are_made_in_their_order(engine: Engine) -> None:
    changes = [
        HeaderChange("C", "1"),
        HeaderChange("C", "2", "append"),
        HeaderChange("A", None),
        HeaderChange("A", "last"),
    ]
    changed = change_header(MAIL, changes, engine.header_fields)
    assert changed == b"B: 2\r\n b\r\nC: 1\r\nC: 2\r\nA: last\r\n\r\nA: body\r\n"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"", b"C: x\r\n"),
        (b"\r\nbody\r\n", b"C: x\r\n\r\nbody\r\n"),
        (b"A: 1", b"A: 1\r\nC: x\r\n"),
        (b"A: 1\n\nbody\n", b"A: 1\nC: x\n\nbody\n"),
        (b"no field\r\n", b"C: x\r\nno field\r\n"),
        (b"A: 1\r\nno field\r\nB: 2\r\n\r\n", b"A: 1\r\nC: x\r\nno field\r\nB: 2\r\n\r\n"),
    ],
)
def test_a_new_field_stands_at_the_end_of_the_header_whatever_that_is(
    engine: Engine, message: bytes, expected: bytes
) -> None:
    assert change_header(message, [HeaderChange("C", "x")], engine.header_fields) == expected


@pytest.mark.parametrize(
    ("name", "value", "written"),
    [
        ("Subject", "a  b\tc", b"Subject: a  b\tc\r\n"),
        ("X", "y" * 80, b"X: " + b"y" * 80 + b"\r\n"),
        ("X", f"{'y' * 70} {'z' * 9}", b"X: " + b"y" * 70 + b"\r\n " + b"z" * 9 + b"\r\n"),
        ("Subject", "Grün a Öl", b"Subject: =?utf-8?q?Gr=C3=BCn?= a =?utf-8?q?=C3=96l?=\r\n"),
        ("Subject", "Grüße, Jö", b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe=2C_J=C3=B6?=\r\n"),
        ("From", '"Jö Doe" <jo@e.test>', b"From: =?utf-8?q?J=C3=B6_Doe?= <jo@e.test>\r\n"),
        ("Subject", "=?utf-8?q?J=C3=B6?=", b"Subject: =?utf-8?q?J=C3=B6?=\r\n"),
        ("X", "bell\x07", b"X: =?utf-8?q?bell=07?=\r\n"),
        ("X", "", b"X:\r\n"),
    ],
)  # fmt: skip
def test_a_value_is_encoded_and_folded(name: str, value: str, written: bytes) -> None:
    assert write_field(name, value, b"\r\n") == written


@pytest.mark.parametrize("value", ["x" * 5000, "ü" * 500, f"{'ü' * 200} {'x' * 3000} b"])
def test_no_line_is_longer_than_rfc_5322_allows(value: str) -> None:
    written = write_field("X-Long", value, b"\r\n")
    assert max(map(len, written.split(b"\r\n"))) <= 998
    parsed = email.message_from_bytes(written + b"\r\n")
    assert str(make_header(decode_header(parsed["X-Long"].replace("\r\n", "")))) == value


@given(name=st.sampled_from(["Subject", "From", "X-A", "List-Unsubscribe"]), value=TEXT)
def test_whatever_a_value_says_it_is_one_field(name: str, value: str) -> None:
    change = HeaderChange(name, value)
    changed = change_header(MAIL, [change], NATIVE)
    written = changed.removeprefix(b"A: 1\r\nB: 2\r\n b\r\nA: 3\r\n").removesuffix(
        b"\r\nA: body\r\n"
    )
    assert len(written) == len(changed) - len(MAIL)
    assert written.startswith(name.encode() + b":")
    assert email.message_from_bytes(changed).keys() == ["A", "B", "A", name]
    lines = written.removesuffix(b"\r\n").split(b"\r\n")
    assert all(line[:1] == b" " or line[:1] == b"\t" for line in lines[1:])
    assert all(line.strip() and len(line) <= 998 for line in lines)


@given(value=TEXT)
def test_text_reads_as_it_was_written(value: str) -> None:
    change = HeaderChange("X-A", value)
    ((_, raw),) = NATIVE(change_header(MAIL, [change], NATIVE), b"X-A")
    text = raw.replace(b"\r\n", b"").decode("ascii").strip(" \t")
    if "=?" not in value:
        assert str(make_header(decode_header(text))) == change.value


@given(changes=st.lists(st.builds(
    HeaderChange,
    st.sampled_from(["A", "B", "C", "Content-Type"]),
    st.sampled_from([None, "", "x", "ü" * 90]),
    st.sampled_from(["replace", "append", "prepend"]),
), max_size=5))  # fmt: skip
def test_no_byte_below_the_header_changes(changes: list[HeaderChange]) -> None:
    reference = find_engine("reference").header_fields
    changed = change_header(MAIL, changes, NATIVE)
    assert changed.endswith(b"\r\nA: body\r\n")
    assert changed == change_header(MAIL, changes, reference)
    untouched = {b"A", b"B"} - {each.name.encode() for each in changes}
    for name in untouched:
        values = [value for _, value in NATIVE(MAIL, name)]
        assert [value for _, value in NATIVE(changed, name)] == values


def test_the_names_that_signatures_cover_are_found(engine: Engine) -> None:
    message = (
        b"DKIM-Signature: v=1; d=a.test;\r\n h=From : to:\r\n\tSubject; bh=abc; b=h=zz\r\n"
        b"dkim-signature: h=X-A\r\nARC-Message-Signature: i=1; h = List-Id; b=x\r\n"
        b"ARC-Seal: i=1\r\n\r\nDKIM-Signature: h=X-Body\r\n"
    )
    names = {"from", "to", "subject", "x-a", "list-id"}
    assert find_signed_names(message, engine.header_fields) == names
