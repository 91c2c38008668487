"""An explanation as text, for a person at a terminal.

The command makes the explanation. Strangers wrote much of it (targets, names, keys), so no
character that could move the cursor reaches the terminal.
"""

import json
from collections.abc import Iterable, Iterator
from io import StringIO
from typing import Any, Final, TypeAlias

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from msys_track.config.schema.tables import TABLES
from msys_track.dispatch.explain import (
    ADDED,
    CLICK_TRACKING_OFF,
    OPEN_TRACKING_OFF,
    REWRITTEN,
    UNCHANGED,
    WRAPPED,
    ExplainedRecipients,
    Explanation,
)
from msys_track.reasons import Reason

_Row: TypeAlias = tuple[str, str, str]

_MAX_SHOWN: Final = 120
# How wide the first two columns of a table are.
_OPTION_COLUMNS: Final = (32, 24)
_PLACE_COLUMNS: Final = (9, 11)
# Options under the names that a configuration has for them.
_NAMES: Final = {
    name: key for table in TABLES.values() for key, rule in table.items() for name in rule.fields
}
_ENGAGEMENT: Final = (
    "campaign_id",
    "metadata",
    "tags",
    "transactional",
    "customer_id",
    "subaccount_id",
)
_TRACKED: Final = {WRAPPED, ADDED, REWRITTEN}
_MEANINGS: Final = {
    **{reason.value: reason.meaning for reason in Reason},
    CLICK_TRACKING_OFF: "links are wrapped only where click tracking is on",
    OPEN_TRACKING_OFF: "pixels are added only where open tracking is on",
    UNCHANGED: "nothing in it is tracked",
}
_HOW: Final = {"replace": "", "append": " (one more)", "prepend": " (one more, at the top)"}
_MARKS: Final = {"outlook": " (for Outlook)", "text": " (in plain text)", "amp": " (in AMP)"}
_LACKS_METADATA: Final = (
    "without metadata: with them its line would pass 998 octets, which 7bit and 8bit can't fold, "
    "or the URL 4,096 bytes"
)


def format_explanation(explanation: Explanation, *, width: int) -> list[str]:
    """Write all of it in lines of at most so many columns, without colours."""
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
    for decided in explanation.decided:
        _print_recipients(console, decided)
    _print_changes(console, explanation)
    if explanation.ignored_keys:
        console.print()
        keys = ", ".join(explanation.ignored_keys)
        _print(console, f"unknown keys of X-MSYS-API: {keys}")
    if explanation.dropped_tags:
        console.print()
        _print(console, f"tags dropped, over the limit of 10: {explanation.dropped_tags}")
    console.print("\ncopies")
    for copy in explanation.copies:
        readers = ", ".join(f"{address} ({kind})" for address, kind in copy.readers)
        links, pixels = _count(copy.wrapped_links, "link"), _count(copy.pixels, "pixel")
        _print(console, f"{readers}: {links}, {pixels}", indent=2)
        for reason in () if copy.wrapped_links or copy.pixels else copy.reasons:
            _print(console, f"{reason}: {_MEANINGS[reason]}", indent=4)
    return [line.rstrip() for line in written.getvalue().removesuffix("\n").split("\n")]


def _print_changes(console: Console, explanation: Explanation) -> None:
    """Print what policy changes in the mail."""
    lines: list[str] = []
    for each in explanation.changes:
        lines.append(f"for {', '.join(each.recipients)}")
        for change in each.headers:
            is_removed = change.value is None
            value = "removed" if change.value is None else _shorten(repr(change.value))
            lines.append(f"  {change.name}: {value}{'' if is_removed else _HOW[change.how]}")
        if each.sender is not None:
            lines.append(f"  the sender becomes <{each.sender}>")
        if each.has_skipped:
            lines.append("  fields that a signature covers stay, as signed_mail is skip")
    lines += [f"{old} becomes {new}" for new, old in explanation.renamed.items()]
    lines += [f"discarded for {to}: {why}" for to, why in explanation.discarded.items()]
    if lines:
        console.print("\nchanges by policy")
    for line in lines:
        text = line.lstrip()
        _print(console, text, indent=2 + len(line) - len(text))


