"""A first installation is made whole, or nothing of it is left behind."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from msys_track.errors import SettingsError, TrackingError
from msys_track.service.installation import Plan, install

PLAN = Plan(
    folder=Path(),
    tracking_domain="click.shop.test",
    has_https=True,
    upstream="127.0.0.1:25",
    proxy="127.0.0.1:2525",
    tracker="127.0.0.1:8080",
    report="127.0.0.1:8026",
    user="jo",
)


def test_what_was_asked_for_is_made(tmp_path: Path) -> None:
    made = install(replace(PLAN, folder=tmp_path / "new"))
    assert sorted(made.files) == sorted((tmp_path / "new").iterdir())


def test_a_fault_leaves_a_folder_that_was_there_as_it_was(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"tracking_domain: .*\nnothing was made"):
        install(replace(PLAN, folder=tmp_path, tracking_domain="no host"))
    assert list(tmp_path.iterdir()) == []


def test_a_user_that_can_not_be_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match="name"):
        install(replace(PLAN, folder=tmp_path / "new", user="a\nb"))
    assert not (tmp_path / "new").exists()


def test_a_folder_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="can't be made: Not a directory; name another folder"):
        install(replace(PLAN, folder=tmp_path / "file" / "new"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(TrackingError, match="Permission denied"):
        install(replace(PLAN, folder=tmp_path))
    tmp_path.chmod(0o700)
