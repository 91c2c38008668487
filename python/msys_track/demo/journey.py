"""One mail's way there and back: sent, read, opened, clicked, and found again in the store.

Here things are done and noted; whether they are as they must be is for `outcome` to say.
"""

from dataclasses import dataclass

from msys_track.demo.mail import Mail
from msys_track.demo.stage import Stage
from msys_track.events import Event
from msys_track.reasons import Reason
from msys_track.testing.browser import Response
from msys_track.testing.fidelity import Changes, changes
from msys_track.testing.mail_reader import Link, read
from msys_track.testing.sender import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenLink:
    """A link of a copy that arrived, and where following it led."""

    link: Link
    response: Response | None
    """None where it does not lead to the tracker: the demo follows no other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenCopy:
    """One recipient's copy, read, opened and clicked."""

    recipient: str
    message: bytes
    links: tuple[SeenLink, ...]
    images: tuple[Response, ...]
    """What its pixels were."""
    changes: Changes

    @property
    def clicked(self) -> tuple[SeenLink, ...]:
        """The links that lead to the tracker."""
        return tuple(link for link in self.links if link.response is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """What became of a mail."""

    mail: Mail
    sent: bytes
    answer: Answer
    copies: tuple[SeenCopy, ...]
    told: frozenset[Reason]
    """Why something was left alone, in the product's words."""
    events: tuple[Event, ...]


async def travel(stage: Stage, mail: Mail) -> Journey:
    """Send a mail, then read, open and click every copy of it."""
    sent = mail.message()
    answer = await stage.send(mail.sender, mail.recipients, sent)
    arrived = [(to, each.message) for each in stage.arrivals() for to in each.recipients]
    copies = [await _read(stage, to, sent, message) for to, message in arrived]
    explained = stage.explain(sent, mail.recipients[0])
    return Journey(
        mail=mail,
        sent=sent,
        answer=answer,
        copies=tuple(copies),
        told=frozenset(reason for _, _, reason in explained.left_alone),
        events=tuple(await stage.new_events()),
    )


async def _read(stage: Stage, recipient: str, sent: bytes, arrived: bytes) -> SeenCopy:
    reading = read(arrived)
    pixels = [url for url in reading.images if stage.is_tracked(url)]
    tracked = [link.href for link in reading.links if stage.is_tracked(link.href)]
    images = await stage.fetch(pixels)
    responses = dict(zip(tracked, await stage.fetch(tracked), strict=True))
    return SeenCopy(
        recipient=recipient,
        message=arrived,
        links=tuple(
            SeenLink(link=link, response=responses.get(link.href)) for link in reading.links
        ),
        images=tuple(images),
        changes=changes(sent, arrived, stage.origin),
    )
