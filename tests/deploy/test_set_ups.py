"""Every set-up of docs/deploy, run: mail goes through it, is tracked once, and none is lost."""

import email
import smtplib
from collections import Counter
from email import policy
from pathlib import Path

import pytest
from tests.certificates import make_certificate
from tests.deploy import servers
from tests.deploy.conftest import Ports, SetUp, Start, wait_for_mail
from tests.faults.mails import SENDER, compose_mail, recipients_of, targets_of
from tests.proxied import find_tracked_urls
from tests.users import PASSWORD, write_users

from msys_track.keys.ring import KeyRing

pytestmark = pytest.mark.timeout(240)

_LOGIN = """\
networks = ["192.0.2.0/24"]
auth_users = "users.toml"
tls_certificate = "server.crt"
tls_key = "server.key"
"""
_MAILS = 30
_REFUSALS = 60
_MORE_THAN_A_CONNECTION_TAKES = 230
"""OpenSMTPD takes 100 mails a connection."""


def postfix_files(ports: Ports, folder: str, *, front: bool) -> dict[str, str]:
    """Give what is added to Postfix's own files, and what only the test needs."""
    master = ports.read(f"{folder}/master.cf") if folder != "postfix-relayhost" else ""
    main = ports.read(f"{folder}/main.cf") if folder != "postfix-upstream" else ""
    if front:
        master += f"127.0.0.1:{ports.mta} inet n - n - - smtpd\n"
    if folder != "postfix-relayhost":
        main += f"relayhost = [127.0.0.1]:{ports.out}\n"
    return {"/etc/postfix/added/main.cf": main, "/etc/postfix/added/master.cf": master}


def send(port: int, count: int, readers: int = 1) -> None:
    """Send mails over one connection."""
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        for number in range(count):
            mail_id = f"m{number}"
            client.sendmail(SENDER, recipients_of(mail_id, readers), compose_mail(mail_id))


def assert_all_arrive(set_up: SetUp, folder: Path, count: int, readers: int = 1) -> None:
    """Wait for every mail: each comes once to each reader, tracked once; then the proxy ends."""
    wait_for_mail(set_up.mailbox, count * readers, set_up.log)
    keys = KeyRing.load(str(folder / "keys.toml"))
    got: Counter[str] = Counter()
    for arrival in set_up.mailbox.arrivals:
        got.update(arrival.recipients)
        mail_id = email.message_from_bytes(arrival.message, policy=policy.default)["Subject"]
        claims = [each.claims for each in find_tracked_urls(arrival.message, keys)]
        assert [each.target for each in claims] == [*targets_of(mail_id), None]
        assert {each.engagement.recipient for each in claims} == set(arrival.recipients)
    wanted = [to for number in range(count) for to in recipients_of(f"m{number}", readers)]
    assert got == Counter(wanted)
    assert set_up.proxy.stop().code == 0


def test_postfix_sends_each_mail_through_the_filter_once(start: Start, tmp_path: Path) -> None:
    # In front of the proxy and behind it: the same Postfix.
    set_up = start(
        servers.POSTFIX,
        lambda ports: postfix_files(ports, "postfix-content-filter", front=True),
        "upstream",
    )
    send(set_up.ports.mta, _MAILS, readers=2)
    assert_all_arrive(set_up, tmp_path, _MAILS, readers=2)


def test_postfix_relays_everything_through_the_proxy(start: Start, tmp_path: Path) -> None:
    set_up = start(
        servers.POSTFIX,
        lambda ports: postfix_files(ports, "postfix-relayhost", front=True),
        "mta",
    )
    send(set_up.ports.mta, _MAILS, readers=2)
    assert_all_arrive(set_up, tmp_path, _MAILS, readers=2)


def test_postfix_logs_in_to_a_proxy_elsewhere(start: Start, tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    write_users(tmp_path / "users.toml", "shop")

    def files(ports: Ports) -> dict[str, str]:
        main = ports.read("postfix-relayhost-login/main.cf")
        main = main.replace("track.shop.example", "localhost")
        main = main.replace("/etc/ssl/certs/ca-certificates.crt", "/etc/postfix/ca.pem")
        return {
            "/etc/postfix/added/main.cf": f"{main}smtp_host_lookup = native\n",
            "/etc/postfix/added/master.cf": f"127.0.0.1:{ports.mta} inet n - n - - smtpd\n",
            "/etc/postfix/ca.pem": certificate.certificate.read_text(encoding="ascii"),
            "/etc/postfix/msys-track-password": f"[localhost]:{ports.proxy} shop:{PASSWORD}\n",
        }

    set_up = start(servers.POSTFIX, files, "mta", settings=_LOGIN)
    send(set_up.ports.mta, _MAILS, readers=2)
    assert_all_arrive(set_up, tmp_path, _MAILS, readers=2)


def test_postfix_takes_tracked_mail(start: Start, tmp_path: Path) -> None:
    set_up = start(
        servers.POSTFIX,
        lambda ports: postfix_files(ports, "postfix-upstream", front=False),
        "upstream",
    )
    send(set_up.proxy.port, _MAILS // 10, readers=30)
    assert_all_arrive(set_up, tmp_path, _MAILS // 10, readers=30)


def test_refusals_of_a_stock_postfix_slow_nobody_else(start: Start, tmp_path: Path) -> None:
    # It sleeps after 10 refusals over a connection and ends it after 20.
    def files(ports: Ports) -> dict[str, str]:
        stock = f"127.0.0.1:{ports.upstream} inet n - n - 50 smtpd\n"
        refuses = (
            "smtpd_recipient_restrictions = check_recipient_access regexp:/etc/postfix/gone\n"
        )
        return {
            "/etc/postfix/added/main.cf": f"{refuses}relayhost = [127.0.0.1]:{ports.out}\n",
            "/etc/postfix/added/master.cf": stock,
            "/etc/postfix/gone": "/^gone/ 550 5.1.1 No such user\n",
        }

    set_up = start(servers.POSTFIX, files, "upstream")
    with smtplib.SMTP("127.0.0.1", set_up.proxy.port, timeout=60) as client:
        for number in range(_REFUSALS):
            with pytest.raises(smtplib.SMTPException, match=r"5\.1\.1") as refused:
                client.sendmail(SENDER, [f"gone{number}@reader.example"], compose_mail("gone"))
            assert "No such user" in str(refused.value)
            if number % 2:
                mail_id = f"m{number // 2}"
                client.sendmail(SENDER, recipients_of(mail_id, 1), compose_mail(mail_id))
    assert_all_arrive(set_up, tmp_path, _REFUSALS // 2)


def test_exim_takes_tracked_mail(start: Start, tmp_path: Path) -> None:
    set_up = start(
        servers.EXIM,
        lambda ports: {"/etc/exim4/exim4.conf": ports.read("exim-upstream/exim4.conf")},
        "upstream",
    )
    send(set_up.proxy.port, _MAILS // 10, readers=30)
    assert_all_arrive(set_up, tmp_path, _MAILS // 10, readers=30)


def test_opensmtpd_takes_more_mail_than_it_takes_over_one_connection(
    start: Start, tmp_path: Path
) -> None:
    set_up = start(
        servers.OPENSMTPD,
        lambda ports: {"/etc/smtpd.conf": ports.read("opensmtpd-upstream/smtpd.conf")},
        "upstream",
    )
    send(set_up.proxy.port, _MORE_THAN_A_CONNECTION_TAKES)
    assert_all_arrive(set_up, tmp_path, _MORE_THAN_A_CONNECTION_TAKES)
