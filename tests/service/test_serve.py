"""All servers by one command: they start in order, don't harm each other, and stop together."""

import asyncio
import os
import signal
import smtplib
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.captured_logs import capture_logs
from tests.ports import find_free_ports
from tests.process_tree import children
from tests.processes import PATIENCE_SECONDS, Server, run
from tests.service.running_proxy import wait_until
from tests.service.running_tracker import Tracker
from tests.waiting import until

from msys_track.service import serve
from msys_track.service.serve import ServerProcess
from msys_track.testing.mailbox import MailServer


class Servers(Tracker):
    """A proxy and a tracker by `msys-track serve`."""

    def configure(self, workers: int = 1, more: str = "") -> None:
        self.proxy_port, self.upstream_port = find_free_ports(2)
        proxy = (
            f'[proxy]\nlisten = "127.0.0.1:{self.proxy_port}"\n'
            f'upstream = "127.0.0.1:{self.upstream_port}"\n'
            f"[events]\ninjection = true\n"
        )
        super().configure(workers, more + proxy)

    def start(self, **settings: object) -> "Servers":
        self.server = Server(self.folder, "serve", **settings)  # type: ignore[arg-type]
        self.server.listening(2)
        return self

    def greeting(self) -> int:
        with smtplib.SMTP(timeout=10) as client:
            code, _ = client.connect("127.0.0.1", self.proxy_port)
            return code


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    made = Servers(tmp_path)
    yield made
    if hasattr(made, "server"):
        made.server.kill()
        wait_until(lambda: not listens(made.port) and not listens(made.proxy_port))


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def supervisors(servers: Servers) -> dict[str, int]:
    """The process of each server's supervisor, by the server's name."""
    found: dict[str, int] = {}
    for pid in children(servers.server.process.pid):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
            if int(stat.rpartition(")")[2].split()[1]) == servers.server.process.pid:
                names = [each for each in (b"proxy", b"tracker") if each in arguments]
                found |= dict.fromkeys(map(bytes.decode, names), pid)
    return found


def test_the_tracker_answers_before_mail_is_taken_and_the_proxy_stops_first(
    servers: Servers,
) -> None:
    servers.start()
    assert [line.split()[0] for line in servers.server.printed] == ["tracker", "proxy"]
    assert (servers.click(), servers.greeting()) == (302, 220)
    ended = servers.server.stop()
    assert ended.code == 0
    closed = [each["event"] for each in ended.logged if each["event"].endswith(".closed")]
    assert closed == ["proxy.closed", "tracker.closed"]
    assert [event["type"] for event in servers.events()] == ["click"]


def test_a_server_that_dies_is_begun_again_and_the_other_goes_on(servers: Servers) -> None:
    servers.start()
    tracker = supervisors(servers)["tracker"]
    time.sleep(0.5)  # the process at the top has heard by now that both are ready
    os.kill(supervisors(servers)["proxy"], signal.SIGKILL)
    assert servers.server.event("server.died")["server"] == "proxy"
    assert servers.click() == 302
    servers.server.listening(3)
    assert servers.greeting() == 220
    assert supervisors(servers)["tracker"] == tracker
    assert servers.server.stop().code == 0


READY_FOR_A_MOMENT = f"""#!{sys.executable}
import os, socket
with open("starts", "a") as starts:
    starts.write("x")
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as top:
    top.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
"""


