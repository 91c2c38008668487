"""A transaction that is held open: exact answers, one write a turn, and no connection kept from
others."""

import asyncio
import random

import pytest
from tests.relay.conftest import MESSAGE, Relay, refusal_of, to, transaction
from tests.upstreams import EXTENSIONS, HANG_UP, SILENCE, Answer, say
from tests.waiting import until

from msys_track.errors import UpstreamError
from msys_track.relay.upstream import Exchange, Upstream
from msys_track.smtp.path import Recipient
from msys_track.smtp.reply import Reply

pytestmark = pytest.mark.anyio

A, B, C = to("a@example.com", "b@example.com", "c@example.com")
SENDER = "from@example.com"


async def ask(exchange: Exchange, *recipients: Recipient) -> list[Reply]:
    return list(await asyncio.gather(*(exchange.add_recipient(each) for each in recipients)))


async def let_go(exchange: Exchange, upstream: Upstream) -> None:
    """End it; the connection is free again once it is done."""
    exchange.drop()
    await upstream.deliver(transaction("last@example.com"))


@pytest.mark.parametrize("extensions", [EXTENSIONS, EXTENSIONS[1:]])
async def test_each_recipient_gets_the_answer_of_the_upstream_and_is_asked_once(
    relay: Relay, extensions: list[str]
) -> None:
    script = {"RCPT TO:<b@example.com>": "550 5.1.1 No b", "RCPT TO:<c@example.com>": "450 Later"}
    server, upstream = await relay(script, extensions)
    exchange = upstream.begin(SENDER, ())
    replies = await ask(exchange, A, B, C)
    assert [str(each.code) + " " + each.text for each in replies] == [
        "250 2.0.0 Ok",
        "550 5.1.1 No b",
        "450 Later",
    ]
    assert (await exchange.deliver(transaction("a@example.com"))).code == 250
    exchange.drop()
    assert server.commands[1:] == [
        "MAIL FROM:<from@example.com>",
        *(f"RCPT TO:<{each.path}>" for each in (A, B, C)),
        "DATA",
    ]
    assert [each.wire for each in server.taken] == [MESSAGE]


async def test_what_is_added_in_one_turn_leaves_in_one_write(relay: Relay) -> None:
    gate = asyncio.Event()
    server, upstream = await relay({"MAIL": Answer(wire=b"250 Ok\r\n", when=gate)})
    asking = asyncio.gather(*map(upstream.begin(SENDER, ()).add_recipient, (A, B, C)))
    await until(lambda: any(each.startswith("MAIL") for each in server.commands))
    await asyncio.sleep(0.02)
    assert server.waiting_verbs() == {"RCPT"}
    gate.set()
    assert [each.code for each in await asking] == [250, 250, 250]


async def test_recipients_that_come_while_others_are_asked_are_asked_next(relay: Relay) -> None:
    gate = asyncio.Event()
    script = {"RCPT TO:<a@example.com>": say("250 2.1.5 Ok", when=gate)}
    server, upstream = await relay(script)
    exchange = upstream.begin(SENDER, ())
    first = exchange.add_recipient(A)
    await until(lambda: any(each.startswith("RCPT") for each in server.commands))
    later = [exchange.add_recipient(each) for each in (B, C)]
    gate.set()
    assert [(await each).code for each in (first, *later)] == [250] * 3
    assert [each for each in server.commands if each.startswith("MAIL")] == [
        "MAIL FROM:<from@example.com>"
    ]
    exchange.drop()


async def test_recipients_that_come_later_join_the_same_transaction(relay: Relay) -> None:
    server, upstream = await relay()
    exchange = upstream.begin(SENDER, ())
    for recipient in (A, B):
        await ask(exchange, recipient)
    await exchange.deliver(transaction(B.path, A.path))
    assert [each.split(":")[0] for each in server.commands[1:]] == [
        "MAIL FROM",
        "RCPT TO",
        "RCPT TO",
        "DATA",
    ]


@pytest.mark.parametrize(
    ("delivery", "begun_with"),
    [
        (transaction("a@example.com", "b@example.com"), ()),
        (transaction("b@example.com"), ()),
        (transaction("a@example.com", sender="bounces@example.com"), ()),
        (transaction("a@example.com", mail_parameters=("BODY=8BITMIME",)), ()),
    ],
    ids=["more", "another", "sender", "parameters"],
)
async def test_another_delivery_gets_a_transaction_of_its_own(
    relay: Relay, delivery: object, begun_with: tuple[str, ...]
) -> None:
    server, upstream = await relay(max_connections=1)
    exchange = upstream.begin(SENDER, begun_with)
    await ask(exchange, A)
    assert (await exchange.deliver(delivery)).code == 250  # type: ignore[arg-type]
    (taken,) = server.taken
    wanted = tuple(each.path for each in delivery.recipients)  # type: ignore[attr-defined]
    assert taken.recipients == wanted
    assert server.commands[3] == "RSET"
    assert len(server.dialogues) == 1


