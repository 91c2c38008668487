"""Policies as operators write them, loaded and asked unchanged."""

from typing import Any

import pytest
from tests.captured_logs import capture_logs
from tests.policy.asked import SAMPLES, call, transaction

from msys_track.policy.hooks import Hook, Policy, Rejection, Transaction
from msys_track.policy.loading import PolicySettings, load_policy


def sample(name: str) -> Policy:
    policy = load_policy(PolicySettings(files=(SAMPLES / name,)))
    assert policy is not None
    return policy


def mail(header: bytes, **given: Any) -> Transaction:
    return transaction(message=header + b"\r\n\r\nBody\r\n", **given)


@pytest.mark.parametrize("name", ["engagement.lua", "engagement.py"])
def test_a_password_reset_is_not_tracked(name: str) -> None:
    given = mail(b"X-Class: password-reset")
    assert call(sample(name), Hook.EACH_RCPT, given) is None
    assert given.contexts.message.items() == {
        "smtpapi_click_tracking": "0",
        "smtpapi_open_tracking": "0",
    }


def test_a_newsletter_has_its_campaign_tags_and_domain() -> None:
    given = mail(b"From: Shop <news@shop.example>\r\nX-Class: Newsletter-spring\r\nX-Edition: de")
    policy = sample("engagement.lua")
    call(policy, Hook.AUTH, given)
    with capture_logs() as lines:
        assert call(policy, Hook.EACH_RCPT, given) is None
    assert given.contexts.message.items() == {
        "smtpapi_click_tracking": "1",
        "smtpapi_open_tracking": "true",
        "smtpapi_campaign_id": "spring",
        "smtpapi_tags": '["newsletter", "de"]',
        "smtpapi_tracking_link_expiry": "7776000",
        "smtpapi_tracking_domain": "click.shop.example",
        "smtpapi_click_tracking_scheme": "https",
        "smtpapi_open_tracking_scheme": "https",
    }
    assert given.contexts.lookup("mo_customer_id") == "42"
    assert [line["text"] for line in lines] == ["customer 42 to example.org"]


def test_metadata_is_read_changed_and_written() -> None:
    given = mail(b'X-Order: {"id": 7, "items": ["a", "b"]}', recipient="jo@vip.example")
    assert call(sample("metadata.lua"), Hook.EACH_RCPT, given) is None
    assert given.contexts.message.get("smtpapi_metadata") == (
        '{"codes":[1,2,3],"id":7,"items":["a","b"],"plan":"gold"}'
    )


def test_metadata_that_is_not_json_is_logged_and_left() -> None:
    given = mail(b"X-Order: {id: 7}")
    with capture_logs() as lines:
        assert call(sample("metadata.lua"), Hook.EACH_RCPT, given) is None
    assert given.contexts.message.items() == {}
    assert lines[0]["text"] == "X-Order: expected a key at character 2"


def test_the_gate_refuses_at_each_phase() -> None:
    gate = sample("gate.lua")
    for hook, given, refused in (
        (Hook.CONNECT, {"peer": "192.0.2.9:1"}, Rejection(code=421, text="4.7.0 Not from here")),
        (Hook.CONNECT, {}, None),
        (Hook.RCPTTO, {"recipient": "nobody@b.c"}, Rejection(code=550, text="5.1.1 No such user")),
        (Hook.RCPTTO, {}, None),
        (Hook.DATA_SPOOL, {}, Rejection(code=550, text="5.6.0 Message-ID wanted")),
    ):
        assert call(gate, hook, transaction(**given)) == refused


def test_the_gate_lets_good_mail_pass_and_remembers_its_sender() -> None:
    given = mail(b"Message-ID: <1@shop.example>")
    assert call(sample("gate.lua"), Hook.DATA_SPOOL, given) is None
    assert given.contexts.message.get("sender_domain") == "shop.example"
