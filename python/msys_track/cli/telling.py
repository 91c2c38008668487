"""An explanation in words, for a person at a terminal.

Apart from the command, which finds out what there is to tell. Much of it was written by strangers
(targets, names, keys), so nothing of it reaches the terminal that could move its cursor.
"""

import json
from collections.abc import Iterable, Iterator
from io import StringIO
from typing import Any, Final

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from msys_track.config.schema.tables import TABLES
from msys_track.dispatch import explain as explanation
from msys_track.dispatch.copies import Copy
from msys_track.dispatch.explain import (
    Decided,
    ExplainedLink,
    ExplainedPart,
    ExplainedPixel,
    Explanation,
    Option,
)
from msys_track.reasons import Reason

_MAX_SHOWN: Final = 120
_NAME_COLUMNS: Final = 32
_VALUE_COLUMNS: Final = 24
_PLACE_COLUMNS: Final = 9
_DONE_COLUMNS: Final = 11
# Options under the names that a configuration has for them.
_NAMES: Final = {
    name: key for table in TABLES.values() for key, rule in table.items() for name in rule.fields
}
_ENGAGEMENT: Final = ("campaign_id", "metadata", "tags", "transactional", "customer_id")
_DONE: Final = {explanation.WRAPPED, explanation.ADDED, explanation.REWRITTEN}
_MEANINGS: Final = {
    **{reason.value: reason.meaning for reason in Reason},
    explanation.CLICK_TRACKING_OFF: "links are wrapped only where click tracking is on",
    explanation.OPEN_TRACKING_OFF: "pixels are added only where open tracking is on",
    explanation.UNCHANGED: "nothing in it is tracked",
}


def told(record: Explanation, *, width: int) -> list[str]:
    """Tell all of it in lines of at most so many columns, without colours."""
    written = StringIO()
    console = Console(
        file=written,
        width=width,
        color_system=None,
        emoji=False,
        highlight=False,
        legacy_windows=False,
        markup=False,
    )
    for each in _sections(record):
        console.print(each)
    return [line.rstrip() for line in written.getvalue().removesuffix("\n").split("\n")]


def _sections(record: Explanation) -> Iterator[RenderableType]:
    for decided in record.decided:
        yield from _decided(decided)
    if record.ignored_keys:
        keys = printable(", ".join(record.ignored_keys))
        yield _text(f"\nkeys of X-MSYS-API that mean nothing: {keys}")
    if record.dropped_tags:
        yield _text(f"\ntags over the ten that there may be: {record.dropped_tags}")
    yield "\ncopies"
    for copy in record.copies:
        yield from _copy(copy)


def printable(text: str) -> str:
    """Write what is no printable character as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _decided(decided: Decided) -> Iterator[RenderableType]:
    yield _text(f"\noptions for {printable(', '.join(decided.recipients))}")
    yield _options(each for each in decided.options if each.name not in _ENGAGEMENT)
    yield "\nengagement data"
    yield _options(each for each in decided.options if each.name in _ENGAGEMENT)
    if decided.truncated:
        names = printable(", ".join(decided.truncated))
        yield _indented(f"no room within max_metadata_len for these pairs of metadata: {names}")
    for variable in decided.ignored_variables:
        value = _short(repr(variable.value))
        yield _indented(f"policy's variable {variable.name} means nothing: {value}")
        yield _indented(f"allowed: {printable(variable.allowed)}", 4)
    yield "\nlinks"
    links = [
        row
        for link in decided.links
        for row in (*_fate(link.line, link.fate, _link(link)), *_lack(link))
    ]
    yield _fates(links) if links else "  none"
    yield "\npixels"
    yield _fates(row for pixel in decided.pixels for row in (*_pixel(pixel), *_lack(pixel)))
    yield "\nparts"
    parts = [row for part in decided.parts for row in _fate(part.line, part.fate, _part(part))]
    yield _fates(parts) if parts else "  none"


def _text(text: str) -> Text:
    return Text(text, overflow="fold")


def _indented(text: str, columns: int = 2) -> Padding:
    return Padding(_text(text), (0, 0, 0, columns))


def _options(options: Iterable[Option]) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=_NAME_COLUMNS)
    table.add_column(width=_VALUE_COLUMNS)
    for option in options:
        name = _NAMES.get(option.name, option.name)
        table.add_row(name, _text(_value(option.value)), _text(option.source))
        for word in option.overrides:
            table.add_row("", _text(_value(word.value)), _text(f"overridden: {word.source}"))
    return Padding(table, (0, 0, 0, 2))


def _fates(rows: Iterable[tuple[str, str, str]]) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=_PLACE_COLUMNS)
    table.add_column(width=_DONE_COLUMNS)
    for place, done, what in rows:
        table.add_row(place, done, _text(what))
    return Padding(table, (0, 0, 0, 2))


def _value(value: Any) -> str:
    if value is None or value in ([], ()):
        return "none"
    return printable(json.dumps(value, ensure_ascii=False))


def _fate(line: int | None, fate: str, what: str) -> Iterator[tuple[str, str, str]]:
    """Tell what became of a thing: where it stands, what was done, what it is, and why not."""
    where = f"line {line}" if line is not None else ""
    yield where, fate if fate in _DONE else "left alone", what
    if fate not in _DONE:
        reason = "" if fate == explanation.UNCHANGED else f"{fate}: "
        yield "", "", f"{reason}{_MEANINGS.get(fate, fate)}"


def _lack(tracked: ExplainedLink | ExplainedPixel) -> Iterator[tuple[str, str, str]]:
    if tracked.lacks_metadata:
        why = "with them its line would pass 998 octets, which 7bit and 8bit can't fold"
        yield "", "", f"without metadata: {why}, or the URL 4,096 bytes"


def _link(link: ExplainedLink) -> str:
    marks = {"outlook": " (for Outlook)", "text": " (in plain text)"}
    name = f" (named {_short(json.dumps(link.name, ensure_ascii=False))})" if link.name else ""
    return f"{_short(link.target) or '(empty)'}{name}{marks.get(link.where or '', '')}"


def _pixel(pixel: ExplainedPixel) -> Iterator[tuple[str, str, str]]:
    return _fate(pixel.line, pixel.fate, f"{pixel.kind} pixel")


def _part(part: ExplainedPart) -> str:
    kind = ", ".join(filter(None, (part.media_type, part.charset, part.transfer_encoding)))
    return f"{_short(kind)}, {_count(part.length_bytes, 'byte')}"


def _copy(copy: Copy) -> Iterator[RenderableType]:
    readers = printable(", ".join(f"{address} ({kind})" for address, kind in copy.readers))
    links, pixels = _count(copy.wrapped_links, "link"), _count(copy.pixels, "pixel")
    yield _indented(f"{readers}: {links}, {pixels}")
    if not copy.wrapped_links and not copy.pixels:
        for reason in copy.reasons:
            yield _indented(f"{reason}: {_MEANINGS[reason]}", 4)


def _short(text: str) -> str:
    """Shorten what a stranger wrote to what a line can hold."""
    if len(text) > _MAX_SHOWN:
        text = f"{text[:_MAX_SHOWN]}… ({len(text)} characters)"
    return printable(text)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
