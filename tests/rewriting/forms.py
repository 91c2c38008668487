"""Messages around an HTML document, in the forms that mailers give them, good ones and strange.

All of them are valid enough to be delivered, and most were seen in real mail.
"""

import base64
import re
from collections.abc import Callable, Mapping
from random import Random
from typing import Final

Encoder = Callable[[bytes, bytes, Random], bytes]
"""From an HTML document, the line break of the message and a source of chance to a body."""

_LITERAL: Final = re.compile(rb"[!-<>-~]")


def quoted_printable(  # noqa: PLR0913 - one argument a choice
    html: bytes,
    eol: bytes,
    chance: Random,
    *,
    width: int = 76,
    digits: str = "%02X",
    share_escaped: float = 0.0,
    binary: bool = False,
    padding: tuple[bytes, ...] = (b"",),
) -> bytes:
    """Encode with lines of up to `width`, so that soft breaks fall wherever they fall.

    Args:
        html: the document.
        eol: the line break of the message.
        chance: decides where more than one form is allowed.
        width: longest line, its soft break included; 0 for any from 4 on.
        digits: how a byte's number is written.
        share_escaped: how many of the bytes that need no escape get one.
        binary: write line breaks of the document as escapes too.
        padding: what may stand behind the `=` of a soft break.
    """
    lines = [html] if binary else re.split(rb"\r?\n", html)
    return eol.join(
        _encoded_line(line, eol, chance, width, digits, share_escaped, padding) for line in lines
    )


def _encoded_line(  # noqa: PLR0913, PLR0917 - the same as above
    line: bytes,
    eol: bytes,
    chance: Random,
    width: int,
    digits: str,
    share_escaped: float,
    padding: tuple[bytes, ...],
) -> bytes:
    out, column, limit = bytearray(), 0, width or chance.randint(4, 76)
    for at, byte in enumerate(line):
        is_blank = byte in b" \t" and at < len(line) - 1
        literal = is_blank or _LITERAL.fullmatch(bytes([byte])) is not None
        escaped = not literal or chance.random() < share_escaped
        piece = b"=" + (digits % byte).encode("ascii") if escaped else bytes([byte])
        if column + len(piece) + (at < len(line) - 1) > limit:
            out += b"=" + chance.choice(padding) + eol
            column, limit = 0, width or chance.randint(4, 76)
        out += piece
        column += len(piece)
    return bytes(out)


def base_64(
    html: bytes, eol: bytes, chance: Random, *, width: int = 76, padded: bool = True
) -> bytes:
    """Encode in lines of `width` characters; 0 for lines of any length and blank ones."""
    encoded = base64.b64encode(html)
    if not padded:
        encoded = encoded.rstrip(b"=")
    lines = []
    while encoded:
        length = width or chance.randint(0, 100)
        lines.append(encoded[:length] + (b" " if not width and chance.random() < 0.1 else b""))
        encoded = encoded[length:]
    return eol.join(lines)


def as_it_is(html: bytes, eol: bytes, _: Random) -> bytes:
    """Give the document the line breaks of the message."""
    return re.sub(rb"\r?\n", lambda _: eol, html)


def with_its_own_breaks(html: bytes, _eol: bytes, _: Random) -> bytes:
    """Leave the document's line breaks, which may be others than the message's."""
    return html


def _qp(**settings: object) -> Encoder:
    return lambda html, eol, chance: quoted_printable(html, eol, chance, **settings)  # type: ignore[arg-type]


def _b64(**settings: object) -> Encoder:
    return lambda html, eol, chance: base_64(html, eol, chance, **settings)  # type: ignore[arg-type]


ENCODERS: Final[Mapping[str, tuple[str, Encoder]]] = {
    "8bit": ("8bit", as_it_is),
    "7bit with other line breaks": ("7bit", with_its_own_breaks),
    "binary": ("binary", with_its_own_breaks),
    "quoted-printable": ("quoted-printable", _qp()),
    "quoted-printable, lower case": ("Quoted-Printable", _qp(digits="%02x", share_escaped=0.1)),
    "quoted-printable, all escaped": ("quoted-printable", _qp(share_escaped=1.0)),
    "quoted-printable, binary": ("quoted-printable", _qp(binary=True)),
    "quoted-printable, any width": (
        "QUOTED-PRINTABLE",
        _qp(width=0, share_escaped=0.05, padding=(b"", b" ", b"\t \t")),
    ),
    "quoted-printable, too wide": ("quoted-printable", _qp(width=300)),
    "base64": ("base64", _b64()),
    "base64 in lines of 60": ("Base64", _b64(width=60)),
    "base64 in lines of 75": ("base64", _b64(width=75)),
    "base64 in one line": ("base64", _b64(width=10**9)),
    "base64 without padding": ("base64", _b64(padded=False)),
    "base64 in lines of any length": ("base64 (of a kind)", _b64(width=0)),
}

