"""The tour as tests take it."""

from msys_track.demo import page as pages
from msys_track.demo.check import Ledger
from msys_track.demo.stage import open_stage
from msys_track.demo.tour import tour


async def take_tour() -> tuple[Ledger, list[str]]:
    """Take the tour; give what was expected and found, and the page."""
    page: list[str] = []
    async with open_stage() as stage:
        ledger = await tour(stage, page.append)
    return ledger, [*page, *pages.show_verdict(ledger)]


async def list_failures() -> list[str]:
    """Take the tour; say what failed, each with the mail it was about."""
    ledger, page = await take_tour()
    assert page[-1].endswith("expectations failed") == any(ledger.find_failures())
    return [f"{each.about}: {each.what}" for each in ledger.find_failures()]


def list_unnoticed(wanted: list[str], noticed: list[str]) -> list[str]:
    return [each for each in wanted if not any(one.startswith(each) for one in noticed)]
