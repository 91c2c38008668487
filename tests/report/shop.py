"""A small shop's report: four weeks of made mail, its events in a store, two kept mails."""

import asyncio
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from tests.sinks.store.events import batch, event_id, line
from tests.users import write_users

from msys_track.kept_mail.form import KeptLink, KeptMail, name_shape, save_mail
from msys_track.sinks.store.sink import SqliteSink

FIRST: Final = date(2026, 11, 1)
LAST: Final = date(2026, 11, 28)
CAMPAIGN: Final = "Winter sale"
RECIPIENT: Final = "reader7@example.com"
_BEGIN: Final = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp())
_DAY: Final = 86_400
_MAILS_A_DAY: Final = 40
_CAMPAIGNS: Final = (CAMPAIGN, "Newsletter 48", "Password reset")
_DOMAINS: Final = ("example.com", "mail.example.net", "post.example.org")
_CLIENTS: Final = (("Firefox", "Linux"), ("Mobile Safari", "iOS"), ("Chrome", "Windows"))
_COUNTRIES: Final = ("DE", "NL", "US", "JP")
_LINKS: Final = (
    ("html", 1, "Logo", "https://shop.example/"),
    ("html", 2, "Big offer", "https://shop.example/offers/coat?utm_source=mail"),
    ("html", 3, "", "https://shop.example/sale"),
    ("text", 1, "Big offer", "https://shop.example/offers/coat"),
)
_HTML: Final = """<!doctype html>
<html><body style="font-family: sans-serif; color: #222; margin: 24px">
<p><a href="#msys-html-1" style="font-size: 22px; color: #7a3e00">The Coat Shop</a></p>
<h1 style="font-size: 26px">Winter is here</h1>
<p>Warm coats, this week at two thirds of their price.</p>
<p><a href="#msys-html-2" style="background: #7a3e00; color: #fff; padding: 12px 20px">
See the offer</a></p>
<p>Or look at <a href="#msys-html-3">everything in the sale</a>.</p>
</body></html>"""
_TEXT: Final = """The Coat Shop

Winter is here. Warm coats, this week at two thirds of their price:
#msys-text-1
"""


def make_shop(folder: Path) -> None:
    """Make the store `events.sqlite`, the users and the kept mail."""

    async def fill() -> None:
        async with SqliteSink(folder / "events.sqlite") as sink:
            await sink.write(batch(*make_events()))

    asyncio.run(fill())
    write_users(folder / "users.toml")
    for shape in (_LINKS, _LINKS[:2]):
        links = tuple(
            KeptLink(part=part, number=number, name=name, target=target.partition("?")[0])
            for part, number, name, target in shape
        )
        mail = KeptMail(
            campaign=CAMPAIGN,
            shape=name_shape(links),
            kept_at=_BEGIN + len(links),
            subject="Winter is here",
            html=_HTML,
            text=_TEXT,
            links=links,
        )
        save_mail(folder / "kept-mail", mail)


def make_events() -> Iterator[bytes]:
    """Make mails, and what people and machines do with them."""
    chance = random.Random(48)  # noqa: S311 - not a secret
    for number in range(_MAILS_A_DAY * 28):
        at = _BEGIN + number * _DAY // _MAILS_A_DAY
        about: dict[str, Any] = {
            "message_id": f"{number + 1:020x}",
            "campaign_id": chance.choices(_CAMPAIGNS, (5, 4, 1))[0],
            "rcpt_to": f"reader{number % 60}@{_DOMAINS[number % 60 % 3]}",
            "recipient_domain": _DOMAINS[number % 60 % 3],
            "rcpt_tags": ["winter", chance.choice(("coats", "shoes"))],
            "target_link_url": None,
        }
        yield line("injection", at=at, class_=None, subject="Winter is here", **about)
        for delay in sorted(chance.sample(range(5, 90_000), chance.choice((0, 0, 1, 2, 3)))):
            yield from _read_mail(chance, at + delay, about)


def _read_mail(chance: random.Random, at: int, about: dict[str, Any]) -> Iterator[bytes]:
    client, system = chance.choice(_CLIENTS)
    reader: dict[str, Any] = {
        "user_agent_parsed": {"agent_family": client, "os_family": system},
        "geo_ip": {"country": chance.choice(_COUNTRIES)},
        "ip_address": f"192.0.2.{chance.randrange(1, 250)}",
    }
    class_ = chance.choices(("human", "proxy", "prefetch", "scanner"), (6, 2, 2, 2))[0]
    rules = {
        "prefetch": [{"rule": "apple_proxy", "evidence": "Mozilla/5.0"}],
        "scanner": [{"rule": "burst", "evidence": "3 links in 0.9 s"}],
    }
    own = {"rules": rules.get(class_, [])}
    if class_ != "scanner":
        yield line("open", at=at, class_=class_, own=own, **about, **reader)
    if class_ not in {"prefetch", "proxy"} and chance.random() < 0.6:
        part, number, name, target = chance.choices(_LINKS, (1, 6, 3, 2))[0]
        link = {"target_link_position": {"part": part, "number": number}}
        known = {**about, **reader, "target_link_url": target, "target_link_name": name or None}
        clicked = line("click", at=at + 20, class_=class_, own=own | link, **known)
        yield clicked
        if chance.random() < 0.05:
            verdict = {
                "reclassifies": event_id(clicked),
                "reclassified_type": "click",
                "rules": [{"rule": "burst", "evidence": "4 links in 1.2 s"}],
            }
            yield line("reclassified", at=at + 90, class_="scanner", own=verdict, **about)
    if chance.random() < 0.02:
        yield line("list_unsubscribe", at=at + 60, class_="human", **about, **reader)
