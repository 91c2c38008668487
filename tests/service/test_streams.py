"""Trackers and a consumer as users run them: a click here is an event in a store there."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.processes import Server, run
from tests.service.running_proxy import wait_until
from tests.service.running_tracker import Tracker

confluent_kafka = pytest.importorskip("confluent_kafka")


def test_a_click_at_one_tracker_is_an_event_in_another_machines_store(tmp_path: Path) -> None:
    owner = confluent_kafka.Producer({"test.mock.num.brokers": 1, "log_level": 0})
    (broker,) = owner.list_topics(timeout=10).brokers.values()
    kafka = f'[kafka.main]\nservers = ["{broker.host}:{broker.port}"]\n'
    trackers = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        tracker = Tracker(tmp_path / name)
        tracker.configure(1, kafka)
        trackers.append(tracker.start())
    there = tmp_path / "there"
    there.mkdir()
    (there / "consumer.toml").write_text(kafka, encoding="utf-8")
    words = ("events", "consume", "main", "--config", "consumer.toml", "--store", "all.sqlite")
    consumer = Server(there, *words)
    consumer.line("consumes msys-track-events of ")
    for tracker in trackers:
        assert tracker.click() == 302

    def read_store() -> list[dict[str, Any]]:
        printed = run(there, "events", "--store", "all.sqlite").output
        return [json.loads(line)["msys"]["track_event"] for line in printed.splitlines()]

    wait_until(lambda: (there / "all.sqlite").exists() and len(read_store()) == 2)
    assert {each["message_id"] for each in read_store()} == {"000443ee14578172be22"}
    for server in (*(each.server for each in trackers), consumer):
        server.stop()
