"""Mail is kept for click maps where the options say so, and costs other mail nothing."""

import smtplib
from pathlib import Path
from typing import Any, Self

import pytest
from tests.ports import find_free_ports
from tests.processes import Server
from tests.service.running_proxy import wait_until

from msys_track.kept_mail.form import KeptMail, list_mails
from msys_track.keys.file import create
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


class Proxy:
    """A proxy that keeps mail, and what it relayed."""

    def __init__(self, folder: Path, options: str, more: str = "") -> None:
        create(folder / "keys.toml")
        self.folder = folder
        (self.port,) = find_free_ports(1)
        self.mailbox = MailServer()
        self._text = (
            f'keys = "keys.toml"\n[listener]\nopen_tracking_enabled = true\n'
            f"click_tracking_enabled = true\nclick_tracking_text = true\n{options}\n"
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


def test_of_mail_with_the_same_links_one_is_kept(tmp_path: Path) -> None:
    with Proxy(tmp_path, "keep_messages = true") as proxy:
        for number in range(5):
            proxy.send(recipient=f"jo{number}@example.net")
        proxy.send(HTML.replace("spring", "summer"))
        wait_until(lambda: proxy.kept("summer"))
        assert proxy.closed()["kept_mail.kept"] == 2
    assert len(proxy.kept()) == 1


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
