"""Made events, and what a plain script over them says: the truth that the APIs are held to."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import orjson
from tests.sinks.store.events import AT, line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

DAY = 86_400
MIDNIGHT = AT // DAY * DAY
CLASSES = ("human", "prefetch", "proxy", "scanner", "bot", "unknown")
CAMPAIGNS = ("Summer Sale", "summer sale", "Grün [1]", "Black Friday*", None)
DOMAINS = ("b.test", "c.test", "mail.b.test", "xb.test")
LINK_NAMES = ("banner", "Raw URL", "it's: a name")
READER_TYPES = (
    "open", "initial_open", "click", "amp_open", "amp_click", "list_unsubscribe",
    "link_unsubscribe",
)  # fmt: skip


def make_events(count: int, *, seed: int, days: float = 3.0) -> list[bytes]:
    """Make lines of the event log, some of them verdicts on others."""
    chance = random.Random(seed)  # noqa: S311 - not a secret
    lines: list[bytes] = []
    for _ in range(count):
        message = chance.randrange(max(2, count // 4))
        # What a message is never changes: its campaign, its recipient, its injection.
        fixed = random.Random(message)  # noqa: S311
        domain = fixed.choice(DOMAINS)
        known: dict[str, Any] = {
            "message_id": f"{message:020x}",
            "campaign_id": fixed.choice(CAMPAIGNS),
            "rcpt_to": f"r{message % 20}@{domain}",
            "raw_rcpt_to": f"R{message % 20}@{domain}",
            "recipient_domain": domain,
            "transmission_id": str(7_000 + message % 5),
            "injection_time": datetime.fromtimestamp(MIDNIGHT - DAY, UTC).isoformat(),
        }
        type_ = chance.choice(("injection", "policy_rejection", *READER_TYPES * 2))
        if type_ not in ("click", "amp_click", "link_unsubscribe"):
            known["target_link_url"] = None
        else:
            known["target_link_name"] = chance.choice(LINK_NAMES)
            known["own"] = {
                "target_link_position": {"number": chance.randrange(1, 4), "part": "html"}
            }
        if type_ in ("injection", "policy_rejection"):
            known["class_"] = None
            known["subject"] = f"Offer {message % 3} for you"
            known["reason"] = f"550 5.7.1 rule {message % 4}"
        else:
            known["class_"] = chance.choice(CLASSES)
        # Some come late, and some in the same second.
        at = MIDNIGHT + int(chance.random() * days * DAY) // 60 * 60
        lines.append(line(type_, at=at, **known))
        if type_ in ("open", "click") and chance.random() < 0.1:
            lines.append(_verdict(lines[-1], at + 1, chance.choice(CLASSES)))
    return lines


def _verdict(about: bytes, at: int, class_: str) -> bytes:
    fields = read(about)
    own = {"reclassifies": fields["event_id"], "reclassified_type": fields["type"]}
    known = {name: fields.get(name) for name in ("message_id", "campaign_id", "rcpt_to")}
    return line("reclassified", at=at, class_=class_, own=own, **known)


@lru_cache(maxsize=4_096)
def read(line: bytes) -> Mapping[str, Any]:
    """Return the fields of a line, which is read once however often it is counted."""
    ((_, fields),) = orjson.loads(line)["msys"].items()
    return MappingProxyType(fields)


def newest_first(lines: Sequence[bytes], **filters: Any) -> list[str]:
    """Return the ids of the events that fit, as a plain script finds them."""
    # The later of two in the same second is the newer, and comes first.
    events = sorted(
        map(read, reversed(lines)), key=lambda fields: int(fields["timestamp"]), reverse=True
    )
    return [fields["event_id"] for fields in events if fits(fields, **filters)]


def fits(  # noqa: PLR0913 - what can be asked for
    fields: Mapping[str, Any],
    *,
    types: Iterable[str] = (),
    campaigns: Iterable[str] = (),
    recipients: Iterable[str] = (),
    domains: Iterable[str] = (),
    messages: Iterable[str] = (),
    transmissions: Iterable[str] = (),
    subject: str = "",
    reason: str = "",
    since: int = 0,
    until: int = 2**40,
) -> bool:
    """Tell whether an event fits; an empty filter takes all."""

    def is_one(patterns: Iterable[str], value: Any) -> bool:
        known = [each.replace("[", "[[]") for each in patterns]
        return not known or any(fnmatchcase(str(value), each) for each in known)

    return (
        since <= int(fields["timestamp"]) < until
        and (fields["type"] in types if types else fields["type"] != "reclassified")
        and is_one(campaigns, fields.get("campaign_id", ""))
        and (not recipients or fields["rcpt_to"] in [each.lower() for each in recipients])
        and is_one(domains, fields["rcpt_to"].rpartition("@")[2])
        and (not messages or fields["message_id"] in messages)
        and is_one(transmissions, fields.get("transmission_id", ""))
        and is_one([subject] if subject else [], fields.get("subject", ""))
        and is_one([reason] if reason else [], fields.get("reason", ""))
    )


MACHINES = ("prefetch", "scanner", "bot")
ACTIONS = {
    "open": ("open", "initial_open", "amp_open", "amp_initial_open"),
    "click": ("click", "amp_click"),
    "confirmed": (
        "open", "initial_open", "amp_open", "amp_initial_open", "click", "amp_click",
    ),
}  # fmt: skip
TYPES = {
    "count_targeted": ("injection", "policy_rejection"),
    "count_injected": ("injection",),
    "count_sent": ("injection",),
    "count_accepted": ("injection",),
    "count_rejected": ("policy_rejection",),
    "count_policy_rejection": ("policy_rejection",),
    "count_rendered": ("open", "amp_open"),
    "count_initial_rendered": ("initial_open", "amp_initial_open"),
    "count_clicked": ("click", "amp_click"),
    "count_unsubscribe": ("list_unsubscribe", "link_unsubscribe"),
}
UNIQUES = {
    "count_unique_rendered": "open",
    "count_unique_initial_rendered": "open",
    "count_unique_clicked": "click",
    "count_unique_confirmed_opened": "confirmed",
}


def count(
    lines: Iterable[bytes],
    metric: str,
    *,
    is_in: Callable[[Mapping[str, Any]], bool] = lambda _: True,
) -> int:
    """Return a metric as a plain script over exported events finds it.

    Args:
        lines: All events, in the order that they were stored.
        metric: SparkPost's name.
        is_in: Whether an event is of the mail and the time that are asked for.
    """
    name = metric.replace("nonprefetched_", "")
    counted = [
        each for each, class_ in _judge(tuple(lines)) if name == metric or class_ not in MACHINES
    ]
    if name in TYPES:
        return sum(each["type"] in TYPES[name] and is_in(each) for each in counted)
    firsts: dict[str, Mapping[str, Any]] = {}
    for each in counted:
        # Mail whose events have no reader has one id for all.
        if each["type"] in ACTIONS[UNIQUES[name]] and each["message_id"] != "0" * 20:
            firsts.setdefault(each["message_id"], each)
    return sum(map(is_in, firsts.values()))


@lru_cache(maxsize=1)
def _judge(lines: tuple[bytes, ...]) -> list[tuple[Mapping[str, Any], str | None]]:
    """Return each event with the last verdict on it; many metrics are counted of the same ones."""
    events = {fields["event_id"]: fields for fields in map(read, lines)}
    classes: dict[str, str | None] = {
        name: each["x_msys_track"].get("class") for name, each in events.items()
    }
    for each in events.values():
        own = each["x_msys_track"]
        if each["type"] == "reclassified" and own["reclassifies"] in classes:
            classes[own["reclassifies"]] = own["class"]
    return [(each, classes[name]) for name, each in events.items()]
