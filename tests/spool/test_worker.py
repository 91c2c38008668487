"""Workers know of each other by locks, whatever is left in the folder."""

import fcntl
from pathlib import Path

import pytest

from msys_track.spool.worker import WorkerLock, is_alive, remove_dead


def test_a_worker_lives_until_its_lock_is_released(tmp_path: Path) -> None:
    lock = WorkerLock(tmp_path)
    remove_dead(tmp_path)
    assert is_alive(tmp_path, lock.name)
    lock.release()
    assert not is_alive(tmp_path, lock.name)
    assert list(tmp_path.iterdir()) == []


def test_the_file_of_a_worker_that_was_killed_is_no_sign_of_life(tmp_path: Path) -> None:
    (tmp_path / "worker-dead").touch()
    assert not is_alive(tmp_path, "dead")
    remove_dead(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_another_worker_has_just_removed_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "worker-gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "worker-killed").touch()
    remove_dead(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["worker-gone"]


def test_a_lock_that_was_taken_for_a_dead_ones_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock

    def be_too_late(descriptor: int, kind: int) -> None:
        monkeypatch.undo()
        remove_dead(tmp_path)  # as another worker, between making the file and locking it
        flock(descriptor, kind)

    monkeypatch.setattr(fcntl, "flock", be_too_late)
    lock = WorkerLock(tmp_path)
    assert is_alive(tmp_path, lock.name)
    assert [each.name for each in tmp_path.iterdir()] == [f"worker-{lock.name}"]
    lock.release()
