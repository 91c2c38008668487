"""The log's line of a mail: the same facts as the event's, whichever way it is written."""

import json
from typing import Any

import pytest
from tests.captured_logs import capture_logs

from msys_track import logs
from msys_track.dispatch.outgoing import OutgoingCopy
from msys_track.injection.envelope import Envelope
from msys_track.injection.record import (
    Made,
    Recorder,
    SentCopy,
    find_message_id,
    find_queue_id,
    shorten_addresses,
)
from msys_track.metrics import Counters
from msys_track.policy.context import Context, Contexts
from msys_track.reasons import Reason, pack_reasons
from msys_track.smtp.path import Recipient
from msys_track.smtp.reply import Reply

TAKEN = Reply(250, "2.0.0 Ok: queued as 4711")
ENVELOPE = Envelope(
    peer="192.0.2.1:1234",
    listen="192.0.2.9:25",
    contexts=Contexts(connection=Context(), message=Context()),
    sender='jo"\\é@example.com',
    recipients=(Recipient(path="a@example.com"),),
    message=b'Message-ID: <"\\\x01\xe9@x.test>\r\n\r\nx\r\n',
    received_at=0.0,
    helo='client"\n\u2028.test',
    user="jo",
)
SENT = (
    SentCopy(("a@example.com",), "0123456789abcdef0123", TAKEN, 0.0012),
    SentCopy(("b@example.com",), None, Reply(550, '5.7.1 "no" b@example.com'), 0.5),
)
STAGES = {"receive": 0.001, "decide": 0.0, "total": 1.25}


@pytest.fixture
def made() -> Made:
    made = Made()
    reasons = pack_reasons([Reason.NOT_HTTP, Reason.VETOED])
    made.add(
        OutgoingCopy((), b"", 7, True, None, 2, 1, reasons, ("ignored_key",))  # noqa: FBT003
    )
    return made


@pytest.mark.parametrize("shows_addresses", [False, True])
@pytest.mark.parametrize("outcome", ["relayed", "kept", "refused"])
def test_a_line_has_the_fields_of_the_event(
    monkeypatch: pytest.MonkeyPatch, made: Made, outcome: str, *, shows_addresses: bool
) -> None:
    recorder = Recorder(Counters(), shows_addresses=shows_addresses)
    sent = [SENT[0], SENT[1]._replace(outcome=outcome)]
    with capture_logs() as events:
        recorder.record_accepted(ENVELOPE, made, sent, STAGES)
        written: list[bytes] = []
        monkeypatch.setattr(logs, "line_writer", written.append)
        recorder.record_accepted(ENVELOPE, made, sent, STAGES)
    (event,) = events
    (line,) = written
    assert b"\n" not in line
    read: dict[str, Any] = json.loads(line)
    assert read.pop("timestamp").endswith("Z")
    assert read.pop("level") == event.pop("log_level")
    assert read == json.loads(json.dumps(event))


def test_a_thousand_copies_are_a_hundred_in_the_log_and_failures_come_first(made: Made) -> None:
    sent = [SENT[0]] * 1_000 + [SENT[1]._replace(outcome="kept")]
    with capture_logs() as events:
        Recorder(Counters()).record_accepted(ENVELOPE, made, sent, STAGES)
    copies = events[0]["copies"]
    assert len(copies) == 100
    assert [each["outcome"] for each in copies[:2]] == ["kept", "relayed"]


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("jo@example.com", "j…@example.com"),
        ("<jo.reader+tag@example.com>: no such user", "<j…@example.com>: no such user"),
        ("to jo@a.test, zoe@b.test", "to j…@a.test, z…@b.test"),
        ("5.7.1 no", "5.7.1 no"),
        ("", ""),
    ],
)
def test_addresses_are_shortened(text: str, short: str) -> None:
    assert shorten_addresses(text) == short


@pytest.mark.parametrize(
    ("text", "queue_id"),
    [
        ("2.0.0 Ok: queued as 4Fz1Qx2Jz1zB", "4Fz1Qx2Jz1zB"),
        ("OK id=1rABCD-0001xy-2K", "1rABCD-0001xy-2K"),
        ("2.0.0 5b3c1d1f Message accepted for delivery", "5b3c1d1f"),
        ("Message Queued (4A1B-2C.1)", "4A1B-2C.1"),
        ("ok 1700000000 qp 4711", "4711"),
        ("2.0.0 Ok", None),
        ("2.0.0 Ok: queued as ", None),
    ],
)
def test_the_upstream_s_name_for_a_message_is_found(text: str, queue_id: str | None) -> None:
    assert find_queue_id(text) == queue_id


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (b"Message-ID: <1@x.test>\r\n\r\n", "<1@x.test>"),
        (b"Subject: x\r\nmessage-id:\r\n <1@x.test> \r\nTo: y\r\n\r\n", "<1@x.test>"),
        (b"Message-Id:<1@x.test>", "<1@x.test>"),
        (b"X-Message-ID: <1@x.test>\r\n\r\nMessage-ID: <2@x.test>\r\n", None),
        (b"", None),
        (b"Message-ID: <" + b"x" * 400 + b">\r\n\r\n", "<" + "x" * 249),
        (b"To: y\r\nMessage-ID: <" + b"x" * 400 + b">\r\n\r\n", "<" + "x" * 249),
    ],
)
def test_the_message_id_is_that_of_the_header(message: bytes, found: str | None) -> None:
    assert find_message_id(message) == found
