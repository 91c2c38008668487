"""Consumers written for SparkPost read our batches without a change: django-anymail's parser."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from anymail.webhooks.sparkpost import SparkPostTrackingWebhookView
from django.conf import settings
from tests.golden_events import GOLDEN
from tests.sinks.webhook.conftest import deliver_all, make_settings, write_log
from tests.sinks.webhook.receiver import Receiver

pytestmark = pytest.mark.anyio

# Of the sheet of behaviour, and with the fields that only recording knows.
DOCUMENTED: dict[str, Any] = {
    "type": "click", "event_id": "92356927693813856", "timestamp": "1460989507",
    "message_id": "000443ee14578172be22", "transmission_id": "65832150921904138",
    "customer_id": "1", "subaccount_id": "101", "campaign_id": "Example Campaign Name",
    "rcpt_to": "recipient@example.com", "raw_rcpt_to": "Recipient@example.com",
    "rcpt_meta": {"customKey": "customValue"}, "rcpt_tags": ["male", "US"], "rcpt_type": "cc",
    "recipient_domain": "example.com", "injection_time": "2016-04-18T14:25:07.000Z",
    "open_tracking": True, "click_tracking": True, "initial_pixel": True, "amp_enabled": False,
    "transactional": "1", "delv_method": "esmtp", "ip_address": "203.0.113.7",
    "user_agent": 'Mozilla/5.0 \t"…', "target_link_url": "http://example.com",
    "target_link_name": "Example Link Name",
    "user_agent_parsed": {
        "agent_family": "Chrome", "device_brand": "Apple", "is_mobile": False, "is_proxy": False,
        "is_prefetched": False,
    },
    "geo_ip": {"country": "US", "latitude": 39.1749, "zip": 21046, "postal_code": "21046"},
    "x_msys_track": {
        "class": "human", "rules": [{"rule": "burst", "evidence": "5 links in 1.2 s"}],
        "first": {"message": True, "link": True},
    },
}  # fmt: skip


def in_envelope(kind: str) -> dict[str, Any]:
    envelope = "unsubscribe_event" if "unsubscribe" in kind else "track_event"
    if kind in {"injection", "policy_rejection"}:
        envelope = "message_event"
    return {"msys": {envelope: {**DOCUMENTED, "type": kind, "event_id": f"id-of-{kind}"}}}


KINDS = {
    "open": "opened", "initial_open": "unknown", "click": "clicked", "amp_open": "opened",
    "amp_initial_open": "unknown", "amp_click": "clicked", "list_unsubscribe": "unsubscribed",
    "link_unsubscribe": "unsubscribed", "injection": "queued", "policy_rejection": "rejected",
    "reclassified": "unknown",
}  # fmt: skip


def parse(body: bytes) -> list[Any]:
    """What django-anymail makes of a post."""
    if not settings.configured:
        settings.configure(ANYMAIL={})
    view = SparkPostTrackingWebhookView(webhook_secret="user:password")  # noqa: S106
    events: list[Any] = view.parse_events(SimpleNamespace(body=body))
    return events


async def test_anymail_reads_every_type_of_event(tmp_path: Path, receiver: Receiver) -> None:
    given = [in_envelope(kind) for kind in KINDS]
    write_log(tmp_path, [json.dumps(each, ensure_ascii=False).encode() for each in given])
    await deliver_all(tmp_path, make_settings(receiver.url))
    events = parse(receiver.requests[0].body)
    assert [each.event_type for each in events] == list(KINDS.values())
    assert [each.esp_event for each in events] == given
    click = next(each for each in events if each.event_type == "clicked")
    assert (click.recipient, click.message_id) == ("Recipient@example.com", "65832150921904138")
    assert (click.click_url, click.metadata) == (
        "http://example.com",
        {"customKey": "customValue"},
    )
    assert (click.tags, click.user_agent) == (["Example Campaign Name"], 'Mozilla/5.0 \t"…')
    assert click.timestamp.isoformat() == "2016-04-18T14:25:07+00:00"


async def test_anymail_reads_the_examples_of_our_own_page(
    tmp_path: Path, receiver: Receiver
) -> None:
    given = list(GOLDEN.values())
    write_log(tmp_path, [json.dumps(each, ensure_ascii=False).encode() for each in given])
    await deliver_all(tmp_path, make_settings(receiver.url))
    assert [each.esp_event for each in parse(receiver.requests[0].body)] == given


def test_anymail_takes_the_test_batch_for_what_it_is() -> None:
    assert parse(b'[{"msys":{}}]') == []
