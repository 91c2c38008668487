"""The tour: every mail of the catalogue there and back, then what nobody may be able to do."""

from collections.abc import Callable, Iterable

from msys_track.demo import outcome, safety, table
from msys_track.demo.catalogue import MAILS
from msys_track.demo.expectations import Ledger
from msys_track.demo.journey import Journey, travel
from msys_track.demo.stage import Stage


async def tour(stage: Stage, say: Callable[[str], None]) -> Ledger:
    """Show the tour, line by line, and return what was expected and found."""
    ledger = Ledger()
    journeys: list[Journey] = []
    _say_all(say, table.opening(stage))
    for number, mail in enumerate(MAILS, start=1):
        section = ledger.section(mail.file)
        journey = await travel(stage, mail)
        outcome.check(journey, section)
        journeys.append(journey)
        _say_all(say, table.journey(number, journey, section))
    section = ledger.section("what must not be possible")
    await safety.check(stage, journeys[0], section)
    _say_all(say, table.summary(journeys))
    _say_all(say, table.safety(section))
    return ledger


def _say_all(say: Callable[[str], None], lines: Iterable[str]) -> None:
    for line in lines:
        say(line)
