"""`msys-track events`: list, follow, count, export, import and erase, beside a running tracker."""

import asyncio
import csv
import fcntl
import gzip
import io
import json
import os
import pty
import re
import signal
import sqlite3
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import IO

import pytest
from click.testing import CliRunner
from tests.processes import COMMAND, Run, environment, shell
from tests.sinks.store.events import AT, batch, event_id, line

from msys_track.cli import main
from msys_track.event_fields import NO_MESSAGE_ID
from msys_track.eventlog.writer import LogWriter
from msys_track.keys.file import create
from msys_track.sinks.dead_letters import DeadLetters
from msys_track.sinks.store.sink import SqliteSink

DAY = 86_400
OWN = {"target_link_position": {"part": "html", "number": 3}}
LINES = tuple(
    line(
        "click" if number % 2 else "open",
        at=AT + number,
        class_=("human", "scanner", "proxy")[number % 3],
        message_id=f"{number:020x}",
        campaign_id=f"Sale {number % 4}",
        rcpt_to=f"reader{number % 10}@b.test",
        raw_rcpt_to=f"Reader{number % 10}@b.test",
        rcpt_meta={"name": "Jö\n\u2028"},
        own=OWN,
    )
    for number in range(1_200)
)


def fill(store: Path, *lines: bytes) -> None:
    async def write() -> None:
        async with SqliteSink(store) as sink:
            await sink.write(batch(*lines))

    asyncio.run(write())


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with more events than are read at a time."""
    file = tmp_path / "events.sqlite"
    fill(file, *LINES)
    return file


def chosen(**fields: object) -> list[bytes]:
    """The lines that have these fields."""
    found = []
    for each in LINES:
        ((_, known),) = json.loads(each)["msys"].items()
        known["class"] = known["x_msys_track"]["class"]
        if fields.items() <= known.items():
            found.append(each)
    return found


def rows(run: Run, *arguments: str | Path) -> list[bytes]:
    ended = run("events", *arguments)
    assert (ended.code, ended.errors) == (0, "")
    return ended.output.split(b"\n")[:-1]


@pytest.mark.parametrize("command", [(), ("list",)])
def test_each_event_is_one_line_in_the_order_it_came(
    run: Run, store: Path, command: tuple[str, ...]
) -> None:
    assert rows(run, "--store", store, *command) == list(LINES)
    assert rows(run, *(command or ["list"]), "--store", store) == list(LINES)


def test_the_environment_or_the_configuration_names_the_store(
    run: Run, store: Path, config: Path
) -> None:
    assert run("events", env={"MSYS_TRACK_STORE": store.name}).output.count(b"\n") == 1_200
    assert len(rows(run)) == 1_200
    assert len(rows(run, "--config", config, "list")) == 1_200
    config.unlink()
    ended = run("events", "stats")
    assert ended.code == 2
    assert ended.errors == (
        "msys-track: no msys-track.toml here; name one with --config, or a store with --store\n"
    )


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        (["--campaign", "Sale 1"], {"campaign_id": "Sale 1"}),
        (["--recipient", "READER7@b.test"], {"rcpt_to": "reader7@b.test"}),
        (["--message", f"{77:020x}"], {"message_id": f"{77:020x}"}),
        (["--type", "click", "--class", "human"], {"type": "click", "class": "human"}),
        (
            ["--recipient", "reader1@b.test", "--campaign", "Sale 1", "--class", "scanner"],
            {"rcpt_to": "reader1@b.test", "campaign_id": "Sale 1", "class": "scanner"},
        ),
        (["--campaign", "none"], {"campaign_id": "none"}),
    ],
)
def test_filters_choose_events(
    run: Run, store: Path, options: list[str], fields: dict[str, object]
) -> None:
    assert rows(run, "list", "--store", store, *options) == chosen(**fields)


def test_times_choose_events(run: Run, store: Path) -> None:
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(AT + 100))
    until = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(AT + 103))
    found = rows(run, "list", "--store", store, "--since", since, "--until", until)
    assert found == list(LINES[100:103])
    fill(store, line(at=int(time.time()) - 60))
    assert len(rows(run, "list", "--store", store, "--since", "2h")) == 1
    wrong = run("events", "list", "--store", store, "--since", "yesterday")
    assert wrong.code == 2
    assert "'yesterday' is no time; give one such as 2026-11-28, 2026-11-28T21:00 or 2h" in (
        wrong.errors
    )


def test_two_readers_and_a_writer_use_one_store_together(run: Run, store: Path) -> None:
    async def write_while_they_read() -> list[int]:
        async with SqliteSink(store) as sink:
            readers = [asyncio.to_thread(run, "events", "--store", store) for _ in range(2)]
            tasks = [asyncio.create_task(reader) for reader in readers]
            while not all(task.done() for task in tasks):
                await sink.write(batch(line()))
                await asyncio.sleep(0.01)
            return [task.result().output.count(b"\n") for task in tasks]

    assert all(count >= 1_200 for count in asyncio.run(write_while_they_read()))
    assert len(rows(run, "--store", store)) > 1_200


def test_a_row_that_is_no_event_is_printed_as_it_stands(run: Run, store: Path) -> None:
    with closing(sqlite3.connect(store, isolation_level=None)) as connection:
        connection.execute("UPDATE events SET event = 'not JSON' WHERE sequence = 2")
    assert rows(run, "--store", store)[1:3] == [b"not JSON", LINES[2]]


def test_a_reader_that_has_seen_enough_is_no_fault_of_the_store(
    tmp_path: Path, store: Path
) -> None:
    ended = shell(tmp_path, f"msys-track events --store {store} | head -n 1")
    assert (ended.code, ended.output.count(b"\n")) == (0, 1)
    assert ended.errors in (
        "",
        "msys-track: standard output was closed before everything was written\n",
    )


@pytest.mark.parametrize(
    ("command", "content", "wording"),
    [
        ((), None, "no such event store; the tracker makes it when it starts"),
        ((), b"", "another program's database; give the event store another place"),
        (("stats",), b"no database at all " * 100, "not an SQLite file"),
        (("export",), b"SQLite format 3\0" + b"\xff" * 1_000, ""),
    ],
)
def test_what_is_no_store_is_told(
    run: Run, tmp_path: Path, command: tuple[str, ...], content: bytes | None, wording: str
) -> None:
    file = tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    ended = run("events", *command, "--store", file)
    assert (ended.code, ended.output) == (1, b"")
    assert ended.errors.startswith(f"msys-track: {file}: ")
    assert wording in ended.errors
    assert ended.errors.count("\n") == 1


def test_a_missing_folder_and_a_folder_are_told(run: Run, tmp_path: Path) -> None:
    ended = run("events", "--store", tmp_path / "no" / "events.sqlite")
    assert (ended.code, ended.output) == (1, b"")
    assert "no such event store" in ended.errors
    ended = run("events", "--store", tmp_path)
    assert (ended.code, ended.output) == (2, b"")
    assert "is a directory" in ended.errors


def test_tail_prints_the_newest(run: Run, store: Path) -> None:
    assert rows(run, "tail", "--store", store) == list(LINES[-10:])
    assert rows(run, "tail", "-n", "2", "--store", store) == list(LINES[-2:])
    assert rows(run, "tail", "-n", "1", "--store", store, "--type", "open") == [LINES[-2]]


@pytest.fixture
def following(tmp_path: Path, store: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(  # noqa: S603 - our own command
        [COMMAND, "events", "tail", "-n", "1", "-f", "--store", store, "--type", "click"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    yield process
    process.kill()
    process.communicate()


def read_line(output: IO[bytes] | None) -> bytes:
    assert output is not None
    return output.readline().rstrip(b"\n")


def test_tail_follows_what_comes_even_into_a_new_store(
    store: Path, following: subprocess.Popen[bytes]
) -> None:
    assert read_line(following.stdout) == LINES[-1]
    more, others = line(message_id="a"), line("open")
    fill(store, others, more)
    assert read_line(following.stdout) == more
    for file in store.parent.glob("events.sqlite*"):
        file.unlink()
    again = line(message_id="b")
    fill(store, again)
    assert read_line(following.stdout) == again
    following.send_signal(signal.SIGINT)
    assert following.wait(60) == 0
    assert following.stderr is not None
    assert following.stderr.read() == b""


def test_stats_tell_people_from_machines_and_total_from_unique(run: Run, tmp_path: Path) -> None:
    store = tmp_path / "events.sqlite"
    sent = [line("injection", class_=None, message_id=str(number)) for number in range(5)]
    fill(
        store,
        *sent,
        line("policy_rejection", class_=None, message_id="x"),
        line("initial_open", class_="prefetch", message_id="1"),
        line("open", class_="prefetch", message_id="1"),
        line("open", class_="human", message_id="1"),
        line("initial_open", class_="proxy", message_id="2"),
        line("click", class_="human", message_id="2"),
        line("click", class_="human", message_id="2"),
        line("click", class_="scanner", message_id="3"),
        line("click", class_=None, message_id="3"),
        line("link_unsubscribe", class_="human", message_id="2", at=AT + DAY),
        line("click", campaign_id=None, message_id="9"),
    )
    first, second = (json.loads(each) for each in rows(run, "stats", "--store", store))
    assert (first["campaign_id"], first["clicked"]["unique"]["people"]) == ("", 1)
    assert second == {
        "campaign_id": "Summer Sale",
        "sent": 5,
        "rejected": 1,
        "opened": {
            "total": {"all": 3, "people": 2, "machines": 1, "unknown": 0},
            "unique": {"all": 2, "people": 2, "machines": 1, "unknown": 0},
        },
        "clicked": {
            "total": {"all": 4, "people": 2, "machines": 1, "unknown": 1},
            "unique": {"all": 2, "people": 1, "machines": 1, "unknown": 1},
        },
        "unsubscribed": {
            "total": {"all": 1, "people": 1, "machines": 0, "unknown": 0},
            "unique": {"all": 1, "people": 1, "machines": 0, "unknown": 0},
        },
    }
    (only,) = rows(run, "stats", "--store", store, "--campaign", "Summer Sale")
    assert json.loads(only) == second
    by_day = [json.loads(each) for each in rows(run, "stats", "--store", store, "--by", "day")]
    assert [(each["day"], each["sent"]) for each in by_day] == [
        ("2023-11-14", 5),
        ("2023-11-15", 0),
    ]
    (late,) = rows(run, "stats", "--store", store, "--since", "2023-11-15T01:00", "--by", "hour")
    assert json.loads(late)["hour"] == "2023-11-15T22:00Z"


def test_an_export_is_whole_in_every_format(run: Run, tmp_path: Path, store: Path) -> None:
    odd = line(
        user_agent="=HYPERLINK(1)", rcpt_meta={"a": 'b,"c'}, node_name="n", campaign_id=None
    )
    fill(store, odd)
    assert rows(run, "export", "--store", store) == [*LINES, odd]
    assert rows(run, "export", "--store", store, "-o", "out.ndjson") == []
    assert (tmp_path / "out.ndjson").read_bytes() == b"".join(
        b"%b\n" % each for each in [*LINES, odd]
    )
    ended = run("events", "export", "--store", store, "--format", "csv")
    table = list(csv.DictReader(io.StringIO(ended.output.decode(), newline="")))
    assert len(table) == 1_201
    assert table[0]["sequence"] == "1"
    assert table[0]["timestamp"] == "2023-11-14T22:13:20Z"
    assert table[0]["class"] == "human"
    assert table[0]["rcpt_meta"] == '{"name":"Jö\\n\u2028"}'
    assert json.loads(table[0]["x_msys_track"]) == {"class": "human", **OWN}
    last = table[-1]
    assert (last["user_agent"], last["other"]) == ("'=HYPERLINK(1)", '{"node_name":"n"}')
    assert last["event_id"] == event_id(odd)


@pytest.mark.usefixtures("store")
def test_parquet_has_the_same_columns(run: Run, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    assert (
        rows(run, "export", "--store", "events.sqlite", "--format", "parquet", "-o", "a.parquet")
        == []
    )
    table = parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert len(table) == 1_200
    assert (table[1]["sequence"], table[1]["rcpt_to"], table[1]["other"]) == (
        2,
        "reader1@b.test",
        None,
    )
    refused = run("events", "export", "--store", "events.sqlite", "--format", "parquet")
    assert refused.code == 2
    assert "give --output" in refused.errors


def test_events_of_files_and_of_an_old_store_are_added_once(run: Run, tmp_path: Path) -> None:
    old = tmp_path / "old.sqlite"
    with closing(sqlite3.connect(old, isolation_level=None)) as connection:
        connection.executescript(
            "CREATE TABLE events (sequence INTEGER PRIMARY KEY, event_id TEXT UNIQUE,"
            " event TEXT NOT NULL); PRAGMA application_id = 1836284275; PRAGMA user_version = 1"
        )
        connection.executemany(
            "INSERT INTO events (event_id, event) VALUES (?, ?)",
            [(event_id(each), each.decode()) for each in LINES],
        )
    refused = run("events", "--store", old)
    assert (
        f"{old}: schema version 1, this msys-track knows 3; move it away, and add its events to a "
        'new store with "msys-track events import"'
    ) in refused.errors
    (tmp_path / "a.ndjson.gz").write_bytes(gzip.compress(line(message_id="a") + b"\n"))
    (tmp_path / "b.ndjson").write_bytes(line(message_id="b"))
    files = ("old.sqlite", "a.ndjson.gz", "b.ndjson")
    ended = run("events", "import", *files, "--store", tmp_path / "new.sqlite")
    assert (ended.code, ended.errors) == (0, "added: 1202\n")
    ended = run("events", "import", *files, "--store", tmp_path / "new.sqlite")
    assert (ended.code, ended.errors) == (0, "added: 0\n")
    assert rows(run, "--store", tmp_path / "new.sqlite")[:1_200] == list(LINES)


@pytest.mark.usefixtures("store")
def test_erasing_reaches_every_place_of_this_machine(
    run: Run, tmp_path: Path, config: Path
) -> None:
    with config.open("a", encoding="utf-8") as file:
        file.write("""
