"""Fidelity over real mail and handmade hostile input, judged by the oracle.

`make test-thorough` puts every template in every form, which takes minutes; by default some are
put in a few, chosen by their names.
"""

from collections.abc import Iterator
from hashlib import sha256
from itertools import product
from random import Random

import pytest
from tests import shared_corpus
from tests.rewriting import forms
from tests.rewriting.fidelity import check
from tests.thoroughness import IS_THOROUGH, some_of

from msys_track.errors import HeaderRefusedError

FORMS_EACH = 3
BIG_BYTES = 200_000
EVERY_FORM = tuple(product(forms.ENCODERS, forms.CONTAINERS, forms.LINE_BREAKS))
CHARSETS = ("utf-8", "windows-1252", None)

pytestmark = shared_corpus.needs_corpus


def in_its_forms(name: str, html: bytes) -> Iterator[bytes]:
    chance = Random(sha256(name.encode()).digest())  # noqa: S311 - the same each time
    chosen = EVERY_FORM if IS_THOROUGH else chance.sample(EVERY_FORM, FORMS_EACH)
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
    messages = some_of(shared_corpus.messages())
    links = sum(check(message).copy.wrapped_links for _, message in messages)
    assert links > (4_900 if IS_THOROUGH else 1_000)


@pytest.mark.timeout(3_600 if IS_THOROUGH else 300)
def test_real_templates_keep_every_other_byte_in_whatever_form_they_are_sent() -> None:
    links = 0
    for name, html in some_of(shared_corpus.templates(), 3):
        for message in in_its_forms(name, html):
            links += check(message).copy.wrapped_links
    assert links > (680 * len(EVERY_FORM) if IS_THOROUGH else 190 * FORMS_EACH)


def test_hostile_input_comes_back_whole() -> None:
    refused = set()
    for name, data, kind in shared_corpus.hostile():
        if len(data) > BIG_BYTES and not IS_THOROUGH:
            continue
        try:
            check(forms.message(data) if kind == "html" else data)
        except HeaderRefusedError:
            refused.add(name)
    assert refused == {"head-two-api", "head-api-bad", "head-api-deep", "head-api-fold"}
