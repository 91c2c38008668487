"""Counts exported events as plainly as can be; it knows nothing of the store and its counts.

What it counts, as `docs/report.md` and `docs/events.md` say it: an event belongs to the class of
the last verdict on it. A message counts once for each kind of reader, at the first event of its
kind. A mail has two pixels, and an open is one fetch of either or both.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

READERS: Final = {"human": "people", "proxy": "people", "prefetch": "machines",
                  "scanner": "machines", "bot": "machines"}  # fmt: skip
ACTIONS: Final = {"injection": "sent", "policy_rejection": "rejected", "open": "opened",
                  "initial_open": "opened", "click": "clicked",
                  "list_unsubscribe": "unsubscribed",
                  "link_unsubscribe": "unsubscribed"}  # fmt: skip
KINDS: Final = ("people", "machines", "unknown")

Event = dict[str, Any]


def read_events(lines: Iterable[bytes]) -> list[Event]:
    """Read exported lines; each event has its action, its reader, and what it was the first of."""
    events: list[Event] = []
    verdicts: dict[str, str] = {}
    for line in lines:
        (event,) = json.loads(line)["msys"].values()
        own = event["x_msys_track"]
        if event["type"] == "reclassified":
            verdicts[own["reclassifies"]] = own["class"]
        elif event["type"] in ACTIONS:
            events.append(event)
    seen = set()
    for event in events:
        class_ = verdicts.get(event["event_id"], event["x_msys_track"].get("class"))
        event["reader"] = READERS.get(class_ or "", "unknown")
        event["action"] = ACTIONS[event["type"]]
        for scope in ("mail", "link"):
            link = write_link(event) if scope == "link" else ""
            for who in (*KINDS, "all"):
                key = (scope, event["message_id"], event["action"], link, who)
                event[f"first {scope} {who}"] = key not in seen and who in (event["reader"], "all")
                if who in (event["reader"], "all"):
                    seen.add(key)
    return events


def write_link(event: Event) -> str:
    """Write where a clicked link stood."""
    place = event["x_msys_track"].get("target_link_position")
    return f"{place['part']}:{place['number']}" if place else ""


def count(events: Sequence[Event], action: str, how: str, who: str) -> int:
    """Count what was done, in messages (`unique`) or in all (`total`)."""
    done = [event for event in events if event["action"] == action]
    if how == "unique":
        return sum(event[f"first mail {who}"] for event in done)
    return sum(count_total(done, kind) for kind in (KINDS if who == "all" else (who,)))


def count_total(done: Sequence[Event], who: str) -> int:
    """Count all that a kind of reader did; of the two pixels, the one fetched more often."""
    mine = [event for event in done if event["reader"] == who]
    upper = sum(event["type"] == "initial_open" for event in mine)
    uniques = sum(bool(event[f"first mail {who}"]) for event in mine)
    return int(max(upper, len(mine) - upper, uniques))


def count_mail(events: Sequence[Event], action: str) -> int:
    """Count mail: `sent` or `rejected`."""
    return sum(event["action"] == action for event in events)


def group(
    events: Iterable[Event], find: Callable[[Event], Iterable[str]]
) -> list[tuple[str, list[Event]]]:
    """Group events by a value; the largest group first."""
    found: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        for value in find(event):
            found[value].append(event)
    return sorted(found.items(), key=lambda each: (-count_size(each[1]), each[0]))


def count_size(events: Sequence[Event]) -> int:
    """Count the events of a group as the report does: opens by either pixel."""
    sizes = Counter(event["action"] for event in events)
    opens = count(events, "opened", "total", "all")
    return sum(sizes.values()) - sizes["opened"] + opens


def find_tags(event: Event) -> Iterable[str]:
    """Its tags."""
    return list(event.get("rcpt_tags", ()))


def find_domain(event: Event) -> Iterable[str]:
    """The domain of its recipient."""
    return [event["recipient_domain"]]


def find_client(event: Event) -> Iterable[str]:
    """What read it."""
    parsed = event.get("user_agent_parsed")
    return [parsed["agent_family"]] if parsed else []


def find_country(event: Event) -> Iterable[str]:
    """Where it was read."""
    place = event.get("geo_ip")
    return [place["country"]] if place else []
