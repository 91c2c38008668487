"""The demo's page: what a newcomer reads, eighty columns wide."""

import json
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Final

from msys_track.demo.catalogue import MAX_BYTES
from msys_track.demo.check import Ledger, Section
from msys_track.demo.journey import Journey, SeenCopy
from msys_track.demo.stage import Stage
from msys_track.dispatch.copies import Copy
from msys_track.reasons import Reason
from msys_track.testing.fidelity import without_api_header
from msys_track.testing.mail_reader import LinkPlace, MailLink, scan_mail

WIDTH: Final = 80

_INDENT: Final = "   "
_LABEL: Final = 13
_ROOM: Final = WIDTH - len(_INDENT) - _LABEL
_HREF: Final = 46
_FILE: Final = 18
_HELD: Final = 10
_SHOWN: Final = 400
_MAX_ROWS: Final = 25
_SOURCES: Final = {"header": "X-MSYS-API"}

# Reasons for one link; all others are for a part, the pixel or the mail.
_OF_A_LINK: Final = frozenset(
    {
        Reason.NOT_HTTP,
        Reason.NO_HOST,
        Reason.OPTED_OUT,
        Reason.ALREADY_TRACKED,
        Reason.URL_TOO_LONG,
        Reason.LINE_TOO_LONG,
    }
)


def show_journey(number: int, stage: Stage, journey: Journey, section: Section) -> Iterator[str]:
    """Show one mail: what went in, what came out, what its readers did, and what stayed."""
    mail, wire, copies = journey.mail, journey.wire, journey.visited_copies
    size, total = len(wire.message), len(section.expectations)
    yield ""
    if mail.is_known:
        yield f"{number}. {mail.title:<{WIDTH - 3 - len(mail.file)}}{mail.file}"
    else:
        yield cut_text(mail.file, WIDTH)
    at_least = "at least " if size >= MAX_BYTES else ""
    lines = count_noun(wire.message.count(b"\r\n"), "line")
    went_in = [mail.shape, f"{at_least}{count_noun(size, 'byte')}, {lines}"]
    # The tour's own files have Git's line ends, which says nothing about the mail.
    if wire.converted and not mail.is_known:
        line_ends = count_noun(wire.converted, "line end")
        went_in.append(f"{line_ends} made CRLF, as mail programs do")
    if wire.was_unended:
        went_in.append("the last line was given an end, as SMTP has no other lines")
    if not wire.message.isascii():
        went_in.append("8-bit, so sent as BODY=8BITMIME")
    yield from show_row("went in", *went_in, "to " + ", ".join(mail.recipients))
    yield from show_row("answered", journey.answer.line)
    if copies:
        yield from _show_copy(stage, journey)
    else:
        yield from show_row("came out", "nothing")
    if copies or mail.is_known:
        kinds = Counter(event.type.value for event in journey.events)
        stored = [count_noun(number, kind) for kind, number in kinds.items()]
        yield from show_row(
            "stored",
            ", ".join(stored) or "no event",
            *(
                f"{name} {json.dumps(value, ensure_ascii=False)}"
                for event in journey.events[:1]
                for name in ("campaign_id", "rcpt_tags", "rcpt_meta")
                if (value := getattr(event, name))
            ),
        )
    if section.met_count == total:
        yield from show_row("expected", f"all of it: {count_noun(total, 'expectation')} held")
    else:
        failed = total - section.met_count
        yield from show_row(
            "expected", f"NOT ALL: {failed} of {total} expectations failed, see below"
        )


