"""Each command's answer in words, in the states that it can come in."""

import pytest
from tests.smtp.commands.test_machine import ALL, LITTLE, MAIL, RCPT, make_machine, play

from msys_track.smtp.commands import events
from msys_track.smtp.commands.offer import Offer
from msys_track.smtp.proxies import write_ids

EHLO = b"EHLO x\r\n"
HELO = b"HELO x\r\n"
AUTH = b"AUTH PLAIN AGEAYg==\r\n"
BDAT = EHLO + MAIL + RCPT + b"BDAT 1\r\nx"
ANSWERS = [
    # Out of order.
    (MAIL, "503 5.5.1 Send EHLO first"),
    (RCPT, "503 5.5.1 Send EHLO first"),
    (EHLO + RCPT, "503 5.5.1 Send MAIL first"),
    (EHLO + b"DATA\r\n", "503 5.5.1 Send MAIL first"),
    (EHLO + MAIL + b"DATA\r\n", "503 5.5.1 Send RCPT first; there is no recipient"),
    (EHLO + MAIL + MAIL, "503 5.5.1 A transaction is open; send RSET first"),
    (BDAT + MAIL, "503 5.5.1 A message has begun by BDAT; send BDAT or RSET"),
    (BDAT + RCPT, "503 5.5.1 A message has begun by BDAT; send BDAT or RSET"),
    (BDAT + b"DATA\r\n", "503 5.5.1 A message has begun by BDAT; send BDAT or RSET"),
    # Malformed.
    (b"TURN\r\n", "500 5.5.1 Unknown command"),
    (b"EHLO\r\n", "501 5.5.4 Syntax: EHLO hostname"),
    (b"HELO\r\n", "501 5.5.4 Syntax: HELO hostname"),
    (EHLO + b"MAIL FROM:\r\n", "501 5.5.4 Syntax: MAIL FROM:<address> [parameters]"),
    (EHLO + b"MAIL <a@b.test>\r\n", "501 5.5.4 Syntax: MAIL FROM:<address> [parameters]"),
    (EHLO + b"MAIL FROM:<a@>\r\n", "553 5.1.7 Malformed address"),
    (EHLO + b"MAIL FROM:X\r\n", "553 5.1.7 Malformed address"),
    (EHLO + b"MAIL FROM:\t\r\n", "553 5.1.7 Malformed address"),
    (EHLO + MAIL + b"RCPT TO:  \r\n", "501 5.5.4 Syntax: RCPT TO:<address> [parameters]"),
    (EHLO + MAIL + b"RCPT TO:<c@>\r\n", "553 5.1.3 Malformed address"),
    (EHLO + MAIL + b"RCPT TO:<>\r\n", "553 5.1.3 The null path receives nothing"),
    (EHLO + MAIL + RCPT + b"DATA now\r\n", "501 5.5.4 Syntax: DATA"),
    (EHLO + MAIL + RCPT + b"DATA \t\r\n", "501 5.5.4 Syntax: DATA"),
    (b"RSET now\r\n", "501 5.5.4 Syntax: RSET"),
    (b"QUIT now\r\n", "501 5.5.4 Syntax: QUIT"),
    (b"STARTTLS now\r\n", "501 5.5.4 Syntax: STARTTLS"),
    (b"VRFY\r\n", "501 5.5.4 Syntax: VRFY address"),
    (b"VRFY jo\r\n", "252 2.5.2 Addresses are not verified; send mail to find out"),
    (b"EXPN all\r\n", "502 5.5.1 Command not implemented"),
    (b"NOOP\r\n", "250 2.0.0 Ok"),
    # AUTH (RFC 4954) and XCLIENT.
    (AUTH, "503 5.5.1 Send EHLO first"),
    (HELO + AUTH, "503 5.5.1 Send EHLO first"),
    (EHLO + AUTH + b"x\r\n" + AUTH, "503 5.5.1 Authentication was done already"),
    (EHLO + MAIL + AUTH, "503 5.5.1 A transaction is open; send RSET first"),
    (EHLO + b"AUTH\r\n", "501 5.5.4 Syntax: AUTH mechanism [initial-response]"),
    (EHLO + b"AUTH PLAIN a b\r\n", "501 5.5.4 Syntax: AUTH mechanism [initial-response]"),
    (EHLO + b"AUTH NTLM\r\n", "504 5.5.4 Authentication mechanism not supported"),
    (EHLO + MAIL + b"XCLIENT ADDR=x\r\n", "503 5.5.1 A transaction is open; send RSET first"),
    (EHLO + b"XCLIENT\r\n", "501 5.5.4 Syntax: XCLIENT attribute=value..."),
    # Parameters.
    (HELO + b"MAIL FROM:<a@b.test> SIZE=1\r\n", "555 5.5.4 Parameters need EHLO"),
    (HELO + MAIL + b"RCPT TO:<c@d.test> NOTIFY=NEVER\r\n", "555 5.5.4 Parameters need EHLO"),
    (
        EHLO + "MAIL FROM:<jö@b.test>\r\n".encode(),
        "553 5.6.7 A non-ASCII address needs the SMTPUTF8 parameter of MAIL",
    ),
    (
        EHLO + MAIL + "RCPT TO:<jö@d.test>\r\n".encode(),
        "553 5.6.7 A non-ASCII address needs the SMTPUTF8 parameter of MAIL",
    ),
]
PARAMETERS = [
    ("SIZE=10001", "552 5.3.4 Message too big, the limit is 10000 bytes"),
    ("SIZE", "501 5.5.4 SIZE takes a number of bytes"),
    ("SIZE=x", "501 5.5.4 SIZE takes a number of bytes"),
    ("SIZE=1 SIZE=1", "501 5.5.4 SIZE is given twice"),
    ("BODY=BINARYMIME", "501 5.5.4 BODY takes 7BIT or 8BITMIME"),
    ("SMTPUTF8=1", "501 5.5.4 SMTPUTF8 takes no value"),
    ("RET=ALL", "501 5.5.4 RET takes FULL or HDRS"),
    ("ENVID", "501 5.5.4 ENVID takes a value"),
    ("AUTH", "501 5.5.4 AUTH takes an address or <>"),
    ("BY=1", "555 5.5.4 Parameter not supported: BY"),
    ("NOTIFY=NEVER", "555 5.5.4 Parameter not supported: NOTIFY"),
    ("=", "501 5.5.4 A parameter is KEYWORD or KEYWORD=value"),
    ("SIZE=1 =", "501 5.5.4 A parameter is KEYWORD or KEYWORD=value"),
    ("SIZE=1\tBODY=7BIT", "501 5.5.4 A parameter is KEYWORD or KEYWORD=value"),
]
RCPT_PARAMETERS = [
    ("NOTIFY=NEVER,DELAY", "501 5.5.4 NOTIFY takes NEVER, or some of SUCCESS,FAILURE,DELAY"),
    ("ORCPT=rfc822", "501 5.5.4 ORCPT takes type;address"),
    ("RET=FULL", "555 5.5.4 Parameter not supported: RET"),
]


