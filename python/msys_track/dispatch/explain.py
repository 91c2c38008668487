"""Why a mail was tracked as it was, or was not: as one record.

The command `explain` prints it and the proxy's debug log has it. It is made from the decision and
its copies, so that it can't differ from what was sent.
"""

import json
import re
from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from msys_track.dispatch.copies import Copy
from msys_track.dispatch.decide import Decision
from msys_track.dispatch.edition import Edition
from msys_track.dispatch.wishes import SKIPPED_CHANGE
from msys_track.options.resolve import Resolved
from msys_track.options.variables import IgnoredVariable
from msys_track.policy.changes import HeaderChange
from msys_track.reasons import Reason
from msys_track.rewriting.engine import LeftAlone, Link, Part, Plan
from msys_track.smtpapi.header import ApiHeader

if TYPE_CHECKING:
    from msys_track.dispatch.edition import Source

WRAPPED: Final = "wrapped"
ADDED: Final = "added"
REWRITTEN: Final = "rewritten"
UNCHANGED: Final = "unchanged"
CLICK_TRACKING_OFF: Final = "click_tracking_off"
OPEN_TRACKING_OFF: Final = "open_tracking_off"

# The option that decides, by the fate of a link.
_DECIDING: Final = {
    CLICK_TRACKING_OFF: "click_tracking",
    Reason.NEVER_WRAP.value: "never_wrap",
    Reason.URL_TEXT.value: "spare_url_text",
    Reason.SCHEME_DOWNGRADE.value: "allow_downgrade",
    Reason.OUTLOOK_LINKS_OFF.value: "outlook_links",
    Reason.TEXT_LINKS_OFF.value: "click_tracking_text",
    Reason.AMP_NEEDS_HTTPS.value: "click_tracking_scheme",
    Reason.ALREADY_TRACKED.value: "tracking_domain",
    Reason.LINE_TOO_LONG.value: "fold_long_lines",
}

_COPY_MEMBERS: Final = ("readers", "wrapped_links", "pixels", "reasons")

# Why there is no pixel, the most important reason first.
_NO_PIXEL: Final = (
    Reason.CORE_FAILURE,
    Reason.SIGNED_MESSAGE,
    Reason.MALFORMED_MESSAGE,
)
_NO_PLACE: Final = (
    Reason.NO_HTML_PART,
    Reason.NO_PIXEL_PLACE,
    Reason.NO_INITIAL_PIXEL_PLACE,
)


@dataclass(frozen=True, slots=True)
class Overridden:
    """An overridden value, and where it comes from."""

    value: Any
    source: str


