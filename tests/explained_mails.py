"""Mails as they are sent, and by hand for each: what becomes of every link, pixel and part.

The configuration that they meet tracks opens and clicks; see `CONFIGURATION`.
"""

import base64
from dataclasses import dataclass
from typing import Final

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

ADDED: Final = (("open", "added"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A mail, and what is expected of it, each in the order of the mail."""

    name: str
    lines: tuple[str | bytes, ...]
    links: tuple[tuple[str, str], ...] = ()
    """Targets and fates."""
    pixels: tuple[tuple[str, str], ...] = ADDED
    parts: tuple[tuple[str, str], ...] = ()
    """Media types and fates."""

    @property
    def message(self) -> bytes:
        lines = (each.encode() if isinstance(each, str) else each for each in self.lines)
        return b"".join(line + b"\r\n" for line in (*HEADER, *lines))


HEADER: Final = (
    b"From: Shop <news@shop.example>",
    b"To: jo@reader.example",
    b"Subject: Spring",
    b"MIME-Version: 1.0",
)
HTML: Final = "Content-Type: text/html; charset=utf-8"
TEXT: Final = "Content-Type: text/plain; charset=utf-8"


def base64_lines(text: str) -> tuple[str, ...]:
    return tuple(base64.encodebytes(text.encode()).decode().split())


SEVEN_BIT = Mail(
    name="7bit, and every scheme that is no link to track",
    lines=(
        HTML,
        "",
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
    links=(
        ("http://shop.example/a", "wrapped"),
        ("HTTPS://shop.example/b?x=1&y=2#z", "wrapped"),
        ("http://shop.example/c", "wrapped"),
        ("mailto:jo@shop.example", "not_http"),
        ("tel:+4930123", "not_http"),
        ("sms:+4930123", "not_http"),
        ("cid:logo", "not_http"),
        ("#top", "not_http"),
        ("/about", "not_http"),
        ("//shop.example/d", "not_http"),
        ("", "not_http"),
        ("javascript:void(0)", "not_http"),
        ("http://", "no_host"),
    ),
    parts=(("text/html", "rewritten"),),
)

EIGHT_BIT = Mail(
    name="8bit, with targets in Unicode",
    lines=(
        HTML,
        "Content-Transfer-Encoding: 8bit",
        "",
        '<body><p>Grüße</p><a href="http://müller.example/straße?q=ä">Zum Laden</a>',
        "<a href=https://shop.example/{{id}}>{{name}}</a></body>",
    ),
    links=(
        ("http://müller.example/straße?q=ä", "wrapped"),
        ("https://shop.example/{{id}}", "wrapped"),
    ),
    parts=(("text/html", "rewritten"),),
)

QUOTED_PRINTABLE = Mail(
    name="quoted-printable, a link over two lines",
    lines=(
        HTML,
        "Content-Transfer-Encoding: quoted-printable",
        "",
        '<body>Gr=C3=BC=C3=9Fe <a href=3D"https://shop.example/a?utm=3Dspring&amp;to=',
        'ken=3D0123456789abcdef" data-msys-linkname=3D"Banner">go</a>',
        '<a href=3D"mailto:jo=40shop.example">write</a></body>',
    ),
    links=(
        ("https://shop.example/a?utm=spring&token=0123456789abcdef", "wrapped"),
        ("mailto:jo@shop.example", "not_http"),
    ),
    parts=(("text/html", "rewritten"),),
)

BASE64 = Mail(
    name="base64, one target twice, one opted out",
    lines=(
        HTML,
        "Content-Transfer-Encoding: base64",
        "",
        *base64_lines(
            '<html><body><a href="http://shop.example/a">1</a><a href="http://shop.example/a">2</a>'
            '<a data-msys-clicktrack="0" href="http://shop.example/private">3</a>'
            '<a href="mailto:jo@shop.example">4</a></body></html>\r\n'
        ),
    ),
    links=(
        ("http://shop.example/a", "wrapped"),
        ("http://shop.example/a", "wrapped"),
        ("http://shop.example/private", "opted_out"),
        ("mailto:jo@shop.example", "not_http"),
    ),
    parts=(("text/html", "rewritten"),),
)

ALTERNATIVE = Mail(
    name="multipart/alternative, links in both forms",
    lines=(
        'Content-Type: multipart/alternative; boundary="b"',
        "",
        "--b",
        TEXT,
        "",
        "Look at <https://shop.example/a> (or http://shop.example/b).",
        "--b",
        HTML,
        "",
        '<body><a href="https://shop.example/a">Look</a></body>',
        "--b--",
    ),
    links=(
        ("https://shop.example/a", "wrapped"),  # in plain text
        ("http://shop.example/b", "wrapped"),  # in plain text
        ("https://shop.example/a", "wrapped"),
    ),
    parts=(("text/plain", "rewritten"), ("text/html", "rewritten")),
)

ATTACHED = Mail(
    name="multipart/mixed, with HTML attached",
    lines=(
        "Content-Type: multipart/mixed; boundary=b",
        "",
        "--b",
        HTML,
        "",
        '<body><a href="http://shop.example/a">a</a></body>',
        "--b",
        "Content-Type: text/html",
        'Content-Disposition: attachment; filename="invoice.html"',
        "",
        '<body><a href="http://shop.example/invoice">never</a></body>',
        "--b",
        'Content-Type: application/pdf; name="a.pdf"',
        "Content-Transfer-Encoding: base64",
        "",
        "JVBERi0xLjQK",
        "--b--",
    ),
    links=(("http://shop.example/a", "wrapped"),),
    parts=(
        ("text/html", "rewritten"),
        ("text/html", "attached_part"),
        ("application/pdf", "other_media_type"),
    ),
)

RELATED = Mail(
    name="multipart/related with a picture, a second HTML part behind it",
    lines=(
        "Content-Type: multipart/related; boundary=b",
        "",
        "--b",
        HTML,
        "",
        '<body><a href="http://shop.example/a"><img src="cid:p"></a></body>',
        "--b",
        "Content-Type: image/gif",
        "Content-ID: <p>",
        "Content-Transfer-Encoding: base64",
        "",
        "R0lGODlhAQABAAAAACw=",
        "--b",
        HTML,
        "",
        '<body><a href="http://shop.example/second">never</a></body>',
        "--b--",
    ),
    links=(("http://shop.example/a", "wrapped"),),
    parts=(
        ("text/html", "rewritten"),
        ("image/gif", "other_media_type"),
        ("text/html", "not_top_part"),
    ),
)

WINDOWS_1252 = Mail(
    name="windows-1252, with a euro sign in a target",
    lines=(
        "Content-Type: text/html; charset=windows-1252",
        "Content-Transfer-Encoding: 8bit",
        "",
        b'<body>Pr\xe4mie <a href="http://shop.example/?p=5\x80">5 \x80</a></body>',
    ),
    links=(("http://shop.example/?p=5€", "wrapped"),),
    parts=(("text/html", "rewritten"),),
)

FORWARDED = Mail(
    name="a mail within a mail, its own X-MSYS-API without meaning",
    lines=(
        "Content-Type: multipart/mixed; boundary=b",
        "",
        "--b",
        HTML,
        "",
        '<body><a href="http://shop.example/a">a</a></body>',
        "--b",
        "Content-Type: message/rfc822",
        "",
        "Subject: inner",
        'X-MSYS-API: {"options":{"click_tracking":false}}',
        HTML,
        "",
        '<body><a href="http://shop.example/inner">never</a></body>',
        "--b--",
    ),
    links=(("http://shop.example/a", "wrapped"),),
    parts=(("text/html", "rewritten"), ("message/rfc822", "embedded_message")),
)

SIGNED = Mail(
    name="multipart/signed",
    lines=(
        "Content-Type: multipart/signed; protocol=application/pgp-signature; boundary=b",
        "",
        "--b",
        HTML,
        "",
        '<body><a href="http://shop.example/signed">never</a></body>',
        "--b",
        "Content-Type: application/pgp-signature",
        "",
        "-----BEGIN PGP SIGNATURE-----",
        "--b--",
    ),
    pixels=(("open", "no_html_part"),),
    parts=(("multipart/signed", "signed_part"),),
)

DKIM = Mail(
    name="signed by DKIM",
    lines=(
        "DKIM-Signature: v=1; a=rsa-sha256; d=shop.example; s=s; h=from; bh=x; b=x",
        HTML,
        "",
        '<body><a href="http://shop.example/a">never</a></body>',
    ),
    pixels=(("open", "signed_message"),),
    parts=(("text/html", "signed_message"),),
)

PLAIN = Mail(
    name="plain text alone",
    lines=(
        TEXT,
        "",
        "Your new password: https://shop.example/reset?token=a.b-c_d.",
        "Write to jo@shop.example, or see www.shop.example and ftp://shop.example/x.",
    ),
    links=(("https://shop.example/reset?token=a.b-c_d", "wrapped"),),  # in plain text
    pixels=(("open", "no_html_part"),),
    parts=(("text/plain", "rewritten"),),  # a link in plain text
)

OPTED_OUT = Mail(
    name="links that are opted out",
    lines=(
        HTML,
        "",
        '<body><a href="http://shop.example/a" data-msys-clicktrack="0">no</a>',
        "<a data-msys-clicktrack=0 href=http://shop.example/b>no</a>",
        '<a href="http://shop.example/c" data-msys-clicktrack="1">yes</a>',
        '<a href="http://shop.example/d" data-msys-unsubscribe="1">out</a></body>',
    ),
    links=(
        ("http://shop.example/a", "opted_out"),
        ("http://shop.example/b", "opted_out"),
        ("http://shop.example/c", "wrapped"),
        ("http://shop.example/d", "wrapped"),
    ),
    parts=(("text/html", "rewritten"),),
)

OPTED_OUT_TWICE = Mail(
    name="a target that HTML opts out is opted out in plain text too",
    lines=(
        "Content-Type: multipart/alternative; boundary=b",
        "",
        "--b",
        TEXT,
        "",
        "Private: http://shop.example/a or http://shop.example/b",
        "--b",
        HTML,
        "",
        '<body><a href="http://shop.example/a" data-msys-clicktrack="0">x</a></body>',
        "--b--",
    ),
    links=(
        ("http://shop.example/a", "opted_out"),
        ("http://shop.example/b", "wrapped"),
        ("http://shop.example/a", "opted_out"),
    ),
    parts=(("text/plain", "rewritten"), ("text/html", "rewritten")),
)

TRACKED = Mail(
    name="tracked already",
    lines=(
        HTML,
        "",
        f'<body><a href="http://{DOMAIN}/f/a/AQEtb2xkLXRva2Vu">old</a>',
        f'<a href="https://{DOMAIN.upper()}/f/app/AQEtb2xkLXRva2Vu">old</a>',
        f'<a href="http://{DOMAIN}/imprint">new</a></body>',
    ),
    links=(
        (f"http://{DOMAIN}/f/a/AQEtb2xkLXRva2Vu", "already_tracked"),
        (f"https://{DOMAIN.upper()}/f/app/AQEtb2xkLXRva2Vu", "already_tracked"),
        (f"http://{DOMAIN}/imprint", "wrapped"),
    ),
    parts=(("text/html", "rewritten"),),
)

NEVER_WRAPPED = Mail(
    name="a pattern of never_wrap",
    lines=(
        HTML,
        "",
        '<body><a href="https://login.BANK.example/in?x=1">bank</a>',
        '<a href="https://bank.example/in">no subdomain</a>',
        '<a href="http://login.bank.example/in">another scheme</a></body>',
    ),
    links=(
        ("https://login.BANK.example/in?x=1", "never_wrap"),
        ("https://bank.example/in", "wrapped"),
        ("http://login.bank.example/in", "wrapped"),
    ),
    parts=(("text/html", "rewritten"),),
)

LONG_URL = "http://shop.example/" + "a" * 3_500
TOO_LONG_URL = Mail(
    name="a URL that no client would take any more",
    lines=(
        HTML,
        "Content-Transfer-Encoding: base64",
        "",
        *base64_lines(f'<body><a href="{LONG_URL}">a</a><a href="http://shop.example/">b</a>'),
    ),
    links=((LONG_URL, "url_too_long"), ("http://shop.example/", "wrapped")),
    parts=(("text/html", "rewritten"),),
)

LONG_LINE = Mail(
    name="a line that can't be longer",
    lines=(
        HTML,
        "",
        '<html><body><a href="http://shop.example/short">1</a>',
        "<p>" + "x" * 850 + '<a href="http://shop.example/long">2</a></p>',
        '<a href="http://shop.example/long">3</a>',
        "</body></html>",
    ),
    links=(
        ("http://shop.example/short", "wrapped"),
        ("http://shop.example/long", "line_too_long"),
        ("http://shop.example/long", "wrapped"),
    ),
    parts=(("text/html", "rewritten"),),
)

UNKNOWN_CHARSET = Mail(
    name="charsets that can't be read",
    lines=(
        "Content-Type: multipart/alternative; boundary=b",
        "",
        "--b",
        "Content-Type: text/plain; charset=utf-16le",
        "Content-Transfer-Encoding: base64",
        "",
        base64.b64encode("http://shop.example/a".encode("utf-16le")),
        "--b",
        "Content-Type: text/html; charset=x-shop-42",
        "",
        '<body><a href="http://shop.example/a">never</a></body>',
        "--b--",
    ),
    pixels=(("open", "unknown_charset"),),
    parts=(("text/plain", "unsupported_charset"), ("text/html", "unknown_charset")),
)

BRACKETS = Mail(
    name="plain text with words for us in brackets",
    lines=(
        TEXT,
        "",
        'Private: http://shop.example/a[[data-msys-clicktrack="0"]]',
        'Out: http://shop.example/b[[data-msys-unsubscribe="1"]]',
        "Balanced: http://shop.example/c_(d) and [http://shop.example/e].",
    ),
    links=(  # all in plain text
        ("http://shop.example/a", "opted_out"),
        ("http://shop.example/b", "wrapped"),
        ("http://shop.example/c_(d)", "wrapped"),
        ("http://shop.example/e", "wrapped"),
    ),
    pixels=(("open", "no_html_part"),),
    parts=(("text/plain", "rewritten"),),
)

OUTLOOK = Mail(
    name="a button for Outlook",  # its links are those of VML and conditional comments
    lines=(
        HTML,
        "",
        "<html><body>",
        "<!--[if mso]>",
        '<v:roundrect href="http://shop.example/button">x</v:roundrect>',
        '<a href="http://shop.example/hidden">y</a> <a href="mailto:jo@shop.example">z</a>',
        "<![endif]-->",
        '<!--[if !mso]><!--><a href="http://shop.example/shown">z</a><!--<![endif]-->',
        "</body></html>",
    ),
    links=(
        ("http://shop.example/button", "wrapped"),
        ("http://shop.example/hidden", "wrapped"),
        ("mailto:jo@shop.example", "not_http"),
        ("http://shop.example/shown", "wrapped"),
    ),
    parts=(("text/html", "rewritten"),),
)

CLICKS_OFF = Mail(
    name="clicks off by the mail's own header, a pixel at the top asked for",
    lines=(
        'X-MSYS-API: {"options":{"click_tracking":false,"initial_open":true}}',
        HTML,
        "",
        '<html><body><a href="http://shop.example/a">a</a> <a href="#b">b</a></body></html>',
    ),
    links=(("http://shop.example/a", "click_tracking_off"), ("#b", "not_http")),
    pixels=(("open", "added"), ("initial_open", "added")),
    parts=(("text/html", "rewritten"),),
)

NOTHING_TO_SEE = Mail(
    name="HTML that ends in a comment, with an encoding that nobody knows beside it",
    lines=(
        "Content-Type: multipart/alternative; boundary=b",
        "",
        "--b",
        TEXT,
        "Content-Transfer-Encoding: x-uuencode",
        "",
        "http://shop.example/a",
        "--b",
        HTML,
        "",
        '<p><a href="http://shop.example/a">a</a></p><!-- ',
        "--b--",
    ),
    links=(("http://shop.example/a", "wrapped"),),
    pixels=(("open", "no_pixel_place"),),
    parts=(("text/plain", "unknown_transfer_encoding"), ("text/html", "rewritten")),
)

MAILS: Final = (
    SEVEN_BIT, EIGHT_BIT, QUOTED_PRINTABLE, BASE64, ALTERNATIVE, ATTACHED, RELATED, WINDOWS_1252,
    FORWARDED, SIGNED, DKIM, PLAIN, OPTED_OUT, OPTED_OUT_TWICE, TRACKED, NEVER_WRAPPED,
    TOO_LONG_URL, LONG_LINE, UNKNOWN_CHARSET, BRACKETS, OUTLOOK, CLICKS_OFF, NOTHING_TO_SEE,
)  # fmt: skip
