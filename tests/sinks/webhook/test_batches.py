"""What a receiver gets: SparkPost's batches, each event once, the same id for each try."""

import asyncio
import base64
import json
import re
import time
from pathlib import Path

import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from tests.sinks.webhook.conftest import (
    NOW,
    Stepping,
    deliver_all,
    delivering,
    make_event,
    make_settings,
    write_log,
)
from tests.sinks.webhook.receiver import Receiver, Request, receiving
from tests.waiting import until

from msys_track.event_fields import EventType
from msys_track.eventlog.position import PositionFile
from msys_track.sinks.dead_letters import DeadLetters

pytestmark = pytest.mark.anyio

EVENTS = [make_event(number) for number in range(25)]
IDS = [f"event-{number}" for number in range(25)]
HOUR = 3_600


def find_dead(folder: Path) -> list[str]:
    """The ids of events in the dead letters."""
    letters = DeadLetters(folder, "webhook.shop").read()
    events = [json.loads(event) for letter in letters for event in letter.events]
    return [fields["event_id"] for event in events for fields in event["msys"].values()]


async def test_events_come_in_order_in_full_batches_and_as_they_are(
    tmp_path: Path, receiver: Receiver
) -> None:
    write_log(tmp_path, EVENTS)
    await deliver_all(tmp_path, make_settings(receiver.url, max_events=10))
    assert [len(each.ids) for each in receiver.requests] == [10, 10, 5]
    assert receiver.ids == IDS
    assert receiver.requests[0].body == b"[" + b",".join(EVENTS[:10]) + b"]"
    headers = receiver.requests[0].headers
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"].startswith("msys-track/")
    assert len({each.batch_id for each in receiver.requests}) == 3
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f-]{16}",
                        receiver.requests[0].batch_id)  # fmt: skip


async def test_a_batch_that_is_not_full_is_sent_after_its_time(
    tmp_path: Path, receiver: Receiver
) -> None:
    async with delivering(tmp_path, make_settings(receiver.url)) as delivery:
        write_log(tmp_path, EVENTS[:2])
        await until(lambda: receiver.ids == IDS[:2])
        write_log(tmp_path, EVENTS[2:3])
        await until(lambda: delivery.position.sequence == 4)
        assert receiver.ids == IDS[:3]
    await deliver_all(tmp_path, make_settings(receiver.url))
    assert receiver.ids == IDS[:3]


async def test_only_the_types_that_are_wanted_are_sent(tmp_path: Path, receiver: Receiver) -> None:
    kinds = [*EventType] * 2
    odd = b'{ "msys" : {"track_event": {"event_id": "odd", "type": "click"}}}'
    write_log(
        tmp_path, [*(make_event(place, kind) for place, kind in enumerate(kinds)), odd, b"no JSON"]
    )
    wanted = ("click", "list_unsubscribe")
    await deliver_all(tmp_path, make_settings(receiver.url, types=wanted, max_events=4))
    assert receiver.ids == [
        *(f"event-{place}" for place, kind in enumerate(kinds) if kind in wanted),
        "odd",
    ]
    count = len(receiver.requests)
    await deliver_all(tmp_path, make_settings(receiver.url, types=wanted, max_events=4))
    assert len(receiver.requests) == count


async def test_where_no_event_is_wanted_nothing_is_sent(
    tmp_path: Path, receiver: Receiver
) -> None:
    write_log(tmp_path, EVENTS[:3])
    await deliver_all(tmp_path, make_settings(receiver.url, types=("list_unsubscribe",)))
    assert receiver.requests == []
    assert PositionFile(tmp_path / "positions" / "webhook.shop.json").load().sequence == 4


async def test_every_success_status_takes_a_batch_and_nothing_else_does(
    tmp_path: Path, receiver: Receiver
) -> None:
    statuses = iter([500, 302, 404, 401, 410, 429, 204])
    receiver.answer = lambda _: next(statuses)
    write_log(tmp_path, EVENTS[:1])
    steps = Stepping()
    await deliver_all(tmp_path, make_settings(receiver.url), steps)
    assert len(receiver.requests) == 7
    assert len({each.batch_id for each in receiver.requests}) == 1
    assert steps.gaps == [2, 4, 8, 16, 32, 64]
    assert find_dead(tmp_path) == []


