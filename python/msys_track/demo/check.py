"""What must be true of a mail that came through: said in advance, compared with what was seen.

Of every mail it is checked that no byte differs but links, pixels and the fields that name
readers, that links lead where they led, and that the store has each visit. Of the tour's mails
all that was written down beside them too. The demo's exit code is made of nothing else.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

from msys_track.demo.catalogue import ExpectedLink, Mail
from msys_track.demo.journey import Journey, SeenCopy
from msys_track.events import Event, EventType
from msys_track.testing.browser import USER_AGENT
from msys_track.testing.fidelity import without_api_header
from msys_track.testing.href import follow_href
from msys_track.testing.mail_reader import Link, read

_TRACKED: Final = "a link to the tracker"
_NOTHING: Final = "nothing"
_API_HEADER: Final = re.compile(rb"^x-msys-api", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One fact, stated before it was looked for."""

    about: str
    """The mail or the part of the tour."""
    what: str
    expected: object
    found: object

    @property
    def held(self) -> bool:
        """Whether it was as expected."""
        return self.expected == self.found


class Section:
    """The expectations about one mail, or one part of the tour."""

    def __init__(self, about: str) -> None:
        self.about = about
        self.expectations: list[Expectation] = []

    def expect(self, what: str, *, expected: object, found: object) -> None:
        """Note an expectation."""
        expectation = Expectation(about=self.about, what=what, expected=expected, found=found)
        self.expectations.append(expectation)

    @property
    def held(self) -> int:
        """How many were as expected."""
        return sum(each.held for each in self.expectations)


class Ledger:
    """All expectations of a run."""

    def __init__(self) -> None:
        self.sections: list[Section] = []

    def section(self, about: str) -> Section:
        """Begin another part."""
        section = Section(about)
        self.sections.append(section)
        return section

    @property
    def total(self) -> int:
        """How many expectations there were."""
        return sum(len(each.expectations) for each in self.sections)

    def failed(self) -> Iterator[Expectation]:
        """Give those that did not hold, in the order they were looked at."""
        for section in self.sections:
            yield from (each for each in section.expectations if not each.held)


def check(journey: Journey, section: Section) -> None:
    """Compare a journey with what its mail must become."""
    mail = journey.mail
    _check_answer(journey, section)
    readers = journey.readers if journey.answer.is_accepted else ()
    section.expect(
        "who has got it",
        expected=sorted(mail.recipients if mail.is_known else readers),
        found=sorted(to for copy in journey.copies for to in copy.arrival.recipients),
    )
    for copy in journey.copies:
        _check_copy(copy, section)
    for copy in journey.visited:
        _check_visits(copy, section)
    visits = Counter(kind.value for copy in journey.visited for kind in _visits(copy))
    section.expect(
        "events in the store",
        expected=visits,
        found=Counter(event.type.value for event in journey.events),
    )
    if mail.is_known:
        _check_known(journey, section)


def _check_answer(journey: Journey, section: Section) -> None:
    """Only a header that is there, and malformed, may keep a mail from being taken."""
    answer, message = journey.answer, journey.wire.message
    expected, found = "250", "250" if answer.is_accepted else answer.line
    has_header = without_api_header(message) != message
    if journey.refusal is not None and has_header and not journey.mail.is_known:
        expected = f"550 {journey.refusal.text}"
    section.expect("the answer to the mail", expected=expected, found=found)


def _check_copy(copy: SeenCopy, section: Section) -> None:
    section.expect(
        f"what differs in {copy.whose} beyond links and pixel",
        expected=_NOTHING,
        found=copy.changes.beyond or _NOTHING,
    )
    section.expect(
        f"X-MSYS-API in {copy.whose}",
        expected=False,
        found=without_api_header(copy.message) != copy.message,
    )
    if copy.said is not None:
        section.expect(
            f"links and pixels in {copy.whose}, as the product says",
            expected=(copy.said.wrapped_links, copy.said.pixels),
            found=(len(copy.changes.wrapped), len(copy.changes.pixels)),
        )
    if any((*copy.added, *copy.wanted)):
        section.expect(
            f"who was added to Cc and Bcc in {copy.whose}",
            expected=list(map(list, copy.wanted)),
            found=list(map(list, copy.added)),
        )


def _check_visits(copy: SeenCopy, section: Section) -> None:
    options = copy.said.resolved if copy.said is not None else None
    if options is not None and not options.initial_open.value:
        section.expect(
            f"pixels at the top of {copy.whose} that nobody asked for",
            expected=0,
            found=sum(pixel.is_initial for pixel in copy.changes.pixels),
        )
    for image in copy.images:
        section.expect(f"the pixel of {copy.whose} is a GIF", expected=True, found=image.is_gif)
    for wrapped, response in copy.clicks:
        where = follow_href(wrapped.original)
        section.expect(
            f"where a click on {wrapped.original.decode('ascii', 'replace')} leads",
            expected=(302, response.location if where is None else where),
            found=(response.status, response.location),
        )


def _visits(copy: SeenCopy) -> Iterator[EventType]:
    """Name the event that each visit must be in the store."""
    for pixel in copy.changes.pixels:
        yield EventType.INITIAL_OPEN if pixel.is_initial else EventType.OPEN
    for wrapped, _ in copy.clicks:
        yield EventType.LINK_UNSUBSCRIBE if wrapped.asked.unsubscribes else EventType.CLICK


