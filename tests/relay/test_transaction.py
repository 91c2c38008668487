"""A transaction: what is said, in which order, and what is never said."""

import asyncio
from typing import Any

import pytest
from tests.relay.conftest import MESSAGE, Relay, refusal_of, to, transaction
from tests.upstreams import EXTENSIONS, Answer
from tests.waiting import until

from msys_track.smtp.path import Recipient

pytestmark = pytest.mark.anyio

UMLAUT = "Subject: x\r\n\r\nGrüße\r\n".encode()
NOT_A_PARAMETER = Recipient(path="a@example.com", parameters=("X\r\nRSET",))
EIGHT_BIT = "The message is 8-bit; the upstream takes only 7-bit mail"
NON_ASCII = "A non-ASCII address needs the SMTPUTF8 parameter of MAIL"


async def test_a_mail_is_mail_rcpt_data(relay: Relay) -> None:
    server, upstream = await relay()
    await upstream.deliver(transaction("a@example.com", "b@example.com"))
    assert server.commands[1:] == [
        f"MAIL FROM:<from@example.com> SIZE={len(MESSAGE)}",
        "RCPT TO:<a@example.com>",
        "RCPT TO:<b@example.com>",
        "DATA",
    ]
    assert [each.wire for each in server.taken] == [MESSAGE]


@pytest.mark.parametrize(
    ("extensions", "recipients", "is_sent"),
    [
        (EXTENSIONS, 1, {"RCPT", "DATA"}),
        (EXTENSIONS, 2, {"RCPT"}),
        (EXTENSIONS[1:], 1, set()),
        ((), 2, set()),
    ],
)
async def test_what_may_be_sent_before_mail_is_answered(
    relay: Relay, extensions: list[str], recipients: int, is_sent: set[str]
) -> None:
    gate = asyncio.Event()
    server, upstream = await relay({"MAIL": Answer(wire=b"250 Ok\r\n", when=gate)}, extensions)
    names = [f"to{number}@example.com" for number in range(recipients)]
    delivery = asyncio.create_task(upstream.deliver(transaction(*names)))
    await until(lambda: any(each.startswith("MAIL") for each in server.commands))
    await asyncio.sleep(0.02)
    assert server.waiting_verbs() == is_sent
    gate.set()
    assert (await delivery).code == 250


@pytest.mark.parametrize(
    ("extensions", "given_parameters", "sent"),
    [
        (EXTENSIONS, ("BODY=8BITMIME",), "BODY=8BITMIME SIZE=20"),
        (EXTENSIONS, ("SIZE=7", "BODY=7BIT"), "BODY=7BIT SIZE=20"),
        (EXTENSIONS, ("size=7", "SMTPUTF8"), "SMTPUTF8 SIZE=20"),
        (["SIZE"], ("BODY=8BITMIME",), "SIZE=20"),
        (["8BITMIME"], ("BODY=8BITMIME", "SIZE=7"), "BODY=8BITMIME"),
        ([], ("BODY=7BIT", "SIZE=7"), ""),
    ],
)
async def test_mail_carries_what_the_upstream_understands(
    relay: Relay, extensions: list[str], given_parameters: tuple[str, ...], sent: str
) -> None:
    server, upstream = await relay(extensions=extensions)
    await upstream.deliver(transaction(mail_parameters=given_parameters))
    assert server.commands[1] == f"MAIL FROM:<from@example.com> {sent}".rstrip()


async def test_smtputf8_that_nothing_needs_is_left_out(relay: Relay) -> None:
    server, upstream = await relay(extensions=["8BITMIME"])
    await upstream.deliver(transaction(mail_parameters=("SMTPUTF8",)))
    assert server.commands[1] == "MAIL FROM:<from@example.com>"


@pytest.mark.parametrize("extensions", [[], ["DSN"], ["DSN", "AUTH PLAIN"]])
async def test_the_parameters_of_an_extension_go_to_an_upstream_that_has_it(
    relay: Relay, extensions: list[str]
) -> None:
    server, upstream = await relay(extensions=extensions)
    mail = ("RET=HDRS", "ENVID=QQ314159", "AUTH=<>")
    recipient = Recipient(path="a@example.com", parameters=("NOTIFY=FAILURE",))
    await upstream.deliver(transaction(mail_parameters=mail, recipients=(recipient,)))
    sent = [*mail[:2], "NOTIFY=FAILURE"] if "DSN" in extensions else []
    sent += mail[2:] if "AUTH PLAIN" in extensions else []
    said = [word for command in server.commands[1:3] for word in command.split()]
    assert sorted(each for each in said if "=" in each) == sorted(sent)


