"""Reports: read as a mail program does, by the standard library's parser."""

import email
import email.policy
from base64 import b64encode
from email.message import EmailMessage, Message
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.spool.conftest import MESSAGE

from msys_track.relay.transaction import Delivery
from msys_track.smtp import data
from msys_track.smtp.path import Recipient
from msys_track.spool.report import Action, Late, Subject, wants_report, write_report

NOW = 1_800_000_000.0
ANSWER = "550 5.1.1 unknown user"


def late(path: str = "to@example.com", *parameters: str, answer: str = ANSWER) -> Late:
    return Late(recipient=Recipient(path=path, parameters=parameters), answer=answer)


def subject(message: bytes = MESSAGE, *parameters: str, **fields: Any) -> Subject:
    return Subject(
        **{
            "sender": "from@example.com",
            "mail_parameters": parameters,
            "kept_at": NOW - 3600,
            "wire": data.stuff(message),
            "is_whole": True,
            "is_seven_bit": message.isascii(),
            **fields,
        }
    )


def write(about: Subject, *recipients: Late, action: Action = "failed", **more: Any) -> Delivery:
    return write_report(
        about,
        recipients or (late(),),
        action,
        reporting_mta="proxy.example.com",
        from_address="mailer-daemon@example.com",
        now=NOW,
        **more,
    )


def message_of(report: Delivery) -> bytes:
    end = data.find_end_of_data(report.wire, 0)
    assert end == len(report.wire) - 3
    message = data.unstuff(report.wire[:end])
    assert len(message) == report.size
    assert message.isascii() == report.is_seven_bit
    return message


def read(report: Delivery) -> tuple[EmailMessage, str, Message, list[Message], Message]:
    """Return the report, its text, its fields, those of each recipient, what is returned."""
    message = email.message_from_bytes(message_of(report), policy=email.policy.default)
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    text, status, returned = cast("list[EmailMessage]", message.get_payload())
    assert status.get_content_type() == "message/delivery-status"
    blocks = cast("list[Message]", status.get_payload())
    return message, str(text.get_content()), blocks[0], blocks[1:], returned


def test_it_has_the_fields_that_rfc_3464_asks_for() -> None:
    report = write(subject())
    message, text, fields, (one,), returned = read(report)
    assert report.sender == ""
    assert report.recipients == (Recipient(path="from@example.com"),)
    assert message["From"] == "Mail Delivery System <mailer-daemon@example.com>"
    assert message["To"] == "<from@example.com>" or message["To"] == "from@example.com"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["Message-ID"].endswith("@proxy.example.com>")
    assert message["Date"].datetime.timestamp() == NOW
    assert fields["Reporting-MTA"] == "dns; proxy.example.com"
    assert fields["Arrival-Date"] == "Fri, 15 Jan 2027 07:00:00 -0000"
    assert one["Final-Recipient"] == "rfc822;to@example.com"
    assert one["Action"] == "failed"
    assert one["Status"] == "5.1.1"
    assert one["Diagnostic-Code"] == f"smtp; {ANSWER}"
    assert "<to@example.com>" in text
    assert ANSWER in text
    assert returned.get_content_type() == "text/rfc822-headers"
    assert cast("str", returned.get_payload()).startswith("From: jo@example.com")
    assert "a line with a dot" not in cast("str", returned.get_payload())


def test_what_the_sender_gave_in_the_transaction_comes_back_decoded() -> None:
    report = write(
        subject(MESSAGE, "ENVID=QQ+2B314+20159", "BODY=8BITMIME"),
        late("to@example.com", "NOTIFY=FAILURE", "ORCPT=rfc822;jo+2Blist@example.org"),
    )
    _, _, fields, (one,), _ = read(report)
    assert fields["Original-Envelope-Id"] == "QQ+314 159"
    assert one["Original-Recipient"] == "rfc822;jo+list@example.org"


@pytest.mark.parametrize("hostile", ["ENVID=a+0D+0ABcc:+20x@y.z", "ENVID=+C3+A9", "ENVID="])
def test_what_no_header_can_hold_is_left_out(hostile: str) -> None:
    _, _, fields, _, _ = read(write(subject(MESSAGE, hostile)))
    assert "Original-Envelope-Id" not in fields
    assert "Bcc" not in fields
    orcpt = f"ORCPT=rfc822;{hostile.removeprefix('ENVID=')}"
    _, _, _, (one,), _ = read(write(subject(), late("to@example.com", orcpt)))
    assert "Original-Recipient" not in one
    assert "Bcc" not in one


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("550 5.7.1 no", "5.7.1"),
        ("554 no", "5.0.0"),
        ("450 4.2.0 later", "4.2.0"),
        ("451", "4.0.0"),
        ("550 5.1.1x", "5.0.0"),
        ("", "4.0.0"),
    ],
)
def test_the_status_is_the_answers_own_or_its_class(answer: str, status: str) -> None:
    _, _, _, (one,), _ = read(write(subject(), late(answer=answer)))
    assert one["Status"] == status


def test_a_long_answer_of_many_lines_stays_on_one_line() -> None:
    answer = "550 5.1.1 first\nsecond\r\nX-Injected: 1 " + "x" * 5_000
    report = write(subject(), late(answer=answer))
    _, _, _, (one,), _ = read(report)
    assert one["Diagnostic-Code"].startswith("smtp; 550 5.1.1 first second  X-Injected: 1 xxx")
    assert "X-Injected" not in one
    assert max(map(len, message_of(report).split(b"\r\n"))) <= 998


