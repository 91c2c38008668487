"""A judge of rewritten HTML that shares no code with what rewrites it.

Lexbor, by selectolax, reads both documents as a browser does. The bytes are compared too, since
mail clients are no browsers: what they make of bytes that nobody asked to change is unknown.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Final

from msys_track.comparison.alignment import align, count_items
from msys_track.comparison.changed_bytes import count_changed
from msys_track.comparison.hrefs import has_web_scheme, leads_to_web, trim_url
from msys_track.comparison.shown import Page, read_original, read_page
from msys_track.comparison.utf8 import is_utf8

KINDS: Final = (
    "doctype",
    "elements",
    "nesting",
    "attributes",
    "text",
    "comments",
    "conditional comments",
    "charset",
)
"""The kinds of structures of HTML, as `Damage.kinds` names them."""

# HTML Standard, section 13.2.4.3: a browser opens those again for whatever comes next, so also
# for a pixel behind one that was never closed. Not `a`, which would be one link more.
_FORMATTING: Final = frozenset(
    ["b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"]
)
_WEB: Final = "\x00"
"""Stands for whatever leads to the web."""


@dataclass(frozen=True, slots=True)
class Damage:
    """What one rewriting did to the HTML."""

    wrapped: int = 0
    """Links that are shown, lead to http or https, and are tracked now."""
    missed: int = 0
    """The same that stand as they were, and nothing says why."""
    broken: int = 0
    """Links that lead elsewhere than they did, or are gone, or were no web links and are tracked.
    """
    bytes_changed: int = 0
    """Bytes of the original that are gone or others, and new ones: all but URLs that are tracked,
    the pixel, and the style of line breaks."""
    structures: int = 0
    """Elements, attributes, texts, comments and so on that a browser finds changed."""
    kinds: Mapping[str, int] = field(default_factory=dict)
    """The same by their kind, one of `KINDS`."""
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Links that were left alone, by the reason that was given."""
    hidden_wrapped: int = 0
    """Links in conditional comments, which Outlook alone shows, that are tracked."""
    hidden_missed: int = 0
    """The same that are not, and nothing says why."""
    pixels: int = 0
    """Images that are tracked."""

    @property
    def is_damaged(self) -> bool:
        """Whether readers get anything else than the original with tracked links."""
        return bool(self.broken or self.structures)


def add_damages(damages: Sequence[Damage]) -> Damage:
    """Add up what was done to several parts."""
    kinds: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for each in damages:
        kinds.update(each.kinds)
        reasons.update(each.reasons)
    return Damage(
        wrapped=sum(each.wrapped for each in damages),
        missed=sum(each.missed for each in damages),
        broken=sum(each.broken for each in damages),
        bytes_changed=sum(each.bytes_changed for each in damages),
        structures=sum(each.structures for each in damages),
        kinds=dict(kinds),
        reasons=dict(reasons),
        hidden_wrapped=sum(each.hidden_wrapped for each in damages),
        hidden_missed=sum(each.hidden_missed for each in damages),
        pixels=sum(each.pixels for each in damages),
    )


def judge_html(
    before: bytes,
    after: bytes,
    is_tracked: Callable[[str], bool],
    *,
    find_target: Callable[[str], str | None] | None = None,
    find_reason: Callable[[str], str | None] | None = None,
) -> Damage:
    """Compare HTML in UTF-8 with what became of it.

    Args:
        before: the original.
        after: what was made of it.
        is_tracked: tells a tracked URL, given without character references.
        find_target: opens a tracked URL, if it is sealed; where it leads.
        find_reason: says why a link was left alone, given its `href` without character
            references; None if there is no reason.
    """
    page = copy = read_original(before.decode("utf-8", "replace"))
    if before != after:
        copy = read_page(after.decode("utf-8", "replace"), is_tracked)
    links = _Links(is_tracked, find_target, find_reason)
    links.compare(page.links, copy.links)
    links.compare_hidden(page.hidden, copy.hidden)
    kinds = {} if page is copy else _compare_structures(page, copy)
    if is_utf8(before) and not is_utf8(after):
        kinds["charset"] = 1
    return Damage(
        wrapped=links.counts["wrapped"],
        missed=links.counts["missed"],
        broken=links.counts["broken"],
        bytes_changed=0 if before == after else count_changed(before, after, is_tracked),
        structures=sum(kinds.values()),
        kinds=kinds,
        reasons=dict(links.reasons),
        hidden_wrapped=links.counts["hidden_wrapped"],
        hidden_missed=links.counts["hidden_missed"],
        pixels=copy.pixels,
    )


