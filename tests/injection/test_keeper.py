"""Mail is kept for click maps where the options say so, and costs other mail nothing."""

import os
import smtplib
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest
from tests.ports import find_free_ports
from tests.processes import Server
from tests.service.running_proxy import wait_until

from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.injection.envelope import Envelope
from msys_track.injection.keeper import MailKeeper, mask_addresses
from msys_track.kept_mail.form import MAX_SHAPES, KeptMail, list_mails
from msys_track.kept_mail.settings import KeptMailSettings
from msys_track.keys.file import create
from msys_track.keys.ring import KeyRing
from msys_track.metrics import Counters
from msys_track.options.tracking import TrackingOptions
from msys_track.policy.context import Context, Contexts
from msys_track.smtp.path import Recipient
from msys_track.testing.mailbox import MailServer

HTML = """\
From: shop@example.com
To: Jo.Doe@example.net
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= jo.doe@example.net
X-MSYS-API: {"campaign_id": "spring", "metadata": {"secret": "customer 7"}}
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary=b

--b
Content-Type: text/plain; charset=utf-8

For JO.DOE@example.net: https://shop.example/text?reader=7

--b
Content-Type: text/html; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

<html><body>Gr=FC=DFe jo.doe%40example.net
<a href=3D"https://shop.example/a?x=3D1#f" data-msys-linkname=3D"Buy">Buy</a>
<a href=3D"https://shop.example/b?reader=3D7">B</a>
<a href=3D"mailto:help@shop.example">Help</a></body></html>
--b--
""".replace("\n", "\r\n")


ENVELOPE = Envelope(
    peer="192.0.2.1:4711",
    listen="192.0.2.9:2525",
    contexts=Contexts(connection=Context(), message=Context()),
    sender="shop@example.com",
    recipients=(Recipient(path="jo@example.net"),),
    message=HTML.encode(),
    received_at=1_700_000_000.0,
)


class Proxy:
    """A proxy that keeps mail, and what it relayed."""

    def __init__(
        self, folder: Path, options: str, more: str = "", *, tracks_text: bool = True
    ) -> None:
        create(folder / "keys.toml")
        self.folder = folder
        (self.port,) = find_free_ports(1)
        self.mailbox = MailServer()
        self._text = (
            f'keys = "keys.toml"\n[listener]\nopen_tracking_enabled = true\n'
            f"click_tracking_enabled = true\nclick_tracking_text = {str(tracks_text).lower()}\n"
            f"{options}\n"
            f'tracking_domain = "click.example.com"\n'
            f'[proxy]\nlisten = "127.0.0.1:{self.port}"\nupstream = "127.0.0.1:%d"\n{more}'
        )

    def __enter__(self) -> Self:
        self.mailbox.__enter__()
        file = self.folder / "msys-track.toml"
        file.write_text(self._text % self.mailbox.port, encoding="utf-8")
        self.server = Server(self.folder, "proxy").listening()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.kill()
        self.mailbox.__exit__(None, None, None)

    def send(self, mail: str = HTML, recipient: str = "Jo.Doe@example.net") -> None:
        with smtplib.SMTP("127.0.0.1", self.port, timeout=20) as client:
            client.sendmail("shop@example.com", [recipient], mail.encode())

    def kept(self, campaign: str = "spring") -> list[KeptMail]:
        return list_mails(self.folder / "kept-mail", campaign)

    def closed(self) -> dict[str, Any]:
        ended = self.server.stop()
        (found,) = [each for each in ended.logged if each["event"] == "proxy.closed"]
        return found


def test_a_mail_is_kept_with_markers_at_its_links_and_without_its_recipient(
    tmp_path: Path,
) -> None:
    with Proxy(tmp_path, "keep_messages = true") as proxy:
        proxy.send()
        wait_until(proxy.kept)
        [mail] = proxy.kept()
        assert len(proxy.mailbox.arrivals) == 1
    assert mail.subject == "Grüße reader@example.invalid"
    assert '<a href="#msys-html-1" data-msys-linkname="Buy">Buy</a>' in mail.html
    assert '<a href="#msys-html-2">B</a>' in mail.html
    assert "Grüße reader@example.invalid" in mail.html
    assert "mailto:help@shop.example" in mail.html
    assert "For reader@example.invalid: #msys-text-1" in mail.text
    assert [(link.part, link.number, link.name, link.target) for link in mail.links] == [
        ("html", 1, "Buy", "https://shop.example/a"),
        ("html", 2, "", "https://shop.example/b"),
        ("text", 1, "", "https://shop.example/text"),
    ]
    [file] = (tmp_path / "kept-mail").glob("*/*")
    content = file.read_text(encoding="utf-8").lower()
    for told in ("jo.doe", "customer 7", "reader=7", "x-msys-api", "click.example.com"):
        assert told not in content


