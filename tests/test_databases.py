"""SQLite files that others hold or make at the same moment, or that can't be where they should."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from msys_track import databases
from msys_track.databases import open_database
from msys_track.errors import SinkError
from msys_track.sinks.store.form import FORM

TABLES = "SELECT count(*) FROM sqlite_master WHERE name = 'events'"


def test_of_two_that_make_a_file_at_once_one_makes_its_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events.sqlite"

    def be_second(connection: sqlite3.Connection, timeout_seconds: float) -> None:
        monkeypatch.undo()
        open_database(path, FORM, 5).close()
        switch(connection, timeout_seconds)

    switch = databases._switch_to_wal  # noqa: SLF001 - the last step before the tables
    monkeypatch.setattr(databases, "_switch_to_wal", be_second)
    with closing(open_database(path, FORM, 5)) as connection:
        assert connection.execute(TABLES).fetchone() == (1,)


def test_a_new_file_that_another_program_has_locked_is_waited_for_and_told(tmp_path: Path) -> None:
    path = tmp_path / "events.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SinkError, match="locked by another program; end it"):
            open_database(path, FORM, 0.03)
        other.execute("ROLLBACK")
        open_database(path, FORM, 0.03).close()


def test_a_place_that_can_not_even_be_looked_at_is_told(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="x: File name too long"):
        open_database(tmp_path / ("x" * 300) / "x", FORM, 0.03)
