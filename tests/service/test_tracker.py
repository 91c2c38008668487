"""The tracker's processes: several workers on one port, their changes, their end."""

import os
import signal
import socket
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.certificates import make_certificate
from tests.ports import find_free_ports
from tests.processes import COMMAND, Server, run
from tests.service.running_proxy import is_running, wait_until
from tests.service.running_tracker import Readers, Tracker
from tests.service.test_file_limit import LIMITED

from msys_track.keys import file as key_file


@pytest.fixture
def tracker(tmp_path: Path) -> Iterator[Tracker]:
    made = Tracker(tmp_path)
    yield made
    if hasattr(made, "server"):
        made.server.kill()
        for pid in made.workers:
            wait_until(lambda pid=pid: not is_running(pid))  # type: ignore[misc]


def test_all_workers_answer_on_one_port_and_their_figures_are_added(tracker: Tracker) -> None:
    tracker.start()
    for _ in range(30):
        assert tracker.click() == 302
    wait_until(lambda: tracker.count("tracker.clicks") == 30)
    text = tracker.ask("/metrics")[1]
    assert "\nmsys_track_tracker_clicks_total 30\n" in text
    assert "\nmsys_track_workers 2\n" in text
    assert "msys_track_messages" not in text
    assert "stage_seconds" not in text
    assert (tracker.folder / "events.sqlite.d").stat().st_mode & 0o777 == 0o700
    assert tracker.ask("/healthz") == (200, "ok\n")
    assert tracker.ask("/readyz") == (200, "ok\n")
    ended = tracker.server.stop()
    assert ended.code == 0
    closed = [each for each in ended.logged if each["event"] == "tracker.closed"]
    assert [sum(each["clicks"] for each in closed), len(closed)] == [30, 2]
    assert all(each["clicks"] for each in closed)  # the kernel has spread them


def test_a_worker_that_is_killed_is_replaced(tracker: Tracker) -> None:
    tracker.start()
    os.kill(tracker.workers[0], signal.SIGKILL)
    tracker.server.event("worker.ready", 3)
    for _ in range(10):
        assert tracker.click() == 302


@pytest.mark.parametrize("connections", ["of a click each", "kept"])
def test_no_reader_is_refused_while_the_program_is_replaced(
    tracker: Tracker, connections: str
) -> None:
    tracker.start()
    pid = tracker.server.process.pid
    with Readers(tracker, keeps=connections == "kept") as readers:
        tracker.server.process.send_signal(signal.SIGUSR2)
        tracker.server.event("worker.stopped", 2)
        readers.run_on()
    assert readers.failures == []
    assert tracker.server.process.pid == pid
    assert tracker.server.stop().code == 0


def test_no_reader_is_refused_while_other_workers_take_over(tracker: Tracker) -> None:
    tracker.start()
    with Readers(tracker, keeps=True) as readers:
        tracker.configure(workers=3, more='server_name = "other"\n')
        tracker.server.hang_up()
        assert tracker.server.event("configuration.reloaded")["workers"] == "replaced"
        tracker.server.event("worker.stopped", 2)
        readers.run_on()
    assert readers.failures == []


def test_a_new_key_opens_links_and_a_new_certificate_is_shown_by_the_workers_that_there_are(
    tracker: Tracker,
) -> None:
    made = make_certificate(tracker.folder)
    (port,) = find_free_ports(1)
    tracker.configure(
        more=f'listen_tls = ["127.0.0.1:{port}"]\ntls_certificate = "server.crt"\n'
        'tls_key = "server.key"\n'
    )
    tracker.start()
    key_file.rotate(tracker.folder / "keys.toml")
    renewed = make_certificate(tracker.folder)
    assert tracker.click(tracker.make_path()) == 404
    tracker.server.hang_up()
    assert tracker.server.event("configuration.reloaded")["workers"] == "kept"
    assert tracker.click(tracker.make_path()) == 302
    for _ in range(6):  # of both workers
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as raw,
            renewed.trust().wrap_socket(raw, server_hostname="localhost"),
        ):
            pass
    assert made.certificate == renewed.certificate


def test_a_fault_in_the_file_changes_nothing(tracker: Tracker) -> None:
    tracker.start()
    tracker.configure(more="workers = 1\n")
    tracker.server.hang_up()
    tracker.server.event("configuration.not_reloaded")
    assert tracker.click() == 302


