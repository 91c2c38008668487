"""A day of people and machines, with the figures that are known of them; the same at every run.

836 bursts over the links of a message begin as those that were measured
(putyourlightson/craft-campaign#546): 66 % between 20 and 60 seconds after the sending, 1 in 200
within 10 seconds. More than half of all clicks are a machine's. Most opens of machines are
Apple's. Gmail's, Yahoo's and Outlook.com's proxies load images for people, Microsoft's Safe Links
follow links before them.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from tests.recording.hits import make_hit

from msys_track.event_fields import make_event_id

BEGIN: Final = 1_764_000_000_000
_SEED: Final = 836
_LINKS: Final = 12

# (from, to) in seconds after the sending, and how many of 836 bursts begin there.
BURSTS: Final = (
    ((0, 10), 4), ((10, 20), 18), ((20, 60), 555), ((60, 300), 237), ((300, 1_800), 16),
    ((3_600, 86_400), 6),
)  # fmt: skip

_CHROME: Final = (
    "Mozilla/5.0 ({}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0{} Safari/537.36"
)
_WINDOWS: Final = "Windows NT 10.0; Win64; x64"
_SAFARI: Final = (
    "Mozilla/5.0 ({}) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5{} Safari/{}"
)
PEOPLE: Final = (
    _CHROME.format(_WINDOWS, 142, ""),
    _CHROME.format(_WINDOWS, 141, "") + " Edg/141.0.0.0",
    _CHROME.format("Macintosh; Intel Mac OS X 10_15_7", 142, ""),
    _CHROME.format("Linux; Android 10; K", 142, " Mobile"),
    _CHROME.format("Linux; Android 7.0; CUBOT_X18", 98, " Mobile"),
    _SAFARI.format("iPhone; CPU iPhone OS 18_5 like Mac OS X", " Mobile/15E148", "604.1"),
    _SAFARI.format("Macintosh; Intel Mac OS X 10_15_7", "", "605.1.15"),
    "Mozilla/5.0 (Windows NT 6.1; Win64; x64; rv:115.0) Gecko/20100101 Firefox/115.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
)
# What the scanners of the bursts call themselves: mostly the browser of the day.
SCANNERS: Final = (
    _CHROME.format(_WINDOWS, 142, ""),
    _CHROME.format(_WINDOWS, 140, ""),
    _CHROME.format(_WINDOWS, 96, ""),
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
)
GMAIL: Final = (
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
)
YAHOO: Final = "YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html"
APPLE: Final = "Mozilla/5.0"

SAFE_LINKS: Final = "40.94.0.0/16 clicks scanner Microsoft Safe Links\n"
"""The file of networks that the day is judged with."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A hit, and who made it.

    Attributes:
        who: The group of people or machines.
        hit: As a hit log has it.
    """

    who: str
    hit: dict[str, Any]


def draw_day() -> list[Drawn]:
    """Draw the day's hits, in the order in which they came."""
    dice = random.Random(_SEED)  # noqa: S311 - the same day each time
    drawn = [
        *_draw_bursts(dice),
        *_draw_people(dice),
        *_draw_opens(dice),
        *_draw_safe_links(dice),
        *_draw_single_scanners(dice),
    ]
    return sorted(drawn, key=lambda each: each.hit["at"])


def _draw_bursts(dice: random.Random) -> Iterator[Drawn]:
    for (begin, end), count in BURSTS:
        for _ in range(count):
            mail = _Mail(dice)
            start = dice.uniform(begin, end)
            agent = dice.choice(SCANNERS)
            links = dice.sample(range(1, _LINKS + 1), dice.randint(5, _LINKS))
            for link in links:
                after = start + dice.uniform(0, 1)
                yield Drawn("bursts", mail.hit(after, agent, _address(dice), link=link))


