from email import message_from_bytes
from email.policy import SMTP

import pytest

from msys_track.dispatch.recipients import Readers, list_insertions, list_readers
from msys_track.smtpapi.header import ApiHeader
from msys_track.smtpapi.mailbox import Mailbox

ANN, BOB, CEO = Mailbox("ann@a.test", "Ann"), Mailbox("bob@b.test"), Mailbox("ceo@c.test")
MESSAGE = b"From: s@s.test\r\nX-MSYS-API: {}\r\nSubject: x\r\n\r\nbody"
AT = MESSAGE.index(b"X-MSYS")


def insert(message: bytes, changes: list[tuple[int, bytes]]) -> bytes:
    for offset, text in reversed(changes):
        message = message[:offset] + text + message[offset:]
    return message


def test_without_the_header_the_recipients_are_the_readers() -> None:
    assert list_readers(["a@b.test"], None) == Readers(("a@b.test",))
    assert list_readers(["a@b.test"], ApiHeader()) == Readers(("a@b.test",))


def test_an_address_gets_one_copy_as_the_first_of_to_cc_bcc_archive() -> None:
    header = ApiHeader(
        cc=(ANN, BOB, Mailbox("ANN@x.test"), ANN),
        bcc=(Mailbox("bob@B.TEST"), CEO),
        archive=(CEO, Mailbox("log@l.test")),
    )
    assert list_readers(["ann@A.test"], header) == Readers(
        ("ann@A.test",), (BOB, Mailbox("ANN@x.test")), (CEO,), (Mailbox("log@l.test"),)
    )


@pytest.mark.parametrize(
    ("header", "blind", "cc", "bcc"),
    [
        (ApiHeader(cc=(ANN, BOB)), None, "Ann <ann@a.test>, bob@b.test", None),
        (ApiHeader(cc=(ANN,), bcc=(BOB, CEO)), BOB, "Ann <ann@a.test>", "bob@b.test"),
        (ApiHeader(bcc=(BOB,), archive=(CEO,)), None, None, None),
    ],
)
def test_everybody_sees_cc_and_a_bcc_reader_themselves_alone(
    header: ApiHeader, blind: Mailbox | None, cc: str | None, bcc: str | None
) -> None:
    changes = list_insertions(MESSAGE, header, blind, at=AT, cc_fields=[])
    message = message_from_bytes(insert(MESSAGE, changes), policy=SMTP)
    assert (message["Cc"], message["Bcc"], message["Subject"]) == (cc, bcc, "x")
    assert bool(changes) == bool(cc or bcc)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (b"Cc: zoe@z.test\r\n", "zoe@z.test, Ann <ann@a.test>"),
        (b"Cc: zoe@z.test,\r\n yan@y.test  \r\n", "zoe@z.test, yan@y.test, Ann <ann@a.test>"),
        (b"cc:\r\n", "Ann <ann@a.test>"),
        (b"Cc: \r\n", "Ann <ann@a.test>"),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_a_cc_field_of_the_message_is_continued(
    field: bytes, expected: str, *, is_first: bool
) -> None:
    start = 0 if is_first else MESSAGE.index(b"Subject")
    message = MESSAGE[:start] + field + MESSAGE[start:]
    at = message.index(b"X-MSYS")
    value = field.split(b":", 1)[1].removesuffix(b"\r\n")
    changes = list_insertions(
        message, ApiHeader(cc=(ANN,)), BOB, at=at, cc_fields=[([(start, len(field))], value)]
    )
    assert [offset for offset, _ in changes] == sorted(offset for offset, _ in changes)
    parsed = message_from_bytes(insert(message, changes), policy=SMTP)
    assert parsed.get_all("Cc") == [expected]
    assert parsed["Bcc"] == "bob@b.test"


def test_a_cc_field_is_continued_after_its_last_line_wherever_that_stands() -> None:
    message = b"Cc: a@a.test,\r\njunk\r\n b@b.test\r\n" + MESSAGE
    fields = [([(0, 15), (21, 11)], b" a@a.test,\r\n b@b.test")]
    changes = list_insertions(message, ApiHeader(cc=(BOB,)), None, at=32, cc_fields=fields)
    assert insert(message, changes).startswith(
        b"Cc: a@a.test,\r\njunk\r\n b@b.test,\r\n bob@b.test\r\nFrom"
    )


def test_the_line_breaks_are_the_message_s() -> None:
    message = MESSAGE.replace(b"\r\n", b"\n")
    ((_, text),) = list_insertions(message, ApiHeader(cc=(ANN, BOB)), None, at=15, cc_fields=[])
    assert text == b"Cc: Ann <ann@a.test>,\n bob@b.test\n"
