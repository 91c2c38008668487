"""Real MTAs as upstreams, with TLS and AUTH, and Dovecot's LMTP.

OpenSMTPD is missing: as Debian builds it, it finds no private key in a handshake (OpenSSL 3).
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.certificates import Certificate, make_certificate
from tests.deploy import box, servers
from tests.deploy.conftest import wait_for_mail
from tests.ports import find_free_ports
from tests.relay.conftest import transaction

from msys_track.errors import PartlyTakenError, UpstreamError
from msys_track.relay.settings import UpstreamSettings
from msys_track.relay.upstream import Delivery, Upstream
from msys_track.testing.mailbox import MailServer

pytestmark = pytest.mark.timeout(120)

PASSWORD = "pass w\u00f6rd"  # noqa: S105 - a test's


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path, "localhost", "127.0.0.1")


@pytest.fixture
def password(tmp_path: Path) -> Path:
    file = tmp_path / "password"
    file.write_text(PASSWORD, encoding="utf-8")
    file.chmod(0o600)
    return file


def deliver(delivery: Delivery, *, times: int = 1, **settings: Any) -> None:
    """Hand mails over, all on one connection."""

    async def run() -> None:
        upstream = Upstream(UpstreamSettings(**{"host": "localhost", **settings}))
        try:
            for _ in range(times):
                await upstream.deliver(delivery)
        finally:
            await upstream.close()
            await asyncio.sleep(0.1)  # TLS says goodbye in both directions

    asyncio.run(run())


def tls_files(certificate: Certificate) -> dict[str, str]:
    return {
        "/etc/tls/server.crt": certificate.certificate.read_text(),
        "/etc/tls/server.key": certificate.key.read_text(),
    }


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_exim_takes_mail_from_who_logs_in_over_tls(
    folder: Path, certificate: Certificate, password: Path, mechanism: str
) -> None:
    port, implicit = find_free_ports(2)
    how = {
        "PLAIN": f"server_prompts = :\nserver_condition = ${{if eq{{$auth3}}{{{PASSWORD}}}}}\n",
        "LOGIN": "server_prompts = Username:: : Password::\n"
        f"server_condition = ${{if eq{{$auth2}}{{{PASSWORD}}}}}\n",
    }
    with MailServer() as mailbox:
        conf = (
            "primary_hostname = mail.test\n"
            "local_interfaces = 127.0.0.1\n"
            f"daemon_smtp_ports = {port} : {implicit}\n"
            f"tls_on_connect_ports = {implicit}\n"
            "tls_advertise_hosts = *\n"
            "tls_certificate = /etc/tls/server.crt\n"
            "tls_privatekey = /etc/tls/server.key\n"
            "auth_advertise_hosts = ${if eq{$tls_in_cipher}{}{}{*}}\n"
            "acl_smtp_rcpt = known\n"
            "log_file_path = /var/log/exim4/%slog\n"
            "begin acl\nknown:\n  accept authenticated = *\n  deny message = 5.7.1 No\n"
            "begin routers\nout:\n  driver = manualroute\n  self = send\n"
            f"  route_list = * 127.0.0.1::{mailbox.port}\n  transport = out\n"
            "begin transports\nout:\n  driver = smtp\n  hosts_try_fastopen =\n"
            "begin authenticators\nonly:\n  driver = plaintext\n"
            f"public_name = {mechanism}\n{how[mechanism]}"
        )
        server = box.Server(
            package=servers.EXIM.package,
            prepare=f"{servers.EXIM.prepare}chown Debian-exim /etc/tls/*\n",
            command=servers.EXIM.command,
        )
        files = {"/etc/exim4/exim4.conf": conf, **tls_files(certificate)}
        with box.running(server, folder, files, (port,)) as log:
            secure: dict[str, Any] = {"tls_ca_file": certificate.certificate, "user": "proxy"}
            for each, tls in ((port, "require"), (implicit, "implicit")):
                deliver(transaction(), times=2, port=each, tls=tls, password=password, **secure)
            with pytest.raises(UpstreamError, match=r"5\.7\.1 No"):
                deliver(
                    transaction(), port=port, tls="require", tls_ca_file=certificate.certificate
                )
            with pytest.raises(UpstreamError, match=r"self-signed"):
                deliver(transaction(), port=port, tls="require")
            password.write_text("wrong", encoding="utf-8")
            with pytest.raises(UpstreamError, match=r"it refused AUTH with: 535 "):
                deliver(transaction(), port=port, tls="require", password=password, **secure)
            wait_for_mail(mailbox, 4, log)
            assert len(mailbox.arrivals) == 4


def test_postfix_takes_mail_over_tls_alone(folder: Path, certificate: Certificate) -> None:
    (port,) = find_free_ports(1)
    with MailServer() as mailbox:
        main = (
            f"relayhost = [127.0.0.1]:{mailbox.port}\n"
            "smtpd_tls_cert_file = /etc/tls/server.crt\n"
            "smtpd_tls_key_file = /etc/tls/server.key\n"
        )
        master = f"127.0.0.1:{port} inet n - n - 50 smtpd\n  -o smtpd_tls_security_level=encrypt\n"
        files = {
            "/etc/postfix/added/main.cf": main,
            "/etc/postfix/added/master.cf": master,
            **tls_files(certificate),
        }
        with box.running(servers.POSTFIX, folder, files, (port,)) as log:
            with pytest.raises(UpstreamError, match=r"530 5\.7\.0 Must issue a STARTTLS"):
                deliver(transaction(), port=port, tls="none")
            deliver(
                transaction(), times=3, port=port, tls="require",
                tls_fingerprints=(certificate.fingerprint,),
            )  # fmt: skip
            wait_for_mail(mailbox, 3, log)
            assert len(mailbox.arrivals) == 3


DOVECOT = """\
protocols = lmtp
listen = 127.0.0.1
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = nobody
log_path = /dev/stderr
mail_location = maildir:/var/mail/%u
first_valid_uid = 1
ssl = no
passdb {
  driver = static
  args = nopassword=y
}
userdb {
  driver = passwd-file
  args = /etc/dovecot/users
}
service lmtp {
  inet_listener lmtp {
    address = 127.0.0.1
    port = PORT
  }
}
protocol lmtp {
  postmaster_address = postmaster@example.com
  mail_plugins = quota
}
plugin {
  quota = maildir:User quota
  quota_rule = *:storage=100M
}
"""


def test_dovecot_answers_for_each_recipient_over_lmtp(folder: Path) -> None:
    (port,) = find_free_ports(1)
    users = (
        "amy@example.com:x:NOBODY::/var/mail/amy::\n"
        "bob@example.com:x:NOBODY::/var/mail/bob::\n"
        "full@example.com:x:NOBODY::/var/mail/full::userdb_quota_rule=*:bytes=100\n"
    )
    server = box.Server(
        package="dovecot-lmtpd",
        prepare="sed -i s/NOBODY/$(id -u nobody):$(id -g nobody)/ /etc/dovecot/users\n"
        "mkdir -p /run/dovecot /var/lib/dovecot /var/mail\nchmod 777 /var/mail\n",
        command="/usr/sbin/dovecot -F -c /etc/dovecot/dovecot.conf",
    )
    files = {
        "/etc/dovecot/dovecot.conf": DOVECOT.replace("PORT", str(port)),
        "/etc/dovecot/users": users,
    }
    with box.running(server, folder, files, (port,)):
        settings: dict[str, Any] = {"port": port, "protocol": "lmtp"}
        deliver(transaction("amy@example.com", "bob@example.com"), times=3, **settings)
        with pytest.raises(UpstreamError, match=r"550 5\.1\.1 "):
            deliver(transaction("nobody@example.com"), **settings)
        large = b"Subject: x\r\n\r\n" + b"x\r\n" * 1000
        with pytest.raises(PartlyTakenError) as partly:
            deliver(transaction("amy@example.com", "full@example.com", message=large), **settings)
    assert partly.value.taken == ("amy@example.com",)
    assert str(partly.value.refused["full@example.com"]).startswith(("452 4.2.2 ", "552 5.2.2 "))
