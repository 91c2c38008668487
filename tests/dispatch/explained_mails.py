"""Mails as they are sent, and by hand for each: what becomes of every link, pixel and part.

The configuration that they meet tracks opens and clicks; see `CONFIGURATION`.
"""

import base64
from dataclasses import dataclass
from typing import Final, TypeAlias

DOMAIN: Final = "click.shop.example"
CONFIGURATION: Final = f"""
keys = "keys.toml"

[listener]
open_tracking_enabled = true
click_tracking_text = true
click_tracking_enabled = true
tracking_domain = "{DOMAIN}"
never_wrap = ["https://*.bank.example/*"]

[proxy]
upstream = "127.0.0.1:1"
"""
HEADER: Final = (
    b"From: Shop <news@shop.example>\r\nTo: jo@reader.example\r\n"
    b"Subject: Spring\r\nMIME-Version: 1.0\r\n"
)
Lines: TypeAlias = tuple[str | bytes, ...]
Fates: TypeAlias = tuple[tuple[str, str], ...]


def give_fate(fate: str, names: str) -> Fates:
    """One fate for each of some names with a space between them."""
    return tuple((name, fate) for name in names.split(" "))


def html(*body: str | bytes, encoding: str = "", more: str = "; charset=utf-8") -> Lines:
    """An entity of HTML."""
    return _entity(f"text/html{more}", body, encoding)


def text(*body: str | bytes, encoding: str = "", more: str = "; charset=utf-8") -> Lines:
    """An entity of plain text."""
    return _entity(f"text/plain{more}", body, encoding)


def _entity(kind: str, body: Lines, encoding: str) -> Lines:
    encoded = (f"Content-Transfer-Encoding: {encoding}",) if encoding else ()
    return (f"Content-Type: {kind}", *encoded, "", *body)


def multipart(kind: str, *parts: Lines, boundary: str = "b") -> Lines:
    """An entity with these parts."""
    inner = [line for part in parts for line in ("--b", *part)]
    return (f"Content-Type: multipart/{kind}; boundary={boundary}", "", *inner, "--b--")