def test_a_recipient_s_address_is_unreadable_however_it_is_written(tmp_path: Path) -> None:
    mail = HTML.replace(
        '<a href=3D"https://shop.example/b?reader=3D7">B</a>',
        "jo%2Bx%40example.net jo&#43;x&#64;example&period;net JO&#x2B;X&commat;example.net "
        '<a href=3D"https://shop.example/out/jo+x@example.net/1" data-msys-linkname=3D'
        '"jo+x@example.net">B</a> <a href=3D"https://shop.example/in/jo%2bx%40example.net">C</a>',
    )
    with Proxy(tmp_path, "keep_messages = true") as proxy:
        proxy.send(mail, "jo+x@example.net")
        wait_until(proxy.kept)
        [kept] = proxy.kept()
    nobody = "reader@example.invalid"
    assert f"{nobody} {nobody} {nobody} <a href=" in kept.html
    links = [(link.name, link.target) for link in kept.links if link.part == "html"]
    assert links[1:] == [
        (nobody, f"https://shop.example/out/{nobody}/1"),
        ("", f"https://shop.example/in/{nobody}"),
    ]


@pytest.mark.parametrize(
    "options", ["", "keep_messages = false", 'keep_messages = true\nprivacy = "aggregate"']
)
def test_no_mail_is_kept_where_the_options_do_not_say_so(tmp_path: Path, options: str) -> None:
    with Proxy(tmp_path, options) as proxy:
        proxy.send()
        closed = proxy.closed()
    assert "kept_mail.kept" not in closed
    assert not (tmp_path / "kept-mail").exists()


def test_a_mail_s_own_header_says_whether_it_may_be_kept(tmp_path: Path) -> None:
    with Proxy(tmp_path, "keep_messages = true") as proxy:
        proxy.send(HTML.replace('"spring",', '"no", "x_msys_track": {"keep_messages": false},'))
        proxy.send()
        wait_until(proxy.kept)
        assert proxy.kept("no") == []
    (tmp_path / "off").mkdir()
    with Proxy(tmp_path / "off", "") as proxy:
        proxy.send()
        proxy.send(HTML.replace('"spring",', '"yes", "x_msys_track": {"keep_messages": true},'))
        wait_until(lambda: proxy.kept("yes"))
        assert proxy.kept() == []


def test_of_mail_with_the_same_links_one_is_kept(tmp_path: Path) -> None:
    with Proxy(tmp_path, "keep_messages = true") as proxy:
        for number in range(5):
            proxy.send(recipient=f"jo{number}@example.net")
        proxy.send(HTML.replace("spring", "summer"))
        wait_until(lambda: proxy.kept("summer"))
        assert proxy.closed()["kept_mail.kept"] == 2
    assert len(proxy.kept()) == 1


def test_mails_of_one_campaign_with_other_links_are_kept_each(tmp_path: Path) -> None:
    with Proxy(tmp_path, "keep_messages = true") as proxy:
        for name in ("Buy", "Order", "Buy", "Get"):
            proxy.send(HTML.replace('"Buy"', f'"{name}"'))
        wait_until(lambda: len(proxy.kept()) == 3)
    assert {mail.links[0].name for mail in proxy.kept()} == {"Buy", "Order", "Get"}


def test_of_what_is_not_tracked_the_queries_are_not_kept(tmp_path: Path) -> None:
    """They may log a reader in, or unsubscribe them."""
    mail = HTML.replace(
        '<a href=3D"mailto:',
        '<a data-msys-clicktrack=3D"0" href=3D"https://shop.example/u?t=3Ds3cret&amp;u=3Ds3cret#'
        's3cret">u</a> <img src=3D"//shop.example/i.png?s3cret">\r\n<a href=3D"mailto:',
    ).replace("/text?reader=7", "/text?reader=7. And")
    with Proxy(tmp_path, "keep_messages = true", tracks_text=False) as proxy:
        proxy.send(mail)
        wait_until(proxy.kept)
        [kept] = proxy.kept()
    assert 'href="https://shop.example/u">u</a> <img src="//shop.example/i.png">' in kept.html
    assert "https://shop.example/text And" in kept.text
    assert "s3cret" not in str(kept)


@pytest.mark.parametrize(
    ("charset", "octets"), [("iso-8859-1", b"=80"), ("utf-8", b"=E2=82=AC"), ("nothing", b"=80")]
)
def test_a_body_is_read_as_browsers_read_it(tmp_path: Path, charset: str, octets: bytes) -> None:
    mail = HTML.replace("iso-8859-1", charset).replace("Gr=FC=DFe", octets.decode())
    with Proxy(tmp_path, "keep_messages = true") as proxy:
        proxy.send(mail)
        wait_until(proxy.kept)
        [kept] = proxy.kept()
    assert kept.html.startswith(
        "<html><body>" + ("\N{REPLACEMENT CHARACTER}" if charset == "nothing" else "\N{EURO SIGN}")
    )