async def test_the_parameters_of_a_recipient_go_with_it(relay: Relay) -> None:
    server, upstream = await relay(extensions=[*EXTENSIONS, "DSN"])
    given = ("NOTIFY=NEVER", "ORCPT=rfc822;a@example.com")
    recipient = Recipient(path="a@example.com", parameters=given)
    await upstream.deliver(transaction(recipients=(recipient,)))
    assert server.commands[2] == f"RCPT TO:<a@example.com> {' '.join(given)}"


@pytest.mark.parametrize(
    ("extensions", "fields", "text"),
    [
        ([], {"message": UMLAUT}, f"554 5.6.3 {EIGHT_BIT}"),
        (
            ["8BITMIME"],
            {"mail_parameters": ("SMTPUTF8",), "message": UMLAUT},
            "553 5.6.7 The upstream does not",
        ),
        (EXTENSIONS, {"sender": "jö@example.com"}, f"553 5.6.7 {NON_ASCII}"),
        (EXTENSIONS, {"recipients": to("jö@example.com")}, f"553 5.6.7 {NON_ASCII}"),
        (EXTENSIONS, {"sender": "a>\r\nRCPT TO:<b"}, "553 5.1.3 An address has characters"),
        (EXTENSIONS, {"recipients": to("a@b c")}, "553 5.1.3 An address has characters"),
        (EXTENSIONS, {"mail_parameters": ("X\r\nY",)}, "501 5.5.4 A parameter of MAIL has"),
        (EXTENSIONS, {"mail_parameters": ("X Y",)}, "501 5.5.4 A parameter of MAIL has"),
        (EXTENSIONS, {"mail_parameters": ("Xü",)}, "501 5.5.4 A parameter of MAIL has"),
        (EXTENSIONS, {"mail_parameters": ("",)}, "501 5.5.4 A parameter of MAIL has"),
        (EXTENSIONS, {"recipients": (NOT_A_PARAMETER,)}, "501 5.5.4 A parameter of RCPT has"),
    ],
)
async def test_what_can_not_travel_is_refused_before_anything_is_said(
    relay: Relay, extensions: list[str], fields: dict[str, Any], text: str
) -> None:
    server, upstream = await relay(extensions=extensions)
    refusal = await refusal_of(upstream.deliver(transaction(**fields)))
    assert refusal.startswith(text)
    assert len(server.commands) == 1
    await upstream.deliver(transaction())
    assert len(server.dialogues) == 1


@pytest.mark.parametrize("extensions", [EXTENSIONS, EXTENSIONS[1:]])
async def test_a_thousand_recipients_are_one_transaction(
    relay: Relay, extensions: list[str]
) -> None:
    server, upstream = await relay(extensions=extensions)
    names = tuple(f"{'x' * 50}{number}@example.com" for number in range(1_000))
    assert (await upstream.deliver(transaction(*names))).code == 250
    (taken,) = server.taken
    assert taken.recipients == names


@pytest.mark.parametrize("extensions", [EXTENSIONS, EXTENSIONS[1:]])
async def test_verify_sends_nothing_and_leaves_nothing(
    relay: Relay, extensions: list[str]
) -> None:
    server, upstream = await relay(extensions=extensions)
    await upstream.verify("a@example.com", ("SIZE=5",), to("b@example.com", "c@example.com"))
    assert server.commands[1:] == [
        "MAIL FROM:<a@example.com> SIZE=5",
        "RCPT TO:<b@example.com>",
        "RCPT TO:<c@example.com>",
        "RSET",
    ]
    await upstream.deliver(transaction())
    assert [each.recipients for each in server.taken] == [("to@example.com",)]
    assert len(server.dialogues) == 1


async def test_verify_asks_for_no_more_at_once_than_every_upstream_takes(relay: Relay) -> None:
    """With 1,000 in one transaction Postfix and others would put off the last of them."""
    server, upstream = await relay()
    recipients = to(*(f"to{number}@example.com" for number in range(250)))
    await upstream.verify("", (), recipients)
    asked = [each.split(" ")[0] for each in server.commands[1:]]
    whole = ["MAIL", *["RCPT"] * 100, "RSET"]
    assert asked == [*whole, *whole, "MAIL", *["RCPT"] * 50, "RSET"]


async def test_verify_tells_the_first_refusal(relay: Relay) -> None:
    script = {"RCPT TO:<b@example.com>": "450 Later", "RCPT TO:<c@example.com>": "550 No"}
    _, upstream = await relay(script)
    recipients = to("a@example.com", "b@example.com", "c@example.com")
    assert await refusal_of(upstream.verify("", (), recipients)) == "450 Later"
