import asyncio
import socket
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from tests.captured_logs import capture_logs

from msys_track.demo.stage import HOST, Stage, open_stage
from msys_track.errors import SettingsError, SinkError
from msys_track.testing.fidelity import split_received
from msys_track.testing.sink import Arrival

pytestmark = pytest.mark.anyio


async def test_servers_and_files_are_gone_when_it_is_left() -> None:
    async with open_stage() as stage:
        ports = (stage.proxy.port, stage.tracker.port, stage.mailbox_port)
        folder = stage.store.parent
        assert folder.stat().st_mode & 0o077 == 0
        for port in ports:
            socket.create_connection(("127.0.0.1", port)).close()
    assert not folder.exists()
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


async def test_it_is_left_though_guests_stay(stage: Stage) -> None:
    async with open_stage() as other:
        guests = [
            socket.create_connection(("127.0.0.1", port))
            for port in (other.proxy.port, other.tracker.port, other.mailbox_port)
        ]
    for guest in guests:
        guest.close()
    assert stage.store.exists()


async def test_a_mail_that_was_answered_is_among_the_arrivals(stage: Stage) -> None:
    message = b".\r\n..dots\r\n\r\n" + b"x" * 5_000 + b"\r\n"
    answer = await stage.send("a@example.com", ["b@example.net"], message)
    assert answer.is_accepted
    (arrival,) = stage.arrivals()
    received, below = split_received(arrival.message)
    assert b"\tfor <b@example.net>;" in received
    assert replace(arrival, message=below) == Arrival(
        sender="a@example.com", recipients=("b@example.net",), message=message
    )
    assert stage.arrivals() == []


async def test_readers_on_this_machine_are_no_reason_to_warn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("msys_track.tracking.server._ENOUGH_REQUESTS", 1)
    monkeypatch.setattr("msys_track.tracking.server._LONGEST_SWEEP_SECONDS", 0.01)
    with capture_logs() as logs:
        async with open_stage() as stage:
            await stage.fetch([f"http://{HOST}:{stage.tracker.port}/"])
            await asyncio.sleep(0.1)
    assert [each for each in logs if each["log_level"] == "warning"] == []


async def test_an_event_is_new_once(stage: Stage) -> None:
    message = b"Content-Type: text/html\r\n\r\n<a href='http://a.example/'>a</a>\r\n"
    await stage.send("a@example.com", ["b@example.net"], message)
    (arrival,) = stage.arrivals()
    url = arrival.message.partition(b"href='")[2].partition(b"'")[0].decode()
    await stage.fetch([url])
    assert [event.target_link_url for event in await stage.new_events()] == ["http://a.example/"]
    assert await stage.new_events() == []


async def test_without_a_port_it_says_who_needs_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse_port(*_: object, **__: object) -> socket.socket:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("socket.create_server", refuse_port)
    with pytest.raises(SettingsError, match=r"^tracker: can't listen on "):
        async with open_stage():
            pass


async def test_without_a_folder_it_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(SettingsError, match=r"^demo: needs a folder for temporary files: No such"):
        async with open_stage():
            pass


async def test_a_store_that_can_t_be_filled_is_told_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise SinkError("events.sqlite: can't be opened: No space left on device")

    monkeypatch.setattr("msys_track.demo.stage.run_recorder", fail)
    with pytest.raises(SinkError, match="No space left on device"):
        async with open_stage():
            pass
