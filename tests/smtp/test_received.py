import email
import email.policy
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from tests.shown import read_blocks

from msys_track.smtp.received import MAX_RECEIVED, Way, has_looped, write_received

AT = 1_764_355_200.75
WAY = Way(
    helo="app.example.com",
    peer="10.0.0.7:51234",
    hostname="mx.example.com",
    is_extended=True,
    is_encrypted=False,
    is_authenticated=False,
    is_international=False,
)
ONE = b"received : from a by b; Sat, 28 Nov 2026 18:40:00 +0000\r\n"
REST = b"Subject: x\r\n\r\nReceived: in the body\r\n"


def test_the_field_says_who_brought_the_message_to_whom_and_when() -> None:
    assert write_received(WAY, 4711, "jo@example.com", AT) == (
        b"Received: from app.example.com ([10.0.0.7])\r\n"
        b"\tby mx.example.com (msys-track) with ESMTP id 4711\r\n"
        b"\tfor <jo@example.com>; Fri, 28 Nov 2025 18:40:00 +0000\r\n"
    )


@pytest.mark.parametrize("recipient", [None, "jö@example.com", f"{'j' * 300}@example.com"])
def test_a_recipient_that_can_not_be_named_is_left_out(recipient: str | None) -> None:
    line = write_received(WAY, 4711, recipient, AT)
    assert line.endswith(b" id 4711;\r\n\tFri, 28 Nov 2025 18:40:00 +0000\r\n")


@pytest.mark.parametrize(
    ("peer", "shown"),
    [
        ("[2001:db8::7]:25", "[IPv6:2001:db8::7]"),
        ("[::ffff:192.0.2.1]:25", "[192.0.2.1]"),
        ("[fe80::1%eth0]:25", "[IPv6:fe80::1]"),
        ("unknown", "unknown"),
    ],
)
def test_the_client_s_address_is_a_literal(peer: str, shown: str) -> None:
    line = write_received(WAY._replace(peer=peer), 1, None, AT).decode()
    assert line.startswith(f"Received: from app.example.com ({shown})\r\n")


@pytest.mark.parametrize(
    ("facts", "keyword"),
    [
        ({}, "ESMTP"),
        ({"is_encrypted": True}, "ESMTPS"),
        ({"is_authenticated": True}, "ESMTPA"),
        ({"is_encrypted": True, "is_authenticated": True}, "ESMTPSA"),
        ({"is_international": True}, "UTF8SMTP"),
        ({"is_international": True, "is_encrypted": True}, "UTF8SMTPS"),
        ({"is_extended": False}, "SMTP"),
    ],
)
def test_the_protocol_is_named_as_rfc_3848_has_it(facts: dict[str, Any], keyword: str) -> None:
    assert WAY._replace(**facts).protocol == keyword


@pytest.mark.parametrize("helo", ["a (b) ; c", "ä.example", "x\x7f", '"<>', "h" * 2000, ""])
def test_whatever_a_client_calls_itself_it_is_one_field(helo: str) -> None:
    field = write_received(WAY._replace(helo=helo), 1, "jo@example.com", AT)
    message = email.message_from_bytes(field + b"Subject: x\r\n\r\n", policy=email.policy.SMTP)
    assert message.keys() == ["Received", "Subject"]
    assert max(map(len, field.split(b"\r\n"))) < 400
    when = parsedate_to_datetime(message["Received"].rpartition(";")[2])
    assert when.timestamp() == int(AT)


def test_fifty_fields_are_a_long_way_and_one_more_is_a_loop() -> None:
    assert not has_looped(ONE * MAX_RECEIVED + REST)
    assert has_looped(ONE * (MAX_RECEIVED + 1) + REST)
    assert has_looped(ONE * (MAX_RECEIVED + 1))


def test_what_is_no_field_of_the_header_is_no_loop() -> None:
    assert not has_looped(b"Subject: x\r\n\r\n" + ONE * 100)
    assert not has_looped(b"X-Received: y\r\n" * 100 + b"\r\n")
    assert not has_looped(b"Subject: x\r\n" + b" Received: y\r\n" * 100 + b"\r\n")


def test_the_field_of_the_page_is_one_of_ours() -> None:
    (shown,) = (each.text for each in read_blocks("smtp.md") if each.role == "Received")
    way = Way(
        helo="app.example.com",
        peer="10.0.0.7:51234",
        hostname="mx.example.com",
        is_extended=True,
        is_encrypted=True,
        is_authenticated=True,
        is_international=False,
    )
    at = int(datetime(2026, 11, 28, 18, 40, tzinfo=UTC).timestamp())
    written = write_received(way, 4711081547110815, "jo@example.com", at)
    assert written.decode() == shown.replace("\n", "\r\n")
