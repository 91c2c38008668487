"""Momentum's `webhooks.json`, where it is not what Momentum writes."""

import json
from pathlib import Path

import pytest

from msys_track.sinks.webhook.momentum import MomentumWebhooksError, read_webhooks


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    file = tmp_path / "webhooks.json"
    with pytest.raises(MomentumWebhooksError, match=f"{file}: No such file"):
        read_webhooks(file)


@pytest.mark.parametrize("headers", ["X-Key: s3cret", {"X-Key": ["s3cret"]}])
def test_headers_that_are_no_texts_are_a_fault_that_shows_none(
    tmp_path: Path, headers: object
) -> None:
    file = tmp_path / "webhooks.json"
    fields = {"events": ["click"], "target": "https://a.example/", "custom_headers": headers}
    file.write_text(json.dumps([fields]))
    with pytest.raises(MomentumWebhooksError) as refused:
        read_webhooks(file)
    assert refused.value.faults == [
        "webhooks.json: webhook 1: custom_headers: not an object of texts"
    ]
