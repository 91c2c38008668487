"""Our own servers, where the configuration has them listen; and whoever else is there."""

from pathlib import Path

import pytest
from tests.certificates import make_certificate
from tests.ports import find_free_ports
from tests.service.probing.running import configure, run_tracker, server
from tests.upstreams import ScriptedUpstream

from msys_track.keys.file import create
from msys_track.keys.ring import KeyRing
from msys_track.service.probing.finding import Finding, State
from msys_track.service.probing.installation import probe_installation
from msys_track.service.probing.servers import (
    probe_proxy,
    probe_report,
    probe_status,
    probe_tracker,
)

pytestmark = pytest.mark.anyio

TRACKER = '[tracker]\nlisten = "127.0.0.1:{}"\nstore = "events.sqlite"\n'
PROXY = '[proxy]\nlisten = "127.0.0.1:{}"\nupstream = "127.0.0.1:9"\n'
METRICS = '[metrics]\ntracker_listen = "127.0.0.1:{}"\n'


@pytest.fixture(autouse=True)
def keys(tmp_path: Path) -> KeyRing:
    create(tmp_path / "keys.toml")
    return KeyRing.load(tmp_path / "keys.toml")


def show(found: list[Finding]) -> list[tuple[State, str]]:
    return [(each.state, each.found) for each in found]


async def test_a_proxy_that_takes_no_client_is_a_warning(tmp_path: Path) -> None:
    async with ScriptedUpstream({"GREETING": "554 5.3.2 too many connections"}) as other:
        greeted = await probe_proxy(configure(tmp_path, PROXY.format(other.port)), 5)
    assert show(greeted.findings) == [
        (State.WARNING, "refuses this machine: 554 5.3.2 too many connections")
    ]
    assert not greeted.marks


async def test_another_program_at_the_proxys_address_is_a_fault(tmp_path: Path) -> None:
    async with ScriptedUpstream({"GREETING": "220 mail.test ESMTP Postfix"}) as other:
        greeted = await probe_proxy(configure(tmp_path, PROXY.format(other.port)), 5)
    assert show(greeted.findings) == [
        (State.FAULT, "another program takes mail there: 220 mail.test ESMTP Postfix")
    ]


async def test_a_tracker_that_wants_the_proxy_protocol_is_given_its_header(
    tmp_path: Path, keys: KeyRing
) -> None:
    certificate = make_certificate(tmp_path)
    plain, tls = find_free_ports(2)
    read = configure(
        tmp_path,
        TRACKER.format(plain) + f'listen_tls = ["127.0.0.1:{tls}"]\n'
        f'tls_certificate = "{certificate.certificate}"\ntls_key = "{certificate.key}"\n'
        'proxy_protocol = true\ntrusted_proxies = ["127.0.0.1"]\n',
    )
    assert read.tracker is not None
    async with run_tracker(read.tracker, keys):
        found = await probe_tracker(read, 5)
    assert show(found) == [(State.OK, "answers links of ours")] * 2


async def test_a_report_that_speaks_no_tls_is_a_fault(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    async with server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        read = configure(
            tmp_path,
            f'[report]\nlisten = "127.0.0.1:{port}"\nstore = "events.sqlite"\n'
            f'tls_certificate = "{certificate.certificate}"\ntls_key = "{certificate.key}"\n',
        )
        nobody, found = await probe_report(read, 5)
    assert (nobody.state, nobody.found) == (State.WARNING, "there is nobody who may log in")
    assert found.state is State.FAULT
    assert found.found.startswith("speaks no TLS: ")


@pytest.mark.parametrize(
    ("answer", "finding"),
    [
        (b"200 OK\r\n\r\nok\n", (State.OK, "is ready")),
        (
            b"503 Service Unavailable\r\n\r\nno worker has room for events\n",
            (State.FAULT, "is not ready: no worker has room for events"),
        ),
    ],
)
async def test_a_server_says_whether_it_is_ready(
    answer: bytes, finding: tuple[State, str], tmp_path: Path
) -> None:
    async with server(b"HTTP/1.1 " + answer) as port:
        read = configure(tmp_path, TRACKER.format(0) + METRICS.format(port))
        found = await probe_status(read, 5)
    assert show(found) == [finding]


async def test_a_report_alone_is_looked_at_without_keys(tmp_path: Path) -> None:
    (port,) = find_free_ports(1)
    (tmp_path / "keys.toml").unlink()
    file = tmp_path / "msys-track.toml"
    file.write_text(f'[report]\nlisten = "127.0.0.1:{port}"\nstore = "events.sqlite"\n')
    found = await probe_installation(file, patience_seconds=5)
    rooms = {each.what.partition(" ")[0]: each.state for each in found}
    assert rooms["report"] is State.FAULT
    assert rooms["store"] is State.WARNING
    assert not rooms.keys() & {"keys", "proxy", "tracker", "upstream", "spool"}
