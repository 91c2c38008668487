"""Why a mail was tracked as it was, or was not: one record for whoever asks.

The command `explain` prints it and the proxy's debug log has it. It reads the decision and
the copies that were made of it, so that it can't tell another story.
"""

import json
import re
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from msys_track.dispatch.copies import Copy
from msys_track.dispatch.decide import Decision
from msys_track.dispatch.message import Message
from msys_track.options.resolve import Origin, Resolved
from msys_track.reasons import Reason
from msys_track.rewriting.engine import LeftAlone, Link, Plan

WRAPPED: Final = "wrapped"
ADDED: Final = "added"
REWRITTEN: Final = "rewritten"
UNCHANGED: Final = "unchanged"
CLICK_TRACKING_OFF: Final = "click_tracking_off"
OPEN_TRACKING_OFF: Final = "open_tracking_off"

# Why there is no pixel, the most telling reason first.
_NO_PIXEL: Final = (
    Reason.CORE_FAILURE,
    Reason.SIGNED_MESSAGE,
    Reason.MALFORMED_MESSAGE,
    Reason.NO_PIXEL_PLACE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A value, and who says so."""

    value: Any
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """An option or engagement datum: what holds, and every word that it overrides."""

    name: str
    value: Any
    source: str
    overrides: tuple[Word, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoredVariable:
    """A context variable that policy set to a value without meaning."""

    name: str
    value: str
    allowed: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedLink:
    """A link and its fate: `wrapped`, or a code of why not."""

    line: int
    """Of the message as received, from 1; in a base64 part the line where its body starts."""
    target: str
    name: str | None
    where: str | None
    """`html`, `outlook` or `text`; None where it was never to be wrapped."""
    fate: str
    lacks_metadata: bool
    """Wrapped, but there was no room for the metadata that events were to have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedPixel:
    """A pixel and its place, or a code of why there is none."""

    kind: str
    line: int | None
    fate: str
    lacks_metadata: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedPart:
    """A part and why it was, or was not, touched."""

    line: int
    media_type: str
    charset: str | None
    transfer_encoding: str
    length_bytes: int
    fate: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What holds for recipients who have the same options."""

    recipients: tuple[str, ...]
    options: tuple[Option, ...]
    truncated: tuple[str, ...]
    """Names of metadata pairs that found no room."""
    ignored_variables: tuple[IgnoredVariable, ...]
    links: tuple[ExplainedLink, ...]
    pixels: tuple[ExplainedPixel, ...]
    parts: tuple[ExplainedPart, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The whole record of one message."""

    decided: tuple[Decided, ...]
    copies: tuple[Copy, ...]
    ignored_keys: tuple[str, ...]
    """Keys of X-MSYS-API that mean nothing here."""
    dropped_tags: int
    """How many tags were more than ten."""

    def as_json(self) -> dict[str, Any]:
        """Return the record as JSON has it: tuples as lists, names as here."""
        members = {
            "decided": [asdict(decided) for decided in self.decided],
            "copies": [
                {
                    "readers": copy.readers,
                    "wrapped_links": copy.wrapped_links,
                    "pixels": copy.pixels,
                    "reasons": copy.reasons,
                }
                for copy in self.copies
            ],
            "ignored_keys": self.ignored_keys,
            "dropped_tags": self.dropped_tags,
        }
        plain: dict[str, Any] = json.loads(json.dumps(members, ensure_ascii=False))
        return plain


class Lines:
    """The lines of a message, for offsets in any order."""

    __slots__ = ("_ends",)

    def __init__(self, message: bytes) -> None:
        self._ends = [each.start() for each in re.finditer(rb"\n", message)]

    def at(self, offset: int) -> int:
        """Tell the line of an offset, from 1."""
        return bisect_left(self._ends, offset) + 1


def explain(decision: Decision, copies: Sequence[Copy]) -> Explanation:
    """Explain a decision and the copies that were made of it."""
    opened = decision.opened
    header = opened.header if opened is not None else None
    return Explanation(
        decided=tuple(_decided(opened, decision.options, copies)) if opened is not None else (),
        copies=tuple(copies),
        ignored_keys=header.ignored_keys if header is not None else (),
        dropped_tags=header.dropped_tags if header is not None else 0,
    )


def _decided(
    opened: Message, options: Mapping[str, Resolved], copies: Sequence[Copy]
) -> Iterator[Decided]:
    lines = Lines(opened.message)
    copy_of = {address: copy for copy in copies for address in copy.recipients}
    alike: dict[Resolved, list[str]] = {}
    for recipient, resolved in options.items():
        alike.setdefault(resolved, []).append(recipient)
    for resolved, recipients in alike.items():
        plan = opened.find_plan(resolved)
        copy = copy_of[recipients[0]]
        yield Decided(
            recipients=tuple(recipients),
            options=tuple(_option(name, origin) for name, origin in resolved.origins()),
            truncated=tuple(_truncated(resolved)),
            ignored_variables=tuple(
                IgnoredVariable(**each._asdict()) for each in resolved.ignored_variables
            ),
            links=tuple(_links(plan, resolved, copy, lines)) if plan else (),
            pixels=tuple(_pixels(plan, resolved, copy, lines)) if plan else (),
            parts=tuple(_parts(plan, resolved, copy, lines)) if plan else (),
        )


def _option(name: str, origin: Origin[Any]) -> Option:
    words = [Word(value=_shown(word.value), source=word.source) for word in origin.chain()]
    return Option(
        name=name, value=words[0].value, source=words[0].source, overrides=tuple(words[1:])
    )


def _shown(value: Any) -> Any:
    """Give metadata as the object that it is."""
    is_object = isinstance(value, str) and value.startswith("{")
    return json.loads(value) if is_object else value


def _truncated(resolved: Resolved) -> Iterator[str]:
    asked = json.loads(resolved.metadata_before_cut or "{}")
    kept = json.loads(resolved.metadata.value or "{}")
    yield from (name for name in asked if name not in kept)


def _links(plan: Plan, resolved: Resolved, copy: Copy, lines: Lines) -> Iterator[ExplainedLink]:
    made = copy.rendered
    refused = defaultdict[str, deque[LeftAlone]](deque)
    for each in () if made is None else made.left_alone:
        if each.target is not None:
            refused[each.target].append(each)
    bare = frozenset(() if made is None else made.links_without_metadata)
    alone = [(each, False) for each in plan.left_alone if each.target is not None]
    found: list[tuple[Link | LeftAlone, bool]] = [
        *((link, number in bare) for number, link in enumerate(plan.links)),
        *alone,
    ]
    for link, lacks_metadata in sorted(found, key=lambda each: each[0].offset):
        target = link.target or ""
        yield ExplainedLink(
            line=lines.at(link.offset),
            target=target,
            name=getattr(link, "name", None),
            where=getattr(link, "where", None),
            fate=_fate(link, resolved, refused[target]),
            lacks_metadata=lacks_metadata,
        )


def _fate(link: Link | LeftAlone, resolved: Resolved, refused: deque[LeftAlone]) -> str:
    """Tell a link's fate; `refused` are the links to its target that this copy could not have."""
    reason: str | None = getattr(link, "reason", None)
    if reason is not None:
        return reason
    if not resolved.click_tracking.value:
        return CLICK_TRACKING_OFF
    # Both are in the order of the message. In a base64 part a link is anywhere in the body.
    if refused and link.offset <= refused[0].offset < link.offset + link.length:
        return refused.popleft().reason
    return WRAPPED


def _pixels(plan: Plan, resolved: Resolved, copy: Copy, lines: Lines) -> Iterator[ExplainedPixel]:
    if not resolved.open_tracking.value:
        yield ExplainedPixel(kind="open", line=None, fate=OPEN_TRACKING_OFF)
        return
    places = {"open": plan.pixel_offset}
    if resolved.initial_open.value:
        places["initial_open"] = plan.initial_pixel_offset
    expected = sum(offset is not None for offset in places.values())
    # Both stand on lines of their own: where one has no room the other has none.
    made = copy.rendered
    bare = () if made is None else made.pixels_without_metadata
    with_place = ADDED if copy.pixels == expected else Reason.LINE_TOO_LONG.value
    for kind, offset in places.items():
        if offset is None:
            yield ExplainedPixel(kind=kind, line=None, fate=_without_place(kind, plan, copy))
        else:
            yield ExplainedPixel(
                kind=kind,
                line=lines.at(offset),
                fate=with_place,
                lacks_metadata=kind in bare,
            )


def _without_place(kind: str, plan: Plan, copy: Copy) -> str:
    reasons = {reason for _, _, reason in copy.left_alone}
    if kind == "initial_open" and plan.pixel_offset is not None:
        return Reason.NO_INITIAL_PIXEL_PLACE.value
    html = (each.reason for each in plan.parts if each.media_type == "text/html" and each.reason)
    known = (reason.value for reason in _NO_PIXEL if reason in reasons)
    return next(known, None) or next(html, None) or Reason.NO_HTML_PART.value


def _parts(plan: Plan, resolved: Resolved, copy: Copy, lines: Lines) -> Iterator[ExplainedPart]:
    touched = [offset for offset, _, _ in copy.edits]
    for part in plan.parts:
        is_touched = any(part.offset <= each <= part.offset + part.length for each in touched)
        untouched = UNCHANGED if resolved.is_tracked else Reason.TRACKING_OFF.value
        yield ExplainedPart(
            line=lines.at(part.offset),
            media_type=part.media_type,
            charset=part.charset,
            transfer_encoding=part.transfer_encoding,
            length_bytes=part.length,
            fate=part.reason or (REWRITTEN if is_touched else untouched),
        )