def base64_lines(body: str) -> tuple[str, ...]:
    return tuple(base64.encodebytes(body.encode()).decode().split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A mail, and what is expected of it, each in the order of the mail."""

    name: str
    lines: Lines
    links: Fates = ()
    """Targets and fates."""
    pixels: Fates = (("open", "added"),)
    parts: Fates = (("text/html", "rewritten"),)
    """Media types and fates."""

    @property
    def message(self) -> bytes:
        lines = (each.encode() if isinstance(each, str) else each for each in self.lines)
        return HEADER + b"".join(line + b"\r\n" for line in lines)


SHOP_A: Final = give_fate("wrapped", "http://shop.example/a")
TEXT_AND_HTML: Final = give_fate("rewritten", "text/plain text/html")
NO_HTML: Final = give_fate("no_html_part", "open")
OLD: Final = f"http://{DOMAIN}/f/a/AQEtb2xkLXRva2Vu"
OLD_APP: Final = f"https://{DOMAIN.upper()}/f/app/AQEtb2xkLXRva2Vu"
LONG_URL: Final = "http://shop.example/" + "a" * 3_500

MAILS: Final = (
    Mail(
        name="7bit, and every scheme that is no link to track",
        lines=html(
            "<html><body id=top>",
            '<a href="http://shop.example/a">one</a>',
            "<A HREF='HTTPS://shop.example/b?x=1&amp;y=2#z'>two</A>",
            '<map><area href=" http://shop.example/c "></map>',
            '<a href="mailto:jo@shop.example">write</a> <a href="tel:+4930123">call</a>',
            '<a href="sms:+4930123">text</a> <a href="cid:logo">logo</a>',
            '<a href="#top">up</a> <a href="/about">about</a> <a href="//shop.example/d">d</a>',
            '<a href="">empty</a> <a href="javascript:void(0)">js</a> <a name=here>no link</a>',
            '<a href="http://">nowhere</a>',
            '<img src="http://shop.example/logo.png"><link href="http://shop.example/style.css">',
            '<form action="http://shop.example/form"></form>',
            "<!-- <a href='http://shop.example/comment'>no</a> -->",
            "</body></html>",
        ),
        links=SHOP_A
        + give_fate("wrapped", "HTTPS://shop.example/b?x=1&y=2#z http://shop.example/c")
        + give_fate("not_http", "mailto:jo@shop.example tel:+4930123 sms:+4930123 cid:logo #top")
        + give_fate("not_http", "/about //shop.example/d")
        + give_fate("not_http", "")
        + give_fate("not_http", "javascript:void(0)")
        + give_fate("no_host", "http://"),
    ),
    Mail(
        name="8bit, with targets in Unicode",
        lines=html(
            '<body><p>Grüße</p><a href="http://müller.example/straße?q=ä">Zum Laden</a>',
            "<a href=https://shop.example/{{id}}>{{name}}</a></body>",
            encoding="8bit",
        ),
        links=give_fate("wrapped", "http://müller.example/straße?q=ä https://shop.example/{{id}}"),
    ),
    Mail(
        name="quoted-printable, a link over two lines",
        lines=html(
            '<body>Gr=C3=BC=C3=9Fe <a href=3D"https://shop.example/a?utm=3Dspring&amp;to=',
            'ken=3D0123456789abcdef" data-msys-linkname=3D"Banner">go</a>',
            '<a href=3D"mailto:jo=40shop.example">write</a></body>',
            encoding="quoted-printable",
        ),
        links=give_fate("wrapped", "https://shop.example/a?utm=spring&token=0123456789abcdef")
        + give_fate("not_http", "mailto:jo@shop.example"),
    ),
    Mail(
        name="base64, one target twice, one opted out",
        lines=html(
            *base64_lines(
                '<html><body><a href="http://shop.example/a">1</a>'
                '<a href="http://shop.example/a">2</a>'
                '<a data-msys-clicktrack="0" href="http://shop.example/private">3</a>'
                '<a href="mailto:jo@shop.example">4</a></body></html>\r\n'
            ),
            encoding="base64",
        ),
        links=SHOP_A * 2
        + give_fate("opted_out", "http://shop.example/private")
        + give_fate("not_http", "mailto:jo@shop.example"),
    ),
    Mail(
        name="multipart/alternative, links in both forms",
        lines=multipart(
            "alternative",
            text("Look at <https://shop.example/a> (or http://shop.example/b)."),
            html('<body><a href="https://shop.example/a">Look</a></body>'),
            boundary='"b"',
        ),
        links=give_fate(
            "wrapped", "https://shop.example/a http://shop.example/b https://shop.example/a"
        ),
        parts=TEXT_AND_HTML,
    ),
    Mail(
        name="multipart/mixed, with HTML attached",
        lines=multipart(
            "mixed",
            html('<body><a href="http://shop.example/a">a</a></body>'),
            (
                "Content-Type: text/html",
                'Content-Disposition: attachment; filename="invoice.html"',
                "",
                '<body><a href="http://shop.example/invoice">never</a></body>',
            ),
            _entity('application/pdf; name="a.pdf"', ("JVBERi0xLjQK",), "base64"),
        ),
        links=SHOP_A,
        parts=give_fate("rewritten", "text/html")
        + give_fate("attached_part", "text/html")
        + give_fate("other_media_type", "application/pdf"),
    ),
    Mail(
        name="multipart/related with a picture, a second HTML part behind it",
        lines=multipart(
            "related",
            html('<body><a href="http://shop.example/a"><img src="cid:p"></a></body>'),
            (
                "Content-Type: image/gif",
                "Content-ID: <p>",
                "Content-Transfer-Encoding: base64",
                "",
                "R0lGODlhAQABAAAAACw=",
            ),
            html('<body><a href="http://shop.example/second">never</a></body>'),
        ),
        links=SHOP_A,
        parts=give_fate("rewritten", "text/html")
        + give_fate("other_media_type", "image/gif")
        + give_fate("not_top_part", "text/html"),
    ),
    Mail(
        name="two HTML alternatives, one without a place for a pixel",
        lines=multipart(
            "alternative",
            html("<body><p>short</body>"),
            html('<body><a href="http://shop.example/a">a</a><!--'),
        ),
        links=SHOP_A,
        pixels=give_fate("added", "open") + give_fate("no_pixel_place", "open"),
        parts=give_fate("rewritten", "text/html text/html"),
    ),
    Mail(
        name="AMP, where tracked URLs are http",
        lines=multipart(
            "alternative",
            (
                "Content-Type: text/x-amp-html",
                "",
                '<body><a href="http://shop.example/m">m</a></body>',
            ),
            html('<body><a href="http://shop.example/a">a</a></body>'),
        ),
        links=give_fate("amp_needs_https", "http://shop.example/m") + SHOP_A,
        pixels=give_fate("amp_needs_https", "amp_open") + give_fate("added", "open"),
        parts=give_fate("unchanged", "text/x-amp-html") + give_fate("rewritten", "text/html"),
    ),
    Mail(
        name="windows-1252, with a euro sign in a target",
        lines=html(
            b'<body>Pr\xe4mie <a href="http://shop.example/?p=5\x80">5 \x80</a></body>',
            encoding="8bit",
            more="; charset=windows-1252",
        ),
        links=give_fate("wrapped", "http://shop.example/?p=5€"),
    ),
    Mail(
        name="a mail within a mail, its own X-MSYS-API without meaning",
        lines=multipart(
            "mixed",
            html('<body><a href="http://shop.example/a">a</a></body>'),
            (
                "Content-Type: message/rfc822",
                "",
                "Subject: inner",
                'X-MSYS-API: {"options":{"click_tracking":false}}',
                *html('<body><a href="http://shop.example/inner">never</a></body>'),
            ),
        ),
        links=SHOP_A,
        parts=give_fate("rewritten", "text/html")
        + give_fate("embedded_message", "message/rfc822"),
    ),
    Mail(
        name="multipart/signed",
        lines=(
            "Content-Type: multipart/signed; protocol=application/pgp-signature; boundary=b",
            "",
            "--b",
            *html('<body><a href="http://shop.example/signed">never</a></body>'),
            "--b",
            "Content-Type: application/pgp-signature",
            "",
            "-----BEGIN PGP SIGNATURE-----",
            "--b--",
        ),
        pixels=NO_HTML,
        parts=give_fate("signed_part", "multipart/signed"),
    ),
    Mail(
        name="signed by DKIM",
        lines=(
            "DKIM-Signature: v=1; a=rsa-sha256; d=shop.example; s=s; h=from; bh=x; b=x",
            *html('<body><a href="http://shop.example/a">never</a></body>'),
        ),
        pixels=give_fate("signed_message", "open"),
        parts=give_fate("signed_message", "text/html"),
    ),
    Mail(
        name="plain text alone, with words for us in brackets",
        lines=text(
            "Your new password: https://shop.example/reset?token=a.b-c_d.",
            "Write to jo@shop.example, or see www.shop.example and ftp://shop.example/x.",
            'Private: http://shop.example/a[[data-msys-clicktrack="0"]]',
            'Out: http://shop.example/b[[data-msys-unsubscribe="1"]]',
            "Balanced: http://shop.example/c_(d) and [http://shop.example/e].",
        ),
        links=give_fate("wrapped", "https://shop.example/reset?token=a.b-c_d")
        + give_fate("opted_out", "http://shop.example/a")
        + give_fate("wrapped", "http://shop.example/b http://shop.example/c_(d)")
        + give_fate("wrapped", "http://shop.example/e"),
        pixels=NO_HTML,
        parts=give_fate("rewritten", "text/plain"),
    ),
    Mail(
        name="links that are opted out, tracked already or never wrapped",
        lines=html(
            '<body><a href="http://shop.example/a" data-msys-clicktrack="0">no</a>',
            "<a data-msys-clicktrack=0 href=http://shop.example/b>no</a>",
            '<a href="http://shop.example/c" data-msys-clicktrack="1">yes</a>',
            '<a href="http://shop.example/d" data-msys-unsubscribe="1">out</a>',
            f'<a href="{OLD}">old</a> <a href="{OLD_APP}">old</a>',
            f'<a href="http://{DOMAIN}/imprint">new</a>',
            '<a href="https://login.BANK.example/in?x=1">bank</a>',
            '<a href="https://bank.example/in">no subdomain</a>',
            '<a href="http://login.bank.example/in">another scheme</a></body>',
        ),
        links=give_fate("opted_out", "http://shop.example/a http://shop.example/b")
        + give_fate("wrapped", "http://shop.example/c http://shop.example/d")
        + give_fate("already_tracked", f"{OLD} {OLD_APP}")
        + give_fate("wrapped", f"http://{DOMAIN}/imprint")
        + give_fate("never_wrap", "https://login.BANK.example/in?x=1")
        + give_fate("wrapped", "https://bank.example/in http://login.bank.example/in"),
    ),
    Mail(
        name="a target that HTML opts out is opted out in plain text too",
        lines=multipart(
            "alternative",
            text("Private: http://shop.example/a or http://shop.example/b"),
            html('<body><a href="http://shop.example/a" data-msys-clicktrack="0">x</a></body>'),
        ),
        links=give_fate("opted_out", "http://shop.example/a")
        + give_fate("wrapped", "http://shop.example/b")
        + give_fate("opted_out", "http://shop.example/a"),
        parts=TEXT_AND_HTML,
    ),
    Mail(
        name="a URL that no client would take any more",
        lines=html(
            *base64_lines(f'<body><a href="{LONG_URL}">a</a><a href="http://shop.example/">b</a>'),
            encoding="base64",
        ),
        links=give_fate("url_too_long", LONG_URL) + give_fate("wrapped", "http://shop.example/"),
    ),
    Mail(
        name="a line that can't be longer and has no white space before its href",
        lines=html(
            '<html><body><a href="http://shop.example/short">1</a>',
            "<p>" + "x" * 850 + '<a id="b"href="http://shop.example/long">2</a></p>',
            '<a href="http://shop.example/long">3</a>',
            "</body></html>",
        ),
        links=give_fate("wrapped", "http://shop.example/short")
        + give_fate("line_too_long", "http://shop.example/long")
        + give_fate("wrapped", "http://shop.example/long"),
    ),
    Mail(
        name="charsets that can't be read",
        lines=multipart(
            "alternative",
            text(
                base64.b64encode("http://shop.example/a".encode("utf-16le")),
                encoding="base64",
                more="; charset=utf-16le",
            ),
            html(
                '<body><a href="http://shop.example/a">never</a></body>',
                more="; charset=x-shop-42",
            ),
        ),
        pixels=give_fate("unknown_charset", "open"),
        parts=give_fate("unsupported_charset", "text/plain")
        + give_fate("unknown_charset", "text/html"),
    ),
    Mail(
        name="a button for Outlook",  # its links are those of VML and conditional comments
        lines=html(
            "<html><body>",
            "<!--[if mso]>",
            '<v:roundrect href="http://shop.example/button">x</v:roundrect>',
            '<a href="http://shop.example/hidden">y</a> <a href="mailto:jo@shop.example">z</a>',
            "<![endif]-->",
            '<!--[if !mso]><!--><a href="http://shop.example/shown">z</a><!--<![endif]-->',
            "</body></html>",
        ),
        links=give_fate("wrapped", "http://shop.example/button http://shop.example/hidden")
        + give_fate("not_http", "mailto:jo@shop.example")
        + give_fate("wrapped", "http://shop.example/shown"),
    ),
    Mail(
        name="clicks off by the mail's own header, a pixel at the top asked for",
        lines=(
            'X-MSYS-API: {"options":{"click_tracking":false,"initial_open":true}}',
            *html(
                '<html><body><a href="http://shop.example/a">a</a> '
                '<a href="#b">b</a></body></html>'
            ),
        ),
        links=give_fate("click_tracking_off", "http://shop.example/a")
        + give_fate("not_http", "#b"),
        pixels=give_fate("added", "open initial_open"),
    ),
    Mail(
        name="HTML that ends in a comment, with an encoding that nobody knows beside it",
        lines=multipart(
            "alternative",
            text("http://shop.example/a", encoding="x-uuencode"),
            html('<p><a href="http://shop.example/a">a</a></p><!-- '),
        ),
        links=SHOP_A,
        pixels=give_fate("no_pixel_place", "open"),
        parts=give_fate("unknown_transfer_encoding", "text/plain")
        + give_fate("rewritten", "text/html"),
    ),
)