def _draw_people(dice: random.Random) -> Iterator[Drawn]:
    for _ in range(2_400):
        mail = _Mail(dice)
        agent, address = dice.choice(PEOPLE), _address(dice)
        after = min(dice.lognormvariate(8, 1.6) + 15, 86_000)
        yield Drawn("people, one link", mail.hit(after, agent, address))
    for _ in range(400):
        mail = _Mail(dice)
        agent, address = dice.choice(PEOPLE), _address(dice)
        after = min(dice.lognormvariate(8, 1.6) + 15, 80_000)
        for link in dice.sample(range(1, _LINKS + 1), 2):
            yield Drawn("people, two links", mail.hit(after, agent, address, link=link))
            after += dice.uniform(1, 120)


def _draw_opens(dice: random.Random) -> Iterator[Drawn]:
    for who, agent, count in (
        ("Apple's proxy", APPLE, 4_000),
        ("Gmail's proxy", GMAIL, 2_000),
        ("Yahoo's proxy", YAHOO, 400),
    ):
        for _ in range(count):
            after = dice.choice((dice.uniform(0.5, 9), dice.lognormvariate(8, 1.6) + 15))
            yield Drawn(who, _Mail(dice).hit(after, agent, _address(dice), kind="open"))
    for _ in range(1_500):
        after = dice.lognormvariate(8, 1.6) + 5
        agent = dice.choice(PEOPLE)
        yield Drawn("people, opens", _Mail(dice).hit(after, agent, _address(dice), kind="open"))
    for _ in range(300):
        after = dice.lognormvariate(8, 1.6) + 5
        hit = _Mail(dice).hit(after, PEOPLE[0], _microsoft(dice), kind="open")
        yield Drawn("readers of Outlook.com", hit)


def _draw_safe_links(dice: random.Random) -> Iterator[Drawn]:
    for _ in range(600):
        mail = _Mail(dice)
        agent = dice.choice((PEOPLE[0], _CHROME.format(_WINDOWS, 57, "")))
        after = dice.uniform(5, 90)
        yield Drawn("Safe Links", mail.hit(after, agent, _microsoft(dice)))
        if dice.random() < 0.3:
            after += dice.uniform(300, 20_000)
            hit = mail.hit(after, dice.choice(PEOPLE), _address(dice))
            yield Drawn("people behind Safe Links", hit)


def _draw_single_scanners(dice: random.Random) -> Iterator[Drawn]:
    for _ in range(200):
        mail, address = _Mail(dice), _address(dice)
        after = dice.uniform(5, 300)
        head = mail.hit(after, PEOPLE[0], address)
        yield Drawn("HEAD", {**head, "request": {"method": "HEAD"}})
        yield Drawn("HEAD, then GET", mail.hit(after + 1, PEOPLE[0], address))
    for _ in range(200):
        hit = _Mail(dice).hit(dice.uniform(5, 300), PEOPLE[0], _address(dice))
        yield Drawn("hostile suffix", {**hit, "request": {"suffix": "%27"}})
    for _ in range(200):
        agent = _CHROME.format(_WINDOWS, dice.choice((57, 79, 80, 96)), "")
        hit = _Mail(dice).hit(dice.uniform(5, 300), agent, _address(dice))
        yield Drawn("old browsers", hit)


class _Mail:
    """One copy of a mail that was sent during the day."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._sent = BEGIN + dice.randrange(0, 86_400_000)
        self._message_id = f"{dice.getrandbits(80):020x}"

    def hit(
        self, after: float, agent: str, address: str, *, kind: str = "click", link: int = 0
    ) -> dict[str, Any]:
        """Make a hit so many seconds after the sending."""
        at = self._sent + int(after * 1000)
        number = link or self._dice.randint(1, _LINKS)
        return make_hit(
            id=make_event_id(at, self._dice.randbytes(10)),
            at=at,
            kind=kind,
            message_id=self._message_id,
            injected_at=self._sent // 1000,
            link_number=number,
            target=f"https://shop.test/{number}",
            agent=agent,
            address=address,
        )


def _address(dice: random.Random) -> str:
    return f"{dice.choice((23, 88, 91, 203))}.{dice.randrange(256)}.{dice.randrange(256)}.7"


def _microsoft(dice: random.Random) -> str:
    return f"40.94.{dice.randrange(256)}.{dice.randrange(256)}"
