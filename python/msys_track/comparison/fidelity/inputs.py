"""What is judged: inputs of the package, and the corpus that stands beside a checkout."""

import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msys_track.comparison.fidelity import cases
from msys_track.comparison.fidelity.watched import Input
from msys_track.comparison.mail import list_bundled as list_bench_mails
from msys_track.comparison.utf8 import is_utf8

BUNDLED: Final = {
    "cases, HTML": "HTML of our own, each with one thing that rewriters get wrong",
    "cases, mails": "mails of our own, of the same kind",
    "bench mails": "the mails of `msys-track bench`",
}
"""The sources that come with the package."""
CORPUS: Final = {
    "real mails": "mails of other people's, whole",
    "templates": "HTML templates of other people's, alone",
    "hostile HTML": "handmade HTML that no standard foresees",
    "hostile mails": "handmade messages that no standard foresees",
}
"""The sources of the corpus."""
MOST_JUDGED_BYTES: Final = 200_000
"""Of hostile input. Browsers' trees take time beyond all measure for what is made to take it."""
READ_OTHERWISE: Final = frozenset(
    {
        "qp-cr",  # a lone CR as a soft line break
        "qp-soft-space",  # RFC 2045 section 6.7: white space behind the "=" of a soft line break
        "cte-'BASE64 (c)'",  # a comment in Content-Transfer-Encoding
        "mp-cr",  # lone CRs as line breaks
        "head-cr",
        "head-space-colon",  # white space between a field's name and its colon
    }
)
"""Hostile input that `email` reads otherwise than RFCs and mail clients do: it can't judge it."""


def list_bundled() -> Iterator[Input]:
    """Yield what comes with the package."""
    for name, html in cases.list_documents():
        yield Input("cases, HTML", name, html)
    for name, message in cases.list_messages():
        yield Input("cases, mails", name, message, is_message=True)
    for mail in list_bench_mails():
        yield Input("bench mails", f"{mail.name}.eml", mail.message, is_message=True)


def list_corpus(folder: Path, every: int = 1) -> Iterator[Input]:
    """Yield each item of the corpus, or each `every`th of a source.

    Mails get the line breaks that SMTP has, so that no peer is blamed for them.
    """
    corpus, hostile = (runpy.run_path(str(folder / f"{it}.py")) for it in ("corpus", "hostile"))
    for number, (name, message) in enumerate(corpus["items"]("messages")):
        if number % every == 0:
            wire = re.sub(rb"\r?\n", b"\r\n", message)
            yield Input("real mails", name[:12], wire, is_message=True)
    for number, (name, html) in enumerate(corpus["items"]("templates")):
        if number % every == 0:
            yield Input("templates", name[:12], _to_utf8(html))
    for number, (name, content, kind) in enumerate(hostile["cases"]()):
        if number % every == 0:
            is_message = kind == "message"
            source = "hostile mails" if is_message else "hostile HTML"
            is_judged = name not in READ_OTHERWISE and len(content) <= MOST_JUDGED_BYTES
            yield Input(source, name, content, is_message=is_message, is_judged=is_judged)


def _to_utf8(html: bytes) -> bytes:
    """Return a template in UTF-8, as peers are told it is."""
    return html if is_utf8(html) else html.decode("cp1252", "replace").encode()