def _print_recipients(console: Console, decided: ExplainedRecipients) -> None:
    """Print the options, then where each link, pixel and part is, what was done, and why not."""
    options: list[_Row] = []
    engagement: list[_Row] = []
    for option in decided.options:
        rows = engagement if option.name in _ENGAGEMENT else options
        name = _NAMES.get(option.name, option.name)
        rows.append((name, _format_value(option.value), option.source))
        for lower in option.overrides:
            rows.append(("", _format_value(lower.value), f"overridden: {lower.source}"))
    console.print()
    _print(console, f"options for {', '.join(decided.recipients)}")
    _print_table(console, options, _OPTION_COLUMNS)
    console.print("\nengagement data")
    _print_table(console, engagement, _OPTION_COLUMNS)
    if decided.truncated:
        names = ", ".join(decided.truncated)
        line = f"no room within max_metadata_len for these pairs of metadata: {names}"
        _print(console, line, indent=2)
    for variable in decided.ignored_variables:
        value = _shorten(repr(variable.value))
        line = f"policy's variable {variable.name} is invalid and ignored: {value}"
        _print(console, line, indent=2)
        _print(console, f"allowed: {variable.allowed}", indent=4)
    links: list[_Row] = []
    for link in decided.links:
        named = json.dumps(link.name, ensure_ascii=False)
        name = f" (named {_shorten(named)})" if link.name else ""
        what = f"{_shorten(link.target) or '(empty)'}{name}{_MARKS.get(link.where or '', '')}"
        by_option = ""
        if link.option is not None:
            by_option = f"{_NAMES.get(link.option, link.option)}: {link.option_source}"
        links += _list_rows(
            link.line, link.fate, what, by_option, lacks_metadata=link.lacks_metadata
        )
    pixels: list[_Row] = []
    for pixel in decided.pixels:
        what = f"{pixel.kind} pixel"
        pixels += _list_rows(pixel.line, pixel.fate, what, lacks_metadata=pixel.lacks_metadata)
    parts: list[_Row] = []
    for part in decided.parts:
        kind = ", ".join(filter(None, (part.media_type, part.charset, part.transfer_encoding)))
        what = f"{_shorten(kind)}, {_count(part.length_bytes, 'byte')}"
        parts += _list_rows(part.line, part.fate, what)
    for heading, rows in (("links", links), ("pixels", pixels), ("parts", parts)):
        console.print(f"\n{heading}")
        _print_table(console, rows or [("none", "", "")], _PLACE_COLUMNS)


def _list_rows(
    line: int | None, fate: str, what: str, by_option: str = "", *, lacks_metadata: bool = False
) -> Iterator[_Row]:
    where = f"line {line}" if line is not None else ""
    yield where, fate if fate in _TRACKED else "left alone", what
    if fate not in _TRACKED:
        reason = "" if fate == UNCHANGED else f"{fate}: "
        yield "", "", f"{reason}{_MEANINGS.get(fate, fate)}"
    if by_option:
        yield "", "", by_option
    if lacks_metadata:
        yield "", "", _LACKS_METADATA


def _print(console: Console, text: str, *, indent: int = 0) -> None:
    console.print(Padding(_make_text(text), (0, 0, 0, indent)))


def _print_table(console: Console, rows: Iterable[_Row], columns: tuple[int, int]) -> None:
    table = Table.grid(padding=(0, 1))
    for width in columns:
        table.add_column(width=width)
    for row in rows:
        table.add_row(*map(_make_text, row))
    console.print(Padding(table, (0, 0, 0, 2)))


def _make_text(text: str) -> Text:
    """Write what is not a printable character as an escape."""
    escaped = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return Text("".join(escaped), overflow="fold")


def _format_value(value: Any) -> str:
    if value is None or value in ([], ()):
        return "none"
    return json.dumps(value, ensure_ascii=False)


def _shorten(text: str) -> str:
    """Shorten what a stranger wrote to what a line can hold."""
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}… ({len(text)} characters)"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
