"""A folder as a reader of the manual may have it: servers have run, a mail was clicked."""

import os
import re
import shlex
import shutil
import signal
import smtplib
import sqlite3
import subprocess
import termios
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from email import message_from_bytes
from email.policy import default
from http.client import HTTPConnection
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Final, Self

import pytest
from tests.certificates import make_certificate
from tests.mail_tools import Tool, find_tool, need_tool, tools_folder
from tests.ports import find_free_ports
from tests.processes import (
    COMMAND,
    PATIENCE_SECONDS,
    Server,
    environment,
    find_command_of_shells,
)
from tests.users import PASSWORD, write_users

from msys_track.keys.file import create
from msys_track.testing.mailbox import MailServer

SHOWN_PORTS: Final = ("25", "2525", "8080", "8026", "9464")
# The fault of a command is one wherever it stands in a pipe.
_SHELL: Final = ("/bin/bash", "-e", "-o", "pipefail", "-c")
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
# What a page shows runs until it is stopped; here the next line follows once it listens. A bench
# is as long as it must be to print all, as its seconds are all CPU.
_COMMAND: Final = """\
#!/bin/sh
real='{command}'
case " $* " in *' --help '* | *' --once '*) exec "$real" "$@" ;; esac
case "$*" in
serve* | proxy* | tracker* | report*) ;;
--config*) [ $# = 2 ] || exec "$real" "$@" ;;
'events tail '*-f* | 'events tail '*--follow* | top*) timeout 2 "$real" "$@"; [ $? = 124 ]; exit ;;
check*) "$real" "$@"; [ $? -le 1 ]; exit ;;
bench*) exec "$real" "$@" --seconds 0.2 ;;
init*) exec "$real" "$@" --listen 127.0.0.1:{2525} --tracker-listen 127.0.0.1:{8080} \\
    --report-listen 127.0.0.1:{8026} ;;
*) exec "$real" "$@" ;;
esac
log='{bin}'/log.$$
# Of the servers of `serve` the proxy is the last.
case $1 in serve) last='proxy listens on' ;; *) last='listens on' ;; esac
"$real" "$@" >"$log" 2>&1 </dev/null &
echo $! >>'{bin}/pids'
before=none
while now=$(wc -l <"$log"); ! grep -q "$last" "$log" || [ "$now" != "$before" ]; do
    kill -0 $! 2>/dev/null || {{ cat "$log" >&2; exit 1; }}
    before=$now
    sleep 0.4
done
grep 'listens on' "$log"
"""
_TAIL: Final = """\
#!/bin/sh
# Following a file has no end.
case $1 in
-*[fF]*) timeout 1 /usr/bin/tail "$@"; [ $? = 124 ] ;;
*) exec /usr/bin/tail "$@" ;;
esac
"""


@dataclass(frozen=True, slots=True)
class Printed:
    """What a shell printed, as on a terminal, and how it ended."""

    code: int
    text: str


