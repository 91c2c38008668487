"""Recording: every hit becomes an event once, in every sink, whatever ends the recorder."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from tests.captured_logs import capture_logs
from tests.recording.conftest import read_events, record, unwritable, write_hits
from tests.recording.hits import make_hit, make_hit_line
from tests.thoroughness import some_of

from msys_track.errors import SettingsError, SinkError
from msys_track.eventlog.position import Position, PositionFile
from msys_track.eventlog.retention import remove_segments
from msys_track.eventlog.segments import list_segments
from msys_track.eventlog.settings import EventsSettings
from msys_track.eventlog.writer import LogWriter
from msys_track.metrics import Counters
from msys_track.recording.backlog import Backlog, measure_backlog
from msys_track.recording.hits import HitReader
from msys_track.recording.recorder import Recorder, make_event_maker, run_recorder
from msys_track.recording.state import State, StateFile
from msys_track.recording.transcriber import Transcriber
from msys_track.sinks.delivery import EventBatch
from msys_track.tracking.classify.settings import ClassificationSettings

_RECORD = """
import asyncio, sys
from pathlib import Path
from msys_track.eventlog.settings import EventsSettings
from msys_track.metrics import Counters
from msys_track.recording.recorder import run_recorder
from msys_track.tracking.classify.settings import ClassificationSettings

