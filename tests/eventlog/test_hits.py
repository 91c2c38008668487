"""Hits are written down in order, without the caller waiting, and none twice."""

import json
from pathlib import Path

from tests.eventlog.test_log import read_all
from tests.tokens import TOKENS, claims_of

from msys_track.eventlog.hits import open_hit_log
from msys_track.eventlog.lines import truncate_address
from msys_track.eventlog.settings import EventsSettings

CLAIMS = claims_of(next(each for each in TOKENS if "link_number" in each))


def test_a_hit_says_what_its_token_says_and_who_came(tmp_path: Path) -> None:
    log = open_hit_log(tmp_path, EventsSettings())
    assert log.put_hit(CLAIMS, 1_700_000_000_123, "192.0.2.7", "Mozilla/5.0", "de", '{"a":1}')
    assert log.flush(5)
    assert log.close(5) == 0
    (line,) = read_all(tmp_path / "hits" / "0")
    hit = json.loads(line)
    assert hit["id"].startswith("018bcfe5-687b-7")
    assert hit["at"] == 1_700_000_000_123
    assert hit["kind"] == CLAIMS.kind
    assert hit["target"] == CLAIMS.target
    assert hit["recipient"] == CLAIMS.engagement.recipient
    assert (hit["address"], hit["agent"], hit["language"]) == ("192.0.2.7", "Mozilla/5.0", "de")
    assert hit["request"] == {"a": 1}


def test_each_process_has_a_log_of_its_own(tmp_path: Path) -> None:
    logs = [open_hit_log(tmp_path, EventsSettings()) for _ in range(3)]
    for number, log in enumerate(logs):
        log.put_line(b'{"msys":{"n":%d}}' % number)
        log.close(5)
    for number in range(3):
        assert read_all(tmp_path / "hits" / str(number)) == [b'{"msys":{"n":%d}}' % number]


def test_what_does_not_fit_into_memory_is_dropped_and_counted(tmp_path: Path) -> None:
    log = open_hit_log(tmp_path, EventsSettings(max_queued=2, batch_seconds=60))
    assert [log.put_line(b"{}") for _ in range(3)] == [True, True, False]
    assert log.figures()["dropped"] == 1
    assert log.close(5) == 0
    assert not log.put_line(b"{}")


def test_an_address_is_cut_to_its_network() -> None:
    assert truncate_address("192.0.2.77") == "192.0.2.0"
    assert truncate_address("2001:db8:1:2::3") == "2001:db8:1::"
    assert truncate_address("unknown") is None
    assert truncate_address(None) is None
