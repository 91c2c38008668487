"""Events of the mail itself: what was injected, and what policy refused."""

import json
import math
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.captured_logs import capture_logs
from tests.eventlog.test_log import read_all
from tests.injection.conftest import MESSAGE, TRACKING, Start

from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.event_fields import NO_MESSAGE_ID
from msys_track.eventlog.hits import HitLog, open_hit_log
from msys_track.eventlog.settings import EventsSettings
from msys_track.injection.message_events import MessageEvents
from msys_track.keys.ring import KeyRing
from msys_track.metrics import Counters
from msys_track.policy.guard import Guard
from msys_track.policy.loading import PolicySettings, load_policy
from msys_track.rewriting.native import NativeEngine

pytestmark = pytest.mark.anyio

MAIL = (
    b"From: =?utf-8?q?Shop_f=C3=BCr_alle?= <News@Shop.test>\r\n"
    b"Subject: =?utf-8?b?U29tbWVyIPCfmoA=?=\r\n"
    b'X-MSYS-API: {"campaign_id": "spring", "metadata": {"user": 7}, "tags": ["a"]}\r\n'
    b"Content-Type: text/html\r\n\r\n<a href='https://e.test/'>x</a>\r\n"
)


@pytest.fixture
async def hits(tmp_path: Path) -> AsyncIterator[HitLog]:
    log = open_hit_log(tmp_path, EventsSettings())
    yield log
    log.close(5)


def read_events(hits: HitLog, folder: Path) -> list[dict[str, Any]]:
    assert hits.flush(5)
    lines = read_all(folder / "hits" / "0", step=100)
    return [json.loads(line)["msys"]["message_event"] for line in lines]


def make_events(hits: HitLog) -> tuple[MessageEvents, Counters]:
    counters = Counters()
    return MessageEvents(hits, counters, NativeEngine().header_fields), counters


async def test_each_copy_that_is_relayed_makes_an_injection(
    start: Start, hits: HitLog, tmp_path: Path
) -> None:
    events, counters = make_events(hits)
    harness = await start(options=TRACKING, serve_with={"events": events})
    client = await harness.client()
    await client.deliver(MAIL, "Ann@Reader.test", "bob@reader.test")
    first, second = read_events(hits, tmp_path)
    at, injected = first.pop("timestamp"), first.pop("injection_time")
    assert injected.endswith("Z")
    assert at.isdecimal()
    assert first.pop("event_id") != second["event_id"]
    assert first.pop("message_id") != second["message_id"]
    assert first.pop("transmission_id") == second["transmission_id"]
    assert first == {
        "type": "injection",
        "customer_id": "1",
        "campaign_id": "spring",
        "rcpt_to": "ann@reader.test",
        "raw_rcpt_to": "Ann@Reader.test",
        "recipient_domain": "reader.test",
        "routing_domain": "reader.test",
        "rcpt_meta": {"user": 7},
        "rcpt_tags": ["a"],
        "subject": "Sommer \N{ROCKET}",
        "friendly_from": "News@Shop.test",
        "sending_domain": "shop.test",
        "msg_from": "from@example.com",
        "msg_size": str(len(MAIL)),
        "recv_method": "esmtp",
        "open_tracking": True,
        "click_tracking": True,
        "initial_pixel": False,
        "amp_enabled": False,
        "transactional": "0",
    }
    assert counters["events.failed"] == 0


async def test_its_message_id_is_that_of_the_links(
    start: Start, hits: HitLog, tmp_path: Path, keys: KeyRing
) -> None:
    events, _ = make_events(hits)
    harness = await start(options=TRACKING, serve_with={"events": events})
    client = await harness.client()
    await client.deliver(MAIL, "ann@reader.test")
    (event,) = read_events(hits, tmp_path)
    path = harness.upstream.taken[0].message.partition(b"http://click.example.com")[2]
    claims = keys.open(path.partition(b"'")[0].decode())
    assert event["message_id"] == claims.engagement.message_id


@pytest.mark.parametrize("author", [b"(" * 3_000, b"x:" * 3_000], ids=["comments", "groups"])
async def test_an_author_that_can_t_be_read_costs_no_event(
    start: Start, hits: HitLog, tmp_path: Path, author: bytes
) -> None:
    events, counters = make_events(hits)
    harness = await start(serve_with={"events": events})
    client = await harness.client()
    await client.deliver(b"From: %b\r\nSubject: x\r\n\r\nhello\r\n" % author)
    (event,) = read_events(hits, tmp_path)
    assert (event["type"], event["subject"]) == ("injection", "x")
    assert counters["events.failed"] == 0


async def test_a_mail_that_the_upstream_refuses_makes_none(
    start: Start, hits: HitLog, tmp_path: Path
) -> None:
    events, _ = make_events(hits)
    harness = await start({"DOT": "554 5.7.1 no"}, serve_with={"events": events})
    client = await harness.client()
    assert (await client.deliver(MESSAGE)).startswith("554 ")
    assert read_events(hits, tmp_path) == []