@dataclass(frozen=True, slots=True)
class ExplainedOption:
    """An option or engagement datum: the value in force, then what it overrides, in order."""

    name: str
    value: Any
    source: str
    overrides: tuple[Overridden, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedLink:
    """A link, and `wrapped` or the reason why not."""

    line: int
    """Of the message as received, from 1; in a base64 part the line where its body starts."""
    target: str
    name: str | None
    where: str | None
    """`html`, `outlook`, `text` or `amp`; None where no copy wraps it."""
    fate: str
    option: str | None
    """The option that it was left alone by, if one decided that."""
    option_source: str | None
    """Where the value of that option comes from."""
    lacks_metadata: bool
    """True if there was no room for the metadata that its events should have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedPixel:
    """A pixel and its place, or the reason why there is none."""

    kind: str
    line: int | None
    fate: str
    lacks_metadata: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedPart:
    """A part, and `rewritten` or the reason why not."""

    line: int
    media_type: str
    charset: str | None
    transfer_encoding: str
    length_bytes: int
    fate: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedRecipients:
    """The decisions for recipients who have the same options."""

    recipients: tuple[str, ...]
    options: tuple[ExplainedOption, ...]
    truncated: tuple[str, ...]
    """Names of metadata pairs that had no room."""
    ignored_variables: tuple[IgnoredVariable, ...]
    links: tuple[ExplainedLink, ...]
    pixels: tuple[ExplainedPixel, ...]
    parts: tuple[ExplainedPart, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedChanges:
    """What policy changes in the copies of some readers."""

    recipients: tuple[str, ...]
    headers: tuple[HeaderChange, ...]
    sender: str | None
    """The new reverse-path; None: it stays."""
    has_skipped: bool
    """Whether a signature of the message forbids some of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The whole record of one message."""

    decided: tuple[ExplainedRecipients, ...]
    copies: tuple[Copy, ...]
    changes: tuple[ExplainedChanges, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Recipients that policy has changed: from the new address to that of the client."""
    discarded: Mapping[str, str] = field(default_factory=dict)
    """Recipients for whom policy discards the message, and why."""
    ignored_keys: tuple[str, ...] = ()
    """Unknown keys of X-MSYS-API."""
    dropped_tags: int = 0
    """How many tags came after the first ten."""

    def as_json(self) -> dict[str, Any]:
        """Return the record as JSON has it: tuples become lists."""
        members = {
            "decided": [asdict(decided) for decided in self.decided],
            "copies": [
                {name: getattr(copy, name) for name in _COPY_MEMBERS} for copy in self.copies
            ],
            "changes": [asdict(each) for each in self.changes],
            "renamed": dict(self.renamed),
            "discarded": dict(self.discarded),
            "ignored_keys": self.ignored_keys,
            "dropped_tags": self.dropped_tags,
        }
        plain: dict[str, Any] = json.loads(json.dumps(members, ensure_ascii=False))
        return plain


def explain(decision: Decision, copies: Sequence[Copy]) -> Explanation:
    """Explain a decision and the copies that were made of it."""
    source_of = {
        reader.address: copy.source for copy in decision.copies for reader in copy.readers
    }
    copy_of = {address: copy for copy in copies for address in copy.recipients}
    alike: dict[tuple[Source, Resolved], list[str]] = {}
    for recipient, resolved in decision.options.items():
        alike.setdefault((source_of[recipient], resolved), []).append(recipient)
    explained = []
    headers: list[ApiHeader] = []
    for (source, resolved), recipients in alike.items():
        opened = source.open()
        headers.append(opened.header or ApiHeader())
        line_ends = [each.start() for each in re.finditer(rb"\n", opened.message)]
        plan = opened.find_plan(resolved)
        copy = copy_of[recipients[0]]
        kept = json.loads(resolved.metadata.value or "{}")
        requested = json.loads(resolved.metadata_before_cut or "{}")
        decided = ExplainedRecipients(
            recipients=tuple(recipients),
            options=tuple(_explain_options(resolved)),
            truncated=tuple(name for name in requested if name not in kept),
            ignored_variables=resolved.ignored_variables,
            links=tuple(_explain_links(plan, resolved, copy, line_ends)) if plan else (),
            pixels=tuple(_explain_pixels(plan, resolved, copy, line_ends)) if plan else (),
            parts=tuple(_explain_parts(plan, resolved, copy, line_ends)) if plan else (),
        )
        explained.append(decided)
    return Explanation(
        decided=tuple(explained),
        copies=tuple(copies),
        changes=tuple(_explain_changes(decision)),
        renamed=decision.renamed,
        discarded=decision.discarded,
        ignored_keys=tuple(dict.fromkeys(key for each in headers for key in each.ignored_keys)),
        dropped_tags=max((each.dropped_tags for each in headers), default=0),
    )


def _explain_changes(decision: Decision) -> Iterator[ExplainedChanges]:
    alike: dict[tuple[Any, ...], list[str]] = {}
    for copy in decision.copies:
        headers = copy.source.changes if isinstance(copy.source, Edition) else ()
        has_skipped = SKIPPED_CHANGE in copy.notices
        if headers or has_skipped or copy.sender is not None:
            readers = alike.setdefault((headers, copy.sender, has_skipped), [])
            readers += [reader.address for reader in copy.readers]
    for (headers, sender, has_skipped), recipients in alike.items():
        yield ExplainedChanges(
            recipients=tuple(recipients), headers=headers, sender=sender, has_skipped=has_skipped
        )


def _explain_options(resolved: Resolved) -> Iterator[ExplainedOption]:
    for name, origin in resolved.origins():
        first, *weaker = (
            Overridden(
                value=json.loads(each.value) if name == "metadata" and each.value else each.value,
                source=each.source,
            )
            for each in origin.chain()
        )
        yield ExplainedOption(
            name=name, value=first.value, source=first.source, overrides=tuple(weaker)
        )


def _explain_links(
    plan: Plan, resolved: Resolved, copy: Copy, line_ends: list[int]
) -> Iterator[ExplainedLink]:
    rendered = copy.rendered
    refused = defaultdict[str, deque[LeftAlone]](deque)
    for each in () if rendered is None else rendered.left_alone:
        if each.target is not None:
            refused[each.target].append(each)
    bare = frozenset(() if rendered is None else rendered.links_without_metadata)
    found: list[tuple[Link | LeftAlone, bool]] = [
        *((link, number in bare) for number, link in enumerate(plan.links)),
        *((each, False) for each in plan.left_alone if each.target is not None),
    ]
    for link, lacks_metadata in sorted(found, key=lambda each: each[0].offset):
        target = link.target or ""
        of_target = refused[target]
        fate: str | None = getattr(link, "reason", None)
        if fate is None and not resolved.click_tracking.value:
            fate = CLICK_TRACKING_OFF
        # Both are in the order of the message. In a base64 part a link is anywhere in the body.
        if (
            fate is None
            and of_target
            and link.offset <= of_target[0].offset < link.offset + link.length
        ):
            fate = of_target.popleft().reason
        option = _DECIDING.get(fate or WRAPPED)
        yield ExplainedLink(
            line=_find_line(line_ends, link.offset),
            target=target,
            name=getattr(link, "name", None),
            where=getattr(link, "where", None),
            fate=fate or WRAPPED,
            option=option,
            option_source=None if option is None else getattr(resolved, option).source,
            lacks_metadata=lacks_metadata,
        )


def _explain_pixels(
    plan: Plan, resolved: Resolved, copy: Copy, line_ends: list[int]
) -> Iterator[ExplainedPixel]:
    if not resolved.open_tracking.value:
        yield ExplainedPixel(kind="open", line=None, fate=OPEN_TRACKING_OFF)
        return
    left = () if copy.rendered is None else copy.rendered.left_alone
    bare = () if copy.rendered is None else copy.rendered.pixels_without_metadata
    kinds = {"open": (plan.pixel_offsets, Reason.NO_PIXEL_PLACE)}
    if resolved.initial_open.value:
        kinds["initial_open"] = (plan.initial_pixel_offsets, Reason.NO_INITIAL_PIXEL_PLACE)
    for name, (offsets, no_place) in kinds.items():
        placeless = [each for each in left if each.reason == no_place.value]
        for offset in offsets:
            kind = _name_pixel(name, plan, offset)
            yield ExplainedPixel(
                kind=kind,
                line=_find_line(line_ends, offset),
                fate=_find_fate(plan, offset, left),
                lacks_metadata=kind in bare,
            )
        for each in placeless:
            kind = _name_pixel(name, plan, each.offset)
            yield ExplainedPixel(kind=kind, line=None, fate=no_place.value)
        if not offsets and not placeless:
            yield ExplainedPixel(kind=name, line=None, fate=_explain_no_pixel(plan, copy))


def _name_pixel(name: str, plan: Plan, offset: int) -> str:
    part = _find_part(plan, offset)
    return f"amp_{name}" if part and part.media_type == "text/x-amp-html" else name


def _find_fate(plan: Plan, offset: int, left: Sequence[LeftAlone]) -> str:
    """Tell whether the pixel of that place was added, or why not."""
    part = _find_part(plan, offset)
    # In a base64 part a pixel is anywhere in the body.
    end = part.offset + part.length if part and part.transfer_encoding == "base64" else offset
    for each in left:
        if each.target is None and offset <= each.offset <= end and each.reason not in _NO_PLACE:
            return each.reason
    return ADDED


def _find_part(plan: Plan, offset: int) -> Part | None:
    return next(
        (part for part in plan.parts if part.offset <= offset <= part.offset + part.length), None
    )


def _explain_no_pixel(plan: Plan, copy: Copy) -> str:
    """Tell why there is no part that a pixel could be in."""
    reasons = {reason for _, _, reason in copy.left_alone}
    found = [
        *(reason.value for reason in _NO_PIXEL if reason in reasons),
        *(each.reason for each in plan.parts if each.media_type == "text/html" and each.reason),
        Reason.NO_HTML_PART.value,
    ]
    return found[0]


def _explain_parts(
    plan: Plan, resolved: Resolved, copy: Copy, line_ends: list[int]
) -> Iterator[ExplainedPart]:
    edited = [offset for offset, _, _ in copy.edits]
    untouched = UNCHANGED if resolved.is_tracked else Reason.TRACKING_OFF.value
    for part in plan.parts:
        is_edited = any(part.offset <= each <= part.offset + part.length for each in edited)
        yield ExplainedPart(
            line=_find_line(line_ends, part.offset),
            media_type=part.media_type,
            charset=part.charset,
            transfer_encoding=part.transfer_encoding,
            length_bytes=part.length,
            fate=part.reason or (REWRITTEN if is_edited else untouched),
        )


def _find_line(line_ends: list[int], offset: int) -> int:
    return bisect_left(line_ends, offset) + 1
