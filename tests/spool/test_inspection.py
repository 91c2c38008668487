"""What an owner sees in a spool while its mail goes out."""

from contextlib import closing
from pathlib import Path

import pytest
from tests.spool.conftest import MESSAGE, MakeSpool, delivery

from msys_track.errors import SpoolError
from msys_track.spool import inspection
from msys_track.spool.clock import Clock
from msys_track.spool.file import SpoolFile

pytestmark = pytest.mark.anyio


async def test_a_message_is_shown_until_it_has_been_sent(make_spool: MakeSpool) -> None:
    spool = await make_spool()
    mail = await spool.keep((), (delivery(),), envelope_id="e1", why="451 4.4.1 Down")
    folder = spool.settings.path
    (copy,) = inspection.list_copies(folder)
    assert copy.mail == mail
    assert inspection.read_message(folder, copy) == MESSAGE
    assert inspection.remove_copies(folder, [mail]) == 1
    with pytest.raises(SpoolError, match=rf"{copy.name}: is no longer in the spool"):
        inspection.read_message(folder, copy)


def test_a_system_that_names_no_start_has_a_clock_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("msys_track.spool.clock._BOOT_ID", tmp_path / "none")
    clock = Clock.of_machine()
    assert clock.boot_id == ""
    assert clock.uptime() > 0


def test_a_file_that_was_cut_off_is_moved_aside(tmp_path: Path) -> None:
    file = SpoolFile(tmp_path)
    with file.use() as connection:
        connection.execute("CREATE TABLE filler AS SELECT randomblob(100000)")
    file.close()
    size = file.path.stat().st_size
    with file.path.open("r+b") as opened:
        opened.truncate(size // 2)
    with file.use() as connection:
        assert connection.execute("SELECT copies FROM totals").fetchone() == (0,)
    file.close()
    assert len(list(tmp_path.glob("damaged-*"))) == 1


def test_a_file_that_is_moved_aside_before_it_is_written_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = SpoolFile(tmp_path)
    with file.use():
        pass
    lock = file._lock  # noqa: SLF001 - between opening and writing

    def lose_the_file(kind: int) -> object:
        monkeypatch.undo()
        file.path.parent.rename(tmp_path / "damaged-by-another")
        return lock(kind)

    monkeypatch.setattr(file, "_lock", lose_the_file)
    with pytest.raises(SpoolError, match="was moved while it was in use; try again"), file.use():
        pytest.fail("it can't be used")
    with closing(file), file.use() as connection:
        assert connection.execute("SELECT copies FROM totals").fetchone() == (0,)