@pytest.mark.anyio
async def test_a_program_that_is_gone_for_a_moment_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    program = tmp_path / "program"
    program.write_text(READY_FOR_A_MOMENT, encoding="utf-8")
    program.chmod(0o700)
    starts = tmp_path / "starts"
    server = ServerProcess("proxy", [str(program)], tmp_path, os.open(os.devnull, os.O_RDONLY))
    running = asyncio.create_task(server.run())
    await asyncio.wait_for(server.is_up.wait(), 20)
    with capture_logs() as logs:
        gone = program.rename(tmp_path / "gone")
        async with asyncio.timeout(20):
            while not any(each["event"] == "server.no_process" for each in logs):
                assert not running.done()
                await asyncio.sleep(0.05)
        before = len(starts.read_bytes())
        gone.rename(program)
        async with asyncio.timeout(20):
            while len(starts.read_bytes()) == before:  # noqa: ASYNC110 - it is a file
                await asyncio.sleep(0.05)
    server.stop()
    await asyncio.wait_for(running, 20)


NOTES_HANGUPS = """
trap 'echo >> hangups' HUP
trap 'exit 0' TERM
echo > begun
while :; do sleep 0.02; done
"""


def make_server(folder: Path, script: str) -> ServerProcess:
    return ServerProcess("proxy", ["sh", "-c", script], folder, os.open(os.devnull, os.O_RDONLY))


def say_ready(folder: Path) -> None:
    """Say it in a server's place."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.sendto(b"READY=1", str(folder / "proxy"))


@pytest.mark.anyio
async def test_a_signal_waits_until_a_server_can_take_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    server = make_server(tmp_path, NOTES_HANGUPS)
    running = asyncio.create_task(server.run())
    await until((tmp_path / "begun").exists)
    for number in (signal.SIGHUP, signal.SIGHUP, signal.SIGHUP):
        server.pass_on(number)
    assert not (tmp_path / "hangups").exists()
    say_ready(tmp_path)
    await until((tmp_path / "hangups").exists)
    server.stop()
    await asyncio.wait_for(running, 20)
    assert (tmp_path / "hangups").read_text() == "\n"


@pytest.mark.anyio
async def test_a_server_that_ran_for_a_while_is_begun_again_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "_STABLE_SECONDS", 0.0)
    monkeypatch.setattr(serve, "_FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.chdir(tmp_path)
    server = make_server(tmp_path, "until [ -e goes ]; do sleep 0.01; done")
    running = asyncio.create_task(server.run())
    say_ready(tmp_path)
    await asyncio.wait_for(server.is_up.wait(), 20)
    with capture_logs() as logs:
        (tmp_path / "goes").touch()
        await until(lambda: len(logs) >= 3)
    assert {each["again_in_seconds"] for each in logs} == {0.01}
    server.stop()
    await asyncio.wait_for(running, 20)


@pytest.mark.anyio
async def test_a_server_that_is_stopped_while_it_is_made_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    server = make_server(tmp_path, "exec sleep 60")
    running = asyncio.create_task(server.run())
    await asyncio.sleep(0)
    server.stop()
    await asyncio.wait_for(running, 20)


IGNORES_ONE = f"""
trap '[ -e told ] && exit 0; echo > told' TERM
{sys.executable} -c 'import os, socket
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as top:
    top.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])'
