"""What nobody may be able to do: forge a link, turn it elsewhere, read it, pass for a reader."""

import base64
from collections.abc import Iterator, Sequence
from typing import Final

from msys_track.demo.catalogue import NEWSLETTER
from msys_track.demo.check import Section
from msys_track.demo.journey import Journey, SeenCopy
from msys_track.demo.stage import Stage
from msys_track.dispatch.rewriter import rewrite
from msys_track.keys.ring import KeyRing
from msys_track.testing.browser import Response
from msys_track.testing.mail_reader import read

_ELSEWHERE: Final = "https://elsewhere.example.com/"
_API_HEADER: Final = b'X-MSYS-API: {"campaign_id": "spring",}\r\n'  # no JSON: a comma too many

_DEAD: Final = ["404, no redirect"]
_GIF: Final = ["a GIF"]


async def check(stage: Stage, journey: Journey, section: Section) -> None:
    """Try everything on the newsletter's links; each expectation is a sentence for the table."""
    copies = [copy for copy in journey.copies if copy.changes.wrapped and copy.changes.pixels]
    section.expect(
        "the newsletter has a tracked link and a pixel to try this on",
        expected=True,
        found=bool(copies),
    )
    for copy in copies[:1]:
        await _check_clicks(stage, copy, section)
        await _check_pixel(stage, copy, section)
    await _check_refusal(stage, section)
    section.expect(
        "nothing of this has left an event in the store",
        expected=[],
        found=[f"{each.type} by {each.rcpt_to}" for each in await stage.new_events()],
    )


async def _check_clicks(stage: Stage, copy: SeenCopy, section: Section) -> None:
    recipient, url = copy.arrival.recipients[0], copy.changes.wrapped[0].url
    tampered = list(_tampered(url))
    section.expect(
        f"a link with any one of its {len(tampered)} characters changed is dead: 404",
        expected=_DEAD,
        found=_ends(await stage.fetch(tampered)),
    )
    section.expect(
        "so is one that was cut off, wherever that is",
        expected=_DEAD,
        found=_ends(await stage.fetch(list(_cut(url)))),
    )
    section.expect(
        "so is one that was sealed by somebody else's key",
        expected=_DEAD,
        found=_ends(await stage.fetch([_forged(stage, recipient)])),
    )
    pixel = copy.changes.pixels[0].url
    section.expect(
        "so is a pixel's address put in the place of a link's",
        expected=_DEAD,
        found=_ends(await stage.fetch([pixel.replace("/q/", "/f/a/")])),
    )
    # HEAD: what a scanner asks. It leaves no event either.
    turned = f"{url}?target={_ELSEWHERE}&url={_ELSEWHERE}"
    section.expect(
        "a parameter added to a link does not turn it elsewhere",
        expected=[f"302, redirect to {NEWSLETTER.wrapped[0].href}"],
        found=_ends(await stage.fetch([turned], method="HEAD")),
    )
    section.expect(
        "links show neither recipient nor target to those without the key",
        expected=[],
        found=_legible(url, [recipient, "example"]),
    )


async def _check_pixel(stage: Stage, copy: SeenCopy, section: Section) -> None:
    tampered = list(_tampered(copy.changes.pixels[0].url))
    section.expect(
        f"a pixel with any one of its {len(tampered)} characters changed is a GIF nevertheless",
        expected=_GIF,
        found=_ends(await stage.fetch(tampered)),
    )


async def _check_refusal(stage: Stage, section: Section) -> None:
    message = _API_HEADER + NEWSLETTER.message().replace(b"X-MSYS-API", b"X-Other")
    answer = await stage.send(NEWSLETTER.sender, NEWSLETTER.recipients, message)
    section.expect(
        "a mail whose X-MSYS-API is no JSON is refused with 550, and nobody gets it",
        expected=(550, 0),
        found=(answer.code, len(stage.arrivals())),
    )


def _tampered(url: str) -> Iterator[str]:
    """Change each character of the token, one at a time."""
    start = url.rindex("/") + 1
    for at in range(start, len(url)):
        yield url[:at] + ("B" if url[at] == "A" else "A") + url[at + 1 :]


def _cut(url: str) -> Iterator[str]:
    for length in range(url.rindex("/") + 1, len(url)):
        yield url[:length]


def _forged(stage: Stage, recipient: str) -> str:
    """Return a link that is right in every way but for its key."""
    forger = KeyRing.temporary()
    message = rewrite(
        NEWSLETTER.message(), recipient=recipient, keys=forger, options=stage.options
    )
    return next(link.href for link in read(message).links if stage.is_tracked(link.href))


def _legible(url: str, words: Sequence[str]) -> list[str]:
    token = url[url.rindex("/") + 1 :]
    content = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    return [word for word in words if word.encode() in content or word in token]


def _ends(responses: Sequence[Response]) -> list[str]:
    """Say in words what came back, each way of ending once."""
    return sorted({_end(response) for response in responses})


def _end(response: Response) -> str:
    if response.is_gif:
        return "a GIF"
    where = f"redirect to {response.location}" if response.location else "no redirect"
    return f"{response.status}, {where}"
