"""One's own mail through everything: any file goes, a mail or not, and the page says what became.

Nothing is known of it in advance, so what is expected is what must be true of every mail.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from msys_track.demo import readership
from msys_track.demo.expectations import Section
from msys_track.demo.readership import ReadersCopy
from msys_track.demo.stage import Stage
from msys_track.dispatch.message import Planned, Rewritten
from msys_track.errors import HeaderRefused, SettingsError
from msys_track.events import Event, EventType
from msys_track.testing.browser import Response
from msys_track.testing.fidelity import Changes, Wrapped, without_api_header
from msys_track.testing.href import followed
from msys_track.testing.sender import Answer, WireForm, wire_form
from msys_track.testing.sink import Arrival

SENDER: Final = "you@example.com"
RECIPIENT: Final = "reader@example.net"

# More than the proxy takes; the rest of a longer file changes nothing about its answer.
MAX_BYTES: Final = 40 * 1024 * 1024
_MAX_CLICKS: Final = 1_000
_NOTHING: Final = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnJourney:
    """What became of one's own mail."""

    wire: WireForm
    answer: Answer
    refusal: HeaderRefused | None
    """What the product says of a header that is malformed; nobody may get the mail."""
    readers: Sequence[str]
    """Who must get a copy if the mail is taken: the recipient, and whom its header names."""
    arrived: Sequence[Arrival]
    copies: Sequence[ReadersCopy]
    """All that arrived, compared with what was sent."""
    copy: bytes
    """The recipient's own; empty if it did not arrive."""
    said: Rewritten | None
    """What the product says about it; None if there is none."""
    changes: Changes
    images: Sequence[Response]
    clicks: Sequence[Response]
    """Of the first links; nobody reads on after a thousand."""
    events: Sequence[Event]


def load(path: Path) -> bytes:
    """Read a file, as far as the proxy could ever take it.

    Raises:
        SettingsError: it can't be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES)
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror or error}") from error


async def travel(stage: Stage, content: bytes) -> OwnJourney:
    """Send what a file holds, then read, open and click what its recipient gets."""
    wire = wire_form(content)
    answer = await stage.send(SENDER, [RECIPIENT], wire.message)
    arrived = stage.arrivals()
    planned = _planned(stage, wire.message)
    copies = _compared(stage, wire.message, arrived, planned)
    own = next((each for each in copies if RECIPIENT in each.arrival.recipients), None)
    changed = own.changes if own else Changes()
    return OwnJourney(
        wire=wire,
        answer=answer,
        refusal=planned if isinstance(planned, HeaderRefused) else None,
        readers=readership.addresses(planned) if isinstance(planned, Planned) else [],
        arrived=arrived,
        copies=copies,
        copy=own.arrival.message if own else b"",
        said=stage.explain(wire.message, RECIPIENT) if own else None,
        changes=changed,
        images=await stage.fetch([pixel.url for pixel in changed.pixels]),
        clicks=await stage.fetch([wrapped.url for wrapped in changed.wrapped[:_MAX_CLICKS]]),
        events=await stage.new_events(),
    )


def _planned(stage: Stage, message: bytes) -> Planned | HeaderRefused:
    try:
        return stage.rewriter.plan(message, [RECIPIENT])
    except HeaderRefused as refusal:
        return refusal


def _compared(
    stage: Stage, sent: bytes, arrived: Sequence[Arrival], planned: Planned | HeaderRefused
) -> list[ReadersCopy]:
    if isinstance(planned, HeaderRefused):
        return []
    return [readership.compared(sent, each, planned, stage.origin) for each in arrived]


def check(seen: OwnJourney, section: Section) -> None:
    """Note what must be true of every mail."""
    _check_answer(seen, section)
    section.expect(
        "who has got it",
        expected=sorted(seen.readers) if seen.answer.is_accepted else [],
        found=sorted(to for arrival in seen.arrived for to in arrival.recipients),
    )
    for copy in seen.copies:
        _check_copy(copy, section)
    if seen.said is not None:
        _check_tracking(seen, seen.said, section)
        _check_visits(seen, section)


def _check_answer(seen: OwnJourney, section: Section) -> None:
    """Only a header that is there, and malformed, may keep a mail from being taken."""
    expected, found = "250", "250" if seen.answer.is_accepted else seen.answer.line
    has_header = without_api_header(seen.wire.message) != seen.wire.message
    if seen.refusal is not None and has_header:
        expected = f"550 {seen.refusal.text}"
    section.expect("the answer to the mail", expected=expected, found=found)


def _check_copy(copy: ReadersCopy, section: Section) -> None:
    message = copy.arrival.message
    is_own = RECIPIENT in copy.arrival.recipients
    whose = "" if is_own else f" in the copy of {copy.whose}"
    section.expect(
        f"what differs{whose} beyond links and pixel",
        expected=_NOTHING,
        found=copy.changes.beyond or _NOTHING,
    )
    section.expect(
        f"X-MSYS-API in what arrived{'' if is_own else f' for {copy.whose}'}",
        expected=False,
        found=without_api_header(message) != message,
    )
    section.expect(
        f"links and pixels{whose}, as the product says",
        expected=copy.said,
        found=(len(copy.changes.wrapped), len(copy.changes.pixels)),
    )
    if any((*copy.named, *copy.to_be_named)):
        section.expect(
            f"who was added to Cc and Bcc{whose}", expected=copy.to_be_named, found=copy.named
        )


def _check_tracking(seen: OwnJourney, said: Rewritten, section: Section) -> None:
    if not said.resolved.initial_open.value:
        section.expect(
            "pixels at the top that nobody asked for",
            expected=0,
            found=sum(pixel.is_initial for pixel in seen.changes.pixels),
        )


def _check_visits(seen: OwnJourney, section: Section) -> None:
    for image in seen.images:
        section.expect("the pixel is a GIF", expected=True, found=image.is_gif)
    for wrapped, response in zip(seen.changes.wrapped, seen.clicks, strict=False):
        where = followed(wrapped.original)
        section.expect(
            f"where a click on {wrapped.original.decode('ascii', 'replace')} leads",
            expected=(302, response.location if where is None else where),
            found=(response.status, response.location),
        )
    section.expect(
        "events in the store",
        expected=Counter(_told(seen)),
        found=Counter(event.type.value for event in seen.events),
    )


def _told(seen: OwnJourney) -> Iterator[str]:
    """Say what each visit must be in the store."""
    for pixel in seen.changes.pixels:
        yield EventType.INITIAL_OPEN.value if pixel.is_initial else EventType.OPEN.value
    for wrapped, _ in zip(seen.changes.wrapped, seen.clicks, strict=False):
        yield _click(wrapped).value


def _click(wrapped: Wrapped) -> EventType:
    return EventType.LINK_UNSUBSCRIBE if wrapped.asked.unsubscribes else EventType.CLICK