TEXT: Final = b"Content-Type: text/plain; charset=utf-8\n\nhttp://example.com/ </body>\n--outer-\n"
IMAGE: Final = (
    b"Content-Type: image/png\nContent-Transfer-Encoding: base64\nContent-ID: <a@b>\n\n"
    b"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk\nYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==\n"
)
ATTACHED: Final = (
    b"Content-Type: text/html\nContent-Disposition: attachment; filename=x.html\n\n"
    b"<body><a href='http://example.com/attached'>x</a></body>\n"
)
FORWARDED: Final = (
    b"Content-Type: message/rfc822\n\nSubject: inner\nX-MSYS-API: {}\n"
    b"Content-Type: text/html\n\n<a href='http://example.com/forwarded'>x</a>\n"
)
SIGNED: Final = (
    b"Content-Type: multipart/signed; boundary=signed\n\n--signed\nContent-Type: text/html\n\n"
    b"<a href='http://example.com/signed'>x</a>\n--signed\n"
    b"Content-Type: application/pgp-signature\n\nx\n--signed--\n"
)


def _multipart(
    kind: str, boundary: str, *parts: bytes, preamble: bytes = b"", epilogue: bytes = b""
) -> bytes:
    delimiter = b"--" + boundary.encode("ascii")
    opened = b"".join(delimiter + b"\n" + part + b"\n" for part in parts)
    head = f'Content-Type: multipart/{kind}; boundary="{boundary}"\n\n'.encode("ascii")
    return head + preamble + opened + delimiter + b"--\n" + epilogue


def _alone(leaf: bytes) -> bytes:
    return leaf


def _alternative(leaf: bytes) -> bytes:
    return _multipart("alternative", "outer", TEXT, leaf)


def _with_all_around(leaf: bytes) -> bytes:
    related = _multipart("related", "in=_ner'()+,-./:=?", leaf, IMAGE, epilogue=b"inner end\n")
    alternative = _multipart("alternative", "outer2", TEXT, related, preamble=b"--outer3\n")
    return _multipart(
        "mixed", "outer", SIGNED, FORWARDED, ATTACHED, alternative, ATTACHED,
        preamble=b"This is a message in MIME format. <a href='http://example.com/'>\n\n--outer2\n",
        epilogue=b"\n<a href='http://example.com/'></body>\n--outer\nContent-Type: text/html\n\nx",
    )  # fmt: skip


def _never_closed(leaf: bytes) -> bytes:
    return _multipart("mixed", "outer", TEXT, leaf).removesuffix(b"\n--outer--\n")


def _closed_by_the_outer_one(leaf: bytes) -> bytes:
    inner = _multipart("alternative", "inner", TEXT, leaf).removesuffix(b"--inner--\n")
    return _multipart("mixed", "outer", inner, IMAGE)


def _folded(leaf: bytes) -> bytes:
    head = b'Content-type:\n\tMULTIPART/Related;\n boundary=outer ;\n\ttype="text/html" (c)\n\n'
    return head + b"--outer \t\n" + leaf + b"\n--outer--"


CONTAINERS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "alone": _alone,
    "alternative": _alternative,
    "with all around": _with_all_around,
    "never closed": _never_closed,
    "closed by the outer one": _closed_by_the_outer_one,
    "folded": _folded,
}

LINE_BREAKS: Final[Mapping[str, bytes]] = {"CRLF": b"\r\n", "LF": b"\n"}


def message(  # noqa: PLR0913 - one argument a choice
    html: bytes,
    *,
    encoder: str,
    container: str,
    line_break: str,
    charset: str | None = "utf-8",
    chance: Random | None = None,
    final_break: bool = True,
) -> bytes:
    """Make a message whose only trackable part is this document."""
    eol = LINE_BREAKS[line_break]
    name, encode = ENCODERS[encoder]
    parameter = f'; charset="{charset}"' if charset else ""
    marker = b"\0body\0"
    head = f"Content-Type: text/html{parameter}\nContent-Transfer-Encoding: {name}\n\n"
    around = CONTAINERS[container](head.encode("ascii") + marker)
    around = (b"Subject: x\nMIME-Version: 1.0\n" + around).replace(b"\n", eol)
    body = encode(html, eol, chance or Random(0))  # noqa: S311
    return around.replace(marker, body + eol if final_break else body)
