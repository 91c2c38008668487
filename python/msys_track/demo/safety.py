"""Attacks that must fail: to forge a link, to redirect or read it, to act as a reader."""

import base64
from collections.abc import Sequence
from typing import Final

from msys_track.demo.catalogue import NEWSLETTER
from msys_track.demo.check import Check, Section
from msys_track.demo.journey import Journey, SeenCopy
from msys_track.demo.stage import Stage
from msys_track.dispatch.library import rewrite
from msys_track.keys.ring import KeyRing
from msys_track.testing.mail_reader import read_mail

_ELSEWHERE: Final = "https://elsewhere.example.com/"
_API_HEADER: Final = b'X-MSYS-API: {"campaign_id": "spring",}\r\n'  # a comma too many

_DEAD: Final = ["404, no redirect"]


async def check(stage: Stage, journey: Journey, section: Section) -> None:
    """Try everything on the newsletter's links; each expectation is a sentence for the table."""
    copies = [copy for copy in journey.copies if copy.changes.wrapped and copy.changes.pixels]
    section.expect(
        "the newsletter has a tracked link and a pixel to try this on",
        expected=True,
        found=bool(copies),
    )
    for copy in copies[:1]:
        section.expect_all(await _try_urls(stage, copy))
    message = _API_HEADER + NEWSLETTER.message().replace(b"X-MSYS-API", b"X-Other")
    answer = await stage.send(NEWSLETTER.sender, NEWSLETTER.recipients, message)
    section.expect(
        "a mail whose X-MSYS-API is not JSON is refused with 550 and not sent on",
        expected=(550, 0),
        found=(answer.code, len(stage.arrivals())),
    )
    section.expect(
        "none of these attempts left an event in the store",
        expected=[],
        found=[f"{each.type} by {each.rcpt_to}" for each in await stage.new_events()],
    )


async def _try_urls(stage: Stage, copy: SeenCopy) -> list[Check]:
    recipient, url = copy.arrival.recipients[0], copy.changes.wrapped[0].url
    pixel = copy.changes.pixels[0].url
    tampered, pixels = _tamper(url), _tamper(pixel)
    start = url.rindex("/") + 1
    cut_off = [url[:length] for length in range(start, len(url))]
    forged = rewrite(
        NEWSLETTER.message(),
        recipient=recipient,
        keys=KeyRing.temporary(),  # all else is right
        options=stage.options,
    )
    forged_urls = [link.href for link in read_mail(forged).links if stage.is_tracked(link.href)]
    redirected = f"{url}?target={_ELSEWHERE}&url={_ELSEWHERE}"
    token = url[start:]
    content = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    return [
        (
            f"a link with any one of its {len(tampered)} characters changed is dead: 404",
            _DEAD,
            await _fetch(stage, tampered),
        ),
        (
            "a link that was cut off at any character is dead",
            _DEAD,
            await _fetch(stage, cut_off),
        ),
        (
            "a link that was sealed by another key is dead",
            _DEAD,
            await _fetch(stage, forged_urls[:1]),
        ),
        (
            "a pixel's token in the path of a link is dead",
            _DEAD,
            await _fetch(stage, [pixel.replace("/q/", "/f/a/")]),
        ),
        (
            "a parameter added to a link does not turn it elsewhere",
            [f"302, redirect to {NEWSLETTER.tracked_links[0].href}"],
            # A scanner asks with HEAD, which leaves no event either.
            await _fetch(stage, [redirected], method="HEAD"),
        ),
        (
            "links show neither recipient nor target to those without the key",
            [],
            [word for word in (recipient, "example") if word.encode() in content or word in token],
        ),
        (
            f"a pixel with any one of its {len(pixels)} characters changed is a GIF nevertheless",
            ["a GIF"],
            await _fetch(stage, pixels),
        ),
    ]


def _tamper(url: str) -> list[str]:
    """Change each character of the token, one at a time."""
    places = range(url.rindex("/") + 1, len(url))
    return [url[:at] + ("B" if url[at] == "A" else "A") + url[at + 1 :] for at in places]


async def _fetch(stage: Stage, urls: Sequence[str], *, method: str = "GET") -> list[str]:
    """Fetch URLs; say in words what came back, each answer once."""
    answers = set()
    for response in await stage.fetch(urls, method=method):
        where = f"redirect to {response.location}" if response.location else "no redirect"
        answers.add("a GIF" if response.is_gif else f"{response.status}, {where}")
    return sorted(answers)
