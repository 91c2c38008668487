"""The tour: every mail of the catalogue there and back, then the attacks that must fail.

The user's own mail takes the same way, alone.
"""

from collections.abc import Callable, Iterable
from typing import Final

from msys_track.demo import page, safety
from msys_track.demo.catalogue import MAILS, Mail
from msys_track.demo.check import Ledger, check
from msys_track.demo.journey import travel
from msys_track.demo.stage import HOST, Stage

_OPENING: Final = """\
Mails go in over SMTP, come out tracked, and their readers open them and click.

   a mail program -> the proxy      {host}:{proxy:<6} tracks opens and clicks
   the proxy      -> a mail server  {host}:{mailbox:<6} stands for yours
   readers        -> the tracker    {host}:{tracker:<6} answers and stores events

   A click leads to the tracker, and from there (302) to the address shown."""


async def tour(stage: Stage, say: Callable[[str], None], own: Mail | None = None) -> Ledger:
    """Show what becomes of each mail, line by line; return what was expected and found."""

    def show(lines: Iterable[str]) -> None:
        for line in lines:
            say(line)

    ledger, journeys = Ledger(), []
    opening = _OPENING.format(
        host=HOST,
        proxy=stage.proxy.port,
        mailbox=stage.mailbox_port,
        tracker=stage.tracker.port,
    )
    show(opening.splitlines())
    for mail in MAILS if own is None else [own]:
        section = ledger.section(mail.file)
        journey = await travel(stage, mail)
        check(journey, section)
        journeys.append(journey)
        show(page.show_journey(len(journeys), stage, journey, section))
    if own is None:
        section = ledger.section("what must not be possible")
        await safety.check(stage, journeys[0], section)
        show(page.show_end(journeys, section))
    return ledger
