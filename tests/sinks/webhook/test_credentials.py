"""What proves to a receiver who posts: basic, bearer, OAuth 2, tokens and headers of one's own."""

import base64
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.sinks.webhook.conftest import make_settings
from tests.sinks.webhook.receiver import Receiver, Request, receiving

from msys_track.errors import SettingsError
from msys_track.keys.file import key_source
from msys_track.sinks.webhook.client import Answer, WebhookClient
from msys_track.sinks.webhook.settings import WebhookSettings

pytestmark = pytest.mark.anyio

PASSWORD = "pässword of tests"  # noqa: S105 - of tests


@pytest.fixture
async def issuer() -> AsyncIterator[Receiver]:
    """A server that gives tokens: `token-1`, `token-2` and so on."""
    async with receiving() as running:
        running.answer = lambda _: web.json_response({
            "access_token": f"token-{len(running.requests)}", "expires_in": 600,
        })  # fmt: skip
        yield running


async def post(settings: WebhookSettings, times: int = 1) -> list[Answer]:
    async with WebhookClient(settings) as client:
        return [await client.post("an-id", b"[]") for _ in range(times)]


def private_file(folder: Path, content: str) -> Path:
    file = folder / f"secret-{len(list(folder.iterdir()))}"
    file.write_bytes(content.encode("utf-8", "surrogateescape"))
    file.chmod(0o600)
    return file


def with_oauth(receiver: Receiver, issuer: Receiver, **fields: Any) -> WebhookSettings:
    body = {"grant_type": "client_credentials", "client_secret": "env:OF"}
    fields = {"oauth_body": body, **fields}
    return make_settings(receiver.url, auth="oauth2", oauth_url=issuer.url, **fields)


async def test_basic_sends_user_and_password(tmp_path: Path, receiver: Receiver) -> None:
    file = private_file(tmp_path, f"{PASSWORD}\n")
    await post(make_settings(receiver.url, auth="basic", user="jo", password=file))
    sent = receiver.requests[0].headers["Authorization"]
    assert base64.b64decode(sent.removeprefix("Basic ")).decode() == f"jo:{PASSWORD}"


async def test_tokens_and_headers_come_from_where_the_settings_say(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "abc")
    settings = make_settings(
        receiver.url,
        auth="bearer",
        bearer_token=key_source("env:TOKEN"),
        auth_token=key_source("env:TOKEN"),
        custom_headers={"X-Api-Key": "env:TOKEN", "X-Plain": "file:x", "user-agent": "SparkPost"},
    )
    await post(settings)
    headers = receiver.requests[0].headers
    assert headers["Authorization"] == "Bearer abc"
    assert headers["X-MessageSystems-Webhook-Token"] == "abc"
    assert headers["X-Api-Key"] == "abc"
    assert headers["X-Plain"] == "file:x"
    assert headers["User-Agent"] == "SparkPost"
    assert "abc" not in repr(settings)


async def test_oauth_asks_for_a_token_once_and_keeps_it(
    receiver: Receiver, issuer: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF", "shh")
    assert all(each.is_taken for each in await post(with_oauth(receiver, issuer), times=3))
    assert len(issuer.requests) == 1
    assert issuer.requests[0].headers["Content-Type"] == "application/json"
    assert b'"client_secret": "shh"' in issuer.requests[0].body
    assert {each.headers["Authorization"] for each in receiver.requests} == {"Bearer token-1"}


async def test_oauth_posts_a_form_where_that_is_wanted(
    receiver: Receiver, issuer: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF", "a&b")
    await post(with_oauth(receiver, issuer, oauth_form=True))
    assert issuer.requests[0].headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert issuer.requests[0].body == b"grant_type=client_credentials&client_secret=a%26b"


async def test_a_token_that_is_refused_or_about_to_end_is_fetched_anew(
    receiver: Receiver, issuer: Receiver
) -> None:
    def answer(request: Request) -> int:
        return 401 if request.headers["Authorization"] == "Bearer token-1" else 200

    receiver.answer = answer
    now = time.time()
    settings = with_oauth(receiver, issuer, oauth_body={"a": "b"})
    async with WebhookClient(settings, clock=lambda: now) as client:
        assert (await client.post("an-id", b"[]")).is_taken
        assert len(receiver.requests) == 2
        now += 569
        assert (await client.post("an-id", b"[]")).is_taken
        assert len(issuer.requests) == 2
        now += 2
        assert (await client.post("an-id", b"[]")).is_taken
    assert len(issuer.requests) == 3


async def test_what_gives_no_token_is_named_with_why(receiver: Receiver, issuer: Receiver) -> None:
    settings = with_oauth(receiver, issuer, oauth_body={"client_secret": "hidden"})
    for reply, why in (
        (403, "no token from http://127.0.0.1"),
        (web.Response(text="<html>"), "the answer has no access_token"),
        (web.json_response(["x"]), "the answer has no access_token"),
        (web.json_response({"access_token": "a\nb"}), "can't stand in a header"),
    ):
        issuer.answer = lambda _, reply=reply: reply  # type: ignore[misc]
        (answer,) = await post(settings)
        assert why in answer.error
        assert "hidden" not in answer.error
    assert receiver.requests == []


def test_a_secret_that_cannot_be_used_is_named_and_not_shown(tmp_path: Path) -> None:
    url = "https://example.com/"
    for fields, why in (
        ({"signing_secret": private_file(tmp_path, "whsec_c2hvcnQ=")}, "signing_secret: not a"),
        ({"auth_token": private_file(tmp_path, "two\nlines-of-it")}, "auth_token: "),
        ({"auth_token": tmp_path / "missing"}, "auth_token: "),
        ({"auth_token": private_file(tmp_path, "\r\n")}, "auth_token: .*: is empty"),
        ({"auth_token": private_file(tmp_path, "lines-of-it\udcff")}, "auth_token: .*not UTF-8"),
        ({"custom_headers": {"X": "env:NO_SUCH"}}, "custom_headers: X: env:NO_SUCH"),
        ({"custom_headers": {"X": "env:"}}, "custom_headers: X: env: not followed"),
        ({"tls_ca_file": tmp_path / "missing.pem"}, "tls_ca_file: "),
    ):
        with pytest.raises(SettingsError, match=why) as refused:
            WebhookClient(WebhookSettings(url=url, **fields))
        assert "lines-of-it" not in str(refused.value)
        assert "c2hvcnQ" not in str(refused.value)
