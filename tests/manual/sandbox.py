"""A folder as a reader of the manual may have it: servers have run, a mail was clicked."""

import os
import re
import shutil
import signal
import smtplib
import sqlite3
import subprocess
import termios
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

from tests.certificates import make_certificate
from tests.ports import find_free_ports
from tests.processes import COMMAND, PATIENCE_SECONDS, Server, environment
from tests.users import PASSWORD, write_users

from msys_track.keys.file import create
from msys_track.testing.mailbox import MailServer

SHOWN_PORTS: Final = ("25", "2525", "8080", "8026", "9464")
_READS: Final = 3
"""Two clicks and an open."""
_SHELL: Final = ("/bin/sh", "-e", "-c")
_MAIL: Final = """\
From: Shop <news@shop.example>
To: Jo <jo@example.com>
Subject: News
X-MSYS-API: {"campaign_id": "Summer Sale", "metadata": {"user": 7}}
MIME-Version: 1.0
Content-Type: text/html; charset=utf-8

<body><a href="https://shop.example.com/?a=1&amp;b=2">Shop</a>
<a href="https://bank.example.com/">Bank</a></body>
"""
_CONFIGURATION: Final = """\
keys = "keys.toml"
[listener]
open_tracking_enabled = true
click_tracking_enabled = true
tracking_domain = "127.0.0.1:8080"
[proxy]
listen = "127.0.0.1:2525"
upstream = "127.0.0.1:25"
[tracker]
listen = "127.0.0.1:8080"
store = "events.sqlite"
[report]
listen = "127.0.0.1:8026"
users = "users.toml"
[pathway.shop]
tracking_domain = "click.example.com"
"""
_MOMENTUM: Final = """\
smtpapi { }
ESMTP_Listener { Listen "127.0.0.1:2525" { open_tracking_enabled = true } }
Gateway = "127.0.0.1"
msys_track { keys = "keys.toml" }
"""
_POLICY: Final = """\
require("msys.core")
local mod = {}
function mod:validate_rcptto(msg, str, accept, vctx)
  return msys.core.VALIDATE_CONT
end
msys.registerModule("mine", mod)
"""
# What a page shows runs until it is stopped; here the next line follows once it listens.
_COMMAND: Final = """\
#!/bin/sh
real='{command}'
case " $* " in *' --help '*) exec "$real" "$@" ;; esac
case "$1 $2" in
serve* | proxy* | tracker* | report*) ;;
--config*) [ $# = 2 ] || exec "$real" "$@" ;;
'events tail' | top*) timeout 2 "$real" "$@"; [ $? = 124 ]; exit ;;
check*) "$real" "$@"; [ $? -le 1 ]; exit ;;
init*) exec "$real" "$@" --listen 127.0.0.1:{2525} --tracker-listen 127.0.0.1:{8080} \\
    --report-listen 127.0.0.1:{8026} ;;
*) exec "$real" "$@" ;;
esac
log='{bin}'/log.$$
"$real" "$@" >"$log" 2>&1 </dev/null &
echo $! >>'{bin}/pids'
before=none
while now=$(wc -l <"$log"); ! grep -q 'listens on' "$log" || [ "$now" != "$before" ]; do
    kill -0 $! 2>/dev/null || {{ cat "$log" >&2; exit 1; }}
    before=$now
    sleep 0.4
done
grep 'listens on' "$log"
"""
_TAIL: Final = """\
#!/bin/sh
# Following a file has no end.
case $1 in -*[fF]*) timeout 1 /usr/bin/tail "$@" ;; *) exec /usr/bin/tail "$@" ;; esac
"""


