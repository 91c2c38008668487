"""What must be true of a mail that came through: said in advance, compared with what was seen."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

from msys_track.demo.expectations import Section
from msys_track.demo.journey import Journey, SeenCopy, SeenLink
from msys_track.demo.mail import ExpectedLink, Mail
from msys_track.events import Event
from msys_track.testing.browser import USER_AGENT
from msys_track.testing.fidelity import without_api_header
from msys_track.testing.href import followed

_TRACKED: Final = "a link to the tracker"
_NOTHING: Final = "nothing"
_API_HEADER: Final = re.compile(rb"^x-msys-api", re.IGNORECASE | re.MULTILINE)


def check(journey: Journey, section: Section) -> None:
    """Compare a journey with what its mail must become."""
    mail = journey.mail
    section.expect("the answer to the mail", expected=250, found=journey.answer.code)
    section.expect(
        "who has got it",
        expected=sorted(mail.recipients),
        found=sorted(copy.recipient for copy in journey.copies),
    )
    section.expect(
        "reasons told for what was left alone",
        expected=sorted(mail.reasons),
        found=sorted(journey.told),
    )
    for copy in journey.copies:
        _check_bytes(mail, journey.sent, copy, section)
        _check_links(mail, copy, section)
    if mail.wrapped:
        # A button and its twin for Outlook say the same; the links they become may be the same.
        different = {(link.href, link.name) for link in mail.wrapped}
        section.expect(
            "tracked links that are no other's",
            expected=len(different) * len(mail.recipients),
            found=sole_owners(_claims(journey)),
        )
    _check_events(mail, journey.events, section)


def sole_owners(claims: Iterable[tuple[str, object]]) -> int:
    """Count those who have a URL that nobody else has; what has several URLs counts once."""
    owners: defaultdict[str, set[object]] = defaultdict(set)
    for url, owner in claims:
        owners[url].add(owner)
    return len({owner for each in owners.values() if len(each) == 1 for owner in each})


def _claims(journey: Journey) -> Iterator[tuple[str, object]]:
    for copy in journey.copies:
        for link, seen in zip(journey.mail.wrapped, copy.clicked, strict=False):
            yield seen.link.href, (copy.recipient, link.href, link.name)


def _check_bytes(mail: Mail, sent: bytes, copy: SeenCopy, section: Section) -> None:
    whose = f"{copy.recipient}'s copy"
    section.expect(
        f"X-MSYS-API in {whose}",
        expected=False,
        found=_API_HEADER.search(copy.message) is not None,
    )
    section.expect(
        f"what differs in {whose} beyond links and pixel",
        expected=_NOTHING,
        found=copy.changes.beyond or _NOTHING,
    )
    if not mail.is_tracked:
        section.expect(
            f"{whose} is, byte for byte, what was sent",
            expected=True,
            found=copy.message == without_api_header(sent),
        )
        return
    originals = [followed(wrapped.original) for wrapped in copy.changes.wrapped]
    section.expect(
        f"what stood where {whose} has tracked links",
        expected=[link.href for link in mail.wrapped],
        found=originals,
    )


def _check_links(mail: Mail, copy: SeenCopy, section: Section) -> None:
    whose = f"{copy.recipient}'s copy"
    section.expect(f"links in {whose}", expected=len(mail.links), found=len(copy.links))
    for expected, seen in zip_longest(mail.links, copy.links):
        if expected is None:
            continue  # counted above
        what = f"{expected.href} in {whose}"
        section.expect(what, expected=_place(expected), found=_place_now(seen))
        if expected.is_wrapped:
            section.expect(
                f"where a click on {what} leads",
                expected=(302, expected.href),
                found=_led(seen),
            )
    section.expect(
        f"images that tell of opening {whose}",
        expected=["GIF"] * mail.is_opened,
        found=["GIF" if image.is_gif else str(image.status) for image in copy.images],
    )


def _place(link: ExpectedLink) -> str:
    return _TRACKED if link.is_wrapped else link.href


def _place_now(seen: SeenLink | None) -> str:
    if seen is None:
        return "no link"
    return seen.link.href if seen.response is None else _TRACKED


def _led(seen: SeenLink | None) -> tuple[int, str | None] | str:
    if seen is None or seen.response is None:
        return "it was not tracked"
    return seen.response.status, seen.response.location


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


def _check_events(mail: Mail, events: tuple[Event, ...], section: Section) -> None:
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
