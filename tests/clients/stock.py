"""Clients as applications use them, each driven to send one mail.

Those in other languages are programs of a few lines in `programs/`.
"""

import asyncio
import os
import shutil
import smtplib
import ssl
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.mail_tools import need_tool, tools_folder

_PROGRAMS = Path(__file__).parent / "programs"
_RUN_SECONDS = 120
"""Go compiles first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """AUTH over TLS that is verified."""

    user: str
    password: str
    certificate: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What a client is to send, and where to."""

    folder: Path
    port: int
    sender: str
    recipients: tuple[str, ...]
    message: bytes
    html: bytes
    login: Login | None = None

    def environment(self) -> dict[str, str]:
        """Say all of it to a program."""
        (self.folder / "mail.eml").write_bytes(self.message)
        (self.folder / "mail.html").write_bytes(self.html)
        said = {
            "PORT": str(self.port),
            "MAIL": str(self.folder / "mail.eml"),
            "HTML": str(self.folder / "mail.html"),
            "SENDER": self.sender,
            "RECIPIENTS": ",".join(self.recipients),
        }
        if self.login is not None:
            said |= {
                "USER_NAME": self.login.user,
                "PASSWORD": self.login.password,
                "CA": str(self.login.certificate),
                "SSL_CERT_FILE": str(self.login.certificate),
            }
        return said


def send_by_smtplib(letter: Letter) -> None:
    with smtplib.SMTP("localhost", letter.port) as client:
        if letter.login is not None:
            client.starttls(context=_trust(letter.login))
            client.login(letter.login.user, letter.login.password)
        client.sendmail(letter.sender, letter.recipients, letter.message, ("BODY=8BITMIME",))


def send_by_aiosmtplib(letter: Letter) -> None:
    aiosmtplib = pytest.importorskip("aiosmtplib", reason="aiosmtplib comes with make bench")
    login = letter.login
    secure = {} if login is None else {"username": login.user, "password": login.password}

    async def send() -> None:
        await aiosmtplib.send(
            letter.message,
            sender=letter.sender,
            recipients=list(letter.recipients),
            hostname="localhost",
            port=letter.port,
            start_tls=login is not None,
            tls_context=None if login is None else _trust(login),
            **secure,
        )
        # It does not wait until its connection is closed, for which TLS says goodbye.
        await asyncio.sleep(0.1)

    asyncio.run(send())


def send_by_swaks(letter: Letter) -> None:
    swaks = need_tool("swaks", "swaks")
    variables = dict(swaks.environment)
    if swaks.root is not None:
        modules = swaks.root.glob("usr/lib/*/perl5/*")
        variables["PERL5LIB"] = os.pathsep.join(
            [*map(str, modules), f"{swaks.root}/usr/share/perl5"]
        )
    said = letter.environment()
    login = letter.login
    secure = () if login is None else (
        "--tls", "--auth", "PLAIN", "--auth-user", login.user, "--auth-password", login.password,
    )  # fmt: skip
    _run(
        (
            swaks.path,
            *("--server", "localhost", "--port", said["PORT"], "--helo", "client.example"),
            *("--from", letter.sender, "--to", said["RECIPIENTS"], "--data", f"@{said['MAIL']}"),
            *secure,
        ),
        letter.folder,
        variables,
    )


def send_by_nodemailer(letter: Letter) -> None:
    node = need_tool("node", "nodejs")
    modules = tools_folder() / "nodemailer" / "node_modules"
    if not modules.exists():
        pytest.skip("nodemailer was not found; scripts/mail-tools installs it")
    variables = {**node.environment, **letter.environment(), "NODE_PATH": str(modules)}
    _run((node.path, str(_PROGRAMS / "send.cjs")), letter.folder, variables)


def send_by_go(letter: Letter) -> None:
    go = shutil.which("go")
    if go is None:
        pytest.skip("go was not found; install a Go toolchain")
    variables = {**os.environ, **letter.environment()}
    _run((go, "run", str(_PROGRAMS / "send.go")), letter.folder, variables)


def send_by_phpmailer(letter: Letter) -> None:
    php = need_tool("php8.2", "php-cli")
    [*sources] = tools_folder().glob("libphp-phpmailer/usr/share/php/*/src")
    if not sources:
        pytest.skip("PHPMailer was not found; scripts/mail-tools unpacks it (libphp-phpmailer)")
    variables = {**php.environment, **letter.environment(), "PHPMAILER": str(sources[0])}
    # Unpacked, PHP has no configuration that names its extensions.
    extensions = () if php.root is None else _name_extensions(php.root)
    _run((php.path, *extensions, str(_PROGRAMS / "send.php")), letter.folder, variables)


def _name_extensions(root: Path) -> list[str]:
    wanted = ("mbstring", "ctype", "iconv")
    found = {each.stem: each for each in root.glob("usr/lib/php/*/*.so")}
    return [f"-dextension={found[name]}" for name in wanted if name in found]


def _trust(login: Login) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(login.certificate))


def _run(command: tuple[str, ...], folder: Path, environment: Mapping[str, str]) -> None:
    done = subprocess.run(  # noqa: S603 - programs of ours and those found
        command,
        cwd=folder,
        env=dict(environment),
        capture_output=True,
        timeout=_RUN_SECONDS,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class StockClient:
    """One of them."""

    send: Callable[[Letter], None]
    composes: bool = False
    """It writes the mail itself and takes only its HTML."""


STOCK_CLIENTS: Mapping[str, StockClient] = {
    "smtplib": StockClient(send=send_by_smtplib),
    "aiosmtplib": StockClient(send=send_by_aiosmtplib),
    "swaks": StockClient(send=send_by_swaks),
    "nodemailer": StockClient(send=send_by_nodemailer),
    "Go net/smtp": StockClient(send=send_by_go),
    "PHPMailer": StockClient(send=send_by_phpmailer, composes=True),
}