@dataclass(frozen=True, slots=True)
class Printed:
    """What a shell printed, as on a terminal, and how it ended."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Sandbox:
    """A folder for one page, and what runs in it.

    Attributes:
        folder: Where its commands are run.
        ports: By the port that pages show: the one that it is here.
    """

    folder: Path
    ports: Mapping[str, int] = field(
        default_factory=lambda: dict(
            zip(SHOWN_PORTS, find_free_ports(len(SHOWN_PORTS)), strict=True)
        )
    )

    def here(self, text: str) -> str:
        """Put the ports of this folder in place of those that a page shows."""
        text = text.replace("/opt/msys/ecelerity/etc/conf/default/", "")
        return re.sub(
            r"\b(127\.0\.0\.1|localhost):(\d+)\b",
            lambda found: f"{found[1]}:{self.ports.get(found[2], found[2])}",
            text,
        )

    def shell(self, script: str) -> Printed:
        """Let a shell run a script in the folder; what it printed on both ways."""
        done = subprocess.run(  # noqa: S603 - the manual's own commands
            [*_SHELL, self.here(script)],
            cwd=self.folder,
            env=self._make_environment(),
            input=f"{PASSWORD}\n" * 4,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=2 * PATIENCE_SECONDS,
            check=False,
            start_new_session=True,  # no password is asked for on the terminal of the tests
        )
        return Printed(done.returncode, done.stdout)

    def type(self, line: str) -> Printed:
        """Let a shell on a terminal run a line; a password is typed where one is asked for."""
        ours, theirs = os.openpty()
        termios.tcsetwinsize(theirs, (50, 120))
        process = subprocess.Popen(  # noqa: S603 - the manual's own commands
            [*_SHELL, self.here(line)],
            cwd=self.folder,
            env=self._make_environment() | {"TERM": "dumb", "NO_COLOR": "1"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        printed = b""
        with suppress(OSError):  # what Linux says at the end of a terminal
            while read := os.read(ours, 65_536):
                printed += read
                if printed.endswith(b": "):
                    os.write(ours, f"{PASSWORD}\n".encode())
        os.close(ours)
        code = process.wait(PATIENCE_SECONDS)
        return Printed(code, printed.decode().replace("\r\n", "\n"))

    def stop(self) -> None:
        """Stop the servers that were started."""
        pids = self.folder.parent / "bin" / "pids"
        for pid in map(int, pids.read_text().split()) if pids.exists() else ():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def _make_environment(self) -> dict[str, str]:
        path = (str(self._make_commands()), str(Path(COMMAND).parent), os.environ["PATH"])
        variables = {"PATH": os.pathsep.join(path), "CREDENTIALS_DIRECTORY": str(self.folder)}
        return environment(variables)

    def _make_commands(self) -> Path:
        made = self.folder.parent / "bin"
        if not made.exists():
            made.mkdir()
            text = _COMMAND
            for port, here in self.ports.items():
                text = text.replace(f"{{{port}}}", str(here))
            text = text.replace("{command}", COMMAND).replace("{bin}", str(made))
            for name, lines in {"msys-track": text, "tail": _TAIL}.items():
                (made / name).write_text(lines.replace("{{", "{").replace("}}", "}"))
                (made / name).chmod(0o755)
        return made


def make_folder(folder: Path) -> Path:
    """Make a folder in which a mail was sent, clicked and opened; its servers have ended.

    Args:
        folder: A new one.
    """
    sandbox = Sandbox(folder)
    folder.mkdir(parents=True)
    create(folder / "keys.toml")
    for name in ("shop-one.toml", "shop-two.toml"):
        create(folder / name)
    write_users(folder / "users.toml", "amy")
    made = make_certificate(folder)
    for name in ("fullchain.pem", "cert.pem", "ca.pem"):
        shutil.copy(made.certificate, folder / name)
    for name in ("privkey.pem", "key.pem"):
        shutil.copy(made.key, folder / name)
    (folder / "upstream").write_text("secret\n")
    (folder / "upstream").chmod(0o600)
    for name in ("mail.eml", "newsletter.eml"):
        (folder / name).write_text(_MAIL, newline="\r\n")
    (folder / "page.html").write_text(_MAIL.partition("\n\n")[2])
    (folder / "msys-track.toml").write_text(sandbox.here(_CONFIGURATION))
    with MailServer(sandbox.ports["25"]) as mailbox:
        server = Server(folder, "serve")
        try:
            server.listening(3)
            _send(sandbox)
            arrived = mailbox.arrivals[0].message.decode()
            for url in re.findall(rf"http://127\.0\.0\.1:{sandbox.ports['8080']}/[^\"]+", arrived):
                _visit(url.replace("&amp;", "&"))
            _wait_for_events(folder)
            assert server.stop().code == 0
        finally:
            server.kill()
    (folder / "msys-track.toml").write_text(_CONFIGURATION)
    (folder / "ecelerity.conf").write_text(_MOMENTUM)
    (folder / "lua").mkdir()
    (folder / "lua" / "mine.lua").write_text(_POLICY)
    return folder


def copy_folder(made: Path, folder: Path) -> Sandbox:
    """Give a page a folder of its own."""
    sandbox = Sandbox(folder)
    shutil.copytree(made, folder)
    for name in ("msys-track.toml", "ecelerity.conf"):
        path = folder / name
        path.write_text(sandbox.here(path.read_text()))
    return sandbox


def _send(sandbox: Sandbox) -> None:
    with smtplib.SMTP("127.0.0.1", sandbox.ports["2525"]) as client:
        mail = (sandbox.folder / "mail.eml").read_bytes()
        client.sendmail("news@shop.example", ["jo@example.com"], mail)


def _visit(url: str) -> None:
    host, _, path = url.removeprefix("http://").partition("/")
    with closing(HTTPConnection(host, timeout=PATIENCE_SECONDS)) as client:
        client.request("GET", f"/{path}", headers={"User-Agent": "Mozilla/5.0 Firefox/140.0"})
        assert client.getresponse().status in {200, 302}


def _wait_for_events(folder: Path) -> None:
    def count_readers_events() -> int:
        with closing(sqlite3.connect(folder / "events.sqlite")) as store:
            found = store.execute(
                "SELECT count(*) FROM events WHERE type IN ('click', 'open', 'initial_open')"
            ).fetchone()
        return int(found[0])

    end = time.monotonic() + PATIENCE_SECONDS
    while count_readers_events() < _READS:
        assert time.monotonic() < end
        time.sleep(0.05)
