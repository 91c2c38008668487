"""Expectations about each mail that came through, stated in advance and compared with the facts.

No byte of any mail may differ but links, pixels, the fields that name readers, and the one
Received field at the top; links must lead where they led; the store must have each visit. A mail
of the tour must also become what the catalogue says. The demo's exit code depends on nothing else.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, product, repeat
from typing import Final, TypeAlias

from msys_track.demo.catalogue import Mail
from msys_track.demo.journey import Journey, SeenCopy
from msys_track.demo.stage import HOST
from msys_track.testing.browser import USER_AGENT
from msys_track.testing.fidelity import split_received, without_api_header
from msys_track.testing.href import follow_href
from msys_track.testing.mail_reader import read_mail

Check: TypeAlias = tuple[str, object, object]
"""A fact, what was expected of it, and what was found."""

_TRACKED: Final = "a link to the tracker"
_NOTHING: Final = "nothing"
_API_HEADER: Final = re.compile(rb"^x-msys-api", re.IGNORECASE | re.MULTILINE)
# What is known of an event in advance: all but its time and ids.
_EVENT_FIELDS: Final = (
    "type", "rcpt_to", "raw_rcpt_to", "campaign_id", "rcpt_meta", "rcpt_tags",
    "target_link_url", "target_link_name", "ip_address", "user_agent",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One fact, stated before it was looked for."""

    about: str
    """The mail or the part of the tour."""
    what: str
    expected: object
    found: object

    @property
    def is_met(self) -> bool:
        """Whether it was as expected."""
        return self.expected == self.found


class Section:
    """The expectations about one mail, or one part of the tour."""

    def __init__(self, about: str) -> None:
        self.about = about
        self.expectations: list[Expectation] = []

    def expect(self, what: str, expected: object, found: object) -> None:
        """Note an expectation."""
        self.expectations.append(
            Expectation(about=self.about, what=what, expected=expected, found=found)
        )

    def expect_all(self, checks: Iterable[Check]) -> None:
        """Note several expectations."""
        for what, expected, found in checks:
            self.expect(what, expected, found)

    @property
    def met_count(self) -> int:
        """How many were as expected."""
        return sum(each.is_met for each in self.expectations)


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

    def find_failures(self) -> Iterator[Expectation]:
        """Return those that did not hold, in the order they were checked."""
        for section in self.sections:
            yield from (each for each in section.expectations if not each.is_met)


def check(journey: Journey, section: Section) -> None:
    """Compare a journey with what its mail must become."""
    mail, answer, message = journey.mail, journey.answer, journey.wire.message
    has_header, expected = without_api_header(message) != message, "250"
    # Only a malformed header may keep a mail from being accepted.
    if journey.refusal is not None and has_header and not mail.is_known:
        expected = f"550 {journey.refusal.text}"
    found = "250" if answer.is_accepted else answer.line
    section.expect("the answer to the mail", expected=expected, found=found)
    readers = journey.readers if answer.is_accepted else ()
    section.expect(
        "who received it",
        expected=sorted(mail.recipients if mail.is_known else readers),
        found=sorted(to for copy in journey.copies for to in copy.arrival.recipients),
    )
    for copy in journey.copies:
        section.expect_all(_check_copy(copy))
    visits: Counter[str] = Counter()
    for copy in journey.visited_copies:
        for pixel in copy.changes.pixels:
            visits["initial_open" if pixel.is_initial else "open"] += 1
        for wrapped, _ in copy.clicks:
            visits["link_unsubscribe" if wrapped.options.unsubscribes else "click"] += 1
    stored = Counter(event.type.value for event in journey.events)
    section.expect("events in the store", expected=visits, found=stored)
    if mail.is_known:
        section.expect_all(_check_known_mail(journey))


def _check_copy(copy: SeenCopy) -> Iterator[Check]:
    whose, changes, reported = copy.whose, copy.changes, copy.reported
    beyond = changes.beyond or _NOTHING
    yield f"what differs in {whose} beyond links and pixel", _NOTHING, beyond
    is_received = bool(copy.received) and not split_received(copy.message)[0]
    yield f"one Received field of the proxy at the top of {whose}", True, is_received
    has_header = without_api_header(copy.message) != copy.message
    yield f"X-MSYS-API in {whose}", False, has_header
    if reported is not None:
        yield (
            f"links and pixels in {whose}, as the product says",
            (reported.wrapped_links, reported.pixels),
            (len(changes.wrapped), len(changes.pixels)),
        )
    if any((*copy.added, *copy.wanted)):
        added, wanted = list(map(list, copy.added)), list(map(list, copy.wanted))
        yield f"who was added to Cc and Bcc in {whose}", wanted, added
    if reported and reported.resolved and not reported.resolved.initial_open.value:
        unwanted = sum(pixel.is_initial for pixel in changes.pixels)
        yield f"pixels at the top of {whose} that were not requested", 0, unwanted
    for image in copy.images:
        yield f"the pixel of {whose} is a GIF", True, image.is_gif
    for wrapped, response in copy.clicks:
        target = follow_href(wrapped.original)
        yield (
            f"where a click on {wrapped.original.decode('ascii', 'replace')} leads",
            (302, response.location if target is None else target),
            (response.status, response.location),
        )


