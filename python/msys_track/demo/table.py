"""The demo's page: what a newcomer reads, eighty columns wide."""

import json
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Final

from msys_track.demo.expectations import Expectation, Ledger, Section
from msys_track.demo.journey import Journey, SeenCopy
from msys_track.demo.mail import ExpectedLink
from msys_track.demo.stage import HOST, Stage
from msys_track.demo.words import explained
from msys_track.events import Event
from msys_track.testing.fidelity import Changes, without_api_header

WIDTH: Final = 80

_INDENT: Final = "   "
_LABEL: Final = 13
_ROOM: Final = WIDTH - len(_INDENT) - _LABEL
_HREF: Final = 46
_FILE: Final = 18
_HELD: Final = 10
_SHOWN: Final = 400


def opening(stage: Stage) -> Iterator[str]:
    """Say what runs where."""
    yield "Mails go in over SMTP, come out tracked, and their readers open them and click."
    yield ""
    for who, to, port, which in (
        ("a mail program", "the proxy", stage.proxy.port, "tracks opens and clicks"),
        ("the proxy", "a mail server", stage.mailbox_port, "stands for yours"),
        ("readers", "the tracker", stage.tracker.port, "answers and stores events"),
    ):
        yield f"{_INDENT}{who:<14} -> {to:<14} {HOST}:{port:<6} {which}"
    yield ""
    yield f"{_INDENT}A click leads to the tracker, and from there (302) to the address shown."


def journey(number: int, seen: Journey, section: Section) -> Iterator[str]:
    """Show one mail: what went in, what came out, what its readers did."""
    mail = seen.mail
    yield ""
    yield f"{number}. {mail.title:<{WIDTH - 3 - len(mail.file)}}{mail.file}"
    yield from row("went in", mail.shape, "to " + ", ".join(mail.recipients))
    if not seen.copies:
        yield from row("came out", f"nothing: {seen.answer.line}")
    for copy in seen.copies[:1]:
        yield from row(
            "came out", *came_out(seen.sent, copy.message, copy.changes, len(seen.copies))
        )
        yield from row("opened", *_opened(seen))
        yield from row("clicked", *_clicked(copy))
        yield from row("left alone", *_left_alone(copy, mail.links))
    yield from row("stored", *stored(seen.events))
    yield from row("expected", held(section))


def row(label: str, *lines: str) -> Iterator[str]:
    """Show lines beside a label; nothing where there are none."""
    parts = (part for line in lines for part in line.split("\n"))
    pieces = (piece for part in parts for piece in wrapped(part, _ROOM))
    for first, piece in zip_longest([label], pieces, fillvalue=""):
        if piece:
            yield f"{_INDENT}{first:<{_LABEL}}{piece}"


def wrapped(text: str, width: int) -> Iterator[str]:
    """Break text at spaces to what a terminal shows; a word that is too long is cut."""
    shown = cut(text, _SHOWN)
    indent = shown[: len(shown) - len(shown.lstrip())]
    for line in textwrap.wrap(
        shown, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    ):
        yield cut(line, width)


def cut(text: str, width: int) -> str:
    """Make text fit for a terminal: nothing unprintable, and no longer than there is room."""
    shown = text[:_SHOWN]
    plain = "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in shown)
    return plain if len(plain) <= width else plain[: width - 3] + "..."


def pair(text: str, remark: str) -> str:
    """Show a text and a remark on it: in the second column, or below where it has no room."""
    line = f"{cut(text, _HREF):<{_HREF}}  {remark}".rstrip()
    return line if len(line) <= _ROOM else f"{cut(text, _ROOM)}\n  {remark}"


def counted(number: int, noun: str) -> str:
    """Say how many: `1 link`, `2 links`."""
    return f"{number} {noun}" if number == 1 else f"{number:,} {noun}s"


def came_out(sent: bytes, copy: bytes, changed: Changes, copies: int = 1) -> Iterator[str]:
    """Say what a copy has that the mail had not, and that it has no more."""
    without = ", without its X-MSYS-API" if without_api_header(sent) != sent else ""
    if changed.beyond is not None:
        yield "with differences that must not be"
    elif copy == without_api_header(sent):
        yield f"byte for byte as it was{without}"
    else:
        links = counted(len(changed.wrapped), "link")
        pixels = counted(len(changed.pixels), "pixel")
        yield f"{f'{copies} copies, each with ' * (copies > 1)}{links} wrapped and {pixels} added"
        yield f"all other bytes as they were{without}"
    for wrapped in changed.wrapped[:1]:
        yield f"its first link: {wrapped.url}"


