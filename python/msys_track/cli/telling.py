"""An explanation in words, for a person at a terminal.

Apart from the command, which finds out what there is to tell. Much of it was written by strangers
(targets, names, keys), so nothing of it reaches the terminal that could move its cursor.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

from msys_track import explanation
from msys_track.config.schema import TABLES
from msys_track.explanation import (
    Decided,
    ExplainedCopy,
    ExplainedLink,
    ExplainedPart,
    ExplainedPixel,
    Explanation,
    Option,
)
from msys_track.reasons import Reason

_MAX_SHOWN: Final = 120
_VALUE_COLUMN: Final = 24
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


def told(record: Explanation) -> Iterator[str]:
    """Tell all of it, line by line."""
    for decided in record.decided:
        yield from _decided(decided)
    if record.ignored_keys:
        keys = printable(", ".join(record.ignored_keys))
        yield f"\nkeys of X-MSYS-API that mean nothing: {keys}"
    if record.dropped_tags:
        yield f"\ntags over the ten that there may be: {record.dropped_tags}"
    yield "\ncopies"
    for copy in record.copies:
        yield from _copy(copy)


def printable(text: str) -> str:
    """Write what is no printable character as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _decided(decided: Decided) -> Iterator[str]:
    yield f"\noptions for {printable(', '.join(decided.recipients))}"
    for option in decided.options:
        if option.name not in _ENGAGEMENT:
            yield from _option(option)
    yield "\nengagement data"
    for option in decided.options:
        if option.name in _ENGAGEMENT:
            yield from _option(option)
    if decided.truncated:
        names = printable(", ".join(decided.truncated))
        yield f"  no room within max_metadata_len for these pairs of metadata: {names}"
    for variable in decided.ignored_variables:
        yield f"  policy's variable {variable.name} means nothing: {_short(repr(variable.value))}"
        yield f"    allowed: {printable(variable.allowed)}"
    yield "\nlinks"
    for link in decided.links:
        yield from _fate(link.line, link.fate, _link(link))
        yield from _lack(link)
    yield from () if decided.links else ("  none",)
    yield "\npixels"
    for pixel in decided.pixels:
        yield from _pixel(pixel)
        yield from _lack(pixel)
    yield "\nparts"
    for part in decided.parts:
        yield from _fate(part.line, part.fate, _part(part))
    yield from () if decided.parts else ("  none",)


def _option(option: Option) -> Iterator[str]:
    name = _NAMES.get(option.name, option.name)
    yield f"  {name:<32} {_value(option.value):<{_VALUE_COLUMN}} {option.source}"
    for word in option.overrides:
        value = _value(word.value)
        yield f"  {'':<32} {value:<{_VALUE_COLUMN}} overridden: {word.source}"


def _value(value: Any) -> str:
    if value is None or value in ([], ()):
        return "none"
    return printable(json.dumps(value, ensure_ascii=False))


def _fate(line: int | None, fate: str, what: str) -> Iterator[str]:
    """Tell what became of a thing: where it stands, what was done, what it is, and why not."""
    where = f"line {line}" if line is not None else ""
    done = fate if fate in _DONE else "left alone"
    yield f"  {where:<9} {done:<10}  {what}"
    if fate not in _DONE:
        reason = "" if fate == explanation.UNCHANGED else f"{fate}: "
        yield f"  {'':<9} {'':<10}  {reason}{_MEANINGS.get(fate, fate)}"


def _lack(tracked: ExplainedLink | ExplainedPixel) -> Iterator[str]:
    if tracked.lacks_metadata:
        yield (
            f"  {'':<9} {'':<10}  without metadata: with them its line would pass 998 octets,"
            " which 7bit and 8bit can't fold, or the URL 4,096 bytes"
        )


def _link(link: ExplainedLink) -> str:
    marks = {"outlook": " (for Outlook)", "text": " (in plain text)"}
    name = f" (named {_short(json.dumps(link.name, ensure_ascii=False))})" if link.name else ""
    return f"{_short(link.target) or '(empty)'}{name}{marks.get(link.where or '', '')}"


def _pixel(pixel: ExplainedPixel) -> Iterator[str]:
    return _fate(pixel.line, pixel.fate, f"{pixel.kind} pixel")


def _part(part: ExplainedPart) -> str:
    kind = ", ".join(filter(None, (part.media_type, part.charset, part.transfer_encoding)))
    return f"{_short(kind)}, {_count(part.length_bytes, 'byte')}"


def _copy(copy: ExplainedCopy) -> Iterator[str]:
    readers = printable(", ".join(f"{address} ({kind})" for address, kind in copy.readers))
    links, pixels = _count(copy.wrapped_links, "link"), _count(copy.pixels, "pixel")
    yield f"  {readers}: {links}, {pixels}"
    if not copy.wrapped_links and not copy.pixels:
        for reason in copy.reasons:
            yield f"    {reason}: {_MEANINGS[reason]}"


def _short(text: str) -> str:
    """Shorten what a stranger wrote to what a line can hold."""
    if len(text) > _MAX_SHOWN:
        text = f"{text[:_MAX_SHOWN]}… ({len(text)} characters)"
    return printable(text)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