echo > begun
while :; do sleep 0.02; done
"""


@pytest.mark.anyio
async def test_a_second_signal_to_stop_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["sh", "-c", IGNORES_ONE]
    serving = asyncio.create_task(serve.serve_all([("proxy", command)]))
    await until((tmp_path / "begun").exists)
    os.kill(os.getpid(), signal.SIGTERM)
    await until((tmp_path / "told").exists)
    assert not serving.done()
    os.kill(os.getpid(), signal.SIGTERM)
    try:
        assert await asyncio.wait_for(serving, 20) == 0
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR2):
            asyncio.get_running_loop().remove_signal_handler(number)


def test_it_stops_at_once_while_a_server_that_died_waits_to_be_begun_again(
    servers: Servers,
) -> None:
    servers.start()
    pauses = []
    for times in range(1, 5):  # pauses of 0.5, 1, 2 and 4 seconds
        servers.server.listening(1 + times)
        assert servers.click() == 302
        time.sleep(0.5)  # the process at the top has heard by now that it is ready
        os.kill(supervisors(servers)["proxy"], signal.SIGKILL)
        pauses.append(servers.server.event("server.died", times)["again_in_seconds"])
    assert pauses == [0.5, 1, 2, 4]
    began = time.monotonic()
    assert servers.server.stop().code == 0
    assert time.monotonic() - began < 3


def test_if_the_first_process_is_killed_all_of_them_stop(servers: Servers) -> None:
    servers.start()
    assert servers.click() == 302
    servers.server.process.kill()
    wait_until(lambda: not listens(servers.port) and not listens(servers.proxy_port))
    wait_until(lambda: [event["type"] for event in servers.events()] == ["click"])


def test_a_change_of_the_configuration_reaches_all(servers: Servers) -> None:
    servers.start()
    servers.server.hang_up()
    servers.server.event("configuration.reloaded", 2)
    assert (servers.click(), servers.greeting()) == (302, 220)


def test_the_programs_are_replaced_one_by_one(servers: Servers) -> None:
    servers.start()
    before = supervisors(servers)
    servers.server.process.send_signal(signal.SIGUSR2)
    servers.server.event("worker.ready", 4)
    assert (servers.click(), servers.greeting()) == (302, 220)
    assert supervisors(servers) == before
    assert servers.server.stop().code == 0


def test_an_occupied_port_ends_all_of_it_with_1(servers: Servers) -> None:
    with socket.create_server(("127.0.0.1", servers.proxy_port)):
        ended = run(servers.folder, "serve")
    assert ended.code == 1
    assert f"127.0.0.1:{servers.proxy_port}" in ended.errors
    assert ended.logged[-1]["event"] != "server.died"
    assert not listens(servers.port)


def test_a_server_that_is_killed_as_it_starts_ends_all_of_it_with_1(servers: Servers) -> None:
    servers.server = Server(servers.folder, "serve")
    process = servers.server.process
    wait_until(lambda: bool(children(process.pid)))
    for pid in children(process.pid):
        os.kill(pid, signal.SIGKILL)
    assert process.wait(PATIENCE_SECONDS) == 1
    assert servers.server.printed == []


def test_a_fault_of_the_configuration_is_told_once_before_anything_starts(
    servers: Servers,
) -> None:
    file = servers.folder / "msys-track.toml"
    file.write_text(file.read_text(encoding="utf-8") + "[spool]\nfoldre = 1\n", encoding="utf-8")
    ended = run(servers.folder, "serve")
    assert (ended.code, ended.output, len(ended.errors.splitlines())) == (2, b"", 1)


def test_without_a_configuration_it_says_how_to_begin(tmp_path: Path) -> None:
    ended = run(tmp_path, "serve")
    hint = "there is no such file; `msys-track init` makes a folder with one"
    assert (ended.code, ended.errors) == (2, f"msys-track.toml: {hint}\n")


def test_systemd_hears_that_all_are_ready_and_that_they_stop(servers: Servers) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        path = servers.folder / "notify"
        systemd.bind(str(path))
        systemd.settimeout(20)
        servers.start(env={"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "2000000"})
        heard = systemd.recv(100)
        assert heard == b"READY=1"
        assert (servers.click(), servers.greeting()) == (302, 220)
        assert systemd.recv(100) == b"WATCHDOG=1"
        servers.server.stop()
        states = [heard]
        while states[-1] != b"STOPPING=1":
            states.append(systemd.recv(100))


def test_a_mail_goes_through_and_its_reader_comes_back(servers: Servers) -> None:
    servers.start()
    with MailServer(servers.upstream_port) as mailbox, smtplib.SMTP() as client:
        client.connect("127.0.0.1", servers.proxy_port)
        client.sendmail("a@example.com", ["jo@example.com"], "Subject: x\r\n\r\nhello\r\n")
        assert len(mailbox.arrivals) == 1
    wait_until(lambda: [event["type"] for event in servers.events()] == ["injection"])