@pytest.mark.skipif("coverage" in sys.modules, reason="coverage delays the end")
def test_stopping_takes_no_longer_than_it_may_though_requests_and_the_store_hang(
    tracker: Tracker,
) -> None:
    tracker.configure(more="close_timeout_seconds = 2\nrequest_timeout_seconds = 100\n")
    tracker.start()
    with socket.create_connection(("127.0.0.1", tracker.port)) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\n")
        time.sleep(0.1)
        began = time.monotonic()
        ended = tracker.server.stop()
        assert time.monotonic() - began < 2
    assert ended.code == 0
    closed = [each for each in ended.logged if each["event"] == "tracker.closed"]
    assert sum(each["cut_off"] for each in closed) == 1


def test_more_idle_connections_than_files_keep_no_reader_out(tracker: Tracker) -> None:
    tracker.configure(workers=1)
    tracker.start(command=(*LIMITED, "164", COMMAND))
    hint = tracker.server.event("files.too_few")["hint"]
    assert "164 open files" in hint
    assert "max_connections" in hint
    held = [socket.create_connection(("127.0.0.1", tracker.port)) for _ in range(300)]
    for _ in range(5):
        assert tracker.click() == 302
    crowded = tracker.server.event("tracker.crowded")
    assert crowded["connections"] <= 100
    for each in held:
        each.close()


def test_the_limit_of_open_files_is_raised_so_that_1010_idle_connections_are_no_trouble(
    tracker: Tracker,
) -> None:
    tracker.configure(workers=1, more="max_connections_per_address = 4096\n")
    tracker.start(command=("/bin/sh", "-c", 'ulimit -Sn 1024; exec "$0" "$@"', COMMAND))
    held = [socket.create_connection(("127.0.0.1", tracker.port)) for _ in range(1_010)]
    for _ in range(20):
        assert tracker.click() == 302
    for each in held:
        each.close()
    ended = tracker.server.stop()
    [closed] = [each for each in ended.logged if each["event"] == "tracker.closed"]
    assert (closed["refused_connections"], closed["displaced_connections"]) == (0, 0)


def test_config_check_warns_of_a_limit_that_can_not_hold_all_readers(tracker: Tracker) -> None:
    tracker.configure(workers=2)
    enough = run(tracker.folder, "config", "check", command=(*LIMITED, "2112", COMMAND))
    assert (enough.code, enough.errors) == (0, "")
    less = run(tracker.folder, "config", "check", command=(*LIMITED, "2111", COMMAND))
    assert less.code == 0
    assert less.errors == (
        "warning: msys-track.toml: a process may have 2111 open files here, but each worker of "
        "the tracker may need 2112: 2048 for clients (max_connections) and 64 others; raise the "
        "limit (ulimit -n, LimitNOFILE=) or lower max_connections\n"
    )


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("proxy_protocol = true\n", "tracker.proxy_protocol: nobody is believed"),
        ('listen_tls = ["127.0.0.1:0"]\n', "tracker.listen_tls: needs a certificate"),
        (
            'listen_tls = ["127.0.0.1:0"]\ntls_certificate = "no.crt"\n',
            "tracker.tls_certificate: ",
        ),
    ],
)
def test_what_does_not_go_together_is_told_with_its_line(
    tracker: Tracker, more: str, told: str
) -> None:
    tracker.configure(more=more)
    for arguments in (("tracker",), ("config", "check")):
        ended = run(tracker.folder, *arguments)
        assert ended.code == 2
        assert told in ended.errors
        assert "msys-track.toml:" in ended.errors


# Events


def count_clicks(tracker: Tracker) -> int:
    """Count the stored clicks; none may be there twice."""
    ids = Counter(each["event_id"] for each in tracker.events() if each["type"] == "click")
    assert set(ids.values()) <= {1}
    return len(ids)


def test_clicks_of_all_workers_are_in_the_store_when_the_tracker_has_stopped(
    tracker: Tracker,
) -> None:
    tracker.start()
    assert tracker.click() == 302
    wait_until(lambda: tracker.count("sinks.delivered.store") == 1)
    for _ in range(30):
        assert tracker.click() == 302
    assert tracker.server.stop().code == 0
    assert count_clicks(tracker) == 31


def test_clicks_of_a_tracker_that_is_stopped_at_once_are_in_the_store(tracker: Tracker) -> None:
    tracker.start()
    for _ in range(30):
        assert tracker.click() == 302
    assert tracker.server.stop().code == 0
    assert count_clicks(tracker) == 30