@pytest.mark.parametrize("was_kept", [True, False])
async def test_a_delivery_waits_for_what_is_still_asked(relay: Relay, *, was_kept: bool) -> None:
    server, upstream = await relay()
    if was_kept:
        await upstream.deliver(transaction("first@example.com"))
    exchange = upstream.begin(SENDER, ())
    asked = [exchange.add_recipient(each) for each in (A, B)]
    assert (await exchange.deliver(transaction(A.path, B.path))).code == 250
    exchange.drop()
    assert [(await each).code for each in asked] == [250, 250]
    assert server.taken[-1].recipients == (A.path, B.path)
    assert "RSET" not in server.commands


@pytest.mark.parametrize("answer", [HANG_UP, say("421 Bye"), say("452 4.5.3 Too many")])
async def test_a_kept_connection_that_is_worn_is_replaced_unseen(
    relay: Relay, answer: Answer
) -> None:
    server, upstream = await relay(max_connections=1)
    await upstream.deliver(transaction())
    server.set_answer("MAIL", [answer, "250 Ok"])
    exchange = upstream.begin(SENDER, ())
    assert [each.code for each in await ask(exchange, A, B)] == [250, 250]
    assert (await exchange.deliver(transaction(A.path, B.path))).code == 250
    await let_go(exchange, upstream)
    assert len(server.dialogues) == 2


async def test_a_kept_connection_that_falls_silent_is_told_as_such(relay: Relay) -> None:
    server, upstream = await relay(max_connections=1, reply_timeout_seconds=0.5)
    await upstream.deliver(transaction())
    server.set_answer("MAIL", [SILENCE, "250 Ok"])
    exchange = upstream.begin(SENDER, ())
    with pytest.raises(UpstreamError) as failed:
        await exchange.add_recipient(A)
    assert (failed.value.code, failed.value.outcome) == (451, "not_sent")
    await let_go(exchange, upstream)


async def test_the_size_that_the_client_told_may_differ(relay: Relay) -> None:
    server, upstream = await relay()
    exchange = upstream.begin(SENDER, ("SIZE=7", "BODY=7BIT"))
    await ask(exchange, A)
    await exchange.deliver(transaction("a@example.com", mail_parameters=("SIZE=7", "BODY=7BIT")))
    assert server.commands[1] == "MAIL FROM:<from@example.com> SIZE=7 BODY=7BIT"
    assert "RSET" not in server.commands


async def test_a_refused_sender_is_the_answer_to_each_recipient(relay: Relay) -> None:
    server, upstream = await relay({"MAIL": "550 5.7.1 Not you"})
    exchange = upstream.begin(SENDER, ())
    assert await ask(exchange, A, B) == [Reply(550, "5.7.1 Not you")] * 2
    server.set_answer("MAIL", [])
    await let_go(exchange, upstream)
    assert len(server.dialogues) == 1


async def test_an_upstream_that_is_down_is_told_as_such(relay: Relay) -> None:
    _, upstream = await relay({"GREETING": "554 No"})
    with pytest.raises(UpstreamError) as failed:
        await upstream.begin(SENDER, ()).add_recipient(A)
    assert (failed.value.code, failed.value.outcome) == (451, "not_sent")


async def test_what_is_no_answer_to_a_recipient_is_a_451(relay: Relay) -> None:
    _, upstream = await relay({"RCPT": "354 What?"})
    (reply,) = await ask(upstream.begin(SENDER, ()), A)
    assert (reply.code, reply.text) == (451, "4.4.2 The upstream answered RCPT with: 354 What?")


@pytest.mark.parametrize("when", ["while it asks", "while it is held", "never"])
async def test_a_dropped_transaction_leaves_the_connection_to_others(
    relay: Relay, when: str
) -> None:
    server, upstream = await relay(max_connections=1)
    exchange = upstream.begin(SENDER, ())
    if when != "never":
        asking = exchange.add_recipient(A)
        if when == "while it is held":
            await asking
    exchange.drop()
    assert (await upstream.deliver(transaction("b@example.com"))).code == 250
    assert [each.recipients for each in server.taken] == [("b@example.com",)]
    assert len(server.dialogues) == 1


