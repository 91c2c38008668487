"""Fidelity over real mail and handmade hostile input, judged by the oracle.

`MSYS_TRACK_WHOLE_CORPUS=1` puts every template in every form, which takes minutes; without it
each is put in a few, chosen by its name.
"""

import os
from collections.abc import Iterator
from hashlib import sha256
from itertools import product
from random import Random

import pytest
from tests import shared_corpus
from tests.rewriting import forms
from tests.rewriting.fidelity import check

from msys_track.errors import HeaderRefusedError

WHOLE = bool(os.environ.get("MSYS_TRACK_WHOLE_CORPUS"))
FORMS_EACH = 3
BIG_BYTES = 200_000
EVERY_FORM = tuple(product(forms.ENCODERS, forms.CONTAINERS, forms.LINE_BREAKS))
CHARSETS = ("utf-8", "windows-1252", None)

pytestmark = shared_corpus.needs_corpus


def in_its_forms(name: str, html: bytes) -> Iterator[bytes]:
    chance = Random(sha256(name.encode()).digest())  # noqa: S311 - the same each time
    chosen = EVERY_FORM if WHOLE else chance.sample(EVERY_FORM, FORMS_EACH)
    for encoder, container, line_break in chosen:
        charset = chance.choice(CHARSETS)
        text = html.decode("utf-8", "replace")
        yield forms.message(
            html if charset != "windows-1252" else text.encode("cp1252", "replace"),
            encoder=encoder,
            container=container,
            line_break=line_break,
            charset=charset,
            chance=chance,
        )


def test_real_mail_changes_in_links_and_pixel_only() -> None:
    links = sum(check(message).copy.wrapped_links for _, message in shared_corpus.messages())
    assert links > 4_900


@pytest.mark.timeout(3_600 if WHOLE else 300)
def test_real_templates_keep_every_other_byte_in_whatever_form_they_are_sent() -> None:
    links = 0
    for name, html in shared_corpus.templates():
        for message in in_its_forms(name, html):
            links += check(message).copy.wrapped_links
    assert links > 680 * (len(EVERY_FORM) if WHOLE else FORMS_EACH)


def test_hostile_input_comes_back_whole() -> None:
    refused = set()
    for name, data, kind in shared_corpus.hostile():
        if len(data) > BIG_BYTES and not WHOLE:
            continue
        try:
            check(forms.message(data) if kind == "html" else data)
        except HeaderRefusedError:
            refused.add(name)
    assert refused == {"head-two-api", "head-api-bad", "head-api-deep", "head-api-fold"}