def _show_copy(stage: Stage, journey: Journey) -> Iterator[str]:
    """Show the first copy that was opened and clicked."""
    copies, copy = journey.visited_copies, journey.visited_copies[0]
    if copy.reported is not None and copy.reported.resolved is not None:
        opens, clicks = (
            f"{'on' if origin.value else 'off'} ({_SOURCES.get(origin.source, origin.source)})"
            for origin in (
                copy.reported.resolved.open_tracking,
                copy.reported.resolved.click_tracking,
            )
        )
        yield from show_row("tracking", f"opens {opens}, clicks {clicks}")
    yield from show_row("came out", *_describe_changes(journey.wire.message, copy, len(copies)))
    readers = [to for each in journey.copies for to in each.arrival.recipients]
    yield from show_row(
        "also for", *_shorten([to for to in readers if to not in journey.mail.recipients])
    )
    images = [image for each in copies for image in each.images]
    broken = [str(image.status) for image in images if not image.is_gif]
    if broken:
        yield from show_row("opened", f"THE PIXEL IS NOT A GIF: {', '.join(broken)}")
    elif images:
        times = f", {len(images)} times" if len(images) > 1 else ""
        yield from show_row("opened", f"the pixel is a GIF{times}")
    targets = [it.location or f"NO REDIRECT: {it.status}" for _, it in copy.clicks]
    clicked = [*_shorten(targets)]
    if len(targets) < len(copy.changes.wrapped):
        clicked.append(f"and on no more than these {len(targets):,}")
    yield from show_row("clicked", *clicked)
    yield from show_row("left alone", *_shorten(list(_list_left_alone(stage, copy))))


def _describe_changes(sent: bytes, copy: SeenCopy, copies: int) -> Iterator[str]:
    """Say what a copy has that the mail had not, or that something else differs."""
    changed, bare = copy.changes, without_api_header(sent)
    without = ", without its X-MSYS-API" if bare != sent else ""
    if changed.beyond is not None:
        yield "with differences that must not be"
    elif copy.message == bare:
        yield f"byte for byte as it was{without}"
    else:
        links = count_noun(len(changed.wrapped), "link")
        pixels = count_noun(len(changed.pixels), "pixel")
        yield f"{f'{copies} copies, each with ' * (copies > 1)}{links} wrapped and {pixels} added"
        yield f"all other bytes as they were{without}"
    for wrapped in changed.wrapped[:1]:
        yield f"its first link: {wrapped.url}"
    if copy.added[0]:
        yield f"its Cc got {', '.join(address for _, address in copy.added[0])}"


def _list_left_alone(stage: Stage, copy: SeenCopy) -> Iterator[str]:
    if copy.reported is None:
        return
    links = [link for link in scan_mail(copy.message).links if not stage.is_tracked(link.href)]
    remarks = _match_reasons(links, copy.reported)
    for link, remark in zip(links, remarks, strict=True):
        yield show_pair(link.href, remark)
    reasons = Counter(reason for _, _, reason in copy.reported.left_alone)
    for reason, number in reasons.items():
        if describe_reason(reason) in remarks:
            continue
        if reason in _OF_A_LINK:
            what = "1 link or the pixel" if number == 1 else f"{number:,} links, or the pixel"
            yield show_pair(what, describe_reason(reason))
        else:
            yield f"the mail or a part of it: {describe_reason(reason)}"


def _match_reasons(links: Sequence[MailLink], reported: Copy) -> list[str]:
    """Say for each link why it was left alone, if that is known.

    Reasons come in the order of the mail, as links do. But the product and the standard library
    may find different links in a broken document; then no reason is put beside a link.
    """
    if reported.resolved is None or not reported.resolved.click_tracking.value:
        return [describe_reason(Reason.TRACKING_OFF)] * len(links)
    reasons = [reason for _, _, reason in sorted(reported.left_alone)]
    of_links = [reason for reason in reasons if reason in _OF_A_LINK]
    shown = [link for link in links if link.place is LinkPlace.HTML]
    if not of_links and len(reasons) == 1:  # the reason of the whole mail
        of_links = reasons * len(shown)
    if len(of_links) != len(shown) or any(
        reason is Reason.NOT_HTTP and link.href.lower().startswith(("http://", "https://"))
        for link, reason in zip(shown, of_links, strict=True)
    ):
        of_links = []
    remarks = map(describe_reason, of_links)
    return [next(remarks, "") if link.place is LinkPlace.HTML else link.place for link in links]


def describe_reason(reason: Reason) -> str:
    """Return a reason's code and what it means."""
    return f"{reason.value}: {reason.meaning}"


