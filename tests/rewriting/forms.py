"""Messages around an HTML document, in the forms that mailers give them, good ones and strange.

All of them are valid enough to be delivered, and most were seen in real mail.
"""

import base64
import re
from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import Final

Encoder = Callable[[bytes, bytes, Random], bytes]
"""From an HTML document, the line break of the message and a source of chance to a body."""

_LITERALS: Final = frozenset(range(0x21, 0x7F)) - {ord("=")}
_SPACES: Final = frozenset(b" \t")


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

    `width` includes the soft break, and 0 stands for any from 4 on. `share_escaped` of the bytes
    that need no escape get one; `binary` escapes line breaks of the document too; `padding` is
    what may stand behind the `=` of a soft break.
    """
    encoded = []
    escapes = [b"=" + (digits % byte).encode("ascii") for byte in range(256)]
    bytes_alone = [bytes([byte]) for byte in range(256)]
    for line in [html] if binary else re.split(rb"\r?\n", html):
        out, column, limit = bytearray(), 0, width or chance.randint(4, 76)
        for at, byte in enumerate(line):
            is_last = at == len(line) - 1
            literal = byte in _LITERALS or (byte in _SPACES and not is_last)
            escaped = not literal or chance.random() < share_escaped
            piece = (escapes if escaped else bytes_alone)[byte]
            if column + len(piece) + (not is_last) > limit:
                out += b"=" + chance.choice(padding) + eol
                column, limit = 0, width or chance.randint(4, 76)
            out += piece
            column += len(piece)
        encoded.append(bytes(out))
    return eol.join(encoded)


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


_qp = partial(partial, quoted_printable)
ENCODERS: Final[Mapping[str, tuple[str, Encoder]]] = {
    "8bit": ("8bit", as_it_is),
    "7bit with other line breaks": ("7bit", with_its_own_breaks),
    "binary": ("binary", with_its_own_breaks),
    "quoted-printable": ("quoted-printable", quoted_printable),
    "quoted-printable, lower case": (
        "Quoted-Printable",
        _qp(digits="%02x", share_escaped=0.1),
    ),
    "quoted-printable, all escaped": (
        "quoted-printable",
        _qp(share_escaped=1.0),
    ),
    "quoted-printable, binary": ("quoted-printable", _qp(binary=True)),
    "quoted-printable, any width": (
        "QUOTED-PRINTABLE",
        _qp(width=0, share_escaped=0.05, padding=(b"", b" ", b"\t \t")),
    ),
    "quoted-printable, too wide": ("quoted-printable", _qp(width=300)),
    "base64": ("base64", base_64),
    "base64 in lines of 60": ("Base64", partial(base_64, width=60)),
    "base64 in lines of 75": ("base64", partial(base_64, width=75)),
    "base64 in one line": ("base64", partial(base_64, width=10**9)),
    "base64 without padding": ("base64", partial(base_64, padded=False)),
    "base64 in lines of any length": ("base64 (of a kind)", partial(base_64, width=0)),
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


def _with_all_around(leaf: bytes) -> bytes:
    related = _multipart("related", "in=_ner'()+,-./:=?", leaf, IMAGE, epilogue=b"inner end\n")
    alternative = _multipart("alternative", "outer2", TEXT, related, preamble=b"--outer3\n")
    return _multipart(
        "mixed", "outer", SIGNED, FORWARDED, ATTACHED, alternative, ATTACHED,
        preamble=b"This is a message in MIME format. <a href='http://example.com/'>\n\n--outer2\n",
        epilogue=b"\n<a href='http://example.com/'></body>\n--outer\nContent-Type: text/html\n\nx",
    )  # fmt: skip


FOLDED: Final = (
    b'Content-type:\n\tMULTIPART/Related;\n boundary=outer ;\n\ttype="text/html" (c)\n\n'
)
CONTAINERS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "alone": lambda leaf: leaf,
    "alternative": lambda leaf: _multipart("alternative", "outer", TEXT, leaf),
    "with all around": _with_all_around,
    "never closed": lambda leaf: _multipart("mixed", "outer", TEXT, leaf).removesuffix(
        b"\n--outer--\n"
    ),
    "closed by the outer one": lambda leaf: _multipart(
        "mixed",
        "outer",
        _multipart("alternative", "inner", TEXT, leaf).removesuffix(b"--inner--\n"),
        IMAGE,
    ),
    "folded": lambda leaf: FOLDED + b"--outer \t\n" + leaf + b"\n--outer--",
}

LINE_BREAKS: Final[Mapping[str, bytes]] = {"CRLF": b"\r\n", "LF": b"\n"}


def message(  # noqa: PLR0913 - one argument a choice
    html: bytes,
    *,
    encoder: str = "binary",
    container: str = "alone",
    line_break: str = "CRLF",
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