def last_line(output: bytes) -> str:
    return output.decode().splitlines()[-1]


@pytest.mark.parametrize(("wire", "answer"), ANSWERS)
def test_a_command_has_this_answer(wire: bytes, answer: str) -> None:
    _, output = play(make_machine(), [wire])
    assert last_line(output) == answer


@pytest.mark.parametrize(("given", "answer"), PARAMETERS)
def test_a_parameter_of_mail_has_this_answer(given: str, answer: str) -> None:
    wire = EHLO + f"MAIL FROM:<a@b.test> {given}\r\n".encode()
    assert last_line(play(make_machine(), [wire])[1]) == answer


@pytest.mark.parametrize(("given", "answer"), RCPT_PARAMETERS)
def test_a_parameter_of_rcpt_has_this_answer(given: str, answer: str) -> None:
    wire = EHLO + MAIL + f"RCPT TO:<c@d.test> {given}\r\n".encode()
    assert last_line(play(make_machine(), [wire])[1]) == answer


def test_every_parameter_is_handed_on_as_given_with_its_keyword_in_upper_case() -> None:
    mail = "size=10000  Body=8bitmime SMTPUTF8 RET=hdrs ENVID=a+2B AUTH=<>"
    rcpt = "notify=success,DELAY ORCPT=rfc822;c@d.test"
    wire = EHLO + f"MAIL FROM:<a@b.test> {mail}\r\nRCPT TO:<c@d.test> {rcpt}\r\n".encode()
    found, _ = play(make_machine(), [wire])
    assert found[1:] == [
        events.Mail(
            "a@b.test",
            ("SIZE=10000", "BODY=8bitmime", "SMTPUTF8", "RET=hdrs", "ENVID=a+2B", "AUTH=<>"),
        ),
        events.Rcpt("c@d.test", ("NOTIFY=success,DELAY", "ORCPT=rfc822;c@d.test")),
    ]