def test_figures_say_how_far_the_log_and_each_sink_are(tracker: Tracker) -> None:
    tracker.start()
    for _ in range(30):
        tracker.click()
    wait_until(lambda: tracker.count("sinks.delivered.store") >= 30)
    wait_until(lambda: tracker.count("hits.written") == 30)
    wait_until(lambda: tracker.gauge("sinks.lag_events.store") == 0)
    text = tracker.ask("/metrics")[1]
    assert "\nmsys_track_hits_written_total 30\n" in text
    assert "\nmsys_track_hits_dropped_total 0\n" in text
    assert "\nmsys_track_hits_waiting 0\n" in text
    assert "\nmsys_track_recorders 1\n" in text
    assert '\nmsys_track_sinks_lag_events{sink="store"} 0\n' in text
    assert "Not described." not in text


def test_a_recorder_that_is_killed_costs_no_event_and_makes_none_twice(tracker: Tracker) -> None:
    tracker.start()
    with Readers(tracker, keeps=True) as readers:
        for number in range(1, 3):
            tracker.server.event("recorder.ready", number)
            os.kill(tracker.recorders[-1], signal.SIGKILL)
            readers.run_on(50)
        tracker.server.event("recorder.ready", 3)
    assert readers.failures == []
    wait_until(lambda: tracker.count("hits.written") == readers.answered)
    for name in ("recorder.lag_events", "sinks.lag_events.store"):
        wait_until(lambda name=name: tracker.gauge(name) == 0)  # type: ignore[misc]
    assert tracker.server.stop().code == 0
    assert count_clicks(tracker) == readers.answered


def test_after_a_kill_of_everything_the_next_start_records_what_was_logged(
    tracker: Tracker,
) -> None:
    tracker.start()
    with Readers(tracker, keeps=True) as readers:
        readers.run_on(200)
    time.sleep(0.5)  # far longer than an event waits for the disk
    pids = [tracker.server.process.pid, *tracker.workers, *tracker.recorders]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    tracker.server.kill()
    tracker.start()
    assert tracker.server.stop().code == 0
    assert count_clicks(tracker) == readers.answered


@pytest.mark.skipif("coverage" in sys.modules, reason="coverage delays the end")
def test_a_store_that_is_locked_delays_no_reader_and_no_end_and_has_all_later(
    tracker: Tracker,
) -> None:
    tracker.configure(more="close_timeout_seconds = 4\n")
    tracker.start()
    assert tracker.click() == 302
    wait_until(lambda: tracker.count("sinks.delivered.store") == 1)
    other = sqlite3.connect(tracker.folder / "events.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    for _ in range(20):
        assert tracker.click() == 302
    began = time.monotonic()
    ended = tracker.server.stop()
    assert time.monotonic() - began < 4
    assert ended.code == 0
    (behind,) = [each for each in ended.logged if each["event"] == "sink.behind"]
    assert behind["events"] == 20
    other.execute("ROLLBACK")
    other.close()
    tracker.start()
    wait_until(lambda: count_clicks(tracker) == 21)


def test_a_second_tracker_of_the_same_folder_leaves_recording_to_the_first_and_takes_over(
    tracker: Tracker,
) -> None:
    tracker.start()
    (other_port,) = find_free_ports(1)
    first, first_port = tracker.server, tracker.port
    text = (tracker.folder / "msys-track.toml").read_text(encoding="utf-8")
    (tracker.folder / "other.toml").write_text(
        text.replace(str(first_port), str(other_port)).partition("[metrics]")[0]
        + text[text.index("[tracker]") :].replace(str(first_port), str(other_port)),
        encoding="utf-8",
    )
    second = Server(tracker.folder, "--config", "other.toml", "tracker")
    try:
        second.event("recorder.ready")
        tracker.port = other_port
        for _ in range(5):
            assert tracker.click() == 302
        wait_until(lambda: count_clicks(tracker) == 5)
        assert first.stop().code == 0
        for _ in range(5):
            assert tracker.click() == 302
        wait_until(lambda: count_clicks(tracker) == 10)
        assert second.stop().code == 0
    finally:
        second.kill()


def test_a_tenant_s_links_are_opened_by_its_own_keys(tracker: Tracker) -> None:
    key_file.create(tracker.folder / "tenant.toml")
    tracker.configure(more='[tenant."tenant.example.com"]\nkeys = "tenant.toml"\n')
    tracker.start()
    question = "/.well-known/msys-track/host?domain="
    assert tracker.click(f"{question}tenant.example.com") == 200
    assert tracker.click(f"{question}stranger.example.com") == 404
    assert tracker.click() == 302
    assert tracker.click(host="tenant.example.com") == 404
