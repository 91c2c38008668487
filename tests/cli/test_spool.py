"""`msys-track spool`: the owner's look at what waits."""

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.spool.conftest import DOWN, MESSAGE, FakeUpstream, delivery
from tests.waiting import until

from msys_track.cli import main
from msys_track.metrics import Counters
from msys_track.relay.transaction import Delivery
from msys_track.spool.settings import SpoolSettings
from msys_track.spool.spool import Spool

COPIES = (delivery("jo@example.com", "al@example.com"), delivery("gr\u00fcn@example.com"))


def keep(folder: Path, deliveries: Sequence[Delivery] = COPIES) -> str:
    """Keep a mail as a proxy does, and end."""

    async def keep_one() -> str:
        upstream = FakeUpstream(down=DOWN)
        spool = Spool(SpoolSettings(path=folder), upstream, Counters(), hostname="proxy.test")
        await spool.start()
        try:
            return await spool.keep(("RET=HDRS",), deliveries, envelope_id="e1", why="451 4.4.1 x")
        finally:
            await spool.close()

    return asyncio.run(keep_one())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def spool(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["spool", *arguments, "--spool", str(folder)])


def list_json(folder: Path) -> list[dict[str, Any]]:
    result = spool(folder, "list", "--json")
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_list_prints_a_line_for_each_copy(folder: Path) -> None:
    mail = keep(folder)
    lines = spool(folder, "list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == [f"{mail}.1", f"{mail}.2"]
    assert lines[0].endswith("<from@example.com> to <jo@example.com> and 1 more")
    assert "due in " in lines[0]


def test_as_json_each_copy_is_an_object_on_a_line_of_its_own(folder: Path) -> None:
    mail = keep(folder)
    first, second = list_json(folder)
    assert first["id"] == f"{mail}.1"
    assert first["mail_parameters"] == ["RET=HDRS"]
    assert first["answer"] == "451 4.4.1 x"
    assert second["recipients"] == [{"path": "gr\u00fcn@example.com", "parameters": []}]


def test_show_prints_a_mail_or_one_copy_of_it(folder: Path) -> None:
    mail = keep(folder)
    shown = spool(folder, "show", mail).stdout
    assert shown.count("sender: from@example.com") == 2
    one = spool(folder, "show", f"{mail.lower()}.2").stdout
    assert f"id: {mail}.2" in one
    assert "jo@example.com" not in one


def test_show_prints_json_of_each_copy(folder: Path) -> None:
    mail = keep(folder)
    shown = [
        json.loads(line) for line in spool(folder, "show", mail, "--json").stdout.splitlines()
    ]
    assert [each["id"] for each in shown] == [f"{mail}.1", f"{mail}.2"]
    assert [each.keys() for each in shown] == [each.keys() for each in list_json(folder)]


def test_a_copy_that_was_given_up_is_said_to_be_reported(folder: Path) -> None:
    mail = keep(folder)
    with closing(
        sqlite3.connect(folder / "queue" / "queue.sqlite", isolation_level=None)
    ) as connection:
        # As it stands in the spool until the report to its sender does.
        connection.execute("UPDATE copies SET state = 'failed' WHERE number = 1")
    assert list_json(folder)[0]["state"] == "to be reported"
    assert "state: to be reported" in spool(folder, "show", f"{mail}.1").stdout


def test_show_writes_the_message_byte_for_byte(folder: Path) -> None:
    mail = keep(folder)
    assert spool(folder, "show", mail, "--message").stdout_bytes == MESSAGE


def test_retry_makes_copies_due_now(folder: Path) -> None:
    mail = keep(folder)
    keep(folder)
    result = spool(folder, "retry", f"{mail}.1")
    assert (result.exit_code, result.stderr) == (0, "due now: 1\n")
    assert [each["state"] == "due" for each in list_json(folder)] == [True, False, False, False]
    assert spool(folder, "retry", "--all").stderr == "due now: 4\n"
    assert {each["state"] for each in list_json(folder)} == {"due"}


def test_retry_wants_to_know_what(folder: Path) -> None:
    keep(folder)
    assert spool(folder, "retry").exit_code == 2
    assert spool(folder, "retry", "A", "--all").exit_code == 2


def test_remove_takes_a_copy_out_for_good(folder: Path) -> None:
    mail = keep(folder)
    assert spool(folder, "remove", f"{mail}.1").stderr == "removed: 1\n"
    assert [each["id"] for each in list_json(folder)] == [f"{mail}.2"]
    assert spool(folder, "remove", mail).stderr == "removed: 1\n"
    assert list_json(folder) == []


async def remove_while_it_is_sent(folder: Path) -> Result:
    upstream = FakeUpstream(opened=asyncio.Event())
    worker = Spool(
        SpoolSettings(path=folder), upstream, Counters(), hostname="proxy.test", poll_seconds=0.01
    )
    await worker.start()
    await until(lambda: upstream.tried)
    result = await asyncio.to_thread(spool, folder, "remove", list_json(folder)[0]["id"])
    assert upstream.opened is not None
    upstream.opened.set()
    await worker.close()
    return result


def test_a_copy_that_is_being_sent_is_not_removed(folder: Path) -> None:
    keep(folder, COPIES[:1])
    spool(folder, "retry", "--all")
    result = asyncio.run(remove_while_it_is_sent(folder))
    assert result.exit_code == 1
    assert "is being sent" in result.stderr
    assert list_json(folder) == []


@pytest.mark.parametrize("command", ["show", "retry", "remove"])
def test_a_name_that_is_not_there_is_named_and_nothing_is_changed(
    folder: Path, command: str
) -> None:
    mail = keep(folder)
    for name in ("NONE", f"{mail}.7", "' OR 1", f"{mail}.1.1"):
        result = spool(folder, command, name)
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"msys-track: {name}: no such mail or copy in the spool" in result.stderr
    assert len(list_json(folder)) == 2


def test_a_folder_without_a_spool_is_named_and_none_is_made(folder: Path) -> None:
    for arguments in (("list",), ("remove", "A"), ("retry", "--all")):
        result = spool(folder, *arguments)
        assert result.exit_code == 1
        assert "no such spool; the proxy makes it when it starts" in result.stderr
    assert not folder.exists()


def test_without_a_folder_the_configurations_is_meant(folder: Path, config: Path) -> None:
    mail = keep(folder)
    result = CliRunner().invoke(main, ["spool", "list", "--config", str(config)])
    assert mail in result.stdout
