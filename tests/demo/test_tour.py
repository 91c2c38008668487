"""The tour holds, and can be read."""

import time

import pytest
from tests.demo.tours import failed, toured

from msys_track.demo import table
from msys_track.demo.catalogue import MAILS
from msys_track.demo.mail import WRAPPED_PLACES
from msys_track.testing.mail_reader import Place

pytestmark = pytest.mark.anyio


async def test_everything_holds() -> None:
    ledger, page = await toured()
    assert list(ledger.failed()) == []
    assert ledger.total > 150
    assert page[-1] == f"all {ledger.total} expectations held"


async def test_it_is_quick() -> None:
    start = time.process_time()
    await toured()
    assert time.process_time() - start < 30


async def test_the_page_fits_a_terminal_of_eighty_columns() -> None:
    _, page = await toured()
    assert [line for line in page if len(line) > table.WIDTH or line != line.rstrip()] == []


async def test_the_page_names_every_mail_and_what_became_of_its_links() -> None:
    _, page = await toured()
    text = "\n".join(page)
    for mail in MAILS:
        assert mail.file in text
        for link in mail.links:
            assert table.cut(link.href, 46).removesuffix("...") in text
    assert "in plain text" in text
    assert "opted_out" in text


async def test_where_links_are_wrapped_is_one_line_of_expectation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    places = WRAPPED_PLACES | {Place.ATTACHMENT}
    monkeypatch.setattr("msys_track.demo.mail.WRAPPED_PLACES", places)
    noticed = await failed()
    assert "receipt.eml: https://orders.example.com/terms in books@example.org's copy" in noticed