class Sandbox:
    """A folder for one page, and what runs in it; use it as a context.

    Attributes:
        folder: Where its commands are run.
        ports: By the port that pages show: the one that it is here.
        mailbox: The server behind the proxy, at port 25 of the pages.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        found = find_free_ports(len(SHOWN_PORTS))
        self.ports = dict(zip(SHOWN_PORTS, found, strict=True))
        self.mailbox = MailServer(self.ports["25"])
        self._read = 0

    def here(self, text: str) -> str:
        """Put the ports of this folder in place of those that a page shows."""
        text = text.replace("/opt/msys/ecelerity/etc/conf/default/", "")
        for shown, port in self.ports.items():
            # 25 alone is any number; the others are ports wherever they stand.
            before = r"(?<=127\.0\.0\.1:)|(?<=localhost:)" if shown == "25" else ""
            text = re.sub(rf"(?:{before})\b{shown}\b", str(port), text)
        return text

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

    def type_line(self, line: str) -> Printed:
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

    def read_mail(self) -> None:
        """Open the mail that has arrived, follow its links, and wait until that is known."""
        new = self.mailbox.arrivals[self._read :]
        self._read += len(new)
        tracked = re.compile(rf"http://127\.0\.0\.1:{self.ports['8080']}/[\w/.-]+")
        urls = [
            url
            for each in new
            for part in message_from_bytes(each.message, policy=default).walk()
            if part.get_content_maintype() == "text"
            for url in tracked.findall(part.get_content())
        ]
        if urls:
            before = _count_reads(self.folder)
            for url in urls:
                _visit(url)
            _wait_for_reads(self.folder, before + len(urls))

    def __enter__(self) -> Self:
        self.mailbox.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop_servers()
        self.mailbox.__exit__(kind, error, trace)

    def _stop_servers(self) -> None:
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
            text = text.replace("{command}", find_command_of_shells()).replace("{bin}", str(made))
            _write_foreign_commands(made)
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
    with sandbox:
        servers = [Server(folder, each) for each in ("tracker", "proxy")]
        try:
            for server in servers:
                server.listening()
            _send(sandbox)
            sandbox.read_mail()
            for server in reversed(servers):
                assert server.stop().code == 0
        finally:
            for server in servers:
                server.kill()
    (folder / "msys-track.toml").write_text(_CONFIGURATION)
    (folder / "ecelerity.conf").write_text(_MOMENTUM)
    (folder / "lua").mkdir()
    (folder / "vendor").mkdir()
    (folder / "vendor" / "autoload.php").write_text(_write_autoload())
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


def _count_reads(folder: Path) -> int:
    query = "SELECT count(*) FROM events WHERE type IN ('click', 'open', 'initial_open')"
    try:
        with closing(sqlite3.connect(folder / "events.sqlite")) as store:
            (count,) = store.execute(query).fetchone()
    except sqlite3.OperationalError:  # the recorder has yet to make it
        return 0
    return int(count)


def _wait_for_reads(folder: Path, count: int) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while _count_reads(folder) < count:
        assert time.monotonic() < end
        time.sleep(0.05)


def _need_php() -> None:
    need_tool("php8.2", "php-cli")
    for package in ("libphp-phpmailer", "php-symfony-mailer"):
        if not (tools_folder() / package).exists():
            pytest.skip(f"{package} was not found; scripts/mail-tools unpacks it")


def _need_node() -> None:
    need_tool("node", "nodejs")
    if not (tools_folder() / "nodemailer").exists():
        pytest.skip("nodemailer was not found; scripts/mail-tools installs it")


def _need_ruby() -> None:
    need_tool("ruby3.1", "ruby-actionmailer")


FOREIGN_COMMANDS: Final[Mapping[str, Callable[[], None]]] = {
    "php": _need_php,
    "node": _need_node,
    "ruby": _need_ruby,
}
"""By command: what skips a test where it, or the client that pages use it with, can't be had."""


def _write_autoload() -> str:
    """Write what Composer would: where the classes of both clients are."""
    [*php] = tools_folder().glob("libphp-phpmailer/usr/share/php/*/autoload.php")
    php += tools_folder().glob("php-symfony-mailer/usr/share/php/Symfony/*/Mailer/autoload.php")
    return "<?php\n" + "".join(f"require_once '{each}';\n" for each in php)


def _write_foreign_commands(folder: Path) -> None:
    # Unpacked, PHP has no configuration that names its extensions, and Ruby knows no gems.
    if php := find_tool("php8.2", "php-cli"):
        symfony = tools_folder() / "php-symfony-mailer"
        roots = [each for each in (php.root, symfony) if php.root and each and each.exists()]
        extensions = {
            each.stem: each for root in roots for each in root.glob("usr/lib/php/*/*.so")
        }
        names = [each for each in ("mbstring", "ctype", "iconv") if each in extensions]
        options = [f"-dextension={extensions[each]}" for each in names]
        options.append(
            f"-dinclude_path={_join([symfony / 'usr/share/php', Path('/usr/share/php')])}"
        )
        libraries = sorted({each.parent for each in symfony.glob("usr/lib/**/libonig.so*")})
        _write_foreign(folder / "php", php, *options, libraries=libraries)
    if ruby := find_tool("ruby3.1", "ruby-actionmailer"):
        variables = {}
        if ruby.root is not None:
            folders = ("usr/lib/ruby/vendor_ruby", "usr/lib/ruby/3.1.0")
            built = sorted(ruby.root.glob("usr/lib/*/ruby/**/3.1.0"))
            gems = {each.parent for each in ruby.root.glob("usr/**/specifications")}
            variables = {
                "RUBYLIB": _join([*(ruby.root / each for each in folders), *built]),
                "GEM_PATH": _join(sorted(gems)),
            }
        _write_foreign(folder / "ruby", ruby, variables=variables)
    if node := find_tool("node", "nodejs"):
        modules = tools_folder() / "nodemailer" / "node_modules"
        _write_foreign(folder / "node", node, variables={"NODE_PATH": str(modules)})


def _write_foreign(
    path: Path,
    tool: Tool,
    *options: str,
    libraries: Sequence[Path] = (),
    variables: Mapping[str, str] = MappingProxyType({}),
) -> None:
    own = {}
    if tool.root:
        found = [tool.environment["LD_LIBRARY_PATH"], *map(str, libraries)]
        own = {"LD_LIBRARY_PATH": os.pathsep.join(found)}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in {**own, **variables}.items()]
    command = shlex.join([tool.path, *options])
    path.write_text("\n".join(["#!/bin/sh", *lines, f'exec {command} "$@"', ""]))
    path.chmod(0o755)


def _join(folders: Iterable[Path]) -> str:
    return os.pathsep.join(map(str, folders))
