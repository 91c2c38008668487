"""Private files: what can't be written stays as it was, and leaves no draft behind."""

from pathlib import Path

import pytest

from msys_track.errors import UsersError
from msys_track.private_files import change_private_file, read_private_file


def test_what_can_not_take_a_files_place_leaves_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "users.toml"
    path.mkdir()
    with pytest.raises(UsersError, match=r"users\.toml: can't be written: Is a directory"):
        change_private_file(path, lambda _: "new", UsersError)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_below_what_is_no_folder_can_not_be_read_or_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "users.toml"
    with pytest.raises(UsersError, match="can't be written: Not a directory"):
        change_private_file(path, lambda _: "new", UsersError)
    with pytest.raises(UsersError, match="can't be read: Not a directory"):
        read_private_file(path, UsersError, missing="it is missing")