def test_ret_full_returns_the_whole_mail_and_ret_hdrs_the_header() -> None:
    _, _, _, _, whole = read(write(subject(MESSAGE, "RET=FULL")))
    assert whole.get_content_type() == "message/rfc822"
    inner = cast("list[Message]", whole.get_payload())[0]
    assert inner.get_payload() == ".a line with a dot\r\n"
    for mail in (
        subject(MESSAGE, "RET=HDRS"),
        subject(MESSAGE + b"x" * 60_000, "RET=FULL"),
        subject(MESSAGE, "RET=FULL", is_whole=False),
    ):
        assert read(write(mail))[-1].get_content_type() == "text/rfc822-headers"


def test_an_8_bit_mail_is_returned_whole_only_where_the_upstream_takes_it() -> None:
    mail = subject("Subject: x\r\n\r\ngr\u00fcn\r\n".encode(), "RET=FULL")
    assert read(write(mail))[-1].get_content_type() == "text/rfc822-headers"
    report = write(mail, takes_eight_bit=True)
    assert report.mail_parameters == ("BODY=8BITMIME",)
    assert read(report)[-1].get_content_type() == "message/rfc822"


def test_a_header_beyond_ascii_travels_in_7_bits() -> None:
    report = write(subject("Subject: gr\u00fcn\r\n\r\nx\r\n".encode()))
    returned = read(report)[-1]
    assert report.is_seven_bit
    assert returned.get_content_type() == "message/global-headers"
    assert returned["Content-Transfer-Encoding"] == "base64"
    assert b64encode("Subject: gr\u00fcn\r\n".encode()) in message_of(report)


@pytest.mark.parametrize("wire", [b"Subject: a\rb\r\n\r\n.\r\n", b"Subject: a\n\r\n\r\n.\r\n"])
def test_a_bare_newline_of_the_mail_is_none_of_the_report(wire: bytes) -> None:
    report = write(subject(wire=wire, mail_parameters=("RET=FULL",)))
    returned = read(report)[-1]
    assert returned["Content-Transfer-Encoding"] == "base64"
    assert b64encode(wire[: wire.index(b"\r\n\r\n") + 2]) in message_of(report)


def test_addresses_beyond_ascii_are_written_as_rfc_6533_has_them() -> None:
    report = write(subject(sender="j\u00f6@example.com"), late("gr\u00fcn@b\u00fccher.example"))
    _, text, _, (one,), _ = read(report)
    assert one["Final-Recipient"] == r"utf-8;gr\x{FC}n@b\x{FC}cher.example"
    assert "gr\u00fcn@b\u00fccher.example" in text
    assert report.mail_parameters == ("BODY=8BITMIME", "SMTPUTF8")
    assert "To: <j\u00f6@example.com>".encode() in report.wire


def test_a_delay_says_until_when_it_is_tried() -> None:
    report = write(subject(), action="delayed", retry_until=NOW + 3600)
    message, text, _, (one,), _ = read(report)
    assert message["Subject"].startswith("Delayed")
    assert (one["Action"], one["Will-Retry-Until"]) == (
        "delayed", "Fri, 15 Jan 2027 09:00:00 -0000"
    )  # fmt: skip
    assert "need not send it again" in text


@pytest.mark.parametrize(
    ("parameters", "wanted"),
    [
        ((), {"failed"}),
        (("ORCPT=rfc822;a@b.c",), {"failed"}),
        (("NOTIFY=NEVER",), set()),
        (("NOTIFY=SUCCESS",), set()),
        (("notify=success,delay",), {"delayed"}),
        (("NOTIFY=DELAY,FAILURE",), {"failed", "delayed"}),
    ],
)
def test_notify_decides_what_is_reported(parameters: tuple[str, ...], wanted: set[str]) -> None:
    actions: tuple[Action, ...] = ("failed", "delayed")
    recipient = Recipient(path="to@example.com", parameters=parameters)
    assert {each for each in actions if wants_report(recipient, each)} == wanted


paths = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Z"), exclude_characters='<>"\\'), min_size=1
)


@given(
    wire=st.binary(max_size=300),
    sender=paths,
    recipients=st.lists(st.tuples(paths, st.text(), st.text()), min_size=1, max_size=3),
    parameter=st.text(),
    full=st.booleans(),
)
def test_no_mail_and_no_answer_can_stop_or_change_the_form_of_a_report(
    wire: bytes,
    sender: str,
    recipients: list[tuple[str, str, str]],
    parameter: str,
    full: bool,  # noqa: FBT001 - from Hypothesis
) -> None:
    about = Subject(
        sender=sender,
        mail_parameters=(f"ENVID={parameter}", "RET=FULL" if full else "RET=HDRS"),
        kept_at=NOW,
        wire=wire,
        is_whole=False,
        is_seven_bit=wire.isascii(),
    )
    given_late = [
        late(path, f"ORCPT={orcpt}", answer=answer) for path, orcpt, answer in recipients
    ]
    _, _, _, blocks, _ = read(write(about, *given_late))
    assert len(blocks) == len(recipients)
    assert all(len(block.get_all("Final-Recipient", [])) == 1 for block in blocks)