async def test_a_redirect_is_not_followed(tmp_path: Path, receiver: Receiver) -> None:
    async with receiving() as other:
        replies = iter([web.Response(status=307, headers={"Location": other.url}), 200])
        receiver.answer = lambda _: next(replies)
        write_log(tmp_path, EVENTS[:1])
        await deliver_all(tmp_path, make_settings(receiver.url), Stepping())
        assert (len(receiver.requests), other.requests) == (2, [])


async def test_a_receiver_that_asks_for_time_gets_it(tmp_path: Path, receiver: Receiver) -> None:
    replies = iter([
        web.Response(status=429, headers={"Retry-After": "90"}),
        web.Response(status=503, headers={"Retry-After": "99999999999"}),
        web.Response(status=503, headers={"Retry-After": "soon"}),
        web.Response(),
    ])  # fmt: skip
    receiver.answer = lambda _: next(replies)
    write_log(tmp_path, EVENTS[:1])
    steps = Stepping()
    await deliver_all(tmp_path, make_settings(receiver.url), steps)
    assert steps.gaps == [90, 3_600, 8]


@pytest.mark.parametrize(
    ("date", "gap"),
    [
        ("Sun, 06 Nov 1994 08:51:07 GMT", 90),
        ("Sunday, 06-Nov-94 08:51:07 GMT", 90),
        ("Sun Nov  6 08:51:07 1994", 90),
        ("Mon, 07 Nov 1994 08:49:37 GMT", 3_600),
        ("Sun, 06 Nov 1994 08:49:30 GMT", 2),
        ("Sun, 06 Nov 1994", 2),
        ("Sun, 66 Nov 1994 08:51:07 GMT", 2),
    ],
)
async def test_a_receiver_may_ask_for_time_with_a_date(
    tmp_path: Path, receiver: Receiver, date: str, gap: int
) -> None:
    replies = iter([
        # Its own clock counts, which may differ from ours.
        web.Response(
            status=503, headers={"Retry-After": date, "Date": "Sun, 06 Nov 1994 08:49:37 GMT"}
        ),
        web.Response(),
    ])  # fmt: skip
    receiver.answer = lambda _: next(replies)
    write_log(tmp_path, EVENTS[:1])
    steps = Stepping()
    await deliver_all(tmp_path, make_settings(receiver.url), steps)
    assert steps.gaps == [gap]


async def test_a_receiver_that_does_not_answer_in_time_gets_the_batch_again(
    tmp_path: Path, receiver: Receiver
) -> None:
    waits = iter([20.0, 0.0])

    async def answer() -> int:
        await asyncio.sleep(next(waits))
        return 200

    receiver.answer = lambda _: answer()
    write_log(tmp_path, EVENTS[:1])
    await deliver_all(tmp_path, make_settings(receiver.url, timeout_seconds=0.1), Stepping())
    assert len(receiver.requests) == 2
    assert len({each.batch_id for each in receiver.requests}) == 1


async def test_a_receiver_that_is_down_for_an_hour_misses_nothing(tmp_path: Path) -> None:
    async with receiving() as receiver:
        url, port = receiver.url, int(receiver.url.split(":")[2].split("/")[0])
    write_log(tmp_path, EVENTS)
    steps = Stepping()
    is_up = asyncio.Event()
    back: list[Receiver] = []

    async def come_back() -> None:
        async with receiving(port=port) as receiver:
            back.append(receiver)
            is_up.set()
            await until(lambda: len(receiver.ids) == len(IDS))

    tasks: list[asyncio.Task[None]] = []

    async def look() -> None:
        if steps.now - NOW >= HOUR and not tasks:
            tasks.append(asyncio.create_task(come_back()))
            await is_up.wait()

    steps.on_pause = look
    await deliver_all(tmp_path, make_settings(url, max_events=10), steps)
    await tasks[0]
    assert back[0].ids == IDS
    assert find_dead(tmp_path) == []
    assert steps.now - NOW < HOUR + 301  # it is tried every five minutes at least