async def test_a_held_transaction_makes_room_and_its_recipients_are_asked_again(
    relay: Relay,
) -> None:
    server, upstream = await relay(max_connections=2, pool_wait_seconds=20)
    held = [upstream.begin(SENDER, ()) for _ in range(2)]
    for exchange in held:
        await ask(exchange, A)
    await asyncio.gather(*(upstream.deliver(transaction("b@example.com")) for _ in range(4)))
    assert server.most_connections == 2
    for exchange in held:
        assert (await exchange.deliver(transaction("a@example.com"))).code == 250
        exchange.drop()
    assert sorted(each.recipients[0] for each in server.taken) == [
        *["a@example.com"] * 2,
        *["b@example.com"] * 4,
    ]


async def test_more_clients_than_connections_hold_transactions_and_all_are_served(
    relay: Relay,
) -> None:
    server, upstream = await relay(max_connections=3, pool_wait_seconds=20)

    async def inject(number: int) -> None:
        exchange = upstream.begin(SENDER, ())
        path = f"to{number}@example.com"
        for _ in range(2):
            assert [each.code for each in await ask(exchange, *to(path))] == [250]
            await asyncio.sleep(0.001)
        exchange.drop()
        exchange = upstream.begin(SENDER, ())
        assert [each.code for each in await ask(exchange, *to(path))] == [250]
        await asyncio.sleep(0.001)
        assert (await exchange.deliver(transaction(path))).code == 250
        exchange.drop()

    await asyncio.gather(*(inject(number) for number in range(30)))
    assert sorted(each.recipients[0] for each in server.taken) == sorted(
        f"to{number}@example.com" for number in range(30)
    )
    assert server.most_connections == 3


async def test_a_recipient_that_comes_after_it_was_taken_back_begins_anew(relay: Relay) -> None:
    server, upstream = await relay(max_connections=1)
    exchange = upstream.begin(SENDER, ())
    await ask(exchange, A)
    await upstream.deliver(transaction("c@example.com"))
    await ask(exchange, B)
    assert (await exchange.deliver(transaction(A.path, B.path))).code == 250
    assert [each.recipients for each in server.taken] == [(C.path,), (A.path, B.path)]


async def test_who_is_refused_when_asked_again_refuses_the_message(relay: Relay) -> None:
    server, upstream = await relay(max_connections=1)
    exchange = upstream.begin(SENDER, ())
    await ask(exchange, A)
    await upstream.deliver(transaction("c@example.com"))
    server.set_answer(f"RCPT TO:<{A.path}>", "450 4.2.0 Greylisted")
    assert [each.code for each in await ask(exchange, B)] == [250]
    refusal = await refusal_of(exchange.deliver(transaction(A.path, B.path)))
    assert refusal == "450 4.2.0 Greylisted"
    assert [each.recipients for each in server.taken] == [(C.path,)]


@pytest.mark.parametrize("answer", [HANG_UP, Answer(then="reset"), say("421 4.4.2 Too slow")])
async def test_an_upstream_that_ends_a_held_transaction_is_asked_again(
    relay: Relay, answer: Answer
) -> None:
    server, upstream = await relay(max_connections=1)
    exchange = upstream.begin(SENDER, ())
    await ask(exchange, A)
    await server.send_unprompted(answer)
    await asyncio.sleep(0.02)
    assert [each.code for each in await ask(exchange, B)] == [250]
    await server.send_unprompted(answer)
    await asyncio.sleep(0.02)
    assert (await exchange.deliver(transaction(A.path, B.path))).code == 250
    assert [each.recipients for each in server.taken] == [(A.path, B.path)]
    await let_go(exchange, upstream)


@pytest.mark.parametrize("answer", [HANG_UP, say("421 4.4.2 Bye"), say("nonsense"), SILENCE])
async def test_an_upstream_that_ends_it_at_data_costs_no_place(
    relay: Relay, answer: Answer
) -> None:
    server, upstream = await relay(max_connections=1, reply_timeout_seconds=0.5)
    exchange = upstream.begin(SENDER, ())
    await ask(exchange, A)
    server.set_answer("DATA", [answer, "354 Go on"])
    is_gone = answer is HANG_UP or answer.wire.startswith(b"421")
    if is_gone:
        assert (await exchange.deliver(transaction(A.path))).code == 250
    else:
        assert (await refusal_of(exchange.deliver(transaction(A.path)))).startswith("451 4.4.1 ")
    assert len(server.arrived) == is_gone
    await let_go(exchange, upstream)


