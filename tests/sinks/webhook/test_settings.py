"""What settings of a webhook are wrong, and where its credentials go."""

from typing import Any

import pytest

from msys_track.errors import SettingsError
from msys_track.keys.file import key_source
from msys_track.sinks.webhook.settings import WebhookSettings


def test_headers_that_are_no_table_are_named() -> None:
    with pytest.raises(SettingsError, match='custom_headers: found "X-Key: 7", allowed: names'):
        WebhookSettings(url="https://shop.test/", custom_headers="X-Key: 7")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "is_plain"),
    [
        ({"url": "http://shop.test/"}, False),
        ({"url": "http://shop.test/", "auth_token": "env:TOKEN"}, True),
        ({"oauth_url": "http://issuer.test/"}, True),
        ({"oauth_url": "https://issuer.test/"}, False),
        ({"oauth_url": "http://127.0.0.1/", "allow_private": True}, False),
    ],
)
def test_credentials_without_tls_are_known(fields: dict[str, Any], *, is_plain: bool) -> None:
    if "oauth_url" in fields:
        fields = {"auth": "oauth2", "oauth_body": {"client_secret": "env:SECRET"}, **fields}
    if "auth_token" in fields:
        fields = {**fields, "auth_token": key_source(fields["auth_token"])}
    settings = WebhookSettings(**{"url": "https://shop.test/", **fields})
    assert settings.has_plain_credentials is is_plain
