"""How pages write numbers, times, addresses of pages, and what events say in one word."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, urlencode

from msys_track.report.period import SECONDS_A_DAY
from msys_track.report.text import TEXT
from msys_track.sinks.store.rows import READERS, UNKNOWN

NOTHING: Final = "\N{EN DASH}"


def write_number(number: int) -> str:
    """Write a number with commas between thousands."""
    return f"{number:,}"


def write_rate(part: int, whole: int) -> str:
    """Write a part of a whole in percent; a dash where there is no whole."""
    return f"{100 * part / whole:.1f} %" if whole else NOTHING


def write_time(seconds: int) -> str:
    """Write Unix seconds as a time in UTC; what no calendar has stays a number."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return str(seconds)


def make_link(path: str, query: Mapping[str, str | int | None]) -> str:
    """Make the address of a page; what is None in the query is left out."""
    text = urlencode({name: value for name, value in query.items() if value is not None})
    return f"{path}?{text}" if text else path


def link_message(message_id: str) -> str:
    """Make the address of a message's page."""
    return f"/message/{quote(message_id, safe='')}"


def link_recipient(address: str) -> str:
    """Make the address of a recipient's page."""
    return make_link("/recipient", {"address": address})


def link_campaign(name: str, last_at: int = 0) -> str:
    """Make the address of a campaign's page: the 30 days before a time; without it, the newest."""
    query = {"name": name}
    if last_at:
        first = write_time(last_at - 29 * SECONDS_A_DAY)
        query |= {"from": first[:10], "to": write_time(last_at)[:10]}
    return make_link("/campaign", query)


def explain_rule(finding: Mapping[str, object]) -> str:
    """Say in words what a rule found; a rule that is not known here keeps its name."""
    rule = finding.get("rule")
    return TEXT.get(f"rule.{rule}", str(rule))


def name_reader(reader_class: str) -> str:
    """Return whom an event of a class is counted for: `people`, `machines` or `unknown`."""
    return READERS.get(reader_class, UNKNOWN)


def name_class(reader_class: str) -> str:
    """Say in words who made an event; a class that is not known here keeps its name."""
    return TEXT.get(f"class.{reader_class}", reader_class)


def name_type(event_type: str) -> str:
    """Say in words what an event is; a type that is not known here keeps its name."""
    return TEXT.get(f"type.{event_type}", event_type or TEXT["type.none"])