async def test_after_eight_hours_batches_are_dead_letters_with_all_their_events(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answer = lambda _: 503
    late = make_event(99, at=NOW + 4 * HOUR)
    write_log(tmp_path, [*EVENTS, late])
    steps = Stepping()
    await deliver_all(tmp_path, make_settings(receiver.url, max_events=25), steps)
    assert find_dead(tmp_path) == [*IDS, "event-99"]
    first, second = DeadLetters(tmp_path, "webhook.shop").read()
    assert (first.status, first.error) == (503, "503 Service Unavailable")
    assert first.attempts == sum(each.batch_id == first.batch_id for each in receiver.requests)
    # The second one had waited for four hours in the log when it came to the head.
    assert steps.now - NOW == pytest.approx(12 * HOUR, abs=301)
    assert second.attempts > 40


async def test_in_a_long_outage_old_batches_do_not_wait_for_eight_hours_each(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answer = lambda _: 503
    write_log(tmp_path, EVENTS)
    steps = Stepping()
    await deliver_all(tmp_path, make_settings(receiver.url, max_events=1), steps)
    assert find_dead(tmp_path) == IDS
    assert steps.now - NOW == pytest.approx(8 * HOUR, abs=10)
    assert len({each.batch_id for each in receiver.requests}) <= 2


async def test_a_batch_whose_content_is_refused_holds_up_no_others(
    tmp_path: Path, receiver: Receiver
) -> None:
    def answer(request: Request) -> int:
        return 400 if "event-7" in request.ids else 200

    receiver.answer = answer
    write_log(tmp_path, EVENTS)
    steps = Stepping()
    await deliver_all(tmp_path, make_settings(receiver.url, max_events=5), steps)
    assert find_dead(tmp_path) == IDS[5:10]
    assert sum(steps.gaps) < 65
    taken = [each for each in receiver.requests if "event-7" not in each.ids]
    assert [each for request in taken for each in request.ids] == IDS[:5] + IDS[10:]


async def test_a_batch_keeps_its_id_and_its_events_over_a_restart_with_more_in_the_log(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answer = lambda _: 503
    write_log(tmp_path, EVENTS[:3])
    async with delivering(tmp_path, make_settings(receiver.url)):
        await until(lambda: receiver.requests)
    write_log(tmp_path, EVENTS[3:])
    receiver.answer = lambda _: 200
    await deliver_all(tmp_path, make_settings(receiver.url))
    first, again, rest = receiver.requests
    assert (again.batch_id, again.body) == (first.batch_id, first.body)
    assert first.ids == IDS[:3]
    assert rest.ids == IDS[3:]


async def test_the_hours_of_a_batch_go_on_after_a_restart(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.answer = lambda _: 503
    write_log(tmp_path, EVENTS[:1])
    steps, settings = Stepping(), make_settings(receiver.url)
    stop = asyncio.Event()

    async def wait_at_five_hours() -> None:
        if steps.now - NOW >= 5 * HOUR:
            stop.set()
            await asyncio.sleep(60)

    steps.on_pause = wait_at_five_hours
    async with delivering(tmp_path, settings, steps):
        await stop.wait()
    again = Stepping()
    await deliver_all(tmp_path, settings, again)
    assert find_dead(tmp_path) == IDS[:1]
    assert sum(again.gaps) == pytest.approx(3 * HOUR, abs=301)


async def test_a_clock_that_is_set_gives_up_nothing(tmp_path: Path, receiver: Receiver) -> None:
    statuses = iter([503, 503, 503, 200])
    receiver.answer = lambda _: next(statuses)
    write_log(tmp_path, EVENTS[:1])
    steps = Stepping()
    jumps = iter([100 * HOUR, -200 * HOUR, 0])

    def jump() -> None:
        steps.now += next(jumps)

    steps.on_pause = jump
    await deliver_all(tmp_path, make_settings(receiver.url), steps)
    assert receiver.ids == IDS[:1] * 4
    assert find_dead(tmp_path) == []


async def test_standard_webhooks_verifies_every_try_with_the_old_secret_and_the_new(
    tmp_path: Path, receiver: Receiver
) -> None:
    old, new = (f"whsec_{base64.b64encode(bytes([each]) * 32).decode()}" for each in (1, 2))
    file = tmp_path / "secret"
    file.write_text(f"{new}\n{old}\n")
    file.chmod(0o600)
    statuses = iter([500, 200])
    receiver.answer = lambda _: next(statuses)
    write_log(tmp_path, EVENTS)
    steps = Stepping()
    steps.now = time.time()
    await deliver_all(tmp_path, make_settings(receiver.url, signing_secret=file), steps)
    first, second = receiver.requests
    for request in (first, second):
        for secret in (old, new):
            assert Webhook(secret).verify(request.body, dict(request.headers))
        with pytest.raises(WebhookVerificationError):
            Webhook(new).verify(request.body + b" ", dict(request.headers))
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == first.batch_id
