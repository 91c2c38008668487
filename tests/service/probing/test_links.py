"""Where links lead: our tracker, another server, or nothing; and what is advised then."""

import socket
import time
from pathlib import Path

import pytest
from tests.certificates import make_certificate
from tests.service.probing.running import configure, server, tracker

from msys_track.errors import InvalidTokenError
from msys_track.keys.file import create
from msys_track.keys.ring import KeyRing
from msys_track.service.assembly import load_tenant_keys
from msys_track.service.probing.finding import Finding, State
from msys_track.service.probing.links import (
    Door,
    find_doors,
    find_missing_domain,
    make_probe_link,
    probe_door,
)
from msys_track.tracking.settings import TrackerSettings

pytestmark = pytest.mark.anyio

_DAY_SECONDS = 86_400


@pytest.fixture(autouse=True)
def keys(tmp_path: Path) -> KeyRing:
    create(tmp_path / "keys.toml")
    return KeyRing.load(tmp_path / "keys.toml")


async def probe(
    domain: str, keys: KeyRing, scheme: str = "http", settings: TrackerSettings | None = None
) -> Finding:
    (finding,) = (await probe_door(Door(domain, scheme, keys), settings, 5)).findings
    return finding


async def test_our_tracker_is_known_by_an_expired_link(tmp_path: Path, keys: KeyRing) -> None:
    async with tracker(tmp_path, keys) as port:
        found = await probe(f"127.0.0.1:{port}", keys)
    assert (found.state, found.found) == (
        State.WARNING,
        "leads to our tracker at 127.0.0.1, which only this machine reaches",
    )


@pytest.mark.parametrize(
    ("settings", "status"),
    [
        ({"expired": "gone"}, "302 Found"),
        ({"expired_url": "https://shop.test/late"}, "302 Found"),
    ],
)
async def test_what_the_configuration_does_not_say_of_old_links_is_not_our_tracker(
    settings: dict[str, str], status: str, tmp_path: Path, keys: KeyRing
) -> None:
    expected = TrackerSettings(store=tmp_path / "events.sqlite", **settings)  # type: ignore[arg-type]
    async with tracker(tmp_path, keys) as port:
        found = await probe(f"127.0.0.1:{port}", keys, settings=expected)
    assert found.state is State.FAULT
    assert found.found.startswith(f"what answers at 127.0.0.1 is not our tracker: {status} to")


async def test_a_tracker_with_other_keys_is_a_fault(tmp_path: Path, keys: KeyRing) -> None:
    create(tmp_path / "others.toml")
    async with tracker(tmp_path, KeyRing.load(tmp_path / "others.toml")) as port:
        found = await probe(f"127.0.0.1:{port}", keys)
    assert (found.state, found.found) == (
        State.FAULT,
        "a tracker at 127.0.0.1 does not know our key",
    )


async def test_a_status_that_nobody_knows_is_shown_as_its_number(keys: KeyRing) -> None:
    async with server(b"HTTP/1.1 599 x\r\nServer: acme\r\n\r\n") as port:
        found = await probe(f"127.0.0.1:{port}", keys)
    assert found.found == "what answers at 127.0.0.1 is not our tracker: 599, Server: acme"


async def test_a_certificate_that_ends_soon_is_a_warning(
    tmp_path: Path, keys: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.certificate))
    in_three_weeks = time.time() + 21 * _DAY_SECONDS
    async with tracker(tmp_path, keys, certificate) as port:
        today = await probe(f"127.0.0.1:{port}", keys, "https")
        # A certificate of 30 days is read nine days before its end.
        monkeypatch.setattr(time, "time", lambda: in_three_weeks)
        later = await probe(f"127.0.0.1:{port}", keys, "https")
    assert "only this machine reaches" in today.found
    assert later.state is State.WARNING
    assert later.found.endswith(", 9 days more")


async def test_a_certificate_for_another_name_is_a_fault(
    tmp_path: Path, keys: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path, "shop.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.certificate))
    async with tracker(tmp_path, keys, certificate) as port:
        found = await probe(f"127.0.0.1:{port}", keys, "https")
    assert found.state is State.FAULT
    assert f"the certificate at 127.0.0.1:{port} is not accepted: " in found.found


async def test_plain_text_where_links_say_https_is_a_fault(keys: KeyRing) -> None:
    async with server(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        found = await probe(f"127.0.0.1:{port}", keys, "https")
    assert found.state is State.FAULT
    assert found.found.startswith(f"no HTTPS at 127.0.0.1:{port}: ")


async def test_an_address_that_this_machine_can_not_reach_says_so(keys: KeyRing) -> None:
    # No connection leads to the broadcast address (RFC 919 section 7).
    found = await probe("255.255.255.255:9", keys)
    assert found.state is State.FAULT
    assert "can't be reached from this machine: " in found.found


async def test_one_silent_address_beside_one_that_answers_is_a_warning(
    tmp_path: Path, keys: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The port is another one's, so nobody answers at the second address.
    answers = [(2, 1, 6, "", (ip, 0)) for ip in ("127.0.0.1", "127.0.0.2")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    async with tracker(tmp_path, keys) as port:
        probed = await probe_door(Door(f"click.test:{port}", "http", keys), None, 5)
    _, silent = probed.findings
    assert silent.state is State.WARNING
    assert silent.found.startswith(f"nothing answers at 127.0.0.2:{port}: ")
    assert "take 127.0.0.2 out of the DNS record of click.test" in silent.advice
    assert [domain for domain, _ in probed.answers] == [f"click.test:{port}"]


def test_links_of_a_tenant_are_asked_for_with_its_own_keys(tmp_path: Path, keys: KeyRing) -> None:
    create(tmp_path / "tenant.toml")
    read = configure(
        tmp_path,
        '[tracker]\nstore = "events.sqlite"\n[tenant."click.shop.test"]\nkeys = "tenant.toml"\n',
    )
    own = load_tenant_keys(read)
    doors = find_doors(read, keys, own)
    assert {each.domain: each.keys for each in doors} == own
    with pytest.raises(InvalidTokenError):
        keys.open(make_probe_link(doors[0].keys).path.removeprefix("/"))


def test_a_domain_of_a_peer_has_the_listeners_scheme(tmp_path: Path, keys: KeyRing) -> None:
    read = configure(
        tmp_path,
        '[proxy]\nupstream = "127.0.0.1:9"\n[tracker]\nstore = "events.sqlite"\n'
        '[listener]\nclick_tracking_scheme = "http"\nopen_tracking_scheme = "http"\n'
        'tracking_domain = "click.one.test"\n'
        '[peer."192.0.2.0/24"]\ntracking_domain = "click.two.test"\n',
    )
    doors = find_doors(read, keys, {})
    assert [str(each) for each in doors] == ["http://click.one.test", "http://click.two.test"]


@pytest.mark.parametrize(
    ("listener", "states"),
    [("", [State.FAULT]), ('[listener]\ntracking_domain = "click.one.test"\n', [])],
)
def test_mail_without_a_tracking_domain_is_a_fault(
    listener: str, states: list[State], tmp_path: Path
) -> None:
    read = configure(tmp_path, f'[proxy]\nupstream = "127.0.0.1:9"\n{listener}')
    assert [each.state for each in find_missing_domain(read)] == states


def test_a_tracker_alone_needs_no_tracking_domain(tmp_path: Path) -> None:
    read = configure(tmp_path, '[tracker]\nstore = "events.sqlite"\n')
    assert find_missing_domain(read) == []
