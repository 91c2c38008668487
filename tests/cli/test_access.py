"""Access with the real command: users and certificates that change while the proxy runs."""

import asyncio
import smtplib
from pathlib import Path

import pytest
from tests.certificates import Certificate, make_certificate
from tests.processes import Run, Start
from tests.users import PASSWORD, write_users
from tests.waiting import until

CONFIG = """
keys = "keys.toml"
[proxy]
listen = "127.0.0.1:0"
listen_tls = ["127.0.0.2:0"]
upstream = "127.0.0.1:9"
networks = ["192.0.2.0/24"]
auth_users = "users.toml"
tls_certificate = "server.crt"
tls_key = "server.key"
auth_failure_delay_seconds = 0.01
"""

pytestmark = pytest.mark.usefixtures("keys")


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path, "localhost", "127.0.0.1", "127.0.0.2")


@pytest.fixture
def config(tmp_path: Path, certificate: Certificate) -> Path:
    write_users(tmp_path / "users.toml")
    assert certificate.certificate.name in CONFIG
    file = tmp_path / "msys-track.toml"
    file.write_text(CONFIG, encoding="utf-8")
    return file


def log_in(port: int, certificate: Certificate, user: str) -> tuple[int, bytes]:
    """Log in over STARTTLS, and return the answer to MAIL."""
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.starttls(context=certificate.trust())
        client.login(user, PASSWORD)
        return client.mail("a@example.com")


def send_mail(port: int) -> int:
    """Return the code of the answer to MAIL in the clear."""
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.ehlo()
        return client.mail("a@example.com")[0]


def test_users_are_added_while_the_proxy_runs(
    tmp_path: Path, config: Path, certificate: Certificate, start: Start
) -> None:
    proxy = start("proxy", "--config", config)
    assert log_in(proxy.port, certificate, "shop")[0] == 250
    with pytest.raises(smtplib.SMTPAuthenticationError, match="credentials invalid"):
        log_in(proxy.port, certificate, "blog")
    write_users(tmp_path / "users.toml", "blog")
    proxy.hang_up()
    assert proxy.event("configuration.reloaded")["workers"] == "kept"
    assert log_in(proxy.port, certificate, "blog")[0] == 250


def test_a_renewed_certificate_is_used_after_a_hangup(
    tmp_path: Path, config: Path, certificate: Certificate, start: Start
) -> None:
    proxy = start("proxy", "--config", config)
    assert log_in(proxy.port, certificate, "shop")[0] == 250
    renewed = make_certificate(tmp_path, "localhost", "127.0.0.1", "127.0.0.2")
    proxy.hang_up()
    proxy.event("configuration.reloaded")
    assert log_in(proxy.port, renewed, "shop")[0] == 250


def test_rules_that_change_hold_after_a_hangup(
    config: Path, certificate: Certificate, start: Start
) -> None:
    proxy = start("proxy", "--config", config)
    assert send_mail(proxy.port) == 530
    config.write_text(CONFIG.replace("192.0.2.0/24", "127.0.0.0/8"), encoding="utf-8")
    proxy.hang_up()
    assert proxy.event("configuration.reloaded")["workers"] == "replaced"
    # The old worker was told to stop, and may take one more client before it does.
    asyncio.run(until(lambda: send_mail(proxy.port) == 250))
    assert certificate.key.exists()


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('"users.toml"', '"nobody.toml"', "proxy.auth_users: found"),
        ('"server.key"', '"keys.toml"', "proxy.tls_certificate: "),
        ('tls_certificate = "server.crt"\n', "", "proxy.tls_key: needs a certificate"),
        ('["192.0.2.0/24"]', '["10.0.0.1/8"]', "did you mean 10.0.0.0/8"),
        ('["192.0.2.0/24"]', '["intranet"]', 'or "loopback", or "interface"'),
    ],
)
def test_what_can_not_be_right_is_found_before_the_start(
    config: Path, run: Run, old: str, new: str, fault: str
) -> None:
    config.write_text(CONFIG.replace(old, new), encoding="utf-8")
    checked = run("config", "check", config)
    assert checked.code == 2
    assert fault in checked.errors
