"""The tour holds, and can be read."""

import pytest
from tests.demo.tours import list_failures, take_tour

from msys_track.demo import page as pages
from msys_track.demo.catalogue import MAILS, WRAPPED_PLACES
from msys_track.testing.mail_reader import LinkPlace

pytestmark = pytest.mark.anyio


async def test_everything_holds() -> None:
    ledger, page = await take_tour()
    assert list(ledger.find_failures()) == []
    assert ledger.total > 150
    assert page[-1] == f"all {ledger.total} expectations held"


async def test_the_page_fits_a_terminal_of_eighty_columns() -> None:
    _, page = await take_tour()
    assert [line for line in page if len(line) > pages.WIDTH or line != line.rstrip()] == []


async def test_the_page_names_every_mail_and_what_became_of_its_links() -> None:
    _, page = await take_tour()
    text = "\n".join(page)
    for mail in MAILS:
        assert mail.file in text
        for link in mail.links:
            assert pages.cut_text(link.href, 46).removesuffix("...") in text
    assert "in plain text" in text
    assert "opted_out" in text


async def test_where_links_are_wrapped_is_one_line_of_expectation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    places = WRAPPED_PLACES | {LinkPlace.ATTACHMENT}
    monkeypatch.setattr("msys_track.demo.catalogue.WRAPPED_PLACES", places)
    noticed = await list_failures()
    assert "receipt.eml: https://orders.example.com/terms in books@example.org's copy" in noticed