asyncio.run(run_recorder(
    Path(sys.argv[1]), [], events=EventsSettings(), classification=ClassificationSettings(),
    also_click=False, counters=Counters(), stop=asyncio.Event(),
))
"""


class ListSink:
    """Keeps what it gets; fails as often as it is told."""

    max_events = 100
    max_age_seconds = 0.01

    def __init__(self, name: str = "list", failures: int = 0) -> None:
        self.name = name
        self.lines: list[bytes] = []
        self._failures = failures

    async def open(self) -> None: ...

    async def write(self, batch: EventBatch) -> None:
        if self._failures:
            self._failures -= 1
            raise SinkError("not now")
        self.lines += batch.lines

    async def close(self) -> None: ...


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0.01)


def lines_of_messages(first: int, count: int) -> list[bytes]:
    """Clicks of as many people."""
    return [
        make_hit_line(at=1_712_345_678_000 + each, message_id=f"{each:020x}")
        for each in range(first, first + count)
    ]


def test_hits_of_every_log_reach_every_sink_as_events_in_their_order(tmp_path: Path) -> None:
    for number in range(2):
        lines = [
            make_hit_line(at=1_000 * each + number, message_id=f"{number}{each}")
            for each in range(1, 4)
        ]
        write_hits(tmp_path, lines, number)
    sinks = [ListSink("one"), ListSink("other", failures=2)]
    record(tmp_path, sinks)
    for sink in sinks:
        events = [json.loads(line)["msys"]["track_event"] for line in sink.lines]
        assert [each["message_id"] for each in events] == ["01", "11", "02", "12", "03", "13"]


def test_a_hit_is_recorded_once_over_restarts(tmp_path: Path) -> None:
    for start in range(0, 30, 10):
        write_hits(tmp_path, lines_of_messages(start, 10))
        record(tmp_path)
    events = read_events(tmp_path)
    assert [each["message_id"] for each in events] == [f"{each:020x}" for each in range(30)]


def test_hits_that_are_read_again_make_no_second_event(tmp_path: Path) -> None:
    write_hits(tmp_path, lines_of_messages(0, 10))
    record(tmp_path)
    state = (tmp_path / "positions" / "recorder.json").read_text()
    write_hits(tmp_path, lines_of_messages(10, 10))
    before = record(tmp_path)
    # As after a crash between the events and the state.
    (tmp_path / "positions" / "recorder.json").write_text(state)
    write_hits(tmp_path, lines_of_messages(20, 10))
    after = record(tmp_path)
    assert after[:20] == before
    assert [each["message_id"] for each in after] == [f"{each:020x}" for each in range(30)]


def test_a_second_crash_while_hits_are_read_again_makes_no_second_event_either(
    tmp_path: Path,
) -> None:
    write_hits(tmp_path, lines_of_messages(0, 3_000))
    record(tmp_path)
    (tmp_path / "positions" / "recorder.json").unlink()
    maker, first_seen = make_event_maker(ClassificationSettings())
    transcriber = Transcriber(tmp_path, maker, first_seen, Counters(), segment_bytes=1 << 20)
    transcriber.record()  # 2,000 of them
    transcriber.close()
    assert len(record(tmp_path)) == 3_000


def test_without_its_state_a_recorder_finds_what_it_had_recorded(tmp_path: Path) -> None:
    write_hits(tmp_path, lines_of_messages(0, 10))
    before = record(tmp_path)
    (tmp_path / "positions" / "recorder.json").unlink()
    assert record(tmp_path) == before


@pytest.mark.timeout(180)  # four starts of Python, on a machine that may be busy
def test_killed_anywhere_a_recorder_makes_one_event_of_each_hit(tmp_path: Path) -> None:
    kills, at_once, of_one_kill = some_of(range(4), 2), 500, 5_000
    for number, kill in enumerate(kills):
        before = count_bytes(tmp_path / "events")
        command = [sys.executable, "-c", _RECORD, str(tmp_path)]
        with subprocess.Popen(command) as process:  # noqa: S603 - ourselves
            with LogWriter(tmp_path / "hits" / "0", segment_bytes=1 << 20) as writer:
                for start in range(0, of_one_kill, at_once):
                    writer.append(lines_of_messages(number * of_one_kill + start, at_once))
            while count_bytes(tmp_path / "events") <= before:
                time.sleep(0.005)
            time.sleep(0.03 * kill)  # later each time
            process.send_signal(signal.SIGKILL)
    events = record(tmp_path)
    wanted = [f"{each:020x}" for each in range(len(kills) * of_one_kill)]
    assert [each["message_id"] for each in events] == wanted
    assert len({each["event_id"] for each in events}) == len(wanted)


def count_bytes(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.glob("*.ndjson"))


def test_recorded_segments_of_hits_go_and_the_newest_stays(tmp_path: Path) -> None:
    with LogWriter(tmp_path / "hits" / "0", segment_bytes=1_000) as writer:
        for start in range(0, 20, 2):
            writer.append(lines_of_messages(start, 2))
        newest = list_segments(tmp_path / "hits" / "0")[-1]
    assert len(record(tmp_path)) == 20
    assert list_segments(tmp_path / "hits" / "0") == [newest]


def test_events_that_a_sink_still_wants_stay(tmp_path: Path) -> None:
    maker, first_seen = make_event_maker(ClassificationSettings())
    transcriber = Transcriber(tmp_path, maker, first_seen, Counters(), segment_bytes=1_000)
    for start in range(0, 20, 2):
        write_hits(tmp_path, lines_of_messages(start, 2))
        while transcriber.record():
            pass
    segments = list_segments(tmp_path / "events")
    assert len(segments) > 5
    transcriber.remove_delivered(segments[2], keep_seconds=0)
    left = [*segments[2:], transcriber.next_sequence]
    assert list_segments(tmp_path / "events") == left
    transcriber.remove_delivered(10**6, keep_seconds=3_600)
    assert list_segments(tmp_path / "events") == left
    transcriber.close()


def test_events_of_a_quiet_log_are_removed_by_their_age(tmp_path: Path) -> None:
    write_hits(tmp_path, lines_of_messages(0, 2))
    record(tmp_path)  # in a segment that is far from full
    days = 8 * 86_400
    for path in (tmp_path / "events").glob("*.ndjson"):
        os.utime(path, (time.time() - days, time.time() - days))
    maker, first_seen = make_event_maker(ClassificationSettings())
    transcriber = Transcriber(tmp_path, maker, first_seen, Counters(), segment_bytes=1 << 20)
    transcriber.remove_delivered(2, keep_seconds=days - 86_400)
    assert list_segments(tmp_path / "events") == [1, 3]  # a sink still wants the second one
    transcriber.remove_delivered(3, keep_seconds=days + 86_400)
    assert list_segments(tmp_path / "events") == [1, 3]
    transcriber.remove_delivered(3, keep_seconds=days - 86_400)
    assert list_segments(tmp_path / "events") == [3]
    transcriber.close()


def test_after_a_log_is_empty_by_age_nothing_is_called_the_first_that_may_not_be(
    tmp_path: Path,
) -> None:
    write_hits(tmp_path, lines_of_messages(0, 1))
    (event,) = record(tmp_path)
    assert event["x_msys_track"]["first"] == {"message": True, "link": True}
    with LogWriter(tmp_path / "events") as writer:
        writer.begin_segment(begun_before=time.time())
    assert remove_segments(tmp_path / "events", 2, written_before=time.time() + 1) == 1
    write_hits(tmp_path, lines_of_messages(0, 1))
    (event,) = record(tmp_path)
    assert "first" not in event["x_msys_track"]


def test_a_line_that_is_no_hit_is_put_aside_and_counted(tmp_path: Path) -> None:
    damaged = [
        b"{",
        b"[]",
        b'{"id":"1","kind":"click","at":1}',
        b'{"kind":"reboot","at":1}',
        make_hit_line(injected_at=-(10**18)),
    ]
    write_hits(tmp_path, [*damaged, make_hit_line()])
    counters = Counters()
    assert len(record(tmp_path, counters=counters)) == 1
    assert counters["recorder.damaged"] == len(damaged)
    assert (tmp_path / "dead" / "hits.ndjson").read_bytes() == b"\n".join(damaged) + b"\n"


def test_a_second_recorder_waits_for_the_first(tmp_path: Path) -> None:
    async def run() -> None:
        started: list[Recorder] = []
        ready: list[int] = []
        stops = [asyncio.Event(), asyncio.Event()]

        async def run_one(stop: asyncio.Event) -> None:
            await run_recorder(
                tmp_path,
                [],
                events=EventsSettings(),
                classification=ClassificationSettings(),
                also_click=False,
                counters=Counters(),
                stop=stop,
                on_ready=lambda: ready.append(1),
                on_started=started.append,
            )

        first = asyncio.create_task(run_one(stops[0]))
        await until(lambda: len(started) == 1)
        second = asyncio.create_task(run_one(stops[1]))
        await until(lambda: len(ready) == 2)
        await asyncio.sleep(0.2)
        assert len(started) == 1
        stops[0].set()
        await first
        await until(lambda: len(started) == 2)
        stops[1].set()
        await second

    asyncio.run(run())


def test_a_sink_that_takes_nothing_does_not_keep_a_recorder_from_its_end(tmp_path: Path) -> None:
    write_hits(tmp_path, lines_of_messages(0, 3))
    stuck, other = ListSink("stuck", failures=10**9), ListSink()

    async def run() -> dict[str, float]:
        stop = asyncio.Event()
        started: list[Recorder] = []
        task = asyncio.create_task(
            run_recorder(
                tmp_path,
                [stuck, other],
                events=EventsSettings(close_timeout_seconds=0.3),
                classification=ClassificationSettings(),
                also_click=False,
                counters=Counters(),
                stop=stop,
                on_started=started.append,
            )
        )
        await until(lambda: len(other.lines) == 3)
        await asyncio.sleep(0.1)
        gauges = started[0].gauges()
        stop.set()
        await task
        return gauges

    gauges = asyncio.run(run())
    assert gauges["sinks.lag_events.stuck"] == 3
    assert gauges["sinks.lag_seconds.stuck"] > 0
    assert gauges["sinks.lag_events.list"] == 0
    assert gauges["recorder.lag_events"] == 0
    # The next start goes on there.
    later = ListSink("stuck")
    record(tmp_path, [later])
    assert len(later.lines) == 3


class LateTranscriber(Transcriber):
    """Is told to stop, after a last hit was logged, while a look at the logs goes on."""

    before_end: Callable[[], None] | None = None

    def record(self) -> int:
        count = super().record()
        if count == 0 and self.before_end is not None:
            self.before_end()
            self.before_end = None
        return count


def test_a_hit_that_is_logged_during_the_last_look_before_the_stop_is_recorded(
    tmp_path: Path,
) -> None:
    sink, events = ListSink(), EventsSettings()
    maker, first_seen = make_event_maker(ClassificationSettings())

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        transcriber = LateTranscriber(
            tmp_path, maker, first_seen, Counters(), segment_bytes=events.segment_bytes
        )

        def log_and_stop() -> None:
            write_hits(tmp_path, lines_of_messages(0, 1))
            asyncio.run_coroutine_threadsafe(_set(stop), loop).result()

        transcriber.before_end = log_and_stop
        await Recorder(tmp_path, transcriber, [sink], events, Counters()).run(stop)

    asyncio.run(run())
    assert len(sink.lines) == 1


async def _set(stop: asyncio.Event) -> None:
    stop.set()


@pytest.mark.parametrize("count", [3, 12_000])
def test_hits_that_time_does_not_allow_to_record_are_told_at_the_end(
    tmp_path: Path, count: int
) -> None:
    write_hits(tmp_path, lines_of_messages(0, count))

    async def run() -> None:
        stop = asyncio.Event()
        stop.set()
        await run_recorder(
            tmp_path,
            [],
            events=EventsSettings(close_timeout_seconds=1e-6),
            classification=ClassificationSettings(),
            also_click=False,
            counters=Counters(),
            stop=stop,
        )

    with capture_logs() as logged:
        asyncio.run(run())
    behind = [each["hits"] for each in logged if each["event"] == "recorder.behind"]
    if count == 3:  # the last of them were recorded as the time ended
        assert behind == []
    else:
        assert [0 < each < count for each in behind] == [True]


def test_a_sink_with_a_damaged_position_harms_no_other(tmp_path: Path) -> None:
    write_hits(tmp_path, lines_of_messages(0, 3))
    PositionFile(tmp_path / "positions" / "broken.json").save(  # makes the folder
        PositionFile(tmp_path / "none").load()
    )
    (tmp_path / "positions" / "broken.json").write_text("[]")
    broken, good = ListSink("broken"), ListSink()

    async def run() -> None:
        stop = asyncio.Event()
        stop.set()
        await run_recorder(
            tmp_path,
            [broken, good],
            events=EventsSettings(close_timeout_seconds=0.3),
            classification=ClassificationSettings(),
            also_click=False,
            counters=Counters(),
            stop=stop,
        )

    asyncio.run(run())
    assert (len(broken.lines), len(good.lines)) == (0, 3)


class DefectiveSink(ListSink):
    """Has a defect that shows in its first batches."""

    async def write(self, batch: EventBatch) -> None:
        if self._failures:
            self._failures -= 1
            raise RuntimeError("a defect")
        await super().write(batch)


def test_a_sink_with_a_defect_is_begun_again_and_delivers_at_the_end_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("msys_track.recording.recorder._RESTART_SECONDS", 0.01)
    write_hits(tmp_path, lines_of_messages(0, 3))
    defective, good = DefectiveSink("defective", failures=3), ListSink()
    with capture_logs() as logged:
        record(tmp_path, [defective, good])
    assert (len(defective.lines), len(good.lines)) == (3, 3)
    stopped = [each for each in logged if each["event"] == "sink.stopped"]
    assert [each["sink"] for each in stopped] == ["defective"] * 3


def test_a_hit_log_that_was_deleted_and_begun_anew_is_read_from_its_start(tmp_path: Path) -> None:
    write_hits(tmp_path, lines_of_messages(0, 3), 0)
    write_hits(tmp_path, lines_of_messages(3, 3), 1)
    record(tmp_path)
    shutil.rmtree(tmp_path / "hits" / "0")
    write_hits(tmp_path, lines_of_messages(6, 2), 0)
    write_hits(tmp_path, lines_of_messages(8, 2), 1)
    messages = [each["message_id"] for each in record(tmp_path)]
    assert messages == [f"{each:020x}" for each in range(10)]


def test_hits_that_somebody_deleted_are_counted_and_the_later_ones_recorded(
    tmp_path: Path,
) -> None:
    write_hits(tmp_path, lines_of_messages(0, 3))
    maker, first_seen = make_event_maker(ClassificationSettings())
    counters = Counters()
    transcriber = Transcriber(tmp_path, maker, first_seen, counters, segment_bytes=1 << 20)
    assert transcriber.record() == 3
    with LogWriter(tmp_path / "hits" / "0", segment_bytes=1) as writer:
        writer.append(lines_of_messages(3, 2))
        writer.append(lines_of_messages(5, 2))
    for path in sorted((tmp_path / "hits" / "0").glob("*.ndjson"))[:-1]:
        path.unlink()
    assert transcriber.record() == 2
    transcriber.close()
    assert counters["recorder.gone"] == 2
    messages = [each["message_id"] for each in read_events(tmp_path)]
    assert messages == [f"{each:020x}" for each in (0, 1, 2, 5, 6)]


def test_events_that_can_not_be_written_wait_and_are_recorded_once(tmp_path: Path) -> None:
    write_hits(tmp_path, lines_of_messages(0, 3))
    maker, first_seen = make_event_maker(ClassificationSettings())
    transcriber = Transcriber(tmp_path, maker, first_seen, Counters(), segment_bytes=1 << 20)
    with unwritable(tmp_path / "events"):
        for _ in range(2):
            with pytest.raises(SinkError, match="can't be written"):
                transcriber.record()
    assert transcriber.record() == 1
    assert len(read_events(tmp_path)) == 3
    # Those that wait when it ends are read again by the next one.
    write_hits(tmp_path, lines_of_messages(3, 2))
    with unwritable(tmp_path / "events"):
        with pytest.raises(SinkError, match="can't be written"):
            transcriber.record()
        transcriber.close()
    assert len(record(tmp_path)) == 5


def test_events_that_can_not_be_written_are_logged_once_and_when_they_can(
    tmp_path: Path,
) -> None:
    write_hits(tmp_path, lines_of_messages(0, 3))
    maker, first_seen = make_event_maker(ClassificationSettings())

    async def run() -> None:
        stop = asyncio.Event()
        transcriber = Transcriber(tmp_path, maker, first_seen, counters, segment_bytes=1 << 20)
        failures = 0

        class Counting:
            """Counts how often its transcriber has failed."""

            def record(self) -> int:
                nonlocal failures
                try:
                    return transcriber.record()
                except SinkError:
                    failures += 1
                    raise

            def __getattr__(self, name: str) -> Any:
                return getattr(transcriber, name)

        recorder = Recorder(
            tmp_path, cast("Transcriber", Counting()), [], EventsSettings(), counters
        )
        with unwritable(tmp_path / "events"):
            task = asyncio.create_task(recorder.run(stop))
            await until(lambda: failures == 2)
        await until(lambda: counters["recorder.recorded"] == 3)
        stop.set()
        await task

    counters = Counters()
    with capture_logs() as logged:
        asyncio.run(run())
    told = [each["event"] for each in logged if each["event"].startswith("events.")]
    assert told == ["events.not_recorded", "events.recorded_again"]
    assert len(read_events(tmp_path)) == 3


def test_of_what_was_before_the_last_events_a_start_knows_that_it_does_not_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("msys_track.recording.transcriber._WARM_EVENTS", 2)
    write_hits(tmp_path, lines_of_messages(0, 4))
    record(tmp_path)
    write_hits(tmp_path, [*lines_of_messages(0, 1), *lines_of_messages(3, 1)])
    first, last = record(tmp_path)[4:]
    assert "first" not in first["x_msys_track"]
    assert last["x_msys_track"]["first"] == {"message": False, "link": False}


def test_what_is_left_to_record_is_counted_from_outside(tmp_path: Path) -> None:
    log = tmp_path / "hits" / "0"
    lines = lines_of_messages(0, 4)
    with LogWriter(log, segment_bytes=1) as writer:
        for line in lines:
            writer.append([line])
    (tmp_path / "hits" / "lost+found").mkdir()
    sizes = [len(line) + 1 for line in lines]
    assert measure_backlog(tmp_path, ("sqlite",)) == Backlog(sum(sizes), 0, {"sqlite": 0})
    # Two segments are recorded, and the first part of the third.
    state = State(4, {"0": Position(3, 10, 3)})
    StateFile(tmp_path / "positions" / "recorder.json").save(state)
    backlog = measure_backlog(tmp_path, ("sqlite",))
    assert (backlog.hit_bytes, backlog.events) == (sum(sizes[2:]) - 10, {"sqlite": 3})
    assert backlog.noted_at > 0
    assert HitReader(tmp_path / "hits", state.hits).count_bytes_left() == backlog.hit_bytes


def test_hit_logs_that_can_not_be_listed_are_told(tmp_path: Path) -> None:
    (tmp_path / "hits").touch()
    with pytest.raises(SinkError, match="hits: can't be read: Not a directory"):
        HitReader(tmp_path / "hits", {}).read(1)


def test_a_state_that_can_not_be_kept_or_read_is_told(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "folder" / "recorder.json")
    (tmp_path / "folder").touch()
    with pytest.raises(SinkError, match=r"recorder\.json: can't be written: "):
        file.save(State())
    with pytest.raises(SinkError, match=r"recorder\.json: can't be read: Not a directory"):
        file.load()


def test_an_unreadable_hit_log_does_not_hold_up_the_others(tmp_path: Path) -> None:
    (tmp_path / "hits" / "0" / f"{1:020}.ndjson").mkdir(parents=True)
    write_hits(tmp_path, lines_of_messages(0, 3), 1)
    assert len(record(tmp_path)) == 3


def test_a_state_of_another_form_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "positions").mkdir()
    (tmp_path / "positions" / "recorder.json").write_text("{}")
    with pytest.raises(SinkError, match=r"recorder.json: not a recorder's state; delete it"):
        record(tmp_path)


def test_a_missing_file_of_networks_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"none\.txt: can't be read"):
        record(tmp_path, networks=(tmp_path / "none.txt",))


def test_without_a_hit_log_there_is_nothing_to_record(tmp_path: Path) -> None:
    assert record(tmp_path) == []
    assert not os.path.lexists(tmp_path / "hits")


def test_a_head_is_no_event(tmp_path: Path) -> None:
    write_hits(tmp_path, [make_hit_line(request={"method": "HEAD"})])
    assert record(tmp_path) == []


def test_an_event_of_the_proxy_is_passed_on_as_it_is(tmp_path: Path) -> None:
    event_id = make_hit()["id"]
    line = (
        b'{"msys":{"message_event":{"type":"injection","event_id":"%s","cust_x":"\\u00e9"}}}'
        % (event_id.encode())
    )
    write_hits(tmp_path, [line])
    sink = ListSink()
    record(tmp_path, [sink])
    assert sink.lines == [line]
