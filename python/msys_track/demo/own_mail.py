"""One's own mail through everything: any file goes, a mail or not, and the page says what became.

Nothing is known of it in advance, so what is expected is what must be true of every mail.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from msys_track.demo.browser import Response
from msys_track.demo.expectations import Section
from msys_track.demo.fidelity import Changes, changes, without_api_header
from msys_track.demo.href import followed
from msys_track.demo.mailboxes import Arrival
from msys_track.demo.sender import Answer, WireForm, wire_form
from msys_track.demo.stage import Stage
from msys_track.errors import SettingsError
from msys_track.events import Event
from msys_track.planned import Rewritten

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
    arrived: Sequence[Arrival]
    copy: bytes
    """Empty if none arrived."""
    said: Rewritten | None
    """What the product says about it; None if it refused it."""
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
    """Send what a file holds, then read, open and click what arrives."""
    wire = wire_form(content)
    answer = await stage.send(SENDER, [RECIPIENT], wire.message)
    arrived = stage.arrivals()
    copy = arrived[0].message if arrived else b""
    changed = changes(wire.message, copy, stage.origin) if arrived else Changes()
    return OwnJourney(
        wire=wire,
        answer=answer,
        arrived=arrived,
        copy=copy,
        said=stage.explain(wire.message, RECIPIENT) if arrived else None,
        changes=changed,
        images=await stage.fetch(changed.pixels),
        clicks=await stage.fetch([wrapped.url for wrapped in changed.wrapped[:_MAX_CLICKS]]),
        events=await stage.new_events(),
    )


def check(seen: OwnJourney, section: Section) -> None:
    """Note what must be true of every mail."""
    section.expect(
        "the answer to the mail",
        expected="250",
        found="250" if seen.answer.is_accepted else seen.answer.line,
    )
    section.expect(
        "who has got it",
        expected=[(RECIPIENT,)] * seen.answer.is_accepted,
        found=[arrival.recipients for arrival in seen.arrived],
    )
    if seen.said is not None:
        _check_copy(seen, seen.said, section)
        _check_visits(seen, section)


def _check_copy(seen: OwnJourney, said: Rewritten, section: Section) -> None:
    section.expect(
        "what differs beyond links and pixel",
        expected=_NOTHING,
        found=seen.changes.beyond or _NOTHING,
    )
    section.expect(
        "X-MSYS-API in what arrived",
        expected=False,
        found=without_api_header(seen.copy) != seen.copy,
    )
    section.expect(
        "links and pixels, as the product says",
        expected=(said.wrapped_links, said.pixels),
        found=(len(seen.changes.wrapped), len(seen.changes.pixels)),
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
        expected=Counter(open=len(seen.images), click=len(seen.clicks)),
        found=Counter(event.type.value for event in seen.events),
    )