async def test_policy_that_refuses_makes_a_rejection_and_its_variables_join(
    start: Start, hits: HitLog, tmp_path: Path, keys: KeyRing
) -> None:
    file = tmp_path / "policy.py"
    file.write_text(
        "from msys_track.policy import Rejection\n"
        "def validate_rcptto(transaction):\n"
        "    transaction.contexts.message.set('cust_shop', 'nord')\n"
        "    transaction.contexts.message.set('shop', 'not told')\n"
        "    if transaction.recipient.startswith('bob'):\n"
        "        return Rejection(code=550, text='5.7.1 not bob')\n"
        "def validate_data_spool(transaction):\n"
        "    if b'spam' in transaction.message:\n"
        "        return Rejection(code=554, text='5.7.1 spam')\n"
    )
    policy = load_policy(PolicySettings(files=(file,)))
    assert policy is not None
    events, _ = make_events(hits)
    harness = await start(
        rewriter=Dispatcher(keys=keys, policy=Guard(policy)),
        serve_with={"events": events},
    )
    client = await harness.client()
    await client.say("EHLO client.test")
    await client.say("MAIL FROM:<from@example.com>")
    assert (await client.say("RCPT TO:<bob@reader.test>")).startswith("550 ")
    await client.say("RCPT TO:<ann@reader.test>")
    await client.say("DATA")
    assert (await client.data(MESSAGE)).startswith("250 ")
    refused, injected = read_events(hits, tmp_path)
    assert refused["type"] == "policy_rejection"
    assert (refused["error_code"], refused["reason"]) == ("550", "550 5.7.1 not bob")
    assert (refused["rcpt_to"], refused["msg_from"]) == ("bob@reader.test", "from@example.com")
    assert refused["remote_addr"].startswith("127.0.0.1:")
    assert (injected["type"], injected["cust_shop"]) == ("injection", "nord")
    assert "shop" not in injected
    assert (await client.deliver(b"Subject: spam\r\n\r\n", "ann@reader.test")).startswith("554 ")
    assert read_events(hits, tmp_path)[-1]["reason"] == "554 5.7.1 spam"


async def test_a_mail_of_which_only_sums_may_be_kept_has_no_reader(
    start: Start, hits: HitLog, tmp_path: Path
) -> None:
    events, _ = make_events(hits)
    options = replace(TRACKING, privacy="aggregate")
    harness = await start(options=options, serve_with={"events": events})
    client = await harness.client()
    await client.deliver(MAIL, "Ann@Reader.test")
    (event,) = read_events(hits, tmp_path)
    assert event["campaign_id"] == "spring"
    assert event["message_id"] == NO_MESSAGE_ID
    assert "reader.test" not in json.dumps(event).lower()
    assert {"rcpt_meta", "transmission_id"}.isdisjoint(event)


async def test_a_mail_that_policy_lets_pass_as_it_is_has_no_options(
    start: Start, hits: HitLog, tmp_path: Path, keys: KeyRing
) -> None:
    file = tmp_path / "policy.py"
    file.write_text(
        "def validate_rcptto(transaction):\n"
        "    transaction.contexts.message.set('__bypass_smtpapi', 'true')\n"
    )
    policy = load_policy(PolicySettings(files=(file,)))
    assert policy is not None
    events, _ = make_events(hits)
    harness = await start(
        rewriter=Dispatcher(keys=keys, policy=Guard(policy)), serve_with={"events": events}
    )
    client = await harness.client()
    await client.deliver(MAIL, "ann@reader.test")
    (event,) = read_events(hits, tmp_path)
    assert (event["type"], event["rcpt_to"]) == ("injection", "ann@reader.test")
    assert {"open_tracking", "campaign_id", "customer_id"}.isdisjoint(event)


async def test_a_subject_that_can_t_be_decoded_is_told_as_it_stands(
    start: Start, hits: HitLog, tmp_path: Path
) -> None:
    events, _ = make_events(hits)
    harness = await start(serve_with={"events": events})
    client = await harness.client()
    await client.deliver(b"Subject: =?nothing?q?x?=\r\n\r\nhello\r\n")
    (event,) = read_events(hits, tmp_path)
    assert event["subject"] == "=?nothing?q?x?="


async def test_a_defect_in_an_event_costs_no_mail(start: Start, hits: HitLog) -> None:
    counters = Counters()
    events = MessageEvents(hits, counters, NativeEngine().header_fields, clock=lambda: math.nan)
    harness = await start(serve_with={"events": events})
    client = await harness.client()
    with capture_logs() as logs:
        assert (await client.deliver(MESSAGE)).startswith("250 ")
    assert [each["event"] for each in logs].count("events.failed") == 1
    assert counters["events.failed"] == 1


async def test_a_log_that_takes_nothing_refuses_no_mail(start: Start, hits: HitLog) -> None:
    events, counters = make_events(hits)
    hits.close(5)
    harness = await start(serve_with={"events": events})
    client = await harness.client()
    assert (await client.deliver(MESSAGE)).startswith("250 ")
    assert hits.figures()["dropped"] == 1
    assert counters["events.failed"] == 0
