"""Where a pixel is loaded: not inside what is hidden, inert or an open link.

What is still open at the place where the pixel should go is kept on a stack, as far as it spoils
the place. Cells of tables keep what is open inside them from what is outside, as in HTML. Inside
of SVG or MathML a pixel would end them, and their links with them.
"""

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Final

from msys_track.rewriting.reference.html import elements

CELLS: Final = elements.CELLS | {b"caption"}
_CONTAINERS: Final = frozenset({b"math", b"svg", b"template"})
"""What ends with all that is open inside of it."""
SPOILERS: Final = _CONTAINERS | {b"a", b"noscript", b"select"}
WATCHED: Final = SPOILERS | elements.TABLE_PARTS | {b"input", b"table", b"textarea"}
"""Names of tags that matter also where nothing is hidden."""

_MOST_ENTRIES: Final = 512
"""Browsers stop at that depth too; what is deeper is not followed."""

_ENDS_SELECT: Final = frozenset({b"input", b"select", b"textarea"})
_COLUMNS: Final = frozenset({b"col", b"colgroup"})
_ENDED_PARTS: Final = elements.TABLE_PARTS - _COLUMNS
"""Parts of tables whose end tags matter; "in cell" ignores those of columns."""
_ENDS_ROW: Final = elements.SECTIONS | _COLUMNS | {b"caption", b"tr"}
_ENDS_P: Final = elements.CLOSES_P - {b"dd", b"dt", b"li", b"plaintext", b"xmp"}


@dataclass(slots=True)
class _Spoiler:
    name: bytes
    start: int
    depth: int = 0
    """Of a hidden element: the elements of its name that are open where it is."""
    is_open: bool = True


@dataclass(slots=True)
class _Segment:
    """What is open above one marker."""

    marker: bytes
    spoilers: list[_Spoiler] = field(default_factory=list)
    by_name: defaultdict[bytes, list[_Spoiler]] = field(default_factory=lambda: defaultdict(list))
    depths: defaultdict[bytes, int] = field(default_factory=lambda: defaultdict(int))
    """Open elements of the name of a hidden one."""


class PixelPlace:
    """Follows the tags of a document and knows what is still open."""

    def __init__(self) -> None:
        self._segments = [_Segment(b"")]
        self._open: deque[_Spoiler] = deque()
        self._hidden = 0
        self._entries = 0
        """Markers and spoilers that are open."""

    @property
    def watches_all(self) -> bool:
        """Whether every tag counts, since something hidden is open."""
        return self._hidden > 0

    def lowest(self) -> int | None:
        """Where the outermost of what spoils this place begins."""
        while self._open and not self._open[0].is_open:
            self._open.popleft()
        return self._open[0].start if self._open else None

    def read_start_tag(self, name: bytes, start: int, *, is_hidden: bool, is_empty: bool) -> None:
        """Note a start tag.

        Args:
            name: in lower case.
            start: its offset.
            is_hidden: whether its style says `display:none`.
            is_empty: whether it closes itself, in foreign content.
        """
        if name in elements.TABLE_PARTS:
            self._end_cell(name)
        if name in _ENDS_SELECT and self._close_all(b"select") and name == b"select":
            return
        self._end_hidden_item(name)
        if name == b"a" and self._is_open(name):
            # It ends the open one, and a pixel right before it would still be inside of that.
            return
        if (name in CELLS or name == b"table") and self._entries < _MOST_ENTRIES:
            self._entries += 1
            self._segments.append(_Segment(name))
        if is_empty or name in elements.VOID:
            return
        if name in SPOILERS:
            self._push(_Spoiler(name, start))
        else:
            self._open_element(name, start, is_hidden=is_hidden)

    def read_end_tag(self, name: bytes) -> None:
        """Note an end tag; `name` is in lower case."""
        if name == b"table":
            self._end_table()
        elif name in CELLS:
            if self._segments[-1].marker == name:
                self._pop_segment()
        elif name in _ENDED_PARTS:
            self._end_cell(name)
        elif name in _CONTAINERS:
            self._end_container(name)
        elif name in SPOILERS:
            self._close_all(name)
        elif self._hidden:
            self._end_element(name)

    def _open_element(self, name: bytes, start: int, *, is_hidden: bool) -> None:
        depths = self._segments[-1].depths
        if is_hidden and name not in {b"body", b"html"}:
            depths[name] += 1
            self._push(_Spoiler(name, start, depths[name]))
        elif depths.get(name):
            depths[name] += 1

    def _end_element(self, name: bytes) -> None:
        segment = self._segments[-1]
        if not segment.depths.get(name):
            return
        segment.depths[name] -= 1
        hidden = segment.by_name[name]
        while hidden and hidden[-1].depth > segment.depths[name]:
            self._close(hidden.pop())
        if not hidden:
            segment.depths[name] = 0

    def _push(self, spoiler: _Spoiler) -> None:
        if self._entries == _MOST_ENTRIES:
            return
        segment = self._segments[-1]
        segment.spoilers.append(spoiler)
        segment.by_name[spoiler.name].append(spoiler)
        self._open.append(spoiler)
        self._entries += 1
        self._hidden += spoiler.depth > 0

    def _close(self, spoiler: _Spoiler) -> None:
        if spoiler.is_open:
            spoiler.is_open = False
            self._entries -= 1
            self._hidden -= spoiler.depth > 0

    def _close_all(self, name: bytes) -> bool:
        """Close the spoilers of that name above the topmost marker."""
        named = self._segments[-1].by_name.pop(name, [])
        for spoiler in named:
            self._close(spoiler)
        return named != []

    def _is_open(self, name: bytes) -> bool:
        """Tell whether a spoiler of that name is open above the topmost marker."""
        return any(each.is_open for each in self._segments[-1].by_name.get(name, ()))

    def _end_hidden_item(self, name: bytes) -> None:
        """Close a hidden `p` or `li` that ends where this tag begins."""
        if name in _ENDS_P:
            self._close_hidden(b"p")
        elif name == b"li":
            self._close_hidden(name)

    def _close_hidden(self, name: bytes) -> None:
        """Close hidden elements of that name, whatever their end tags would say."""
        segment = self._segments[-1]
        if segment.depths.get(name):
            segment.depths[name] = 0
            for spoiler in segment.by_name.pop(name, []):
                self._close(spoiler)

    def _end_cell(self, name: bytes) -> None:
        """Leave a cell at a tag that can't be inside it, and a hidden row with it."""
        if self._segments[-1].marker in CELLS:
            self._pop_segment()
        if self._hidden and name in _ENDS_ROW:
            self._close_hidden(b"tr")
            if name != b"tr":
                for section in elements.SECTIONS:
                    self._close_hidden(section)

    def _end_table(self) -> None:
        has_cell = self._segments[-1].marker in CELLS
        if self._segments[-1 - has_cell].marker == b"table":
            if has_cell:
                self._pop_segment()
            self._pop_segment()

    def _end_container(self, name: bytes) -> None:
        """Close the last one of that name with all above it."""
        segment = self._segments[-1]
        containers = segment.by_name[name]
        if not containers:
            return
        last = containers[-1]
        while last.is_open:
            spoiler = segment.spoilers.pop()
            named = segment.by_name[spoiler.name]
            if named and named[-1] is spoiler:
                named.pop()
            if spoiler.depth:
                segment.depths[spoiler.name] = min(segment.depths[spoiler.name], spoiler.depth - 1)
            self._close(spoiler)

    def _pop_segment(self) -> None:
        self._entries -= 1
        for spoiler in self._segments.pop().spoilers:
            self._close(spoiler)
