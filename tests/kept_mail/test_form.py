"""Kept mail: its files are private, named by nobody, bounded in number, and go with time."""

import json
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from msys_track.errors import SinkError
from msys_track.kept_mail.form import (
    MAX_SHAPES,
    KeptLink,
    KeptMail,
    is_kept,
    list_mails,
    name_shape,
    read_mail,
    remove_old,
    save_mail,
)

LINK = KeptLink(part="html", number=1, name="", target="https://shop.example/a/7")
MAIL = KeptMail(
    campaign="Spring \N{SNOWMAN}/../x",
    shape=name_shape((LINK,)),
    kept_at=1_700_000_000,
    subject="Hello",
    html='<a href="#msys-html-1">a</a>',
    text="",
    links=(LINK,),
)


def test_a_mail_is_read_as_it_was_kept(tmp_path: Path) -> None:
    save_mail(tmp_path, MAIL)
    assert read_mail(tmp_path, MAIL.campaign, MAIL.shape) == MAIL
    assert list_mails(tmp_path, MAIL.campaign) == [MAIL]
    assert list_mails(tmp_path, "another") == []
    assert is_kept(tmp_path, MAIL.campaign, MAIL.shape)


def test_only_the_owner_can_read_it_and_no_name_leads_out_of_the_folder(tmp_path: Path) -> None:
    save_mail(tmp_path, MAIL)
    (file,) = tmp_path.glob("**/*.json")
    assert file.parent.parent == tmp_path
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


@pytest.mark.parametrize("shape", ["", "../x", "/etc/passwd", "a" * 16 + "/", "A" * 16, "\0"])
def test_a_shape_that_no_mail_has_is_no_file(tmp_path: Path, shape: str) -> None:
    save_mail(tmp_path, MAIL)
    assert read_mail(tmp_path, MAIL.campaign, shape) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 2}', '{"version": 1, "x": 1}'])
def test_a_file_of_another_kind_is_passed_over(tmp_path: Path, content: str) -> None:
    save_mail(tmp_path, MAIL)
    (file,) = tmp_path.glob("**/*.json")
    file.write_text(content, encoding="utf-8")
    assert list_mails(tmp_path, MAIL.campaign) == []


def test_a_file_that_can_not_be_read_is_told(tmp_path: Path) -> None:
    save_mail(tmp_path, MAIL)
    (file,) = tmp_path.glob("*/*.json")
    file.unlink()
    file.mkdir()
    with pytest.raises(SinkError, match="can't be read: Is a directory"):
        read_mail(tmp_path, MAIL.campaign, MAIL.shape)


def test_a_folder_that_can_not_be_looked_through_is_told(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="can't be read: File name too long"):
        list_mails(tmp_path / ("x" * 300), MAIL.campaign)


def test_the_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    save_mail(tmp_path / "kept-mail", MAIL)
    assert (tmp_path / "kept-mail").stat().st_mode & 0o777 == 0o700


def test_a_shape_is_told_by_places_and_names_or_hosts_not_by_what_a_reader_alone_has() -> None:
    other_path = replace(LINK, target="https://shop.example/a/8")
    assert name_shape((LINK,)) == name_shape((other_path,))
    for other in (
        replace(LINK, number=2),
        replace(LINK, part="text"),
        replace(LINK, name="a"),
        replace(LINK, target="https://other.example/"),
    ):
        assert name_shape((LINK,)) != name_shape((other,))


def test_a_campaign_keeps_so_many_shapes(tmp_path: Path) -> None:
    for number in range(MAX_SHAPES):
        shape = f"{number:016x}"
        assert not is_kept(tmp_path, MAIL.campaign, shape)
        save_mail(tmp_path, replace(MAIL, shape=shape))
    assert is_kept(tmp_path, MAIL.campaign, "f" * 16)
    assert not is_kept(tmp_path, "another", "f" * 16)


def test_mail_that_was_kept_longer_is_removed_with_its_folder(tmp_path: Path) -> None:
    save_mail(tmp_path, MAIL)
    save_mail(tmp_path, replace(MAIL, campaign="new"))
    (old,) = (each for each in tmp_path.glob("*/*") if _campaign(each) != "new")
    old_time = time.time() - 91 * 86_400
    os.utime(old, (old_time, old_time))
    assert remove_old(tmp_path, 90) == 1
    assert remove_old(tmp_path, 90) == 0
    assert [_campaign(each) for each in tmp_path.glob("*/*")] == ["new"]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["keys.toml", "log/1.json", "a/b/c.json", f"{'a' * 32}/x.json"])
def test_what_was_not_kept_by_us_is_never_removed(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    os.utime(file, (0, 0))
    assert remove_old(tmp_path, 1) == 0
    assert file.exists()


def test_what_a_write_that_failed_has_left_is_removed_too(tmp_path: Path) -> None:
    save_mail(tmp_path, MAIL)
    (file,) = tmp_path.glob("*/*.json")
    part = file.rename(f"{file}.17.part")
    os.utime(part, (0, 0))
    assert remove_old(tmp_path, 1) == 1


def _campaign(file: Path) -> str:
    return str(json.loads(file.read_bytes())["campaign"])
