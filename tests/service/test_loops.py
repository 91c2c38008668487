"""Proxies with several workers that have each other as their upstreams, as real processes."""

import signal
import smtplib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.ports import find_free_ports
from tests.processes import PATIENCE_SECONDS
from tests.service.running_proxy import MAIL, Proxy

from msys_track.testing.mailbox import MailServer

MODES = ["as_they_come", "at_the_end"]


@pytest.fixture
def proxies(tmp_path: Path) -> Iterator[list[Proxy]]:
    """Two, not yet started."""
    with MailServer() as mailbox:
        made = []
        for name in ("first", "second"):
            (tmp_path / name).mkdir()
            made.append(Proxy(tmp_path / name, mailbox))
        yield made
        for each in made:
            each.server.kill()


def refuse_mail(proxy: Proxy) -> tuple[int, bytes]:
    """Send a mail and return its refusal, at RCPT or after the message."""
    with smtplib.SMTP("127.0.0.1", proxy.server.port, timeout=PATIENCE_SECONDS) as client:
        try:
            client.sendmail("sender@e.com", ["jo@e.com"], MAIL)
        except smtplib.SMTPRecipientsRefused as refused:
            return refused.recipients["jo@e.com"]
        except smtplib.SMTPDataError as refused:
            code, text = refused.smtp_code, refused.smtp_error
            return code, text if isinstance(text, bytes) else text.encode()
    return 250, b""


def count_open_files(proxy: Proxy) -> int:
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in proxy.workers)


@pytest.mark.parametrize("recipients", MODES)
def test_a_ring_of_proxies_with_workers_is_cut_at_once(
    proxies: list[Proxy], recipients: str
) -> None:
    ports = find_free_ports(2)
    for proxy, listen, upstream in zip(proxies, ports, reversed(ports), strict=True):
        proxy.configure(listen=listen, upstream=upstream, more=f'\nrecipients = "{recipients}"\n')
        proxy.start()
    before = sum(map(count_open_files, proxies))
    for _ in range(4):
        for proxy in proxies:
            began = time.monotonic()
            assert refuse_mail(proxy) == (554, b"5.4.6 Routing loop detected")
            assert time.monotonic() - began < 2
    assert sum(map(count_open_files, proxies)) - before < 20


def test_a_chain_of_proxies_with_workers_takes_mail_also_after_a_reload(
    proxies: list[Proxy],
) -> None:
    first, second = proxies
    second.start()
    first.configure(upstream=second.server.port)
    first.start()
    for _ in range(8):
        first.inject_mail()
    for proxy in proxies:
        proxy.server.process.send_signal(signal.SIGHUP)
        proxy.server.event("configuration.reloaded")
    first.inject_mail()
    second.inject_mail()
    assert len(second.mailbox.arrivals) == 10
