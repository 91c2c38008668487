"""The networks around a machine's interfaces, read from real ones in a network of their own."""

import os
import shutil
import subprocess
import sys

import pytest

_ASK = (
    "from ipaddress import ip_address; from sys import argv;"
    "from msys_track.injection.access.interfaces import find_networks_around;"
    "print(*sorted(map(str, find_networks_around(ip_address(argv[1])))))"
)


def find_networks(address: str, *interface: str) -> list[str]:
    """Ask in a network namespace whose one interface has these addresses, as ip(8) has them."""
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("ip"):
        pytest.skip("a network of its own needs root, unshare (util-linux) and ip (iproute2)")
    add = "".join(f"ip address add {each} dev lo\n" for each in interface)
    script = f'set -e\n{add}exec "$@"\n'
    done = subprocess.run(  # noqa: S603 - a script of ours
        ["unshare", "--net", "sh", "-c", script, "sh", sys.executable, "-c", _ASK, address],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare failed" in done.stderr:
        pytest.skip(f"a network of its own can't be had here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


ANYWHERE = "0.0.0.0"  # noqa: S104 - every interface


def test_each_address_has_its_network() -> None:
    found = find_networks(ANYWHERE, "10.1.2.3/20", "10.9.9.9/32", "fd00::5/64")
    assert found == ["10.1.0.0/20", "10.9.9.9/32", "fd00::/64"]


def test_an_address_finds_the_network_around_it_alone() -> None:
    assert find_networks("fd00::5", "10.1.2.3/20", "fd00::5/64") == ["fd00::/64"]


def test_the_end_of_a_line_is_in_its_own_network() -> None:
    assert find_networks(ANYWHERE, "10.7.0.1 peer 10.8.0.2/32") == ["10.7.0.1/32"]


def test_loopback_and_what_routers_do_not_pass_on_are_left_out() -> None:
    assert find_networks(ANYWHERE, "127.0.0.1/8", "169.254.3.4/16", "fe80::1/64") == []


def test_a_network_that_everybody_is_in_lets_in_nobody() -> None:
    assert find_networks(ANYWHERE, "10.1.2.3/0") == []
