"""Webhooks of a configuration: in tables of their own, and Momentum's `webhooks.json` as it is."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from msys_track.config.checking import check_configuration
from msys_track.config.effective import ScopeSelector, as_toml, find_options, find_tables
from msys_track.config.load import load
from msys_track.config.problems import ConfigurationError
from msys_track.sinks.webhook.settings import WebhookSettings

START = 'keys = "keys.toml"\n[tracker]\nstore = "events.sqlite"\n'
# The manual's example.
MOMENTUM: list[dict[str, Any]] = [
    {
        "name": "My example webhook #1",
        "events": ["policy_rejection", "bounce", "delay"],
        "target": "https://example-domain.com/path/to/endpoint",
        "custom_headers": {"x-api-key": "4194cf7d-f0ce-427c-a026-a11faa6c437e"},
    },
    {
        "name": "My example webhook #2",
        "events": ["open", "click"],
        "target": "https://your-consumer-domain.com/whatever/path/to/your/code",
    },
    {
        "name": "My example webhook #3",
        "events": [
            "delivery", "injection", "bounce", "delay", "policy_rejection", "out_of_band", "open",
            "click", "generation_failure", "generation_rejection", "spam_complaint", "ad_status",
            "ad_adjust", "link_unsubscribe", "sms_status",
        ],
        "target": "https://your-consumer-domain2.com/all/events/please/path/to/your/code",
    },
]  # fmt: skip


def write(folder: Path, text: str, webhooks: object = None) -> Path:
    path = folder / "msys-track.toml"
    path.write_text(START + text, encoding="utf-8")
    if webhooks is not None:
        (folder / "webhooks.json").write_text(json.dumps(webhooks))
    return path


def find_faults(path: Path) -> list[str]:
    return [
        each.format_line(path).partition(": ")[2] for each in check_configuration(path).problems
    ]


def test_a_table_is_a_webhook(folder: Path) -> None:
    path = write(folder, '[webhook.shop]\nurl = "https://example.com/e"\ntypes = ["click"]\n')
    read = load(path)
    assert read.webhooks == {
        "shop": WebhookSettings(url="https://example.com/e", types=("click",))
    }


@pytest.mark.parametrize(("text", "fault"), [
    ('[webhook.shop]\nurl = "http://10.0.0.1/"', "webhook.shop.url: 10.0.0.1 is not on the"),
    ('[webhook.shop]\nurl = "x"', 'webhook.shop.url: found "x", allowed: a URL as'),
    ("[webhook.shop]", "webhook.shop.url: missing; write it as in url = "),
    ('[webhook."a/b"]\nurl = "https://a.test/"', 'webhook."a/b": found "a/b", allowed: letters'),
    (
        '[webhook.shop]\nurl = "https://a.test/"\nauth = "basic"',
        'webhook.shop.auth: "basic" needs user',
    ),
    (
        '[webhook.shop]\nurl = "https://a.test/"\ncustom_headers = {Host = "secret"}',
        "webhook.shop.custom_headers.Host: found another value or name, allowed: names of headers",
    ),
    (
        '[webhook.shop]\nurl = "https://a.test/"\nauth_token = "s3cret"',
        "webhook.shop.auth_token: no file has this name; allowed: the name of a file",
    ),
])  # fmt: skip
def test_a_fault_is_named_with_its_key_and_no_secret(folder: Path, text: str, fault: str) -> None:
    (found,) = find_faults(write(folder, text))
    assert found.startswith(fault)
    assert "s3cret" not in found


def test_values_that_may_be_secrets_are_not_shown(folder: Path) -> None:
    text = '[webhook.shop]\nurl = "https://a.test/"\ncustom_headers = {A = "s3cret", B = "env:B"}'
    read = load(write(folder, text))
    tables = find_tables(read.document, read)
    shown = as_toml(tables, {ScopeSelector(): find_options(read, ScopeSelector())})
    assert 'A = "(not shown)"' in shown
    assert 'B = "env:B"' in shown
    assert "max_age_seconds = 30  # default" in shown
    assert "s3cret" not in shown
    assert "s3cret" not in repr(read)


def test_momentums_file_is_read_as_it_is(folder: Path) -> None:
    path = write(folder, '[events]\nwebhooks_json = "webhooks.json"\n', MOMENTUM)
    webhooks = load(path).webhooks
    assert list(webhooks) == [f"My-example-webhook-{number}" for number in (1, 2, 3)]
    first, second, third = webhooks.values()
    assert first.types == ("policy_rejection",)
    assert first.custom_headers == {"x-api-key": "4194cf7d-f0ce-427c-a026-a11faa6c437e"}
    assert (second.url, second.types) == (MOMENTUM[1]["target"], ("open", "click"))
    assert third.types == ("injection", "policy_rejection", "open", "click", "link_unsubscribe")


def test_momentums_token_goes_into_its_header_and_a_name_is_made_where_there_is_none(
    folder: Path,
) -> None:
    unnamed = [
        {"events": ["click"], "target": "https://a.example/x", "auth_token": "t0ken"},
        {"events": ["click"], "target": "https://a.example/y"},
        {"name": "of the MTA", "events": ["bounce"], "target": "https://a.example/z"},
    ]
    path = write(folder, '[events]\nwebhooks_json = "webhooks.json"\n', unnamed)
    webhooks = load(path).webhooks
    assert len(webhooks) == 2
    assert all(name.startswith("a-example-") for name in webhooks)
    (headers, _) = (each.custom_headers for each in webhooks.values())
    assert headers == {"X-MessageSystems-Webhook-Token": "t0ken"}
    assert "t0ken" not in repr(load(path))
    again = write(folder, '[events]\nwebhooks_json = "webhooks.json"\n', unnamed[::-1])
    assert set(load(again).webhooks) == set(webhooks)


def test_faults_of_momentums_file_are_named_one_by_one_without_secrets(folder: Path) -> None:
    bad = [
        {"events": ["click", "clicks"], "target": "https://a.example/"},
        {"events": [], "target": 7, "auth_token": ["s3cret"], "token": "s3cret"},
        {"events": ["click"], "target": "http://127.0.0.1/"},
        {"events": ["click"], "target": "nowhere", "custom_headers": {"Host": "s3cret"}},
        {"name": "a", "events": ["click"], "target": "https://a.example/"},
        {"name": "a", "events": ["click"], "target": "https://b.example/"},
        "x",
    ]
    text = '[events]\nwebhooks_json = "webhooks.json"\n'
    faults = find_faults(write(folder, text, bad))
    where = "events.webhooks_json: webhooks.json: webhook"
    assert "; set webhooks_json_allow_private to allow it" in faults[5]
    assert [re.split(", allowed|; known|; set", each)[0] for each in faults] == [
        f"{where} 1: events: 'clicks': not known",
        f"{where} 2: token: not known",
        f"{where} 2: events: missing, or not an array of keys of events",
        f"{where} 2: target: missing, or not a text",
        f"{where} 2: auth_token: missing, or not a text",
        f"{where} 3: target: 127.0.0.1 is not on the public internet",
        f'{where} 4: target: found "nowhere"',
        f"{where} 4: custom_headers: found another value or name",
        f"{where} 6: a second one has this name; give it another",
        f"{where} 7: not an object",
    ]
    assert "s3cret" not in "".join(faults)
    for webhooks, fault in (({"a": 1}, "not an array of webhooks"), ("{", "not an array of")):
        assert fault in find_faults(write(folder, text, webhooks))[0]
    (folder / "webhooks.json").write_text("[")
    assert "not JSON" in find_faults(write(folder, text))[0]


def test_momentums_private_targets_are_taken_where_that_is_allowed(folder: Path) -> None:
    text = '[events]\nwebhooks_json = "webhooks.json"\nwebhooks_json_allow_private = true\n'
    private = [{"name": "a", "events": ["click"], "target": "http://127.0.0.1/"}]
    path = write(folder, text, private)
    assert load(path).webhooks["a"].allow_private
    both = write(folder, f'{text}[webhook.a]\nurl = "https://a.test/"\n', private)
    assert "there is a [webhook.a] too" in find_faults(both)[0]


def test_momentums_file_is_read_by_the_servers_that_send_events(folder: Path) -> None:
    text = '[events]\nwebhooks_json = "webhooks.json"\nfolder = "events"\ninjection = '
    path = write(folder, f"{text}false\n", "{")
    assert load(path, server="proxy").webhooks == {}
    assert load(path, server="report").webhooks == {}
    with pytest.raises(ConfigurationError, match="not an array of webhooks"):
        load(path, server="tracker")
    path = write(folder, f"{text}true\n", "{")
    with pytest.raises(ConfigurationError, match="not an array of webhooks"):
        load(path, server="proxy")
    (folder / "webhooks.json").unlink()
    with pytest.raises(ConfigurationError, match="there is no such file"):
        load(path, server="proxy")