def _shorten(rows: Sequence[str]) -> Iterator[str]:
    yield from rows[:_MAX_ROWS]
    if len(rows) > _MAX_ROWS:
        yield f"and {len(rows) - _MAX_ROWS} more"


def show_row(label: str, *lines: str) -> Iterator[str]:
    """Show lines beside a label; nothing where there are none."""
    parts = (part for line in lines for part in line.split("\n"))
    pieces = (piece for part in parts for piece in wrap_text(part, _ROOM))
    for first, piece in zip_longest([label], pieces, fillvalue=""):
        if piece:
            yield f"{_INDENT}{first:<{_LABEL}}{piece}"


def wrap_text(text: str, width: int) -> Iterator[str]:
    """Break text at spaces to what a terminal shows; a word that is too long is cut."""
    shown = cut_text(text, _SHOWN)
    indent = shown[: len(shown) - len(shown.lstrip())]
    for line in textwrap.wrap(
        shown, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    ):
        yield cut_text(line, width)


def cut_text(text: str, width: int) -> str:
    """Make text fit for a terminal: nothing unprintable, and no longer than there is room."""
    shown = text[:_SHOWN]
    plain = "".join(each if each.isprintable() else f"\\x{ord(each):02x}" for each in shown)
    return plain if len(plain) <= width else plain[: width - 3] + "..."


def show_pair(text: str, remark: str) -> str:
    """Show a text and a remark on it: in the second column, or below where it has no room."""
    line = f"{cut_text(text, _HREF):<{_HREF}}  {remark}".rstrip()
    return line if len(line) <= _ROOM else f"{cut_text(text, _ROOM)}\n  {remark}"


def count_noun(number: int, noun: str) -> str:
    """Say how many: `1 link`, `2 links`."""
    return f"{number} {noun}" if number == 1 else f"{number:,} {noun}s"


def show_end(journeys: Sequence[Journey], section: Section) -> Iterator[str]:
    """Show all mails in one table, and what was tried on the links."""
    yield ""
    yield "In short: links and pixels of one copy, opens and clicks of all"
    yield ""
    columns = ("links", "wrapped", "left alone", "pixels", "recipients", "opens", "clicks")
    yield f"{_INDENT}{'mail':<{_FILE}}" + "".join(f" {each}" for each in columns)
    for journey in journeys:
        kinds = Counter(event.type.value for event in journey.events)
        links = len(journey.mail.links) if journey.copies else 0
        wrapped, pixels = next(
            ((len(each.changes.wrapped), len(each.changes.pixels)) for each in journey.copies),
            (0, 0),
        )
        numbers = (
            links, wrapped, links - wrapped, pixels,
            len(journey.mail.recipients), kinds["open"], kinds["click"],
        )  # fmt: skip
        cells = zip(numbers, columns, strict=True)
        row_text = "".join(f" {number:>{len(column)}}" for number, column in cells)
        yield f"{_INDENT}{journey.mail.file:<{_FILE}}{row_text}"
    yield ""
    yield "What must not be possible"
    yield ""
    for each in section.expectations:
        first, *more = wrap_text(each.what, WIDTH - len(_INDENT) - _HELD)
        yield f"{_INDENT}{'held' if each.is_met else 'NOT HELD':<{_HELD}}{first}"
        yield from (f"{_INDENT}{'':<{_HELD}}{line}" for line in more)


def show_verdict(ledger: Ledger) -> Iterator[str]:
    """Say whether all was as expected, and what was not."""
    failed = list(ledger.find_failures())
    for each in failed:
        yield ""
        yield cut_text(f"FAILED  {each.about}: {each.what}", WIDTH)
        yield f"        expected  {cut_text(str(each.expected), 2 * WIDTH)}"
        yield f"        found     {cut_text(str(each.found), 2 * WIDTH)}"
    yield ""
    if failed:
        yield f"{len(failed)} of {ledger.total} expectations failed"
    else:
        yield f"all {ledger.total} expectations held"
