"""The stack of open elements (HTML Standard, 13.2.4.2), by names alone.

The standard walks the stack to see what is in scope. Here each name and each kind of barrier has
the list of its places, so that a hostile document can't make the walks long.
"""

from bisect import bisect_left
from collections import defaultdict
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple

from msys_track.rewriting.reference.html import elements


class Namespace(Enum):
    """Where an element's name is from."""

    HTML = "html"
    SVG = "svg"
    MATHML = "math"


class Barrier(Enum):
    """What a look-up stops at."""

    SCOPE = "scope"
    BUTTON_SCOPE = "button scope"
    LIST_ITEM_SCOPE = "list item scope"
    SPECIAL = "special"
    ITEM = "special, but not address, div or p"
    HTML = "an element of HTML"


class Element(NamedTuple):
    """An open element."""

    name: bytes
    """In lower case, in SVG too."""
    namespace: Namespace
    holds_html: bool = False
    """Whether it is an HTML integration point."""


_REMOVED: Final = Element(b"", Namespace.HTML)
_Key = tuple[bool, bytes] | Barrier


class OpenElements:
    """Open elements, the innermost last."""

    def __init__(self) -> None:
        self._stack: list[Element] = []
        self._places: defaultdict[_Key, list[int]] = defaultdict(list)
        self.structure: list[tuple[bytes, int]] = []
        """Names and places of open tables, their parts, and templates."""

    @property
    def current(self) -> Element | None:
        """The current node; None for `body` and what is above it, which are not listed."""
        return self._stack[-1] if self._stack else None

    def push(self, element: Element) -> None:
        """Open an element."""
        place = len(self._stack)
        self._stack.append(element)
        for key in _keys(element):
            self._places[key].append(place)
        if element.namespace is Namespace.HTML and element.name in elements.TABLE_STRUCTURE:
            self.structure.append((element.name, place))

    def pop_to(self, place: int) -> None:
        """Close all from that place on."""
        while len(self._stack) > place:
            for key in _keys(self._stack.pop()):
                self._places[key].pop()
        self._pop_removed()
        while self.structure and self.structure[-1][1] >= place:
            self.structure.pop()

    def _pop_removed(self) -> None:
        while self._stack and self._stack[-1] is _REMOVED:
            self._stack.pop()
            self._places[Barrier.HTML].pop()

    def pop(self) -> None:
        """Close the current node."""
        self.pop_to(len(self._stack) - 1)

    def remove(self, place: int) -> None:
        """Take out one element, which is the last of its name, and nothing above it."""
        for key in _keys(self._stack[place]):
            if key is not Barrier.HTML:
                places = self._places[key]
                del places[bisect_left(places, place)]
        self._stack[place] = _REMOVED
        self._pop_removed()

    def find(self, name: bytes, barrier: Barrier | None = None) -> int | None:
        """Find the last HTML element of that name above the barrier."""
        return self._last((True, name), barrier)

    def find_foreign(self, name: bytes) -> int | None:
        """Find the last element of that name that is not of HTML, above all that are."""
        return self._last((False, name), Barrier.HTML)

    def last(self, barrier: Barrier) -> int:
        """The place of the last element that is such a barrier; -1 without one."""
        places = self._places[barrier]
        return places[-1] if places else -1

    def _last(self, key: _Key, barrier: Barrier | None) -> int | None:
        places = self._places[key]
        if not places or (barrier is not None and places[-1] < self.last(barrier)):
            return None
        return places[-1]


@lru_cache(maxsize=1024)
def _keys(element: Element) -> tuple[_Key, ...]:
    """What an element can be found by."""
    if element is _REMOVED:
        return (Barrier.HTML,)
    name, is_html = element.name, element.namespace is Namespace.HTML
    keys: list[_Key] = [(is_html, name)]
    if is_html:
        keys.append(Barrier.HTML)
    scopes, special = is_html and name in elements.SCOPE, is_html and name in elements.SPECIAL
    if not is_html:
        scopes = special = is_foreign_barrier(element)
    if scopes or (is_html and name == b"button"):
        keys.append(Barrier.BUTTON_SCOPE)
    if scopes or (is_html and name in {b"ol", b"ul"}):
        keys.append(Barrier.LIST_ITEM_SCOPE)
    if scopes:
        keys.append(Barrier.SCOPE)
    if special:
        keys.append(Barrier.SPECIAL)
    if special and name not in {b"address", b"div", b"p"}:
        keys.append(Barrier.ITEM)
    return tuple(keys)


def is_foreign_barrier(element: Element) -> bool:
    """Whether an element of SVG or MathML is special, and ends all scopes but a table's."""
    if element.namespace is Namespace.SVG:
        return element.name in elements.SVG_HTML_POINTS
    return is_mathml_text_point(element) or element.name == b"annotation-xml"


def is_mathml_text_point(element: Element) -> bool:
    """Whether an element is a MathML text integration point."""
    return element.namespace is Namespace.MATHML and element.name in elements.MATHML_TEXT_POINTS
