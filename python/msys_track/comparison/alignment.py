"""Aligns sequences, so that what is gone, new or other can be counted."""

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Final

MOST_ALIGNED: Final = 20_000
"""Longer sequences are not aligned."""
_MOST_EXACT: Final = 250_000
"""Alignment takes time by the square; it is coarser where the lengths' product is more."""


def count_items(old: Sequence[str], new: Sequence[str]) -> int:
    """Count the items that are gone, others, or new."""
    if old == new:
        return 0
    opcodes = align(old, new)
    return sum(max(end - i, last - j) for kind, i, end, j, last in opcodes if kind != "equal")


def align(old: Sequence[object], new: Sequence[object]) -> list[tuple[str, int, int, int, int]]:
    """Give the opcodes of difflib, where those of much would take too long one for it all."""
    start, end, last = 0, len(old), len(new)
    while start < min(end, last) and old[start] == new[start]:
        start += 1
    while end > start and last > start and old[end - 1] == new[last - 1]:
        end, last = end - 1, last - 1
    middle, others = old[start:end], new[start:last]
    found: list[tuple[str, int, int, int, int]] = [("equal", 0, start, 0, start)]
    if max(len(middle), len(others)) > MOST_ALIGNED:
        found.append(("replace", start, end, start, last))
    else:
        is_much = len(middle) * len(others) > _MOST_EXACT
        matcher = SequenceMatcher(None, middle, others, autojunk=is_much)
        found += [
            (kind, i + start, i2 + start, j + start, j2 + start)
            for kind, i, i2, j, j2 in matcher.get_opcodes()
        ]
    return [*found, ("equal", end, len(old), last, len(new))]
