"""Finds addresses, messages, campaigns and links by a text that somebody typed."""

# ruff: noqa: S608 - the parts of a query are ours, values are bound

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from msys_track.event_fields import NO_MESSAGE_ID
from msys_track.report.period import SECONDS_AN_HOUR
from msys_track.report.timelines import EACH_BLOCK, MAX_EVENTS, find_blocks
from msys_track.sinks.store.reading import Store, read_text

FoundKind: TypeAlias = Literal["recipient", "message", "campaign", "link"]

# How many entries of an index are looked through for addresses, and campaigns are counted.
_MAX_ENTRIES: Final = 20_000
_MAX_CAMPAIGNS: Final = 1_000
# One step for each campaign, however many rows it has.
_CAMPAIGNS: Final = (
    "WITH RECURSIVE names (name) AS (SELECT min(campaign_id) FROM counts UNION ALL"
    " SELECT (SELECT min(campaign_id) FROM counts WHERE campaign_id > name)"
    " FROM names WHERE name IS NOT NULL) SELECT name FROM names WHERE name <> ''"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search found.

    Attributes:
        kind: What it is.
        text: The address, the message's id, the campaign, or the link's target.
        campaign: Of a message or a link; else empty.
        events: How many; 0 where nobody counts them.
        last_at: Unix seconds of the newest event; 0 where it is not known.
    """

    kind: FoundKind
    text: str
    campaign: str = ""
    events: int = 0
    last_at: int = 0


def search(store: Store, text: str, *, limit: int = 50) -> list[Found]:
    """Find addresses, messages, campaigns and links by a text.

    An address is found by how it begins, a message by its whole id, a campaign and a link by any
    part of their names; case is ignored but for the id. Addresses are looked for among the newest
    events that fit.

    Raises:
        SinkError: the store can't be read; the text says what to do.
    """
    text = text.strip().encode("utf-8", "replace").decode()
    if not text:
        return []
    found = [
        *_search_messages(store, text),
        *_search_campaigns(store, text, limit),
        *_search_recipients(store, text, limit),
        *_search_links(store, text, limit),
    ]
    return found[:limit]


def _search_messages(store: Store, text: str) -> Iterator[Found]:
    if text == NO_MESSAGE_ID:
        return
    rows = [
        row
        for key in store.message_keys(text)
        for row in store.select(
            "SELECT at, campaign_id FROM events INDEXED BY events_message"
            " WHERE message_key = ? AND message_id = ? LIMIT ?",
            key,
            text,
            MAX_EVENTS,
        )
    ]
    if rows:
        last_at, campaign = max(rows, key=lambda row: row[0])
        yield Found(
            kind="message",
            text=text,
            campaign=read_text(campaign),
            events=len(rows),
            last_at=last_at,
        )


def _search_campaigns(store: Store, text: str, limit: int) -> list[Found]:
    wanted = text.casefold()
    names = (read_text(name) for (name,) in store.select(_CAMPAIGNS))
    fitting = [name for name in names if wanted in name.casefold()]
    found = []
    for name in fitting[:_MAX_CAMPAIGNS]:
        events, hour = store.select(
            "SELECT sum(events), max(hour) FROM counts WHERE campaign_id = ?", name
        )[0]
        found.append(
            Found(
                kind="campaign", text=name, events=events, last_at=(hour + 1) * SECONDS_AN_HOUR - 1
            )
        )
    return sorted(found, key=lambda each: (-each.last_at, each.text))[:limit]


def _search_recipients(store: Store, text: str, limit: int) -> list[Found]:
    begin = text.lower()
    blocks = find_blocks(store)
    addresses = store.select(
        f"{EACH_BLOCK} SELECT rcpt_to FROM (SELECT rcpt_to"
        " FROM blocks CROSS JOIN events INDEXED BY events_recipient USING (block)"
        " WHERE rcpt_to >= ? AND rcpt_to < ? LIMIT ?) GROUP BY 1 ORDER BY rcpt_to <> ?, 1 LIMIT ?",
        *blocks,
        begin,
        begin + chr(sys.maxunicode),
        _MAX_ENTRIES,
        begin,
        limit,
    )
    found = []
    for (address,) in addresses:
        count, newest = store.select(
            f"{EACH_BLOCK} SELECT count(*), max(sequence)"
            " FROM blocks CROSS JOIN events INDEXED BY events_recipient USING (block)"
            " WHERE rcpt_to = ?",
            *blocks,
            read_text(address),
        )[0]
        at = store.select("SELECT at FROM events WHERE sequence = ?", newest)
        found.append(
            Found(
                kind="recipient",
                text=read_text(address),
                events=count,
                last_at=at[0][0] if at else 0,
            )
        )
    return found


def _search_links(store: Store, text: str, limit: int) -> list[Found]:
    return [
        Found(kind="link", text=read_text(target), campaign=read_text(campaign))
        for campaign, target in store.select(
            "SELECT DISTINCT campaign_id, target FROM links"
            " WHERE instr(lower(target), lower(?1)) OR instr(lower(link), lower(?1)) LIMIT ?2",
            text,
            limit,
        )
    ]
