"""Placing: the changes of a part as edits of its lines (RFC 5322 section 2.1.1, RFC 2046)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from msys_track.rewriting.reference.body import Body
from msys_track.rewriting.reference.entity import Leaf
from msys_track.rewriting.reference.lines import Around, is_boundary, look_around
from msys_track.rewriting.reference.plan import Change, Edit, Href, Pixel

PlacedChange: TypeAlias = tuple[int, int, Change]
"""Start and end in the part's content, and what is done there."""


def place_changes(
    message: bytes, body: Body, changes: Sequence[PlacedChange], folds: Mapping[int, int]
) -> tuple[list[Edit], list[tuple[int, Change]]]:
    """Make edits of the message's lines; not for a part in base64, whose lines are written anew.

    Args:
        message: the whole of it.
        body: the part.
        changes: in rising order.
        folds: by the start of a link's URL in the content, where white space before it may become
            a line break.

    Returns:
        The edits, and the changes that would make a boundary line of another line, each with its
        offset in the message.
    """
    leaf = body.leaf
    edits: list[Edit] = []
    refused: list[tuple[int, Change]] = []
    last_end = leaf.start
    for first, last, change in changes:
        start, end = body.locate(first, last)
        around = look_around(message, (leaf.start, leaf.end), start, end)
        if _makes_boundary(change, around, leaf.boundaries, is_wide=body.is_wide):
            refused.append((start, change))
            continue
        fold = folds.get(first) if isinstance(change, Href) else None
        if fold is not None:
            fold += leaf.start
            is_free = fold >= last_end and not around.is_too_long
            fold = fold if is_free and _can_fold(start, fold, around, leaf) else None
        edits.append(Edit(start=start, end=end, change=change, around=around, fold=fold))
        last_end = end
    return find_next_folds(edits), refused


def find_next_folds(edits: Sequence[Edit]) -> list[Edit]:
    """Tell each edit how far the next place for a line break is on its line."""
    found: list[Edit] = []
    fold: int | None = None
    for edit in reversed(edits):
        between = -1 if fold is None else fold - edit.end
        around = edit.around
        if not around.is_too_long and 0 <= between <= len(around.after):
            found.append(replace(edit, to_next_fold=between))
        else:
            found.append(replace(edit, to_next_fold=None))
        fold = fold if edit.fold is None else edit.fold
    return found[::-1]


def _makes_boundary(
    change: Change, around: Around, boundaries: tuple[bytes, ...], *, is_wide: bool
) -> bool:
    """Tell whether a line break of ours, or what goes, makes a boundary of another line."""
    # In units of two or four bytes a pixel has no line of its own.
    if isinstance(change, Href) or (is_wide and isinstance(change, Pixel) and change.is_line):
        return False
    if isinstance(change, Pixel) and change.is_line:
        lines = (around.before, around.after)
    else:
        lines = (around.after, around.before + around.after)
    return any(is_boundary(line, boundaries) for line in lines)


def _can_fold(start: int, fold: int, around: Around, leaf: Leaf) -> bool:
    """Tell whether the line of an href may be broken before the attribute."""
    before = len(around.before) - (start - fold)
    if before < 0:
        return False
    line, rest = around.before[:before], around.before[before + 1 :]
    return not (is_boundary(line, leaf.boundaries) or is_boundary(rest, leaf.boundaries))
