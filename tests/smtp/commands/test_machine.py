"""The command machine: no sockets; what bytes mean, and what is answered to them."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from typing import TypeAlias

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from msys_track.injection.budget import Budget
from msys_track.smtp.commands import events
from msys_track.smtp.commands.events import Event
from msys_track.smtp.commands.machine import CommandLimits, Machine
from msys_track.smtp.commands.offer import Offer
from msys_track.smtp.reply import Reply

ALL = Offer(
    size=10_000,
    eight_bit_mime=True,
    smtp_utf8=True,
    enhanced_status_codes=True,
    dsn=True,
    starttls=True,
    auth=("PLAIN", "LOGIN"),
    xclient=("ADDR", "NAME"),
)
LITTLE = Offer(size=10_000, chunking=False)
ANSWERS: dict[type[Event], Reply] = {
    events.StartData: Reply(354, "go on"),
    events.Authenticate: Reply(334, ""),
    events.AuthLine: Reply(235, "2.7.0 Ok"),
    events.StartTls: Reply(220, "2.0.0 Ready"),
    events.Quit: Reply(221, "2.0.0 Bye"),
}
OK = Reply(250, "2.0.0 Ok")
MAIL = b"MAIL FROM:<a@b.test>\r\n"
RCPT = b"RCPT TO:<c@d.test>\r\n"
READY = b"EHLO x\r\n" + MAIL + RCPT

Account: TypeAlias = tuple[list[Event], bytes]


def make_machine(offer: Offer = ALL, limits: CommandLimits | None = None) -> Machine:
    return Machine(offer, limits or CommandLimits(), Budget(1 << 30).hold)


def play(machine: Machine, chunks: Iterable[bytes]) -> Account:
    """Feed chunks, and answer every event at once and well."""
    found: list[Event] = []
    output = b""
    for chunk in chunks:
        machine.receive(chunk)
        while (event := machine.next_event()) is not None or machine.has_more:
            if event is not None:
                found.append(event)
                machine.answer(ANSWERS.get(type(event), OK))
        output += machine.take_output()
    return found, output


def codes(output: bytes) -> list[str]:
    return [line[:3].decode() for line in output.splitlines() if line[3:4] != b"-"]


def test_a_whole_session_pipelined_is_events_in_order_and_one_output() -> None:
    wire = READY + b"DATA\r\nSubject: x\r\n\r\n..\r\n.\r\nRSET\r\nQUIT\r\nNOOP\r\n"
    found, output = play(make_machine(), [wire])
    assert found == [
        events.Hello("x", is_extended=True),
        events.Mail("a@b.test", ()),
        events.Rcpt("c@d.test", ()),
        events.StartData(),
        events.Received(b"Subject: x\r\n\r\n..\r\n", is_stuffed=True, over=None),
        events.Reset(),
        events.Quit(),
    ]
    assert codes(output) == ["250", "250", "250", "354", "250", "250", "221"]


PIECES = st.sampled_from(
    [
        *(b"EHLO x\r\n", b"HELO x\r\n", MAIL, RCPT, b"DATA\r\n", b"RSET\r\n", b"NOOP\r\n"),
        *(b"QUIT\r\n", b"VRFY x\r\n", b"HELP\r\n", b"X\r\n", b"\r\n", b"\n", b"\r", b".\r\n"),
        *(b"text\r\n", b"..\r\n", b"\r\n.\r\n", b".", b"BDAT 5\r\n", b"BDAT 0 LAST\r\n", b"abcde"),
        *(b"BDAT 3 LAST\r\n", b"BDAT\r\n", b"AUTH PLAIN\r\n", b"AUTH PLAIN =\r\n", b"*\r\n"),
        *(b"MAIL FROM:<a@b> SIZE=1 BODY=8BITMIME\r\n", b"RCPT TO:<a@b> NOTIFY=NEVER\r\n"),
        *(b'rcpt to: "q r"@b\r\n', b"MAIL FROM:<\xc3\xbc@b> SMTPUTF8\r\n", b"\xff\r\n"),
        *(b"STARTTLS\r\n", b"XCLIENT ADDR=::1\r\n", b"x" * 3_000, b"N" * 2_500 + b"\r\n"),
    ]
)


@given(
    pieces=st.lists(PIECES, max_size=14),
    cuts=st.lists(st.integers(0, 400), max_size=12),
    starts_well=st.booleans(),
)
@example(pieces=[b"DATA\r\n", b".\r\n", b"NOOP\r\n"], cuts=[60, 61, 62, 63], starts_well=True)
def test_any_chunking_of_the_same_bytes_gives_the_same_events_and_replies(
    pieces: list[bytes], cuts: list[int], *, starts_well: bool
) -> None:
    if b"STARTTLS\r\n" in pieces:  # what came with it is dropped, what comes later is not
        pieces = pieces[: pieces.index(b"STARTTLS\r\n")]
    pieces = [READY] * starts_well + pieces
    whole = b"".join(pieces)
    places = sorted({0, *(cut for cut in cuts if cut < len(whole)), len(whole)})
    chunks = [whole[start:end] for start, end in pairwise(places)]
    at_once = play(make_machine(), [whole])
    assert play(make_machine(), chunks) == at_once
    assert play(make_machine(), pieces) == at_once
    assert play(make_machine(), [whole[at : at + 1] for at in range(len(whole))]) == at_once


DIALOGUES: list[tuple[bytes, str]] = [
    # What may follow what.
    (MAIL, "503"),
    (b"EHLO x\r\n" + RCPT, "250 503"),
    (b"EHLO x\r\nDATA\r\n", "250 503"),
    (READY + MAIL, "250 250 250 503"),
    (READY + b"EHLO x\r\n" + RCPT, "250 250 250 250 503"),
    (READY + b"RSET\r\n" + RCPT, "250 250 250 250 503"),
    (READY + b"AUTH PLAIN\r\n", "250 250 250 503"),
    (b"HELO x\r\nAUTH PLAIN\r\n", "250 503"),
    (b"EHLO x\r\nAUTH PLAIN\r\nx\r\nAUTH PLAIN\r\n", "250 334 235 503"),
    (b"EHLO x\r\nAUTH CRAM-MD5\r\n", "250 504"),
    (b"EHLO x\r\nAUTH PLAIN a b\r\n", "250 501"),
    (b"EHLO x\r\nXCLIENT\r\n", "250 501"),
    # Parameters.
    (b"EHLO x\r\nMAIL FROM:<a@b> RET=HDRS ENVID=a+2Bb\r\n", "250 250"),
    (b"EHLO x\r\nMAIL FROM:<a@b> RET=SOME\r\n", "250 501"),
    (b"EHLO x\r\nMAIL FROM:<a@b> SIZE=1 SIZE=2\r\n", "250 501"),
    (b"EHLO x\r\nMAIL FROM:<a@b> SIZE=10001\r\n", "250 552"),
    (b"EHLO x\r\nMAIL FROM:<a@b> BODY=BINARYMIME\r\n", "250 501"),
    (b"EHLO x\r\nMAIL FROM:<a@b> HOLDFOR=5\r\n", "250 555"),
    (b"EHLO x\r\nMAIL FROM:<a@b> AUTH=<>\r\n", "250 250"),
    (b"HELO x\r\nMAIL FROM:<a@b> SIZE=1\r\n", "250 555"),
    (READY + b"RCPT TO:<a@b> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@b\r\n", "250 250 250 250"),
    (READY + b"RCPT TO:<a@b> NOTIFY=NEVER,DELAY\r\n", "250 250 250 501"),
    (READY + b"RCPT TO:<a@b> ORCPT=a@b\r\n", "250 250 250 501"),
    (READY + b"RCPT TO:<a@b> SIZE=1\r\n", "250 250 250 555"),
    # Addresses.
    (b'EHLO x\r\nMAIL FROM:<"a"b@c.d>\r\n', "250 553"),
    (b'EHLO x\r\nMAIL FROM:<a"b"@c.d>\r\n', "250 553"),
    (b'EHLO x\r\nMAIL FROM:<"a b"@c.d>\r\n', "250 250"),
    (b"EHLO x\r\nMAIL FROM:<a..b.@c.d>\r\n", "250 250"),
    (b"EHLO x\r\nMAIL FROM:<a@b@c.d>\r\n", "250 553"),
    (b"EHLO x\r\nMAIL FROM:<a@[192.0.2.1]>\r\n", "250 250"),
    (b"EHLO x\r\nMAIL FROM:<a@[192.0.2.1]x>\r\n", "250 553"),
    (b"EHLO x\r\nMAIL FROM:\r\n", "250 501"),
    ("EHLO x\r\nMAIL FROM:<jö@b.test>\r\n".encode(), "250 553"),
    ("EHLO x\r\nMAIL FROM:<jö@b.test> SMTPUTF8\r\n".encode(), "250 250"),
    (READY + "RCPT TO:<jö@b.test>\r\n".encode(), "250 250 250 553"),
    ("EHLO x\r\nMAIL FROM:<a\u2028@b.test> SMTPUTF8\r\n".encode(), "250 553"),
    (b"EHLO x\r\nMAIL FROM:<a\xff@b.test> SMTPUTF8\r\n", "250 500"),
    # BDAT.
    (b"BDAT 3 LAST\r\nabcNOOP\r\n", "503 250"),
    (b"EHLO x\r\n" + MAIL + b"BDAT 3 LAST\r\nabcNOOP\r\n", "250 250 503 250"),
    (READY + b"BDAT 3\r\nabcMAIL FROM:<a@b>\r\n" + RCPT, "250 250 250 250 503 503"),
    (READY + b"BDAT 3\r\nabcDATA\r\n", "250 250 250 250 503"),
    (READY + b"BDAT 3\r\nabcRSET\r\nBDAT 1 LAST\r\nx", "250 250 250 250 250 503"),
    (READY + b"BDAT 0 LAST\r\nNOOP\r\n", "250 250 250 250 250"),
    (READY + b"BDAT 9999 LAST\r\n" + b"x" * 9_999 + b"NOOP\r\n", "250 250 250 250 250"),
    (READY + b"BDAT -1 LAST\r\n" + MAIL, "250 250 250 421"),
    (READY + b"BDAT 1e9\r\n" + MAIL, "250 250 250 421"),
    # Lines.
    (b"NOOP " + b"x" * 2_041 + b"\r\n", "250"),
    (b"NOOP " + b"x" * 2_042 + b"\r\n", "500"),
    (b"NOOP " + b"x" * 90_000 + b"\r\nNOOP\r\n", "500 250"),
    (b"NOOP\nNOOP\r\nNOOP\r\r\n", "250 250 500"),
    (b"EXPN x\r\nTURN\r\n \r\n", "502 500 500"),
    (b"HELP\r\nHELP mail\r\nHELP x\r\nVRFY\r\n", "214 214 504 501"),
    # What is not SMTP.
    (b"GET / HTTP/1.1\r\nEHLO x\r\n", "421"),
    (b"\x16\x03\x01\x02\x00\x01\x00\nEHLO x\r\n", "421"),
]


@pytest.mark.parametrize(("wire", "expected"), DIALOGUES)
def test_a_dialogue_has_these_codes(wire: bytes, expected: str) -> None:
    _, output = play(make_machine(), [wire])
    assert codes(output) == expected.split()


@pytest.mark.parametrize(
    ("command", "code"),
    [
        *((b"STARTTLS", "502"), (b"AUTH PLAIN", "502"), (b"BDAT 1 LAST", "502")),
        *((b"XCLIENT ADDR=::1", "500"), (b"MAIL FROM:<a@b> SMTPUTF8", "555")),
        *((b"MAIL FROM:<a@b> RET=FULL", "555"), (b"MAIL FROM:<a@b> AUTH=<>", "555")),
        ("MAIL FROM:<jö@b>".encode(), "500"),
    ],
)
def test_what_is_not_offered_is_not_done(command: bytes, code: str) -> None:
    found, output = play(make_machine(LITTLE), [b"EHLO x\r\n" + command + b"\r\n"])
    assert codes(output) == ["250", code]
    assert found == [events.Hello("x", is_extended=True)]


def test_what_is_missing_while_nobody_knows_the_upstream_is_refused_for_now() -> None:
    unknown = replace(LITTLE, is_settled=False)
    _, output = play(make_machine(unknown), [b"EHLO x\r\nMAIL FROM:<a@b> SMTPUTF8\r\n"])
    assert codes(output) == ["250", "455"]


def test_recipients_come_before_those_before_them_are_answered_and_nothing_else_does() -> None:
    machine = make_machine()
    play(machine, [b"EHLO x\r\n" + MAIL])
    machine.receive(b"RCPT TO:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<e@f> NOTIFY=NEVER\r\nDATA\r\n")
    assert machine.next_event() == events.Rcpt("a@b", ())
    assert machine.next_event() == events.Rcpt("c@d", ())
    assert machine.next_event() is None
    machine.answer(Reply(550, "5.1.1 Nobody"))
    assert machine.next_event() is None
    machine.answer(OK)
    assert machine.next_event() == events.Rcpt("e@f", ("NOTIFY=NEVER",))
    assert machine.next_event() is None
    machine.answer(OK)
    assert machine.recipients == 2
    assert machine.next_event() == events.StartData()
    assert codes(machine.take_output()) == ["550", "250", "250"]


def test_a_recipient_that_is_too_long_is_not_refused_before_those_before_it_are_answered() -> None:
    machine = make_machine(limits=CommandLimits(line_bytes=64))
    play(machine, [b"EHLO x\r\n" + MAIL])
    machine.receive(RCPT + b"RCPT TO:<%b@d.test>\r\n" % (b"c" * 64))
    assert machine.next_event() == events.Rcpt("c@d.test", ())
    assert machine.next_event() is None
    machine.answer(OK)
    assert machine.next_event() is None
    assert codes(machine.take_output()) == ["250", "500"]


@pytest.mark.parametrize("end", [MAIL, b"DATA\r\n", b"GET / HTTP/1.1\r\n", b"\x16\x03\r\n"])
def test_the_end_of_a_line_that_is_too_long_is_not_a_command(end: bytes) -> None:
    """Though a read begins with it."""
    found, output = play(make_machine(), [b"x" * 3_000, end + b"NOOP\r\n"])
    assert (found, codes(output)) == ([], ["500", "250"])
    found, output = play(make_machine(), [b"EHLO x\r\n" + b"x" * 3_000, end + b"NOOP\r\n"])
    assert (found[1:], codes(output)) == ([], ["250", "500", "250"])


def test_no_more_than_a_hundred_recipients_wait_for_an_answer() -> None:
    machine = make_machine()
    play(machine, [b"EHLO x\r\n" + MAIL])
    machine.receive(RCPT * 250)
    found = 0
    while machine.next_event() is not None or machine.has_more:
        found += 1
    assert 100 <= found <= 102  # a turn ends in between, twice
    machine.answer(OK)
    assert machine.next_event() == events.Rcpt("c@d.test", ())
    assert machine.next_event() is None


def test_data_needs_a_recipient_that_was_accepted() -> None:
    machine = make_machine()
    play(machine, [b"EHLO x\r\n" + MAIL])
    machine.receive(RCPT + b"DATA\r\nNOOP\r\n")
    assert machine.next_event() is not None
    machine.answer(Reply(550, "5.1.1 Nobody"))
    assert machine.next_event() is None
    assert codes(machine.take_output()) == ["550", "503", "250"]


@pytest.mark.parametrize("command", [b"NOOP\r\n", b"RSET\r\n", b"RSET x\r\n"])
def test_one_client_does_not_hold_the_loop(command: bytes) -> None:
    machine = make_machine(limits=CommandLimits(errors=1_000))
    machine.receive(command * 120)
    turns = 1
    while (event := machine.next_event()) is not None or machine.has_more:
        if event is None:
            turns += 1
        else:
            machine.answer(OK)
    assert turns == 3
    assert len(codes(machine.take_output())) == 120


@pytest.mark.parametrize(
    ("limits", "wire", "why", "replies"),
    [
        (CommandLimits(errors=3), b"RSET x\r\n" * 9, "errors", 4),
        (CommandLimits(commands_without_mail=7), b"NOOP\r\n" * 9, "commands_without_mail", 8),
        (
            CommandLimits(commands_without_mail=9),
            b"EHLO x\r\n" + (MAIL + b"RSET\r\n") * 9,
            "commands_without_mail",
            10,
        ),
        (CommandLimits(), b"WHAT\r\n" * 9, "unknown_commands", 5),
        (CommandLimits(errors=2), b"EHLO x\r\n" + b"AUTH PLAIN\r\nbad\r\n" * 9, "errors", 6),
    ],
)
def test_a_limit_ends_the_session_and_nothing_after_it_counts(
    limits: CommandLimits, wire: bytes, why: str, replies: int
) -> None:
    machine = make_machine(limits=limits)
    machine.receive(wire + READY)
    found = []
    while (event := machine.next_event()) is not None or machine.has_more:
        if event is not None:
            found.append(event)
            refuses = isinstance(event, events.AuthLine)
            machine.answer(Reply(535, "5.7.8 No") if refuses else ANSWERS.get(type(event), OK))
    assert (machine.ended_by, machine.is_over) == (why, True)
    output = codes(machine.take_output())
    assert (output[-1], len(output)) == ("421", replies)
    assert events.Rcpt("c@d.test", ()) not in found


def test_messages_start_the_count_of_commands_anew() -> None:
    machine = make_machine(limits=CommandLimits(commands_without_mail=5))
    mail = MAIL + RCPT + b"DATA\r\n.\r\nNOOP\r\n"
    found, _ = play(machine, [b"EHLO x\r\n" + mail * 20])
    assert sum(isinstance(each, events.Received) for each in found) == 20


def test_the_command_that_is_one_too_many_after_a_message_ends_the_session() -> None:
    for more, is_over in ((4, False), (5, True)):
        machine = make_machine(limits=CommandLimits(commands_without_mail=4))
        play(machine, [READY + b"DATA\r\n.\r\n" + b"NOOP\r\n" * more])
        assert machine.is_over is is_over


def test_recipients_are_no_commands_without_mail_however_they_are_written() -> None:
    machine = make_machine(limits=CommandLimits(commands_without_mail=3))
    play(machine, [b"EHLO x\r\n" + MAIL + b"rcpt to: <c@d.test> NOTIFY=NEVER\r\n" * 9])
    assert (machine.recipients, machine.ended_by) == (9, None)


def test_steps_tell_how_far_a_session_has_come() -> None:
    machine = make_machine()
    assert (machine.steps, machine.ended_by) == (0, None)
    assert (machine.has_more, machine.has_unread, machine.is_over) == (False, False, False)
    assert machine.buffered_bytes == 0
    machine.receive(b"EHLO x\r\nNOOP\r\nWHAT\r\nNO")
    seen = []
    while machine.next_event() is not None:
        seen.append(machine.steps)
        machine.answer(OK)
        seen.append(machine.steps)
    assert seen == [1, 2]  # EHLO, and its answer
    assert machine.steps == 3  # NOOP; a command that is unknown is no step, nor half of one
    play(machine, [b"OP\r\n" + MAIL + RCPT + b"DATA\r\n"])
    assert machine.steps == 4 + 3 * 2
    play(machine, [b"a piece"])
    assert machine.steps == 11
    play(machine, [b" and another\r\n.\r\n"])
    assert machine.steps == 13


def test_a_line_without_an_end_takes_no_memory() -> None:
    machine = make_machine()
    for _ in range(100):
        machine.receive(b"x" * 1_000)
        machine.next_event()
        assert machine.buffered_bytes < 4_096
    machine.receive(b"\r\nNOOP\r\n")
    machine.next_event()
    assert codes(machine.take_output()) == ["500", "250"]
    assert play(machine, [b"NO", b"OP\r\n"]) == ([], OK.wire)


def test_a_message_in_chunks_is_what_was_in_them() -> None:
    octets = b"Subject: x\r\n\r\n.\r\n\r\n.\r\nMAIL FROM:<evil@b.test>\r\n"
    wire = READY + b"BDAT 20\r\n%b" % octets[:20]
    wire += b"BDAT %d\r\n%bBDAT 0 LAST\r\n" % (len(octets) - 20, octets[20:])
    found, output = play(make_machine(), [wire])
    assert found[-1] == events.Received(octets, is_stuffed=False, over=None)
    assert codes(output) == ["250"] * 6


def test_after_a_refused_data_command_comes_another_command() -> None:
    machine = make_machine()
    play(machine, [READY])
    machine.receive(b"DATA\r\n")
    assert machine.next_event() == events.StartData()
    machine.answer(Reply(452, "4.3.1 Too much mail in flight"))
    assert not machine.is_in_message
    assert play(machine, [b"RSET\r\n"])[0] == [events.Reset()]


def test_what_comes_behind_the_end_of_a_session_is_not_answered() -> None:
    machine = make_machine()
    found, output = play(machine, [b"QUIT\r\n", READY])
    assert (found, codes(output)) == ([events.Quit()], ["221"])
    assert machine.is_over


def test_a_chunk_is_over_when_its_last_octet_has_come() -> None:
    machine = make_machine()
    found, output = play(machine, [READY + b"BDAT 20\r\nSubject: x\r\n", b"\r\n123"])
    assert (len(found), codes(output)) == (3, ["250"] * 3)
    found, output = play(machine, [b"456", b"BDAT 2 LAST\r\n7", b"8"])
    assert found == [events.Received(b"Subject: x\r\n\r\n12345678", is_stuffed=False, over=None)]
    assert codes(output) == ["250"] * 2


@pytest.mark.parametrize("way", ["BDAT", "DATA"])
def test_a_message_over_its_limit_is_read_and_dropped(way: str) -> None:
    octets = b"x" * 20_000 + b"\r\n"
    wire = b"DATA\r\n%b.\r\n" % octets
    if way == "BDAT":
        wire = b"BDAT 9000\r\n%bBDAT %d\r\n%b" % (
            octets[:9_000],
            len(octets) - 9_000,
            octets[9_000:],
        )
    found, output = play(make_machine(), [READY + wire + b"NOOP\r\nBDAT 1 LAST\r\nx"])
    assert found[-1] == events.Received(b"", is_stuffed=way == "DATA", over="size")
    assert codes(output)[-2:] == ["250", "503"]


def test_nothing_that_came_with_starttls_is_obeyed_after_it() -> None:
    """RFC 3207 section 5: it came in the clear, perhaps from somebody else."""
    machine = make_machine()
    play(machine, [b"EHLO x\r\n"])
    machine.receive(b"STARTTLS\r\nEHLO evil\r\n" + MAIL)
    assert machine.next_event() == events.StartTls()
    machine.answer(Reply(220, "2.0.0 Ready"))
    assert (machine.buffered_bytes, machine.has_unread) == (0, False)
    assert machine.next_event() is None
    assert codes(machine.take_output()) == ["220"]
    for early in (b"\x16\x03\x01", b"EHLO evil\r\n"):
        machine.receive(early)
        assert (machine.next_event(), machine.take_output()) == (None, b"")
    machine.restart()
    assert (machine.buffered_bytes, machine.has_unread) == (0, False)
    found, output = play(machine, [MAIL + b"EHLO x\r\n"])
    assert found == [events.Hello("x", is_extended=True)]
    assert codes(output) == ["503", "250"]


def test_a_starttls_that_is_refused_stops_nothing() -> None:
    machine = make_machine()
    machine.receive(b"EHLO x\r\n")
    machine.next_event()
    machine.answer(OK)
    machine.receive(b"STARTTLS\r\n" + MAIL)
    assert machine.next_event() == events.StartTls()
    machine.answer(Reply(454, "4.7.0 TLS not available"))
    assert machine.next_event() == events.Mail("a@b.test", ())


def test_an_xclient_that_is_refused_changes_nothing() -> None:
    machine = make_machine()
    machine.receive(b"EHLO x\r\nXCLIENT ADDR=192.0.2.1\r\n" + MAIL)
    machine.next_event()
    machine.answer(OK)
    assert machine.next_event() == events.XClient(("ADDR=192.0.2.1",))
    machine.answer(Reply(550, "5.7.0 Not from here"))
    assert machine.next_event() == events.Mail("a@b.test", ())


def test_xclient_starts_the_session_anew() -> None:
    machine = make_machine()
    play(machine, [b"EHLO x\r\n"])
    machine.receive(b"XCLIENT ADDR=192.0.2.1 NAME=a.test\r\n" + MAIL)
    assert machine.next_event() == events.XClient(("ADDR=192.0.2.1", "NAME=a.test"))
    machine.answer(Reply(220, "stock.test ESMTP"))
    assert machine.next_event() is None
    assert codes(machine.take_output()) == ["220", "503"]


def test_initial_responses_of_auth_are_handed_out_as_given() -> None:
    found, _ = play(make_machine(), [b"EHLO x\r\nAUTH PLAIN =\r\n*\r\n"])
    assert found[1:] == [events.Authenticate("PLAIN", b"="), events.AuthLine(b"*")]
    found, _ = play(make_machine(), [b"EHLO x\r\nauth login\r\n" + b"x" * 9_000 + b"\r\n"])
    assert found[1:] == [events.Authenticate("LOGIN", None), events.AuthLine(b"x" * 9_000)]


def test_a_line_of_auth_is_taken_once_it_is_whole_and_the_one_before_is_answered() -> None:
    machine = make_machine()
    machine.receive(b"EHLO x\r\n")
    assert machine.next_event() == events.Hello("x", is_extended=True)
    machine.answer(OK)
    machine.receive(b"AUTH LOGIN\r\nam8=\r\nc2")
    assert machine.next_event() == events.Authenticate("LOGIN", None)
    assert machine.next_event() is None
    machine.answer(Reply(334, "VXNlcm5hbWU6"))
    assert machine.next_event() == events.AuthLine(b"am8=")
    assert machine.next_event() is None
    machine.answer(Reply(334, "UGFzc3dvcmQ6"))
    assert machine.next_event() is None
    machine.receive(b"VjcmV0\r\nNOOP\r\n")
    assert machine.next_event() == events.AuthLine(b"c2VjcmV0")
    # Perhaps a line of AUTH, perhaps a command: the answer tells.
    assert machine.next_event() is None
    machine.answer(Reply(235, "2.7.0 Ok"))
    assert machine.next_event() is None
    assert codes(machine.take_output())[-2:] == ["235", "250"]


@pytest.mark.parametrize("code", [500, 535])
def test_auth_that_failed_for_good_is_an_error_and_one_that_may_be_tried_again_is_none(
    code: int,
) -> None:
    for refusal, ended_by in ((Reply(code, "No"), "errors"), (Reply(454, "Later"), None)):
        machine = make_machine(limits=CommandLimits(errors=2))
        machine.receive(b"EHLO x\r\n" + b"AUTH PLAIN\r\nbad\r\n" * 4)
        while (event := machine.next_event()) is not None:
            machine.answer(
                refusal if isinstance(event, events.AuthLine) else ANSWERS.get(type(event), OK)
            )
        assert machine.ended_by == ended_by


def test_a_line_that_is_too_long_for_auth_ends_its_dialogue() -> None:
    wire = b"EHLO x\r\nAUTH LOGIN\r\n" + b"x" * 13_000 + b"\r\nNOOP\r\n"
    found, output = play(make_machine(), [wire])
    assert found[-1] == events.Authenticate("LOGIN", None)
    assert codes(output) == ["250", "334", "500", "250"]


def test_421_ends_the_session_whatever_it_answers() -> None:
    machine = make_machine()
    machine.receive(b"EHLO x\r\nNOOP\r\n")
    machine.next_event()
    machine.answer(Reply(421, "4.3.2 Shutting down"))
    assert (machine.buffered_bytes, machine.has_unread) == (0, False)
    assert machine.next_event() is None
    assert machine.is_over