def test_a_message_of_no_stated_size_is_taken_however_small_the_limit() -> None:
    found, _ = play(make_machine(Offer(size=0)), [EHLO + MAIL])
    assert found[1:] == [events.Mail("a@b.test", ())]
    given = b"MAIL FROM:<a@b.test> BODY=7BIT\r\n"
    found, _ = play(make_machine(Offer(size=0)), [EHLO + given])
    assert found[1:] == [events.Mail("a@b.test", ("BODY=7BIT",))]


def test_spaces_at_the_end_of_a_command_mean_nothing() -> None:
    found, _ = play(make_machine(), [b"EHLO mX  \r\nRSET \r\n"])
    assert found == [events.Hello("mX", is_extended=True), events.Reset()]


@pytest.mark.parametrize("command", ["STARTTLS", "AUTH PLAIN", "BDAT 1"])
def test_a_command_that_is_not_offered_is_not_implemented(command: str) -> None:
    _, output = play(make_machine(LITTLE), [EHLO + command.encode() + b"\r\n"])
    assert last_line(output) == "502 5.5.1 Command not implemented"


def test_xclient_is_unknown_to_whom_it_is_not_offered() -> None:
    _, output = play(make_machine(LITTLE), [EHLO + b"XCLIENT ADDR=x\r\n"])
    assert last_line(output) == "500 5.5.1 Unknown command"


def test_xclient_s_attributes_are_handed_on_one_by_one() -> None:
    found, _ = play(make_machine(ALL), [b"EHLO x\r\nXCLIENT ADDR=192.0.2.1  NAME=mx\r\n"])
    assert found[-1] == events.XClient(("ADDR=192.0.2.1", "NAME=mx"))


def test_noop_tells_the_ids_of_proxies_and_otherwise_nothing() -> None:
    ids = ("0" * 32, "1" * 32)
    found, _ = play(make_machine(ALL), write_ids(ids))
    assert found == [events.TellIds(ids)]
    found, output = play(make_machine(ALL), [b"NOOP hello\r\n"])
    assert (found, last_line(output)) == ([], "250 2.0.0 Ok")


def test_a_mechanism_is_named_in_upper_case_and_its_response_is_bytes() -> None:
    found, _ = play(make_machine(ALL), [b"EHLO x\r\nauth plain AGEAYg==\r\n"])
    assert found[1] == events.Authenticate("PLAIN", b"AGEAYg==")
    found, _ = play(make_machine(ALL), [b"EHLO x\r\nAUTH LOGIN\r\n"])
    assert found[1] == events.Authenticate("LOGIN", None)


def test_helo_forgets_the_extensions_of_an_ehlo_before_it() -> None:
    found, output = play(make_machine(), [EHLO + HELO + b"MAIL FROM:<a@b.test> SIZE=1\r\n"])
    assert found == [events.Hello("x", is_extended=True), events.Hello("x", is_extended=False)]
    assert last_line(output) == "555 5.5.4 Parameters need EHLO"


def test_rset_and_ehlo_forget_a_transaction() -> None:
    for command in (b"RSET\r\n", EHLO):
        _, output = play(make_machine(), [EHLO + MAIL + RCPT + command + b"DATA\r\n"])
        assert last_line(output) == "503 5.5.1 Send MAIL first"