def test_old_mail_is_removed_where_nothing_is_kept_any_more(tmp_path: Path) -> None:
    with Proxy(tmp_path, "keep_messages = true") as proxy:
        proxy.send()
        wait_until(proxy.kept)
    [file] = (tmp_path / "kept-mail").glob("*/*")
    os.utime(file, (0, 0))
    (tmp_path / "later").mkdir()
    folder = f'[kept_mail]\nfolder = "{tmp_path / "kept-mail"}"\n'
    with Proxy(tmp_path / "later", "keep_messages = false", folder) as proxy:
        proxy.server.event("kept_mail.removed")
    assert not file.exists()


def test_an_accepted_mail_never_fails_for_a_keeper_that_can_t(tmp_path: Path) -> None:
    counters = Counters()
    keeper = MailKeeper(KeptMailSettings(folder=tmp_path), counters)
    options = TrackingOptions(click_tracking=True, keep_messages=True)
    rewriter = Dispatcher(keys=KeyRing.temporary(), options=options)
    decision = rewriter.decide(ENVELOPE.message, ["jo@example.net"])
    keeper.close()
    keeper.note_accepted(ENVELOPE, decision)
    keeper.remove_old()
    assert counters.snapshot()["kept_mail.failed"] == 1


def keep(folder: Path, *mails: str) -> int:
    """Have a keeper of its own look at mails one by one; return how many it kept."""
    counters = Counters()
    keeper = MailKeeper(KeptMailSettings(folder=folder), counters)
    options = TrackingOptions(click_tracking=True, keep_messages=True)
    rewriter = Dispatcher(keys=KeyRing.temporary(), options=options)

    def note(mail: str) -> None:
        message = mail.encode()
        decision = rewriter.decide(message, ["jo@example.net"])
        keeper.note_accepted(replace(ENVELOPE, message=message), decision)

    for mail in mails:
        note(mail)
        behind = os.urandom(8).hex()  # a campaign that is kept after it was looked at
        note(HTML.replace("spring", behind))
        wait_until(lambda: list_mails(folder, behind))  # noqa: B023 - of this turn
    keeper.close()
    return counters["kept_mail.kept"] - len(mails)


def test_a_shape_that_another_worker_has_kept_is_not_kept_again(tmp_path: Path) -> None:
    assert keep(tmp_path, HTML) == 1
    assert keep(tmp_path, HTML) == 0
    assert len(list_mails(tmp_path, "spring")) == 1


def test_a_campaign_that_a_keeper_has_forgotten_is_not_kept_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("msys_track.injection.keeper._MAX_CAMPAIGNS", 1)
    assert keep(tmp_path, HTML, HTML) == 1


def test_a_mail_without_links_is_not_kept(tmp_path: Path) -> None:
    mail = "Subject: x\r\nContent-Type: text/html\r\n\r\n<p>hello</p>\r\n"
    assert keep(tmp_path, mail) == 0


def test_a_campaign_whose_links_differ_from_reader_to_reader_keeps_some(tmp_path: Path) -> None:
    mails = [HTML.replace('"Buy"', f'"Buy {number}"') for number in range(MAX_SHAPES + 2)]
    assert keep(tmp_path, *mails) == MAX_SHAPES


def test_an_address_with_a_character_that_html_has_no_name_for_is_masked() -> None:
    written = "jo~x@example.net jo%7Ex%40example.net jo&#126;x&commat;example.net"
    masked = mask_addresses(written, ["jo~x@example.net"])
    assert masked == " ".join(["reader@example.invalid"] * 3)


def test_a_thousand_recipients_are_masked_in_a_moment() -> None:
    recipients = [f"user{number}@example.net" for number in range(1_000)]
    body = "<p>Write to shop@example.com, not to user7@example.net" * 10_000
    began = time.process_time()
    masked = mask_addresses(body, recipients)
    assert time.process_time() - began < 3
    assert "user7" not in masked


def test_mail_goes_out_where_it_can_t_be_kept_and_that_is_counted(tmp_path: Path) -> None:
    (tmp_path / "kept-mail").mkdir()
    with Proxy(tmp_path, "keep_messages = true") as proxy:
        (tmp_path / "kept-mail").rmdir()
        (tmp_path / "kept-mail").write_text("a file in its place", encoding="utf-8")
        proxy.send()
        proxy.server.event("kept_mail.failed")
        assert proxy.closed()["kept_mail.failed"] == 1
        assert len(proxy.mailbox.arrivals) == 1


def test_a_mail_that_is_too_large_is_not_kept(tmp_path: Path) -> None:
    limit = "[kept_mail]\nmax_bytes = 100\n"
    with Proxy(tmp_path, "keep_messages = true", limit) as proxy:
        proxy.send()
        assert "kept_mail.kept" not in proxy.closed()