def _opened(seen: Journey) -> Iterator[str]:
    images = [image for copy in seen.copies for image in copy.images]
    gifs = sum(image.is_gif for image in images)
    if images:
        times = f", {gifs} times" if len(seen.copies) > 1 else ""
        yield f"the pixel is a GIF{times}" if gifs == len(images) else "THE PIXEL IS NO GIF"


def _clicked(copy: SeenCopy) -> Iterator[str]:
    for link in copy.clicked:
        if link.response is not None:
            yield link.response.location or f"NO REDIRECT: {link.response.status}"


def _left_alone(copy: SeenCopy, before: Sequence[ExpectedLink]) -> Iterator[str]:
    for link, expected in zip_longest(copy.links, before):
        if link is None or link.response is not None:
            continue
        yield pair(link.link.href, "NOT EXPECTED" if expected is None else _why(expected))


def _why(link: ExpectedLink) -> str:
    if link.is_wrapped:
        return "MUST BE WRAPPED"
    return link.place if link.left_alone is None else explained(link.left_alone)


def stored(events: Iterable[Event]) -> Iterator[str]:
    """Show events: how many of each kind, and what all of them say about their mail."""
    events = list(events)
    kinds = Counter(event.type.value for event in events)
    yield ", ".join(counted(number, kind) for kind, number in kinds.items()) or "no event"
    for event in events[:1]:
        facts: Mapping[str, object] = {
            "campaign_id": event.campaign_id,
            "rcpt_tags": event.rcpt_tags,
            "rcpt_meta": event.rcpt_meta,
        }
        for name, value in facts.items():
            if value:
                yield f"{name} {json.dumps(value, ensure_ascii=False)}"


def held(section: Section) -> str:
    """Say how many expectations held."""
    total = len(section.expectations)
    if section.held == total:
        return f"all of it: {counted(total, 'expectation')} held"
    return f"NOT ALL: {total - section.held} of {total} expectations failed, see below"


def summary(journeys: Sequence[Journey]) -> Iterator[str]:
    """Show all mails in one table."""
    yield ""
    yield "In short: links and pixels of one copy, opens and clicks of all"
    yield ""
    columns = ("links", "wrapped", "left alone", "pixels", "recipients", "opens", "clicks")
    yield f"{_INDENT}{'mail':<{_FILE}}" + "".join(f" {each}" for each in columns)
    for seen in journeys:
        kinds = Counter(event.type.value for event in seen.events)
        links = [len(copy.links) for copy in seen.copies[:1]] or [0]
        wrapped = [len(copy.clicked) for copy in seen.copies[:1]] or [0]
        pixels = [len(copy.images) for copy in seen.copies[:1]] or [0]
        numbers = (
            *links, *wrapped, links[0] - wrapped[0], *pixels,
            len(seen.mail.recipients), kinds["open"], kinds["click"],
        )  # fmt: skip
        cells = zip(numbers, columns, strict=True)
        row_text = "".join(f" {number:>{len(column)}}" for number, column in cells)
        yield f"{_INDENT}{seen.mail.file:<{_FILE}}{row_text}"


def safety(section: Section) -> Iterator[str]:
    """Show what was tried on the links."""
    yield ""
    yield "What must not be possible"
    yield ""
    for each in section.expectations:
        first, *more = wrapped(each.what, WIDTH - len(_INDENT) - _HELD)
        yield f"{_INDENT}{'held' if each.held else 'NOT HELD':<{_HELD}}{first}"
        yield from (f"{_INDENT}{'':<{_HELD}}{line}" for line in more)


def verdict(ledger: Ledger) -> Iterator[str]:
    """Say whether all was as expected, and what was not."""
    failed = list(ledger.failed())
    for each in failed:
        yield ""
        yield from _failure(each)
    yield ""
    if failed:
        yield f"{len(failed)} of {ledger.total} expectations failed"
    else:
        yield f"all {ledger.total} expectations held"


def _failure(failed: Expectation) -> Iterator[str]:
    yield cut(f"FAILED  {failed.about}: {failed.what}", WIDTH)
    yield f"        expected  {cut(str(failed.expected), 2 * WIDTH)}"
    yield f"        found     {cut(str(failed.found), 2 * WIDTH)}"