@dataclass(slots=True)
class _Links:
    """Follows the links of a document into its copy."""

    is_tracked: Callable[[str], bool]
    find_target: Callable[[str], str | None] | None
    find_reason: Callable[[str], str | None] | None
    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def compare(self, old: Sequence[str], new: Sequence[str]) -> None:
        """Count what became of each link that is shown."""
        if len(old) == len(new):
            for before, after in zip(old, new, strict=True):
                self._compare_link(before, after)
            return
        # Some are gone or new. Those that may be wrapped are the same to the alignment.
        keys = [_WEB if leads_to_web(each) else each for each in old]
        others = [_WEB if self._is_web(each) else each for each in new]
        matcher = SequenceMatcher(None, keys, others, autojunk=False)
        for kind, start, end, first, last in matcher.get_opcodes():
            if kind == "equal":
                for before, after in zip(old[start:end], new[first:last], strict=True):
                    self._compare_link(before, after)
            else:
                self.counts["broken"] += max(end - start, last - first)

    def compare_hidden(self, old: Sequence[str], new: Sequence[str]) -> None:
        """Count what became of the links that Outlook alone shows."""
        if len(old) != len(new):
            return  # the comment itself has changed, which is counted as such
        for before, after in zip(old, new, strict=True):
            if self.is_tracked(after) and after != before:
                self.counts["hidden_wrapped"] += 1
            elif leads_to_web(before):
                self._leave(before, "hidden_missed")

    def _is_web(self, href: str) -> bool:
        return self.is_tracked(href) or leads_to_web(href)

    def _compare_link(self, before: str, after: str) -> None:
        if before == after:
            if leads_to_web(before):
                self._leave(before, "missed")
        elif self.is_tracked(after) and self._leads_there(before, after):
            self.counts["wrapped"] += leads_to_web(before)
        else:
            self.counts["broken"] += 1

    def _leads_there(self, before: str, after: str) -> bool:
        if self.find_target is None:
            return has_web_scheme(before)
        target = self.find_target(after)
        return target is not None and trim_url(target) == trim_url(before)

    def _leave(self, href: str, count: str) -> None:
        reason = None if self.find_reason is None else self.find_reason(href)
        if reason is None:
            self.counts[count] += 1
        else:
            self.reasons[reason] += 1


def _compare_structures(page: Page, copy: Page) -> dict[str, int]:
    """Count by kind what a browser finds changed; kinds that are whole are left out."""
    conditional = count_items(page.conditional_comments, copy.conditional_comments)
    counts = {
        "doctype": int(page.doctype != copy.doctype),
        **_compare_elements(page, copy),
        "text": 0,
        "comments": count_items(page.comments, copy.comments),
        # A comment may be the same to a browser and another to Outlook: `<![if` and `<!--[if`.
        "conditional comments": max(conditional, count_items(page.conditions, copy.conditions)),
    }
    if "".join(page.texts) != "".join(copy.texts):  # how it is cut into nodes is nobody's matter
        counts["text"] = count_items(page.texts, copy.texts)
    return {kind: count for kind, count in counts.items() if count}


def _compare_elements(page: Page, copy: Page) -> dict[str, int]:
    if page.elements == copy.elements:
        return {
            "nesting": _count_unlike(page.depths, copy.depths),
            "attributes": _count_unlike(page.attributes, copy.attributes),
        }
    changed = others = 0
    for kind, start, end, first, last in align(page.elements, copy.elements):
        if kind == "equal":
            others += _count_unlike(page.attributes[start:end], copy.attributes[first:last])
        elif kind != "insert" or not _FORMATTING.issuperset(copy.elements[first:last]):
            changed += max(end - start, last - first)
    return {"elements": changed, "attributes": others}


def _count_unlike(old: Sequence[object], new: Sequence[object]) -> int:
    return sum(before != after for before, after in zip(old, new, strict=True))