def _check_known(journey: Journey, section: Section) -> None:
    """Compare with what was written down beside the mail."""
    mail, copies = journey.mail, journey.copies
    told = [] if not copies or copies[0].said is None else copies[0].said.left_alone
    section.expect(
        "reasons told for what was left alone",
        expected=sorted(mail.reasons),
        found=sorted({reason for _, _, reason in told}),
    )
    for copy in copies:
        _check_bytes(mail, journey.wire.message, copy, section)
        _check_links(mail, copy, section)
    if mail.wrapped:
        # A button and its twin for Outlook say the same; the links they become may be the same.
        different = {(link.href, link.name) for link in mail.wrapped}
        section.expect(
            "tracked links that are no other's",
            expected=len(different) * len(mail.recipients),
            found=count_sole_owners(_claims(journey)),
        )
    _check_events(mail, journey.events, section)


def count_sole_owners(claims: Iterable[tuple[str, object]]) -> int:
    """Count those who have a URL that nobody else has; what has several URLs counts once."""
    owners: defaultdict[str, set[object]] = defaultdict(set)
    for url, owner in claims:
        owners[url].add(owner)
    return len({owner for each in owners.values() if len(each) == 1 for owner in each})


def _claims(journey: Journey) -> Iterator[tuple[str, object]]:
    for copy in journey.copies:
        for link, wrapped in zip(journey.mail.wrapped, copy.changes.wrapped, strict=False):
            yield wrapped.url, (copy.arrival.recipients, link.href, link.name)


def _check_bytes(mail: Mail, sent: bytes, copy: SeenCopy, section: Section) -> None:
    section.expect(
        f"a line of X-MSYS-API in {copy.whose}",
        expected=False,
        found=_API_HEADER.search(copy.message) is not None,
    )
    if not mail.is_tracked:
        section.expect(
            f"{copy.whose} is, byte for byte, what was sent",
            expected=True,
            found=copy.message == without_api_header(sent),
        )
        return
    section.expect(
        f"what stood where {copy.whose} has tracked links",
        expected=[link.href for link in mail.wrapped],
        found=[follow_href(wrapped.original) for wrapped in copy.changes.wrapped],
    )


def _check_links(mail: Mail, copy: SeenCopy, section: Section) -> None:
    """Look at a copy with a mail reader, which knows nothing of what the comparison has found."""
    got = copy.responses or {}
    reading = read(copy.message)
    section.expect(f"links in {copy.whose}", expected=len(mail.links), found=len(reading.links))
    for expected, seen in zip_longest(mail.links, reading.links):
        if expected is None:
            continue  # counted above
        what = f"{expected.href} in {copy.whose}"
        found = seen if seen is not None else Link(place=expected.place, href="no link")
        response = got.get(found.href)
        section.expect(
            what,
            expected=_TRACKED if expected.is_wrapped else expected.href,
            found=_TRACKED if response is not None else found.href,
        )
        if expected.is_wrapped:
            section.expect(
                f"where a click on {what} leads",
                expected=(302, expected.href),
                found="it was not tracked"
                if response is None
                else (response.status, response.location),
            )
    images = [got[url] for url in reading.images if url in got]
    section.expect(
        f"images that tell of opening {copy.whose}",
        expected=["GIF"] * mail.is_opened,
        found=["GIF" if image.is_gif else str(image.status) for image in images],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fact:
    """An event without its time and ids."""

    type: str
    rcpt_to: str
    raw_rcpt_to: str
    campaign_id: str | None
    rcpt_meta: Mapping[str, Any]
    rcpt_tags: tuple[str, ...]
    target_link_url: str | None = None
    target_link_name: str | None = None
    ip_address: str | None = "127.0.0.1"
    user_agent: str | None = USER_AGENT


def _check_events(mail: Mail, events: Iterable[Event], section: Section) -> None:
    found = [_fact(event) for event in events]
    for fact in _facts(mail):
        is_there = fact in found
        if is_there:
            found.remove(fact)
        what = f"an event in the store: {fact.type} by {fact.raw_rcpt_to}"
        where = f" of {fact.target_link_url}" if fact.target_link_url else ""
        section.expect(
            what + where, expected=fact, found=fact if is_there else _nearest(fact, found)
        )
    section.expect("other events", expected=[], found=found)
    if mail.is_tracked:
        copies = {(event.raw_rcpt_to, event.message_id) for event in events}
        section.expect(
            "message ids in the events: one a recipient",
            expected=(len(mail.recipients), len(mail.recipients)),
            found=(len(copies), len({message_id for _, message_id in copies})),
        )


def _nearest(fact: _Fact, found: list[_Fact]) -> _Fact | str:
    same = [each for each in found if each.type == fact.type and each.rcpt_to == fact.rcpt_to]
    return same[0] if same else "no such event"


def _facts(mail: Mail) -> Iterator[_Fact]:
    for recipient in mail.recipients:
        if mail.is_opened:
            yield _expected("open", recipient, mail)
        for link in mail.wrapped:
            yield _expected("click", recipient, mail, link)


def _expected(kind: str, recipient: str, mail: Mail, link: ExpectedLink | None = None) -> _Fact:
    return _Fact(
        type=kind,
        rcpt_to=recipient.lower(),
        raw_rcpt_to=recipient,
        campaign_id=mail.campaign_id,
        rcpt_meta=mail.metadata,
        rcpt_tags=mail.tags,
        target_link_url=link.href if link else None,
        target_link_name=link.name if link else None,
    )


def _fact(event: Event) -> _Fact:
    return _Fact(
        type=event.type.value,
        rcpt_to=event.rcpt_to,
        raw_rcpt_to=event.raw_rcpt_to,
        campaign_id=event.campaign_id,
        rcpt_meta=event.rcpt_meta,
        rcpt_tags=event.rcpt_tags,
        target_link_url=event.target_link_url,
        target_link_name=event.target_link_name,
        ip_address=event.ip_address,
        user_agent=event.user_agent,
    )