[file.day]
path = "day.ndjson"
[file.out]
[webhook.shop]
url = "https://hooks.example.com/"
""")
    theirs = chosen(rcpt_to="reader3@b.test")
    others = [each for each in LINES if each not in theirs]
    text = b"".join(b"%b\n" % each for each in LINES)
    folder = tmp_path / "events.sqlite.d"
    with LogWriter(folder / "events", segment_bytes=1 << 18) as log:
        for start in range(0, 1_200, 100):
            log.append(LINES[start : start + 100])
    hits = [b'{"id":"1","recipient":"Reader3@B.test"}', b'{"id":"2","recipient":"a@b.test"}']
    with LogWriter(folder / "hits" / "0") as log:
        log.append(hits)
    letters = DeadLetters(folder, "webhook.shop")
    letters.append("a", LINES, first_sequence=1, attempts=1, status=None, error="e")
    (folder / "dead" / "hits.ndjson").write_bytes(hits[0] + b"\n" + hits[1] + b"\n")
    (tmp_path / "day.ndjson").write_bytes(text)
    (tmp_path / "day-20261127T000000Z.ndjson.gz").write_bytes(gzip.compress(text))
    ended = run("events", "erase", "--recipient", "READER3@b.test", "--json")
    assert (ended.code, ended.errors) == (0, "")
    said = json.loads(ended.output)
    assert said == {
        "erased": {
            "events.sqlite.d/hits/0": 1,
            "events.sqlite.d/events": 120,
            "events.sqlite.d/dead/hits.ndjson": 1,
            "events.sqlite.d/dead/webhook.shop.ndjson": 120,
            "events.sqlite": 120,
            "day.ndjson": 120,
            "day-20261127T000000Z.ndjson.gz": 120,
        },
        "not_reached": ["file.out (standard output)", "webhook.shop"],
    }
    assert rows(run) == others
    for path in filter(Path.is_file, tmp_path.rglob("*")):
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" else data
        assert b"reader3@" not in data.lower(), path
    kept = (tmp_path / "day.ndjson").read_bytes()
    assert len(kept) == len(text)
    assert [each for each in kept.splitlines() if each.strip() != b'{"msys":{}}'] == others


def at_a_terminal(folder: Path, *arguments: str | Path) -> str:
    """Run a command at a terminal of 100 columns; return what it shows."""
    own, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    process = subprocess.Popen(  # noqa: S603 - our own command
        [COMMAND, "events", *arguments],
        cwd=folder,
        env={**environment(), "NO_COLOR": "1", "LANG": "C.UTF-8"},
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    shown = b""
    # Where the other end is closed, Linux has an error.
    with suppress(OSError):
        while piece := os.read(own, 65_536):
            shown += piece
    os.close(own)
    assert process.wait(20) == 0, shown
    return re.sub(r"\x1b\[[0-9;]*m", "", shown.decode()).replace("\r\n", "\n")


def test_people_get_tables(tmp_path: Path) -> None:
    store = tmp_path / "events.sqlite"
    fill(store, line(campaign_id="Sale\x1b[2J[red]"), b"no JSON", line("injection", class_=None))
    assert at_a_terminal(tmp_path, "list", "--store", store) == (
        "2023-11-14 22:13:20  click            human     "
        "grün@b.test  Sale\ufffd[2J[red]  https://shop.test/\n"
        "no JSON\n"
        "2023-11-14 22:13:20  injection                  "
        "grün@b.test  Summer Sale  https://shop.test/\n"
    )
    shown = at_a_terminal(tmp_path, "stats", "--store", store)
    assert re.search(r"^Summer Sale +1( +0){7}$", shown, re.MULTILINE)
    assert json.loads(at_a_terminal(tmp_path, "tail", "-n1", "--json", "--store", store))


def test_copies_without_ids_are_counted_as_sent(tmp_path: Path, run: Run) -> None:
    store = tmp_path / "events.sqlite"
    nameless = [line("injection", class_=None, message_id=NO_MESSAGE_ID) for _ in range(3)]
    named = [line("injection", class_=None, message_id=f"{n:020x}") for n in range(1, 3)]
    fill(store, *nameless, *named)
    (only,) = rows(run, "stats", "--store", store)
    assert json.loads(only)["sent"] == 5


@pytest.mark.parametrize("name", ["mistyped.sqlite", "text.sqlite"])
def test_a_recipient_is_not_called_erased_where_there_is_no_store(
    tmp_path: Path, run: Run, name: str
) -> None:
    (tmp_path / "text.sqlite").write_bytes(b"no database at all " * 100)
    ended = run("events", "erase", "--recipient", "a@b.test", "--store", tmp_path / name)
    assert (ended.code, ended.output) == (1, b"")
    assert name in ended.errors


@pytest.mark.parametrize("recipient", ["", " "])
def test_an_empty_recipient_is_not_erased(run: Run, store: Path, recipient: str) -> None:
    ended = run("events", "erase", "--recipient", recipient, "--store", store)
    assert (ended.code, ended.output) == (2, b"")
    assert "an address is missing" in ended.errors


@pytest.mark.skipif("coverage" in sys.modules, reason="coverage writes a larger file")
def test_an_export_that_does_not_fit_names_its_file(tmp_path: Path, store: Path) -> None:
    line = f"ulimit -f 64; msys-track events export --store {store} -o out.ndjson"
    ended = shell(tmp_path, line)
    assert (ended.code, ended.errors) == (1, "msys-track: out.ndjson: File too large\n")
    assert not list(tmp_path.glob("out.ndjson*"))


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ('keys = "keys.toml"\n', "no [tracker] table: no store; name one with --store"),
        ("no such key = 7\n", "msys-track.toml:1: "),
    ],
)
def test_a_configuration_that_names_no_store_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, wrong: str
) -> None:
    create(tmp_path / "keys.toml")
    (tmp_path / "msys-track.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    ended = CliRunner().invoke(main, ["events", "list"])
    assert ended.exit_code == 2
    assert wrong in ended.stderr
