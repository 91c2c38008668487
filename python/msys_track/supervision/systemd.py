"""What systemd and a service say to each other: states, the watchdog, sockets (sd_notify(3)).

Without systemd none of it does anything.
"""

import os
import socket
import time
from collections.abc import Sequence
from typing import Final

from msys_track.errors import SettingsError
from msys_track.logs import event_logger
from msys_track.smtp.address import Address
from msys_track.supervision.sockets import Sockets

log = event_logger(__name__)

_FIRST_SOCKET: Final = 3  # SD_LISTEN_FDS_START


def notify(*states: str) -> None:
    """Tell systemd our state, as `READY=1`; a failure is logged at level debug."""
    name = os.environ.get("NOTIFY_SOCKET", "")
    if not name:
        return
    address = "\0" + name[1:] if name.startswith("@") else name
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
            own.setblocking(False)  # noqa: FBT003 - the standard library's
            own.sendto("\n".join(states).encode(), address)
    except OSError as error:
        log.debug("systemd.not_notified", why=str(error))


def notify_reloading() -> None:
    """Tell systemd that a reload has begun; `READY=1` ends it."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def watchdog_seconds() -> float | None:
    """Return after how many seconds of silence systemd ends us; None if it does not watch."""
    microseconds, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID")
    if not microseconds.isdecimal() or pid not in (None, str(os.getpid())):
        return None
    return int(microseconds) / 1_000_000


def take_sockets(name: str, addresses: Sequence[Address]) -> Sockets:
    """Take the listening sockets that systemd gave us, by the addresses that they are for.

    Raises:
        SettingsError: no address names one of them, or one does not listen.
    """
    count, pid = os.environ.pop("LISTEN_FDS", ""), os.environ.pop("LISTEN_PID", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if not count.isdecimal() or pid != str(os.getpid()):
        return {}
    taken: dict[Address, list[socket.socket]] = {}
    for number in range(_FIRST_SOCKET, _FIRST_SOCKET + int(count)):
        given = socket.socket(fileno=number)
        given.set_inheritable(False)
        own = Address(*given.getsockname()[:2])
        wanted = next((each for each in addresses if _resolve(each) == own), None)
        if wanted is None:
            known = ", ".join(map(str, addresses))
            raise SettingsError(
                f"{name}: systemd gave a socket on {own}, where the configuration does not "
                f"listen ({known}); let ListenStream= and listen name the same addresses"
            )
        if not given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise SettingsError(
                f"{name}: systemd gave a socket on {own} that does not listen; set Accept=no"
            )
        taken.setdefault(wanted, []).append(given)
    return taken


def _resolve(address: Address) -> Address:
    if ":" in address.host:
        return address
    try:
        return Address(socket.gethostbyname(address.host), address.port)
    except OSError:
        return address
