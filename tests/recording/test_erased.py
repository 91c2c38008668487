"""Recording beside erasing: nothing of a recipient comes back, nothing of others is lost."""

from pathlib import Path

import pytest
from tests.recording.conftest import read_events, record, write_hits
from tests.recording.hits import make_hit_line

from msys_track.eventlog.erasing import Recipient, erase_in_log
from msys_track.metrics import Counters

THEIRS = make_hit_line(recipient="jo@shop.test", message_id="01")
OTHERS = make_hit_line(recipient="mo@shop.test", message_id="02")


def erase(folder: Path, log: str) -> int:
    return erase_in_log(folder / log, Recipient("Jo@shop.test"), lambda _: None)


def test_a_hit_that_was_erased_makes_no_event_and_no_fault(tmp_path: Path) -> None:
    write_hits(tmp_path, [THEIRS, OTHERS])
    assert erase(tmp_path, "hits/0") == 1
    counters = Counters()
    events = record(tmp_path, counters=counters)
    assert [each["rcpt_to"] for each in events] == ["mo@shop.test"]
    assert counters["recorder.damaged"] == 0
    assert not (tmp_path / "dead").exists()


@pytest.mark.parametrize("is_state_lost", [False, True])
def test_recording_goes_on_behind_an_event_that_was_erased(
    tmp_path: Path, *, is_state_lost: bool
) -> None:
    write_hits(tmp_path, [THEIRS, OTHERS])
    record(tmp_path)
    assert erase(tmp_path, "events") == 1
    if is_state_lost:
        assert erase(tmp_path, "hits/0") == 1
        (tmp_path / "positions" / "recorder.json").unlink()
    write_hits(tmp_path, [make_hit_line(recipient="bo@shop.test", message_id="03")])
    record(tmp_path)
    found = [each.get("rcpt_to") for each in read_events(tmp_path) if each]
    assert found == ["mo@shop.test", "bo@shop.test"]
