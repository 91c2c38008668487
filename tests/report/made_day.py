"""A made day of mail and its readers, the same at every run, and the mail that was kept of it."""

import asyncio
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import orjson
from tests.sinks.store.events import batch

from msys_track.event_fields import make_event_id
from msys_track.kept_mail.form import KeptLink, KeptMail, name_shape, save_mail
from msys_track.sinks.store.sink import SqliteSink

DAY: Final = date(2026, 11, 17)
DAYS: Final = f"from={DAY}&to={DAY + timedelta(days=1)}"
_MIDNIGHT: Final = int(datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC).timestamp())
_SEED: Final = 14
_EVENTS_A_BATCH: Final = 500

_CLIENTS: Final = ("Chrome", "Mobile Safari", "Firefox", "Outlook", "Apple Mail", "Edge")
_COUNTRIES: Final = ("NL", "DE", "US", "FR", "GB", "BR")
_DOMAINS: Final = ("inbox.example", "post.example", "office.example", "school.example")


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign: its mail is sent within an hour, its links are in both parts of it."""

    name: str | None
    hour: int
    mails: int
    tags: tuple[str, ...]
    subject: str
    links: tuple[tuple[str, str], ...]


CAMPAIGNS: Final = (
    Campaign(
        "Autumn sale", 7, 700, ("sale", "shoes"), "Shoes & boots: a third off",
        (
            ("Header", "https://shop.example/"),
            ("Boots", "https://shop.example/boots"),
            ("Sandals", "https://shop.example/sandals"),
            ("Buy now", "https://shop.example/basket"),
            ("", "https://shop.example/stores"),
            ("Terms", "https://shop.example/terms"),
        ),
    ),
    Campaign(
        "Newsletter 47", 10, 400, ("news",), "What grew in the garden this week",
        (
            ("Read on", "https://garden.example/47"),
            ("Seeds", "https://garden.example/seeds"),
            ("", "https://garden.example/about"),
        ),
    ),
    Campaign(
        "Été: l'offre <24 h>", 13, 90, ("sale", "été"), "Dernier jour",
        (("Voir", "https://shop.example/été"), ("Acheter", "https://shop.example/panier")),
    ),
    Campaign(
        None, 0, 160, (), "Your order is on its way", (("Order", "https://shop.example/order"),),
    ),
)  # fmt: skip


def make_day() -> list[bytes]:
    """Make the events of the day in the order in which they came."""
    dice = random.Random(_SEED)  # noqa: S311 - the same day each time
    made = [each for campaign in CAMPAIGNS for each in _make_campaign(dice, campaign)]
    # By time; what was judged anew comes behind what it judges.
    return [event for _, event in sorted(made, key=lambda each: each[0])]


def is_shown(event: Mapping[str, Any]) -> bool:
    """Whether an event is in the period of `DAYS`."""
    return 0 <= int(event["timestamp"]) - _MIDNIGHT < 2 * 86_400


def fill_store(path: Path, lines: list[bytes]) -> None:
    """Write events to a store as a recorder does."""

    async def fill() -> None:
        async with SqliteSink(path) as sink:
            for first in range(0, len(lines), _EVENTS_A_BATCH):
                await sink.write(batch(*lines[first : first + _EVENTS_A_BATCH], first=first + 1))

    asyncio.run(fill())


def keep_mails(folder: Path) -> None:
    """Keep a mail of each campaign."""
    for campaign in CAMPAIGNS:
        save_mail(folder, make_mail(campaign))


def make_mail(campaign: Campaign) -> KeptMail:
    """Make the mail that was sent."""
    links = tuple(
        KeptLink(part=part, number=number, name=name, target=target)
        for part in ("html", "text")
        for number, (name, target) in enumerate(campaign.links, 1)
    )
    html = "".join(
        f'<tr><td style="padding:12px 24px"><p>{"A line of the mail. " * (3 + number % 3)}</p>'
        f'<a href="#msys-html-{number}" style="color:#0b57a4">{name or "More"}</a></td></tr>'
        for number, (name, _) in enumerate(campaign.links, 1)
    )
    text = "".join(
        f"{name or 'More'}: #msys-text-{number}\n\n"
        for number, (name, _) in enumerate(campaign.links, 1)
    )
    return KeptMail(
        campaign=campaign.name or "",
        shape=name_shape(links),
        kept_at=_MIDNIGHT,
        subject=campaign.subject,
        html='<!doctype html><html><body style="font-family:sans-serif;background:#fff">'
        f'<h1 style="padding:0 24px">Hello</h1><table>{html}</table></body></html>',
        text=f"Hello\n\n{text}",
        links=links,
    )


def _make_campaign(dice: random.Random, campaign: Campaign) -> Iterator[tuple[float, bytes]]:
    for _ in range(campaign.mails):
        at = _MIDNIGHT + 3_600 * campaign.hour + dice.uniform(0, 3_600)
        if campaign.name is None:  # all day long
            at += dice.uniform(0, 72_000)
        yield from _make_mail_events(dice, _Mail(dice, campaign, at))


def _make_mail_events(dice: random.Random, mail: "_Mail") -> Iterator[tuple[float, bytes]]:
    if dice.random() < 0.02:
        yield mail.event(mail.sent, "policy_rejection", class_=None, reason="No such domain")
        return
    yield mail.event(mail.sent, "injection", class_=None)
    if dice.random() < 0.3:  # a scanner before anybody has seen it
        yield from _make_burst(dice, mail)
    at = mail.sent + 20 + dice.lognormvariate(8, 1.5)
    if dice.random() < 0.25:
        yield mail.event(mail.sent + 5, "initial_open", class_="prefetch", rules=("apple_proxy",))
        yield mail.event(mail.sent + 5, "open", class_="prefetch", rules=("apple_proxy",))
    if dice.random() < 0.45:
        yield from _make_opens(dice, mail, at)
    if dice.random() < 0.12:
        for _ in range(dice.choice((1, 1, 2, 4))):
            yield mail.click(at, dice, class_=dice.choice(("human", "human", "unknown")))
            at += dice.uniform(5, 900)
    if dice.random() < 0.01:
        type_ = dice.choice(("list_unsubscribe", "link_unsubscribe"))
        yield mail.event(at, type_, class_="human", reader=mail.reader)


def _make_opens(dice: random.Random, mail: "_Mail", at: float) -> Iterator[tuple[float, bytes]]:
    """Either pixel, or both, once or more often."""
    class_ = dice.choice(("human", "human", "human", "proxy", "unknown"))
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        first, second = dice.choice(((1, 1), (1, 1), (1, 0), (0, 1)))
        if first:
            yield mail.event(at, "initial_open", class_=class_, reader=mail.reader)
        if second:
            yield mail.event(at + 1, "open", class_=class_, reader=mail.reader)
        at += dice.uniform(60, 20_000)


def _make_burst(dice: random.Random, mail: "_Mail") -> Iterator[tuple[float, bytes]]:
    """Every link within a second; half of the bursts are known only when they are over."""
    start, known = mail.sent + dice.uniform(3, 60), dice.random() < 0.5
    for number in range(1, len(mail.campaign.links) + 1):
        at = start + 0.15 * number
        clicked = mail.click(at, dice, class_="scanner" if known else "human", number=number)
        yield clicked
        if not known:
            ((_, fields),) = orjson.loads(clicked[1])["msys"].items()
            own = {"reclassifies": fields["event_id"], "reclassified_type": "click"}
            yield mail.event(start + 30, "reclassified", class_="scanner", own=own,
                             rules=("burst",))  # fmt: skip


class _Mail:
    """One mail and its reader."""

    def __init__(self, dice: random.Random, campaign: Campaign, sent: float) -> None:
        self._dice = dice
        self.campaign = campaign
        self.sent = sent
        self._id = f"{dice.getrandbits(80):020x}"
        self._domain = dice.choices(_DOMAINS, (6, 3, 2, 1))[0]
        self._address = f"reader{dice.randrange(900)}@{self._domain}"
        self.reader = {
            "user_agent_parsed": {"agent_family": dice.choice(_CLIENTS)},
            "geo_ip": {"country": dice.choices(_COUNTRIES, (6, 5, 4, 2, 2, 1))[0]},
            "ip_address": f"192.0.2.{dice.randrange(256)}",
        }

    def click(
        self, at: float, dice: random.Random, *, class_: str, number: int = 0
    ) -> tuple[float, bytes]:
        """Make a click on a link, or on any: the first ones are clicked most."""
        links = self.campaign.links
        weights = range(len(links), 0, -1)
        number = number or dice.choices(range(1, len(links) + 1), weights)[0]
        name, target = links[number - 1]
        part = "text" if class_ != "scanner" and dice.random() < 0.2 else "html"
        return self.event(
            at,
            "click",
            class_=class_,
            reader=self.reader if class_ != "scanner" else {},
            rules=("network",) if class_ == "scanner" else (),
            own={"target_link_position": {"part": part, "number": number}},
            target_link_url=f"{target}?to={self._id[:4]}",
            target_link_name=name or None,
        )

    def event(  # noqa: PLR0913 - what an event has
        self,
        at: float,
        type_: str,
        *,
        class_: str | None,
        reader: dict[str, Any] | None = None,
        rules: tuple[str, ...] = (),
        own: dict[str, Any] | None = None,
        **fields: Any,
    ) -> tuple[float, bytes]:
        """Make an event as the recorder writes it, with its time."""
        event_id = make_event_id(int(at * 1000), self._dice.randbytes(10))
        known = {
            "type": type_,
            "event_id": event_id,
            "timestamp": str(int(at)),
            "message_id": self._id,
            "customer_id": "1",
            "campaign_id": self.campaign.name,
            "rcpt_to": self._address,
            "raw_rcpt_to": self._address,
            "recipient_domain": self._domain,
            "rcpt_tags": list(self.campaign.tags) or None,
            "subject": self.campaign.subject if type_ == "injection" else None,
            "injection_time": datetime.fromtimestamp(int(self.sent), UTC).strftime(
                "%Y-%m-%dT%H:%M:%S.000Z"
            ),
            **(reader or {}),
            **fields,
            "x_msys_track": {
                **({"class": class_} if class_ else {}),
                **({"rules": [{"rule": each, "evidence": "made"} for each in rules]}
                   if rules else {}),
                **(own or {}),
            },
        }  # fmt: skip
        kind = "track_event" if class_ else "message_event"
        event = {"msys": {kind: {name: each for name, each in known.items() if each is not None}}}
        return at, orjson.dumps(event)
