"""A proxy that logs events of its mail, with a recorder of its own beside its workers."""

import json
import os
import signal

import pytest
from tests.ports import find_free_ports
from tests.processes import run
from tests.service.running_proxy import Proxy, wait_until

MORE = """[events]
injection = true
folder = "events.d"
[file.day]
path = "events.ndjson"
rotate = "never"
"""


@pytest.fixture
def logging_proxy(proxy: Proxy) -> Proxy:
    (port,) = find_free_ports(1)
    proxy.configure(more=f'{MORE}[metrics]\nlisten = "127.0.0.1:{port}"\n')
    return proxy


def list_injections(proxy: Proxy) -> list[str]:
    """List the ids of stored injections, in their order."""
    file = proxy.folder / "events.ndjson"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    events = [next(iter(json.loads(line)["msys"].values())) for line in lines]
    return [each["event_id"] for each in events if each["type"] == "injection"]


def test_injections_reach_the_sinks_also_when_the_recorder_is_killed(
    logging_proxy: Proxy,
) -> None:
    proxy = logging_proxy
    proxy.start()
    recorder = proxy.server.event("recorder.ready")["pid"]
    for _ in range(5):
        proxy.inject_mail()
    wait_until(lambda: len(list_injections(proxy)) == 5)
    os.kill(recorder, signal.SIGKILL)
    for _ in range(5):
        proxy.inject_mail()
    proxy.server.event("recorder.ready", 2)
    wait_until(lambda: len(set(list_injections(proxy))) == 10)
    proxy.inject_mail()
    assert proxy.server.stop().code == 0
    assert len(set(list_injections(proxy))) == 11


def test_a_proxy_that_logs_no_events_has_no_recorder(proxy: Proxy) -> None:
    proxy.start()
    proxy.inject_mail()
    ended = proxy.server.stop()
    assert "recorder" not in {each["event"].partition(".")[0] for each in ended.logged}
    assert run(proxy.folder, "config", "check").code == 0
