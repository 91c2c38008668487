"""An upstream that is the proxy itself is a fault, where the addresses say so."""

import socket
from pathlib import Path

import psutil
import pytest

from msys_track.config.checking import check_configuration
from msys_track.config.load import load
from msys_track.config.problems import ConfigurationError

OWN = next(
    (
        each.address
        for addresses in psutil.net_if_addrs().values()
        for each in addresses
        if each.family == socket.AF_INET and not each.address.startswith("127.")
    ),
    "127.0.0.1",  # a machine without a network
)


def find_faults(path: Path, upstream: str | None = None) -> list[str]:
    problems = check_configuration(path, upstream=upstream).problems
    if problems:
        with pytest.raises(ConfigurationError) as refused:
            load(path, upstream=upstream)
        assert refused.value.problems == problems
    return [each.format_line(Path("x")) for each in problems]


def write(folder: Path, listen: str, upstream: str) -> Path:
    path = folder / "msys-track.toml"
    path.write_text(
        f'keys = "keys.toml"\n[proxy]\nlisten = "{listen}"\nopen_relay = true\n'
        f'upstream = "{upstream}"\n'
    )
    return path


@pytest.mark.parametrize(
    ("listen", "upstream"),
    [
        ("127.0.0.1:25", "127.0.0.1:25"),
        ("127.0.0.1:25", "localhost:25"),
        ("localhost:25", "127.0.0.1:25"),
        ("LocalHost:25", "localhost:25"),
        ("[::1]:25", "[0:0:0:0:0:0:0:1]:25"),
        ("[::1]:25", "localhost:25"),
        ("127.0.0.1:25", "0.0.0.0:25"),
        ("0.0.0.0:25", "0.0.0.0:25"),
        ("0.0.0.0:25", "127.0.0.1:25"),
        ("0.0.0.0:25", "127.9.9.9:25"),
        ("0.0.0.0:25", "[::ffff:127.0.0.1]:25"),
        ("0.0.0.0:25", f"{OWN}:25"),
        ("0.0.0.0:25", f"lmtp:{OWN}:25"),
        ("[::]:25", "[::1]:25"),
        (f"{OWN}:25", f"{OWN}:25"),
        ("mx.test:25", "mx.TEST:25"),
    ],
)
def test_the_proxy_can_not_be_its_own_upstream(folder: Path, listen: str, upstream: str) -> None:
    (fault,) = find_faults(write(folder, listen, upstream))
    assert fault == (
        f"x:5: proxy.upstream: {upstream} is the "
        f"proxy itself, which listens on {listen}; name the server that takes the mail from it"
    )


@pytest.mark.parametrize(
    ("listen", "upstream"),
    [
        ("127.0.0.1:25", "127.0.0.1:26"),
        ("127.0.0.1:25", "127.0.0.2:25"),
        ("127.0.0.1:25", "[::1]:25"),
        ("0.0.0.0:25", "[::1]:25"),
        ("0.0.0.0:25", "192.0.2.1:25"),
        ("[::]:25", "127.0.0.1:25"),
        ("0.0.0.0:25", "mx.test:25"),  # not looked up
        ("127.0.0.1:0", "127.0.0.1:1"),
        ("127.0.0.1:25", "unix:/run/mta"),
    ],
)
def test_another_server_can(folder: Path, listen: str, upstream: str) -> None:
    assert find_faults(write(folder, listen, upstream)) == []


def test_every_address_and_every_upstream_is_looked_at(folder: Path) -> None:
    path = folder / "msys-track.toml"
    path.write_text(
        'keys = "keys.toml"\n[listen."127.0.0.1:2525"]\n[listen."127.0.0.1:2526"]\n[proxy]\n'
        '[upstream.first]\naddress = "192.0.2.1:25"\n'
        '[upstream.second]\naddress = "localhost:2526"\n'
    )
    (fault,) = find_faults(path)
    assert fault.startswith("x:8: upstream.second.address: localhost:2526 is the proxy itself")
    assert find_faults(path, "192.0.2.1:25") == []
    (fault,) = find_faults(path, "127.0.0.1:2525")
    assert fault.startswith("command line: proxy.upstream: 127.0.0.1:2525 is the proxy itself")


def test_of_momentums_form_it_is_a_fault_of_the_gateway(tmp_path: Path) -> None:
    path = tmp_path / "ecelerity.conf"
    path.write_text(
        'Gateway = "127.0.0.1"\nRemote_SMTP_Port = 2525\nESMTP_Listener {\n'
        '  Listen "127.0.0.1:2525" { }\n}\n'
    )
    (fault,) = find_faults(path)
    assert fault.startswith("x:1: Gateway: 127.0.0.1:2525 is the proxy itself, which listens on ")