def _check_known_mail(journey: Journey) -> Iterator[Check]:
    """Compare with what the catalogue says of the mail."""
    mail, copies = journey.mail, journey.copies
    reported = copies[0].reported if copies else None
    reasons = {reason for _, _, reason in reported.left_alone} if reported else set()
    yield "reasons for what was left alone", sorted(mail.reasons), sorted(reasons)
    for copy in copies:
        yield from _check_known_copy(mail, journey.wire.message, copy)
    if mail.tracked_links:
        # A button and its twin for Outlook say the same; the links they become may be the same.
        different = {(link.href, link.name) for link in mail.tracked_links}
        owners = count_sole_owners(
            (wrapped.url, (copy.arrival.recipients, link.href, link.name))
            for copy in copies
            for link, wrapped in zip(mail.tracked_links, copy.changes.wrapped, strict=False)
        )
        yield "unique tracked links", len(different) * len(mail.recipients), owners
    found = [{name: getattr(event, name) for name in _EVENT_FIELDS} for event in journey.events]
    for to, link in product(mail.recipients, (*[None] * mail.is_opened, *mail.tracked_links)):
        kind, where = ("click", f" of {link.href}") if link else ("open", "")
        data = (mail.campaign_id, mail.metadata, mail.tags)
        target = (link.href, link.name) if link else (None, None)
        values = (kind, to.lower(), to, *data, *target, HOST, USER_AGENT)
        expected = dict(zip(_EVENT_FIELDS, values, strict=True))
        closest: object = expected
        if expected in found:
            found.remove(expected)
        else:
            same = (it for it in found if (it["type"], it["rcpt_to"]) == (kind, to.lower()))
            closest = next(same, "no such event")
        yield f"an event in the store: {kind} by {to}{where}", expected, closest
    yield "other events", [], found
    if mail.is_tracked:
        pairs = {(event.raw_rcpt_to, event.message_id) for event in journey.events}
        ids = {message_id for _, message_id in pairs}
        recipients = len(mail.recipients)
        what = "message ids in the events: one a recipient"
        yield what, (recipients, recipients), (len(pairs), len(ids))


def count_sole_owners(claims: Iterable[tuple[str, object]]) -> int:
    """Count the members that have a URL of their own; one with several URLs counts once."""
    owners: defaultdict[str, set[object]] = defaultdict(set)
    for url, owner in claims:
        owners[url].add(owner)
    return len({owner for each in owners.values() if len(each) == 1 for owner in each})


def _check_known_copy(mail: Mail, sent: bytes, copy: SeenCopy) -> Iterator[Check]:
    """Compare a copy as a mail reader sees it, which knows nothing of `testing.fidelity`."""
    whose, responses, reading = copy.whose, copy.responses or {}, read_mail(copy.message)
    has_line = _API_HEADER.search(copy.message) is not None
    yield f"a line of X-MSYS-API in {whose}", False, has_line
    if mail.is_tracked:
        originals = [follow_href(wrapped.original) for wrapped in copy.changes.wrapped]
        hrefs = [link.href for link in mail.tracked_links]
        yield f"what stood where {whose} has tracked links", hrefs, originals
    else:
        is_same = copy.message == without_api_header(sent)
        yield f"{whose} is, byte for byte, what was sent", True, is_same
    yield f"links in {whose}", len(mail.links), len(reading.links)
    found_hrefs = chain((link.href for link in reading.links), repeat("no link"))
    for link, href in zip(mail.links, found_hrefs, strict=False):
        what, response = f"{link.href} in {whose}", responses.get(href)
        yield what, _TRACKED if link.is_wrapped else link.href, _TRACKED if response else href
        if link.is_wrapped:
            redirect = (response.status, response.location) if response else "it was not tracked"
            yield f"where a click on {what} leads", (302, link.href), redirect
    images = [responses[url] for url in reading.images if url in responses]
    yield (
        f"open pixels of {whose}",
        ["GIF"] * mail.is_opened,
        ["GIF" if image.is_gif else str(image.status) for image in images],
    )
