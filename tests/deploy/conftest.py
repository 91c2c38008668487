"""A set-up of docs/deploy on free ports: its files, the MTA, the proxy, and where mail ends."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest
from tests import processes
from tests.deploy import box
from tests.ports import find_free_ports

from msys_track.keys.file import create
from msys_track.testing.mailbox import MailServer

_PATIENCE_SECONDS = 120
_DEPLOY = Path(__file__).parents[2] / "docs" / "deploy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What stands for the ports of the files."""

    mta: int
    """Where an MTA in front takes mail; 25 elsewhere."""
    proxy: int
    """10025."""
    upstream: int
    """10026."""
    out: int
    """10027: where mail goes in the end."""

    def read(self, file: str) -> str:
        """Read a file of docs/deploy with these ports in place of its own."""
        ours = {"10025": self.proxy, "10026": self.upstream, "10027": self.out}
        text = (_DEPLOY / file).read_text(encoding="utf-8")
        return re.sub(r"\b1002[567]\b", lambda found: str(ours[found[0]]), text)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetUp:
    """What runs."""

    ports: Ports
    mailbox: MailServer
    proxy: processes.Server
    log: Path
    """The MTA's."""


Start: TypeAlias = Callable[..., SetUp]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for one MTA."""
    made = tmp_path / "box"
    made.mkdir()
    return made


@pytest.fixture
def start(tmp_path: Path, folder: Path) -> Iterator[Start]:
    """Start an MTA with files made for its ports; `greets` names the port that says it is up.

    `settings` are lines more in `[proxy]`.
    """
    with ExitStack() as ends:

        def start_one(
            server: box.Server,
            files: Callable[[Ports], dict[str, str]],
            greets: str,
            settings: str = "",
        ) -> SetUp:
            mailbox = ends.enter_context(MailServer())
            mta, own, upstream = find_free_ports(3)
            ports = Ports(mta=mta, proxy=own, upstream=upstream, out=mailbox.port)
            waited = (getattr(ports, greets),)
            log = ends.enter_context(box.running(server, folder, files(ports), waited))
            create(str(tmp_path / "keys.toml"))
            text = ports.read("msys-track.toml")
            if greets == "mta":  # nothing behind the proxy but where mail ends
                text = text.replace(f":{ports.upstream}", f":{ports.out}")
            (tmp_path / "msys-track.toml").write_text(text + settings, encoding="utf-8")
            proxy = processes.Server(tmp_path, "proxy", "--config", "msys-track.toml")
            ends.callback(proxy.kill)
            return SetUp(ports=ports, mailbox=mailbox, proxy=proxy.listening(), log=log)

        yield start_one


def wait_for_mail(mailbox: MailServer, count: int, log: Path) -> None:
    """Wait until so many recipients have mail; a failure shows the end of the MTA's log."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while sum(len(each.recipients) for each in mailbox.arrivals) < count:
        assert time.monotonic() < deadline, log.read_text(encoding="utf-8")[-4000:]
        time.sleep(0.05)
