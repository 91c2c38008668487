"""The tour: every mail of the catalogue there and back, then what nobody may be able to do.

A mail of one's own takes the same way, alone.
"""

from collections.abc import Callable, Iterable

from msys_track.demo import page, safety
from msys_track.demo.catalogue import MAILS, Mail
from msys_track.demo.check import Ledger, check
from msys_track.demo.journey import travel
from msys_track.demo.stage import Stage


async def tour(stage: Stage, say: Callable[[str], None], own: Mail | None = None) -> Ledger:
    """Show what becomes of each mail, line by line; return what was expected and found."""

    def show(lines: Iterable[str]) -> None:
        for line in lines:
            say(line)

    ledger, journeys = Ledger(), []
    show(page.show_opening(stage))
    for mail in MAILS if own is None else [own]:
        section = ledger.section(mail.file)
        journey = await travel(stage, mail)
        check(journey, section)
        journeys.append(journey)
        show(page.show_journey(len(journeys), stage, journey, section))
    if own is None:
        section = ledger.section("what must not be possible")
        await safety.check(stage, journeys[0], section)
        show(page.show_summary(journeys))
        show(page.show_safety(section))
    return ledger
