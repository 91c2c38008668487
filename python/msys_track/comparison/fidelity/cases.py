"""Small inputs of our own, each with one thing that rewriters get wrong; no mail of anybody's.

An input has one way to be read right, by the HTML Standard or by an RFC.
"""

import base64
import quopri
from collections.abc import Iterator
from typing import Final

_LINK: Final = '<a href="http://shop.example/?a=1&amp;b=2">offer</a>'

DOCUMENTS: Final = {
    # links
    "double quotes": _LINK,
    "single quotes": "<p><a href='http://shop.example/it\"s?a=1'>offer</a>",
    "no quotes": "<p><a href=http://shop.example/?a=1&b=2>offer</a>",
    "no quotes, slash at the end": "<p><a href=http://shop.example/>offer</a>",
    "upper case": '<P><A HREF="HTTP://SHOP.EXAMPLE/">offer</A></P>',
    "line breaks in the tag": '<p><a\n  class="b"\n  href\n  =\n  "http://shop.example/"\n>x</a>',
    "blanks around the URL": '<p><a href="\n  http://shop.example/a b  \n">offer</a>',
    "tab inside the scheme": '<p><a href="ht\ttp://shop.example/">offer</a>',
    "references in the URL": '<p><a href="http://shop.example/?q=&quot;x&quot;&amp;copy=1">x</a>',
    "references that spell http": '<p><a href="&#x68;ttp&colon;//shop.example/">offer</a>',
    "references without semicolon": '<p><a href="http://shop.example/?a=1&copy=2&lt=3">x</a>',
    "two hrefs": '<p><a href="http://one.example/" href="http://two.example/">x</a>',
    "another attribute first": '<p><a title="> href=\'no\'" data-href="http://no.example/" '
    'href="http://shop.example/">x</a>',
    "slash between attributes": '<p><a/class="x"/href="http://shop.example/">x</a>',
    "slash in a value without quotes": '<p><a/class=x/href="http://no.example/">x</a>',
    "no blank between attributes": '<p><a class="x"href="http://shop.example/"id=y>x</a>',
    "area": '<map name=m><area shape=rect coords=0,0,9,9 href="https://shop.example/"></map>',
    "link in SVG": '<svg width=9 height=9><a href="http://shop.example/"><text>x</text></a></svg>',
    "letters beyond ASCII": '<p><a href="https://bücher.example/ü?q=日本#ü">x</a>',
    "placeholders in the URL": '<p><a href="http://a.example/{{id}}?e=%%mail%%&n=*|NAME|*">x</a>',
    "link in noscript": '<p>x<noscript><a href="http://shop.example/">offer</a></noscript>',
    "ping and target": '<p><a href="http://a.example/" ping=/p target=_blank rel=noopener>x</a>',
    # no links
    "mail, telephone, place": '<p><a href="mailto:a@b.c?subject=x&amp;body=http://a.example/">m</a>'
    '<a href="tel:+1">t</a><a href="#top">f</a><a name=top></a>' + _LINK,
    "comment": f"<!-- {_LINK} </body> --><p>{_LINK}",
    "script": f"<script>document.write('{_LINK}</body>')</script><p>{_LINK}",
    "style": f"<style>a[href='http://shop.example/'] > b {{ color: red }}</style><p>{_LINK}",
    "title and textarea": f"<title>{_LINK}</title><body><textarea>{_LINK}</textarea>{_LINK}",
    "other elements": '<link rel=stylesheet href="http://shop.example/s.css"><p>'
    f'<img src="http://shop.example/i.png" longdesc="http://shop.example/">{_LINK}',
    "text that looks like a tag": f"<p>1 <2 and a href=http://no.example/ > b {_LINK}",
    # documents
    "HTML5": f"<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8><title>x</title></head>\n"
    f"<body>\n<p>{_LINK}</p>\n</body>\n</html>\n",
    "XHTML 1.0": '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" '
    '"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">\n'
    '<html xmlns="http://www.w3.org/1999/xhtml" xmlns:v="urn:schemas-microsoft-com:vml">'
    '<head><meta http-equiv="Content-Type" content="text/html; charset=utf-8" /></head>'
    f"<body><p>{_LINK}<br /></p></body></html>",
    "HTML 4.01 strict": '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01//EN" '
    f'"http://www.w3.org/TR/html4/strict.dtd"><html><body><p>{_LINK}</body></html>',
    "no doctype": f"<html><head><title>x</title></head><body><p>{_LINK}</p></body></html>",
    "XML declaration": '<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE html><html><body>'
    f"é {_LINK}",
    "fragment": f"<p>Grüße, {_LINK}</p><p>second</p>",
    "text alone before a link": f"Hello, {_LINK} and more",
    "body not closed": f"<html><body><p>{_LINK}",
    "text behind the end": f"<html><body><p>{_LINK}</body></html>\n<p>footer of a list {_LINK}",
    "two bodies": f"<body><p>one</p></body><body class=x><p>{_LINK}</p></body>",
    "end of body in an attribute": f"<body><p title='</body>'>{_LINK}</p></body>",
    "cells without a table": f"<tr><td>{_LINK}</td></tr>",
    "text between rows": f"<table><tr><td>a</td></tr>{_LINK}<tr><td>b</td></tr></table>",
    "crossed tags": f"<p><b>one <i>two</b> three</i> {_LINK}</p>",
    "paragraph around a table": f"<p><table><tr><td>{_LINK}</td></tr></table></p>",
    "block in a link": '<a href="http://shop.example/"><div><p>offer</p></div></a>',
    "link in a link": f'<a href="http://shop.example/1">one {_LINK}</a>',
    "unclosed lists": f"<ul><li>one<li>{_LINK}<li>three</ul><dl><dt>a<dd>b</dl>",
    "form around rows": f"<table><form action=x><tr><td>{_LINK}</td></tr></form></table>",
    "elements with a colon": f"<p class=MsoNormal>{_LINK}<o:p>&nbsp;</o:p></p>",
    "empty elements closed by a slash": f"<div/><p>{_LINK}</p><span/>",
    "attributes without value": f"<table nowrap><tr><td nowrap disabled>{_LINK}</td></tr></table>",
    "attribute twice": f'<p style="color:red" style="color:blue">{_LINK}</p>',
    "attribute names of programs": f'<p @click="x" :class="y" v-if="a < b">{_LINK}</p>',
    # Outlook
    "ghost table": f"<!--[if mso]><table><tr><td><![endif]-->{_LINK}"
    "<!--[if mso]></td></tr></table><![endif]-->",
    "for all but Outlook": f"<!--[if !mso]><!-->{_LINK}<!--<![endif]-->",
    "for all but Outlook, as markup": f"<p>a</p><![if !mso]>{_LINK}<![endif]><p>b</p>",
    "link for Outlook": f"<p>{_LINK}<!--[if mso]><a href='http://shop.example/o'>o</a><![endif]-->",
    "button for Outlook": f"<p>{_LINK}<!--[if mso]><v:roundrect xmlns:v='urn:v' "
    "href='http://shop.example/b' arcsize='8%'><center>x</center></v:roundrect><![endif]-->",
    "settings for Outlook": "<html><head><!--[if gte mso 9]><xml><o:OfficeDocumentSettings>"
    "<o:AllowPNG/><o:PixelsPerInch>96</o:PixelsPerInch></o:OfficeDocumentSettings></xml>"
    f"<![endif]--></head><body>{_LINK}</body></html>",
    # text
    "named references": f"<p>&nbsp;&zwnj;&shy;&eacute;&hellip;&NotEqual; {_LINK}</p>",
    "references without end": f"<p>AT&T &copy 2026 &amp &notit; a&b {_LINK}</p>",
    "hidden preheader": f"<div style='display:none'>news &#847;&zwnj;&nbsp;&#8199;</div>{_LINK}",
    "preformatted": f"<pre>\n\n  one\n\ttwo   three\n</pre>{_LINK}",
    "letters of the world": f"<p>日本語, Ελληνικά, עברית, 👩\u200d👩\u200d👧, e\u0301 {_LINK}</p>",
    "nothing but text": "no link, no tag",
    "nothing": "",
}
"""HTML by the name of what is special in it."""