async def test_a_held_message_that_is_eight_bit_is_refused_where_it_can_not_travel(
    relay: Relay,
) -> None:
    server, upstream = await relay(extensions=["PIPELINING"])
    exchange = upstream.begin(SENDER, ())
    await ask(exchange, A)
    umlaut = transaction(A.path, message="Subject: x\r\n\r\nGrüße\r\n".encode())
    assert (await refusal_of(exchange.deliver(umlaut))).startswith("554 5.6.3 ")
    assert server.arrived == []
    await let_go(exchange, upstream)


async def test_an_address_that_no_command_can_carry_is_refused_and_the_others_stand(
    relay: Relay,
) -> None:
    _, upstream = await relay()
    exchange = upstream.begin(SENDER, ())
    await ask(exchange, A)
    (reply,) = await ask(exchange, *to("b>\r\nRSET"))
    assert (reply.code, reply.text[:5]) == (553, "5.1.3")
    assert (await exchange.deliver(transaction(A.path))).code == 250


async def test_a_cancelled_delivery_in_a_held_transaction_sends_nothing(relay: Relay) -> None:
    server, upstream = await relay(max_connections=1)
    exchange = upstream.begin(SENDER, ())
    await ask(exchange, A)
    gate = asyncio.Event()
    server.set_answer("DATA", Answer(wire=b"354 Go on\r\n", when=gate))
    delivery = asyncio.create_task(exchange.deliver(transaction(A.path)))
    await until(lambda: "DATA" in server.commands)
    delivery.cancel()
    with pytest.raises(asyncio.CancelledError):
        await delivery
    gate.set()
    server.set_answer("DATA", "354 Go on")
    await let_go(exchange, upstream)
    assert [each.recipients for each in server.taken] == [("last@example.com",)]


async def inject(upstream: Upstream, number: int, source: random.Random) -> int:
    """Send one mail as a client does; return the code of the last reply to it."""
    names = [f"to{number}.{place}@example.com" for place in range(source.choice([1, 2, 5]))]
    exchange = upstream.begin(SENDER, ())
    code, accepted = 0, list[Recipient]()
    try:
        for recipient in to(*names):
            code = (await exchange.add_recipient(recipient)).code
            accepted += [recipient] if code == 250 else []
            await asyncio.sleep(source.choice([0, 0, 0.002]))
        if accepted and number % 5:
            delivery = transaction(recipients=tuple(accepted), message=b"%d\r\n" % number)
            code = (await exchange.deliver(delivery)).code
    except UpstreamError as error:
        code = error.code
    finally:
        exchange.drop()
    return code if number % 5 else 0


@pytest.mark.timeout(120)
async def test_no_place_is_lost_and_no_mail_crossed_whatever_happens(relay: Relay) -> None:
    source = random.Random(11)  # noqa: S311 - the same run each time
    impatient = {"reply_timeout_seconds": 0.5, "data_timeout_seconds": 0.5}
    server, upstream = await relay(max_connections=3, **impatient)
    faults = [HANG_UP, Answer(then="reset"), say("421 Bye"), say("nonsense"), SILENCE]
    faults += [say("452 4.5.3 Enough"), say("550 No")]
    usual = dict.fromkeys(["MAIL", "RCPT", "RSET", "DOT"], "250 Ok")
    usual |= {"GREETING": "220 Hi", "DATA": "354 Go"}
    for command, answer in usual.items():
        mix = [answer] * 80 + faults
        server.set_answer(command, source.sample(mix * 20, len(mix) * 20))
    clients = []
    for number in range(150):
        clients.append(asyncio.create_task(inject(upstream, number, source)))
        if number % 11 == 0:
            source.choice(clients).cancel()
        await asyncio.sleep(source.choice([0, 0.001, 0.003]))
    codes = await asyncio.gather(*clients, return_exceptions=True)
    taken = [int(each.message) for each in server.taken]
    assert len(taken) == len(set(taken)) > 20
    assert {number for number, code in enumerate(codes) if code == 250} <= set(taken)
    for each in server.taken:
        assert {path.split(".")[0] for path in each.recipients} == {f"to{int(each.message)}"}
    for command in usual:
        server.set_answer(command, [])
    last = [upstream.begin(SENDER, ()) for _ in range(3)]
    await asyncio.gather(*(ask(exchange, A) for exchange in last))
    await until(lambda: server.open_connections == 3)
    for exchange in last:
        assert (await exchange.deliver(transaction(A.path))).code == 250
        exchange.drop()
