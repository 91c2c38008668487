"""What a proxy and a tracker say to systemd, and what they have from it."""

import os
import re
import signal
import smtplib
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.processes import COMMAND, PATIENCE_SECONDS, Server
from tests.service.running_proxy import Proxy
from tests.service.running_tracker import Tracker


class NotifySocket:
    """What systemd is told."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._socket.settimeout(PATIENCE_SECONDS)

    def read_until(self, state: str) -> list[str]:
        """Read states until one comes; return all that came."""
        read: list[str] = []
        while state not in read:
            read += self._socket.recv(4096).decode().splitlines()
        return read

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def notified(tmp_path: Path) -> Iterator[NotifySocket]:
    made = NotifySocket(tmp_path)
    yield made
    made.close()


def test_systemd_learns_when_a_proxy_is_ready_reloads_lives_and_stops(
    proxy: Proxy, notified: NotifySocket
) -> None:
    proxy.start(env={"NOTIFY_SOCKET": str(notified.path), "WATCHDOG_USEC": "3000000"})
    assert notified.read_until("READY=1")[-1] == "READY=1"
    assert "WATCHDOG=1" in notified.read_until("WATCHDOG=1")
    proxy.server.hang_up()
    read = notified.read_until("READY=1")
    reloading = read.index("RELOADING=1")
    assert re.fullmatch(r"MONOTONIC_USEC=\d+", read[reloading + 1])
    proxy.configure(workers=1)
    proxy.server.hang_up()
    assert "RELOADING=1" in notified.read_until("READY=1")
    (proxy.folder / "msys-track.toml").write_text("[", encoding="utf-8")
    proxy.server.hang_up()
    assert "RELOADING=1" in notified.read_until("READY=1")
    proxy.configure(workers=1)
    proxy.server.process.send_signal(signal.SIGUSR2)
    assert "RELOADING=1" in notified.read_until("READY=1")
    assert proxy.server.stop().code == 0
    assert "STOPPING=1" in notified.read_until("STOPPING=1")


def test_no_watchdog_is_fed_by_workers_that_stand_still(
    proxy: Proxy, notified: NotifySocket
) -> None:
    proxy.configure(workers=1)
    proxy.start(env={"NOTIFY_SOCKET": str(notified.path), "WATCHDOG_USEC": "4000000"})
    notified.read_until("WATCHDOG=1")
    os.kill(proxy.workers[0], signal.SIGSTOP)
    notified._socket.settimeout(3)  # noqa: SLF001 - fed at least every 2 seconds else
    with pytest.raises(TimeoutError):
        notified.read_until("no such state")
    os.kill(proxy.workers[0], signal.SIGCONT)


# Becomes the command, with a socket as systemd gives it.
ACTIVATED = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""


def start_activated(folder: Path, server: str, listener: socket.socket) -> Server:
    number = listener.fileno()
    command = (sys.executable, "-c", ACTIVATED, str(number), COMMAND)
    return Server(folder, server, command=command, pass_fds=(number,))


def let_listen_at(proxy: Proxy, address: str) -> None:
    file = proxy.folder / "msys-track.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("127.0.0.1:0", address), encoding="utf-8")


def test_a_socket_of_systemd_s_is_shared_by_all_workers_and_survives_the_program(
    proxy: Proxy,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        let_listen_at(proxy, f"127.0.0.1:{port}")
        waiting = smtplib.SMTP(timeout=PATIENCE_SECONDS)
        waiting.sock = socket.create_connection(("127.0.0.1", port))
        proxy.server = start_activated(proxy.folder, "proxy", listener).listening()
        assert waiting.getreply()[0] == 220
        waiting.quit()
        proxy.inject_mail()
        proxy.server.process.send_signal(signal.SIGUSR2)
        proxy.server.event("worker.stopped", 2)
        proxy.inject_mail()
        assert proxy.server.stop().code == 0


def test_a_socket_of_systemd_s_that_no_setting_names_is_a_fault(proxy: Proxy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy.server = server = start_activated(proxy.folder, "proxy", listener)
        assert server.process.wait(PATIENCE_SECONDS) == 1
        server.until(lambda: True)
        errors = server.stop().errors
    assert "proxy: systemd gave a socket on 127.0.0.1:" in errors
    assert "where the configuration does not listen (127.0.0.1:0)" in errors


def test_a_socket_of_systemd_s_that_does_not_listen_is_a_fault(proxy: Proxy) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        let_listen_at(proxy, f"127.0.0.1:{bound.getsockname()[1]}")
        proxy.server = server = start_activated(proxy.folder, "proxy", bound)
        assert server.process.wait(PATIENCE_SECONDS) == 1
        server.until(lambda: True)
        assert "that does not listen; set Accept=no" in server.stop().errors


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="IPv6 is off here")
def test_an_ipv6_address_is_listened_at_with_a_socket_of_systemd_s_or_without(
    proxy: Proxy,
) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        port = listener.getsockname()[1]
        let_listen_at(proxy, f"[::1]:{port}")
        proxy.server = start_activated(proxy.folder, "proxy", listener).listening()
        with smtplib.SMTP("::1", port, timeout=PATIENCE_SECONDS) as client:
            assert client.noop()[0] == 250
        assert proxy.server.stop().code == 0
    proxy.start()
    with smtplib.SMTP("::1", port, timeout=PATIENCE_SECONDS) as client:
        assert client.noop()[0] == 250


def test_systemd_learns_when_a_tracker_is_ready_reloads_and_stops(
    proxy: Proxy, notified: NotifySocket
) -> None:
    with (proxy.folder / "msys-track.toml").open("a", encoding="utf-8") as file:
        file.write('[tracker]\nlisten = "127.0.0.1:0"\nstore = "events.sqlite"\n')
    tracker = Server(proxy.folder, "tracker", env={"NOTIFY_SOCKET": str(notified.path)})
    try:
        notified.read_until("READY=1")
        tracker.hang_up()
        assert "RELOADING=1" in notified.read_until("READY=1")
        assert tracker.stop().code == 0
    finally:
        tracker.kill()
    notified.read_until("STOPPING=1")


def test_a_tracker_takes_a_socket_of_systemd_s_with_the_readers_that_wait_there(
    tmp_path: Path,
) -> None:
    tracker = Tracker(tmp_path)
    with (
        socket.create_server(("127.0.0.1", tracker.port)) as listener,
        socket.create_connection(("127.0.0.1", tracker.port), timeout=PATIENCE_SECONDS) as waiting,
    ):
        waiting.sendall(f"GET {tracker.path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        tracker.server = start_activated(tracker.folder, "tracker", listener)
        try:
            assert waiting.recv(4096).startswith(b"HTTP/1.1 302 ")
            assert tracker.click() == 302
            assert tracker.server.stop().code == 0
        finally:
            tracker.server.kill()


@pytest.mark.parametrize("name", ["/no/such/socket", "@msys-track-no-such-socket"])
def test_a_notify_socket_that_is_gone_is_no_obstacle(proxy: Proxy, name: str) -> None:
    proxy.start(env={"NOTIFY_SOCKET": name})
    proxy.inject_mail()
    assert proxy.server.stop().code == 0