_HTML: Final = f"<html><body><p>Grüße … {_LINK}</p></body></html>\r\n".encode()
_HEAD: Final = (
    b"From: Shop <shop@shop.example>\r\nTo: jo@reader.example\r\nSubject: news\r\n"
    b"Date: Sun, 29 Nov 2026 08:00:00 +0000\r\nMessage-ID: <1@shop.example>\r\n"
    b"MIME-Version: 1.0\r\n"
)
_TYPE: Final = b"Content-Type: text/html; charset=utf-8\r\n"
_TEXT: Final = b"Content-Type: text/plain; charset=utf-8\r\n\r\nsee http://shop.example/"
_PART: Final = _TYPE + b"Content-Transfer-Encoding: 8bit\r\n\r\n" + _HTML


def _quote(html: bytes) -> bytes:
    return quopri.encodestring(html.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")


def _join(kind: str, *parts: bytes, preamble: bytes = b"", epilogue: bytes = b"") -> bytes:
    delimited = b"".join(b"--B=_1\r\n" + part + b"\r\n" for part in parts)
    return (
        f'Content-Type: multipart/{kind}; boundary="B=_1"\r\n\r\n'.encode()
        + preamble
        + delimited
        + b"--B=_1--\r\n"
        + epilogue
    )


def _encode(charset: str, text: str) -> bytes:
    head = f"Content-Type: text/html; charset={charset}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    return head.encode() + f"<body><p>{text} {_LINK}</p></body>\r\n".encode(charset)


_QUOTED: Final = b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
_BASE64: Final = b"Content-Transfer-Encoding: base64\r\n\r\n"
_IMAGE: Final = (
    b"Content-Type: image/png\r\nContent-ID: <a@b>\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    b"iVBORw0KGgo="
)

MESSAGES: Final = {
    "8bit": _HEAD + _PART,
    "quoted-printable": _HEAD + _TYPE + _QUOTED + _quote(_HTML),
    "quoted-printable, soft break in the URL": _HEAD
    + _TYPE
    + _QUOTED
    + b'<p><a href=3D"http://sh=\r\nop.example/?a=3D1&amp;b=\r\n=3D2">x</a>\r\n',
    "quoted-printable, lower case": _HEAD
    + _TYPE
    + _QUOTED
    + b'<p>gr=c3=bc=c3=9fe <a href=3d"http://shop.example/">x</a>\r\n',
    "base64": _HEAD + _TYPE + _BASE64 + base64.encodebytes(_HTML).replace(b"\n", b"\r\n"),
    "base64, lines of 60": _HEAD
    + _TYPE
    + _BASE64
    + b"\r\n".join(
        base64.b64encode(_HTML * 3)[at : at + 60] for at in range(0, 4 * len(_HTML), 60)
    ),
    "no transfer encoding": _HEAD + b"Content-Type: text/html\r\n\r\n<p>" + _LINK.encode(),
    "ISO-8859-1": _HEAD + _encode("iso-8859-1", "Grüße"),
    "windows-1252": _HEAD + _encode("windows-1252", "“Grüße” … 5 €"),
    "ISO-2022-JP": _HEAD + _encode("iso-2022-jp", "日本語"),
    "Shift_JIS": _HEAD + _encode("shift_jis", "表示ソ"),
    "KOI8-R": _HEAD + _encode("koi8-r", "Привет"),
    "charset that does not exist": _HEAD
    + b"Content-Type: text/html; charset=x-nope\r\n\r\n<p>"
    + _LINK.encode(),
    "alternative": _HEAD + _join("alternative", _TEXT, _PART),
    "related, with an image": _HEAD + _join("related", _PART, _IMAGE),
    "preamble and epilogue": _HEAD
    + _join("mixed", _PART, preamble=b"This is MIME.\r\n", epilogue=b"the end\r\n"),
    "attached HTML": _HEAD
    + _join("mixed", _PART, b"Content-Disposition: attachment; filename=x.html\r\n" + _PART),
    "forwarded message": _HEAD
    + _join("mixed", _PART, b"Content-Type: message/rfc822\r\n\r\n" + _HEAD + _PART),
    "signed by DKIM": b"DKIM-Signature: v=1; a=rsa-sha256; d=shop.example; s=a;\r\n"
    b"\tc=relaxed/relaxed; h=from:to:subject; bh=AAAA; b=AAAA\r\n" + _HEAD + _PART,
    "signed by OpenPGP": _HEAD
    + _join(
        'signed; micalg=pgp-sha256; protocol="application/pgp-signature"',
        _PART,
        b"Content-Type: application/pgp-signature\r\n\r\n-----BEGIN PGP SIGNATURE-----",
    ),
    "signed part beside HTML": _HEAD
    + _join(
        "mixed",
        _PART,
        _join("signed; protocol=x/y", _PART, b"Content-Type: x/y\r\n\r\nz").replace(
            b"B=_1", b"inner"
        ),
    ),
    "invitation": _HEAD
    + _join(
        "alternative",
        _PART,
        b"Content-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR\r\nEND:VCALENDAR",
    ),
    "folded and encoded header": _HEAD.replace(
        b"Subject: news",
        b"Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\n =?utf-8?B?4oKs?= and\r\n\tmore",
    )
    + _PART,
    "8-bit header": _HEAD.replace(b"Subject: news", "Subject: Grüße".encode()) + _PART,
    "header of 900 bytes": _HEAD.replace(
        b"Message-ID",
        b"List-Unsubscribe: <https://shop.example/u?t=" + b"x" * 850 + b">\r\nMessage-ID",
    )
    + _PART,
    "one line of 5,000 bytes": _HEAD + _TYPE + b"\r\n<p>" + b"word " * 1_000 + _LINK.encode(),
    "dots at line starts": _HEAD + _TYPE + b"\r\n.\r\n..\r\n.x " + _LINK.encode() + b"\r\n.\r\n",
    "no HTML": _HEAD + _TEXT + b"\r\n",
}
"""Messages by the name of what is special in them."""


def list_documents() -> Iterator[tuple[str, bytes]]:
    """Yield name and HTML, in UTF-8, of each document."""
    for name, text in DOCUMENTS.items():
        yield name, text.encode("utf-8")


def list_messages() -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of each message."""
    yield from MESSAGES.items()
