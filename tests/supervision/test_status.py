"""What a running proxy tells of itself over HTTP."""

import http.client
import json
import os
import signal
import socket
from contextlib import suppress
from typing import Any

import pytest
from tests.ports import find_free_ports
from tests.processes import PATIENCE_SECONDS
from tests.service.running_proxy import Proxy, wait_until


@pytest.fixture
def status(proxy: Proxy) -> "Status":
    (port,) = find_free_ports(1)
    proxy.configure(more=f'[metrics]\nlisten = "127.0.0.1:{port}"\n')
    return Status(proxy, port)


class Status:
    """A proxy that shows its figures."""

    def __init__(self, proxy: Proxy, port: int) -> None:
        self.proxy = proxy
        self.port = port

    def ask(self, path: str, method: str = "GET") -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)
        connection.request(method, path)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    @property
    def figures(self) -> dict[str, Any]:
        code, text = self.ask("/figures")
        assert code == 200
        figures: dict[str, Any] = json.loads(text)
        return figures

    def count(self, name: str) -> int:
        return int(self.figures["counters"].get(name, 0))


def test_the_figures_of_all_workers_are_added_and_survive_them(status: Status) -> None:
    proxy = status.proxy
    proxy.start()
    for _ in range(30):
        proxy.inject_mail()
    wait_until(lambda: status.count("messages.accepted") == 30)
    [first, second] = (each["accepted"] for each in status.figures["workers"])
    assert first + second == 30
    os.kill(proxy.workers[0], signal.SIGKILL)
    proxy.server.event("worker.ready", 3)
    proxy.inject_mail()
    wait_until(lambda: status.count("messages.accepted") == 31)
    proxy.server.process.send_signal(signal.SIGUSR2)
    proxy.server.event("worker.stopped", 2)
    proxy.inject_mail()
    wait_until(lambda: status.count("messages.accepted") == 32)
    text = status.ask("/metrics")[1]
    assert "\nmsys_track_messages_accepted_total 32\n" in text
    assert "\nmsys_track_workers_died_total 1\n" in text
    assert "\nmsys_track_workers 2\n" in text
    assert '\nmsys_track_stage_seconds_count{stage="total"} 32\n' in text


def test_a_proxy_is_ready_while_an_upstream_can_be_reached(status: Status) -> None:
    proxy = status.proxy
    (nobody,) = find_free_ports(1)
    metrics = f'[metrics]\nlisten = "127.0.0.1:{status.port}"\n'
    proxy.configure(more=metrics, upstream=nobody)
    proxy.start()
    assert status.ask("/healthz") == (200, "ok\n")
    assert status.ask("/readyz") == (503, "no upstream can be reached\n")
    proxy.configure(more=metrics)
    proxy.server.hang_up()
    proxy.server.event("configuration.reloaded")
    wait_until(lambda: status.ask("/readyz") == (200, "ok\n"))


def test_a_proxy_without_workers_that_live_is_not_well(status: Status) -> None:
    proxy = status.proxy
    proxy.start()
    workers = proxy.workers
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: status.ask("/healthz") == (503, "no worker shows signs of life\n"))
    assert status.ask("/readyz")[0] == 503
    for pid in workers:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: status.ask("/healthz")[0] == 200)


def test_other_questions_are_answered_as_http_has_it(status: Status) -> None:
    status.proxy.start()
    assert status.ask("/")[0] == 404
    assert status.ask("/metrics", "HEAD") == (200, "")
    assert status.ask("/metrics?x=1")[0] == 200
    assert status.ask("/metrics", "POST")[0] == 405


def test_clients_that_stall_send_garbage_or_leave_are_no_obstacle(status: Status) -> None:
    status.proxy.start()
    assert status.ask("/healthz")[0] == 200
    stalled = [socket.create_connection(("127.0.0.1", status.port)) for _ in range(70)]
    stalled[0].sendall(b"GET /metr")
    assert status.ask("/healthz")[0] == 200
    garbage = socket.create_connection(("127.0.0.1", status.port), timeout=PATIENCE_SECONDS)
    garbage.sendall(b"\0" * 10_000)
    with suppress(ConnectionError):
        assert garbage.recv(1) == b""
    garbage.close()
    hasty = socket.create_connection(("127.0.0.1", status.port))
    hasty.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
    hasty.close()
    assert status.ask("/healthz")[0] == 200
    for each in stalled:
        each.settimeout(PATIENCE_SECONDS)
        # Cut off for its slowness; with a reset where nobody has read yet what it said.
        with each, suppress(ConnectionResetError):
            assert each.recv(1) == b""
    status.proxy.inject_mail()
    assert status.proxy.server.stop().code == 0
