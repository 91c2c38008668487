"""The recorder's process under a supervisor, with a stand-in for what it records."""

import textwrap
from pathlib import Path

import pytest
from tests.processes import ProgramEnded, run_program

SUPERVISED = """
import asyncio, os, signal, sys
from functools import partial
from msys_track.cli import logs
from msys_track.errors import SettingsError
from msys_track.service.recorder import serve_recorder
from msys_track.supervision.supervisor import Plan, Supervisor

logs.to_stderr()

def note(text):
    with open("notes", "a") as file:
        print(text, file=file)

def serve(control, sockets):
    control.send(b'{{"ready": true}}\\n')
    while (order := control.recv(100).decode().strip()) != "stop":
        control.send(b'{{"reloaded": true}}\\n')
    note(f"worker {{order}}")

async def record(reporter):
    {record}

def announce(_):
    os.kill(os.getpid(), signal.{signal})

plan = Plan(
    name="test", workers=2, addresses=(), drain_seconds=5, end_seconds=1, hang_seconds=60,
    settings=None, serve=serve, announce=announce, record=partial(serve_recorder, record),
    record_seconds=1, stop_seconds={stop_seconds},
)
try:
    Supervisor(plan, lambda: {again}).run()
except SettingsError as error:
    sys.exit(str(error))
"""


def run_supervised(
    record: str,
    folder: Path,
    number: str = "SIGTERM",
    again: str = "None",
    stop_seconds: float | None = 60,
) -> ProgramEnded:
    program = SUPERVISED.format(
        record=textwrap.indent(textwrap.dedent(record), "    ").lstrip(),
        signal=number,
        again=again,
        stop_seconds=stop_seconds,
    )
    return run_program(program, folder)


def read_notes(folder: Path) -> list[str]:
    return (folder / "notes").read_text(encoding="utf-8").splitlines()


def test_it_is_told_to_stop_when_all_workers_have_stopped(tmp_path: Path) -> None:
    ended = run_supervised(
        """
        reporter.note_ready()
        await reporter.stop.wait()
        theirs = os.getpriority(os.PRIO_PROCESS, os.getppid())
        latest = 19  # what all processes may have here already
        note(f"recorder, after others: {os.nice(0) > theirs or theirs == latest}")
        """,
        tmp_path,
    )
    assert ended.returncode == 0, ended.stderr
    assert read_notes(tmp_path) == ["worker stop", "worker stop", "recorder, after others: True"]


def test_one_that_dies_is_replaced(tmp_path: Path) -> None:
    ended = run_supervised(
        """
        reporter.note_ready()
        note("recorder")
        if len(open("notes").readlines()) == 1:
            await asyncio.sleep(0.1)
            os.kill(os.getpid(), signal.SIGKILL)
        os.kill(os.getppid(), signal.SIGTERM)
        await reporter.stop.wait()
        """,
        tmp_path,
        number="SIGCHLD",
    )
    assert ended.returncode == 0, ended.stderr
    assert read_notes(tmp_path) == ["recorder", "recorder", "worker stop", "worker stop"]
    assert '"role": "recorder", "event": "worker.died"' in ended.stderr


def test_a_reload_replaces_it_and_keeps_the_workers(tmp_path: Path) -> None:
    ended = run_supervised(
        """
        reporter.note_ready()
        note("recorder")
        if len(open("notes").readlines()) == 2:
            os.kill(os.getppid(), signal.SIGTERM)
        await reporter.stop.wait()
        """,
        tmp_path,
        number="SIGHUP",
        again="plan",
    )
    assert ended.returncode == 0, ended.stderr
    notes = read_notes(tmp_path)
    assert notes[:2] == ["recorder", "recorder"]
    assert ended.stderr.count('"event": "recorder.ready"') == 2
    assert ended.stderr.count('"event": "worker.ready"') == 2


def test_one_that_can_not_start_ends_the_command_with_its_reason(tmp_path: Path) -> None:
    ended = run_supervised("raise SettingsError('no such sink')", tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == "no such sink"


@pytest.mark.parametrize("busy", ["time.sleep(60)", "await asyncio.sleep(60)"])
def test_one_that_does_not_end_is_killed_in_time(tmp_path: Path, busy: str) -> None:
    ended = run_supervised(
        f"""
        import time
        reporter.note_ready()
        await reporter.stop.wait()
        {busy}
        """,
        tmp_path,
        stop_seconds=None,
    )
    assert ended.returncode == 0, ended.stderr
    assert '"why": "late"' in ended.stderr


def test_one_that_begins_late_has_the_time_that_workers_did_not_need(tmp_path: Path) -> None:
    ended = run_supervised(
        """
        import time
        reporter.note_ready()
        time.sleep(3)
        await reporter.stop.wait()
        note(f"recorder, seconds left: {reporter.stop_by - time.monotonic():.0f}")
        """,
        tmp_path,
        stop_seconds=8,
    )
    assert ended.returncode == 0, ended.stderr
    # Of 8 seconds, with 0.4 of them for its end, less the 3 that its start took.
    assert read_notes(tmp_path)[2:] in (
        ["recorder, seconds left: 4"],
        ["recorder, seconds left: 5"],
    ), ended.stderr


def test_one_that_dies_during_the_stop_is_replaced_by_one_that_records_what_is_left(
    tmp_path: Path,
) -> None:
    ended = run_supervised(
        """
        reporter.note_ready()
        await reporter.stop.wait()
        note("recorder")
        if len(open("notes").readlines()) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        """,
        tmp_path,
    )
    assert ended.returncode == 0, ended.stderr
    assert read_notes(tmp_path) == ["worker stop", "worker stop", "recorder", "recorder"]


def test_one_that_is_dead_when_the_stop_comes_is_replaced(tmp_path: Path) -> None:
    ended = run_supervised(
        """
        reporter.note_ready()
        if not os.path.exists("died"):
            open("died", "w").close()
            await asyncio.sleep(0.2)
            os.kill(os.getppid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGKILL)
        await reporter.stop.wait()
        note("recorder")
        """,
        tmp_path,
        number="SIGCHLD",
    )
    assert ended.returncode == 0, ended.stderr
    assert read_notes(tmp_path) == ["worker stop", "worker stop", "recorder"]


def test_one_that_dies_each_time_does_not_keep_the_server_from_its_end(tmp_path: Path) -> None:
    ended = run_supervised(
        """
        reporter.note_ready()
        await reporter.stop.wait()
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        tmp_path,
    )
    assert ended.returncode == 0, ended.stderr
    assert '"event": "recorder.not_done"' in ended.stderr


def test_the_new_one_of_a_reload_stops_after_the_old_one_has_ended(tmp_path: Path) -> None:
    ended = run_supervised(
        """
        is_first = not os.path.exists("first")
        open("first", "w").close()
        reporter.note_ready()
        if not is_first:
            await asyncio.sleep(0.2)
            os.kill(os.getppid(), signal.SIGTERM)
        await reporter.stop.wait()
        if is_first:
            await asyncio.sleep(1)
        note("old" if is_first else "new")
        """,
        tmp_path,
        number="SIGHUP",
        again="plan",
    )
    assert ended.returncode == 0, ended.stderr
    assert read_notes(tmp_path) == ["worker stop", "worker stop", "old", "new"]
