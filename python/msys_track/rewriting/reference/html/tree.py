"""Tree construction (HTML Standard, 13.2.6), as far as it decides what of a document is markup.

It decides which start tags begin raw text, and where foreign content begins and ends. In most
documents names alone decide that (`PlainTree`). With foreign content, a template or a frameset it
takes the stack of open elements, and the insertion modes as far as they differ (`Tree`).

Left out: the list of active formatting elements, so formatting elements are not opened again in
the next block. They are not special, and matter only where one is left open in the HTML of an SVG.
"""

import re
from typing import Final, Protocol

from msys_track.rewriting.reference.html import elements
from msys_track.rewriting.reference.html.open_elements import (
    Barrier,
    Element,
    Namespace,
    OpenElements,
    is_mathml_text_point,
)
from msys_track.rewriting.reference.html.references import decode_references
from msys_track.rewriting.reference.html.tokenizer import (
    TextState,
    Token,
    is_self_closing,
    read_attributes,
)

_NEEDS_STACK: Final = re.compile(rb"<(?:svg|math|template|frameset)[\t\n\f\r />]", re.IGNORECASE)
_TEXT_STATES: Final = dict.fromkeys(elements.RAW_TEXT, TextState.RAW) | {
    b"script": TextState.SCRIPT,
    b"plaintext": TextState.PLAIN,
}
_ANNOTATION: Final = Element(b"annotation-xml", Namespace.MATHML)
_FOREIGN_ROOTS: Final = {b"svg": Namespace.SVG, b"math": Namespace.MATHML}


class DocumentTree(Protocol):
    """What the tokenizer and the search for links ask of tree construction."""

    in_foreign_content: bool
    """Whether the adjusted current node is not an element of HTML."""
    namespace: Namespace
    """That of the element of the last start tag."""

    def read_text(self, text: bytes) -> None:
        """Note the text before the next tag."""

    def read_start_tag(self, tag: Token) -> TextState | None:
        """Note a start tag; returns what the text behind it is, if not markup."""

    def read_end_tag(self, tag: Token) -> None:
        """Note an end tag."""


def build_tree(html: bytes) -> DocumentTree:
    """Choose what can judge the document."""
    return Tree(html) if _NEEDS_STACK.search(html) else PlainTree()


class PlainTree:
    """Enough for a document without foreign content, templates and framesets."""

    in_foreign_content = False
    namespace = Namespace.HTML

    def read_text(self, text: bytes) -> None:
        """Text changes nothing."""

    def read_start_tag(self, tag: Token) -> TextState | None:
        """Tell raw text by its element's name."""
        return _TEXT_STATES.get(tag.name)

    def read_end_tag(self, tag: Token) -> None:
        """End tags change nothing."""


class Tree:
    """A stack of open elements, and what the standard says a tag does to it."""

    def __init__(self, html: bytes) -> None:
        self.in_foreign_content = False
        self.namespace = Namespace.HTML
        self._html = html
        self._open = OpenElements()
        self._template_modes: list[bytes] = []
        self._form_is_open = False
        # "in head" and what comes before it; the flag `frameset-ok`; "in frameset" and behind.
        self._in_head = True
        self._may_be_frameset = True
        self._is_frameset = False
        self._in_text = False

    def read_text(self, text: bytes) -> None:
        """Text that is not white space ends the head, and the wish to be a frameset."""
        if (self._in_head or self._may_be_frameset) and text.strip(b"\t\n\f\r "):
            self._leave_head()
            # NUL is ignored, or replaced in foreign content by what is as good as white space.
            if text.strip(b"\0\t\n\f\r "):
                self._may_be_frameset = False

    def read_start_tag(self, tag: Token) -> TextState | None:
        """Do what the tree construction dispatcher and the insertion mode say."""
        self.namespace = Namespace.HTML
        if self._is_frameset:
            return TextState.RAW if tag.name == b"noframes" else None
        foreign = self._find_foreign(tag.name)
        state = self._start(tag) if foreign is None else self._start_in_foreign(tag, foreign)
        self._in_text = state is not None
        self._note_current()
        return state

    def read_end_tag(self, tag: Token) -> None:
        """Close what the end tag closes."""
        if self._is_frameset:
            return
        if self._in_text:  # it ends the raw text, whose element was not put on the stack
            self._in_text = False
            return
        if self.in_foreign_content and tag.name in {b"br", b"p"}:
            self._break_out()
        place = self._open.find_foreign(tag.name) if self.in_foreign_content else None
        if place is not None:
            self._open.pop_to(place)
        else:
            self._end(tag.name)
        self._note_current()

    def _note_current(self) -> None:
        current = self._open.current
        self.in_foreign_content = current is not None and current.namespace is not Namespace.HTML

    # Foreign content (13.2.6.5)

    def _find_foreign(self, name: bytes) -> Namespace | None:
        """Find the namespace by whose rules a start tag goes; None for those of HTML."""
        current = self._open.current
        if current is None or current.namespace is Namespace.HTML or current.holds_html:
            return None
        if is_mathml_text_point(current):
            is_foreign = name in elements.MATHML_IN_TEXT
        else:
            is_foreign = not (name == b"svg" and current == _ANNOTATION)
        return current.namespace if is_foreign else None

    def _start_in_foreign(self, tag: Token, namespace: Namespace) -> TextState | None:
        if tag.name in elements.BREAKS_OUT or self._is_breaking_font(tag):
            self._break_out()
            return self._start(tag)
        self._push_foreign(tag, namespace)
        return None

    def _is_breaking_font(self, tag: Token) -> bool:
        return tag.name == b"font" and any(
            attribute.name in elements.BREAKING_FONT
            for attribute in read_attributes(self._html, tag)
        )

    def _break_out(self) -> None:
        """Close foreign elements up to one that holds HTML."""
        while (
            (current := self._open.current) is not None
            and current.namespace is not Namespace.HTML
            and not current.holds_html
            and not is_mathml_text_point(current)
        ):
            self._open.pop()

    def _push_foreign(self, tag: Token, namespace: Namespace) -> None:
        self.namespace = namespace
        if is_self_closing(self._html, tag):
            return
        if namespace is Namespace.SVG:
            holds_html = tag.name in elements.SVG_HTML_POINTS
        else:
            holds_html = tag.name == b"annotation-xml" and self._is_encoded_html(tag)
        self._open.push(Element(tag.name, namespace, holds_html))

    def _is_encoded_html(self, tag: Token) -> bool:
        for attribute in read_attributes(self._html, tag):
            if attribute.name == b"encoding":
                start, end = attribute.value or (0, 0)
                value = decode_references(self._html[start:end].decode("latin-1"))
                return value.lower() in elements.HTML_ENCODINGS
        return False

    # Start tags in HTML (13.2.6.4)

    def _start(self, tag: Token) -> TextState | None:
        name = tag.name
        if self._in_head and not self._stays_in_head(name):
            self._leave_head()
        if name == b"frameset" and not self._template_modes:
            self._start_frameset()
            return None
        if name in elements.NOT_FRAMESET and not self._is_hidden_input(tag):
            self._may_be_frameset = False
        self._leave_colgroup(name)
        if self._template_modes and not self._choose_template_mode(name):
            return None
        if name in elements.TABLE_PARTS:
            self._start_table_part(name)
        elif name in _FOREIGN_ROOTS:
            self._push_foreign(tag, _FOREIGN_ROOTS[name])
        elif (state := _TEXT_STATES.get(name)) is not None:
            if name in elements.CLOSES_P:
                self._close_p()
            return state
        elif name not in _IGNORED_IN_BODY:
            self._start_in_body(name)
        return None

    def _stays_in_head(self, name: bytes) -> bool:
        return name in elements.HEAD or self._template_modes != []

    def _leave_head(self) -> None:
        if self._in_head and not self._template_modes:
            self._in_head = False
            self._open.pop_to(0)  # a `noscript` of the head

    def _leave_colgroup(self, name: bytes) -> None:
        structure = self._open.structure
        if structure and structure[-1][0] == b"colgroup" and name not in {b"col", b"template"}:
            self._open.pop_to(structure[-1][1])

    def _start_frameset(self) -> None:
        if self._may_be_frameset or self._in_head:
            self._is_frameset = True
            self._open.pop_to(0)

    def _is_hidden_input(self, tag: Token) -> bool:
        if tag.name != b"input":
            return False
        for attribute in read_attributes(self._html, tag):
            if attribute.name == b"type":
                start, end = attribute.value or (0, 0)
                return self._html[start:end].lower() == b"hidden"
        return False

    def _choose_template_mode(self, name: bytes) -> bool:
        """Let a tag right in a template choose its mode; False where the tag is ignored."""
        if self._open.structure[-1][0] != b"template" or name in elements.HEAD:
            return self._template_modes[-1] != b"colgroup" or name == b"template"
        mode = self._template_modes[-1]
        if mode == b"template":
            mode = _TEMPLATE_MODES.get(name, b"body")
            self._template_modes[-1] = mode
        if mode == b"colgroup":
            return False  # a `col` holds nothing
        return name not in elements.TABLE_PARTS or name in _TEMPLATE_PARTS[mode]

    def _start_table_part(self, name: bytes) -> None:
        """Close and imply what a part of a table does (13.2.6.4.9 to 13.2.6.4.15)."""
        mode = self._mode()
        if mode is None:
            return  # ignored in body
        if mode in elements.CELLS or mode in {b"caption", b"colgroup"}:
            self._open.pop_to(self._open.structure[-1][1])
            self._start_table_part(name)
        elif mode == b"tr":
            self._clear_to_structure()
            if name in elements.CELLS:
                self._push(name)
            elif self._open.structure[-1][0] == b"tr":
                self._open.pop()
                self._start_table_part(name)
        elif mode in elements.SECTIONS:
            self._clear_to_structure()
            if name == b"tr" or name in elements.CELLS:
                self._push(b"tr")
                if name != b"tr":
                    self._push(name)
            elif self._open.structure[-1][0] in elements.SECTIONS:
                self._open.pop()
                self._start_table_part(name)
        else:
            self._start_in_table(name)

    def _start_in_table(self, name: bytes) -> None:
        self._clear_to_structure()
        if name in {b"caption", b"colgroup"} or name in elements.SECTIONS:
            self._push(name)
        elif name == b"col":
            self._push(b"colgroup")
        else:
            self._push(b"tbody")
            self._start_table_part(name)

    def _mode(self) -> bytes | None:
        """The element that decides on the insertion mode; None for "in body"."""
        if not self._open.structure:
            return None
        name = self._open.structure[-1][0]
        if name != b"template":
            return name
        mode = self._template_modes[-1]
        return None if mode in {b"body", b"template"} else mode

    def _clear_to_structure(self) -> None:
        """Clear the stack back to a table, table body or table row context."""
        self._open.pop_to(self._open.structure[-1][1] + 1)

    def _start_in_body(self, name: bytes) -> None:
        if name == b"form" and not self._opens_form():
            return
        if name in elements.CLOSES_P:
            self._start_block(name)
        elif name == b"a":
            if self._open.find(name, Barrier.SCOPE) is not None:
                self._close_formatting(name)
        elif name in {b"button", b"nobr"}:
            self._close(name, Barrier.SCOPE)
        elif name in {b"input", b"select"}:
            if self._close(b"select", Barrier.SCOPE) and name == b"select":
                return
        elif name in {b"optgroup", b"option"} or name in elements.RUBY:
            self._close_before(name)
        if name not in elements.VOID:
            self._push(name)

    def _close_before(self, name: bytes) -> None:
        """Close what ends where an option or a part of a `ruby` begins."""
        if name not in elements.RUBY:
            self._close_current(_OPTION)
        elif self._open.find(b"ruby", Barrier.SCOPE) is not None:
            kept = frozenset({b"rtc"} if name in {b"rp", b"rt"} else ())
            self._close_implied(elements.IMPLIED_ENDS - kept)

    def _opens_form(self) -> bool:
        """Whether a form is opened here: none is in another, and right in a table none holds."""
        if self._template_modes:
            return self._mode() not in _IN_TABLE
        is_first, self._form_is_open = not self._form_is_open, True
        return is_first and self._mode() not in _IN_TABLE

    def _start_block(self, name: bytes) -> None:
        if name in {b"dd", b"dt"}:
            self._close_item(b"dd")
            self._close_item(b"dt")
        elif name == b"li":
            self._close_item(name)
        elif name == b"table" and self._mode() in _IN_TABLE:
            self._close_table_part(name)
        self._close_p()
        if name in elements.HEADINGS:
            self._close_current(elements.HEADINGS)

    def _close_item(self, name: bytes) -> None:
        place = self._open.find(name)
        if place is not None and place >= self._open.last(Barrier.ITEM):
            self._open.pop_to(place)

    def _close_current(self, names: frozenset[bytes]) -> None:
        current = self._open.current
        if current is not None and current.name in names:
            self._open.pop()

    def _push(self, name: bytes) -> None:
        if name == b"template":
            self._template_modes.append(b"template")
        self._open.push(Element(name, Namespace.HTML))

    # End tags in HTML

    def _end(self, name: bytes) -> None:
        if self._in_head and name in {b"body", b"br", b"html"}:
            self._leave_head()
        self._leave_colgroup(name)
        if name == b"br":
            self._may_be_frameset = False
        elif name == b"template":
            self._end_template()
        elif self._template_modes and self._is_right_in_template():
            return
        elif name in elements.TABLE_PARTS or name == b"table":
            self._close_table_part(name)
        elif name in elements.HEADINGS:
            self._close_heading()
        elif name in elements.FORMATTING:
            self._close_formatting(name)
        elif name == b"form" and not self._template_modes:
            self._close_form()
        else:
            self._close(name, _END_TAG_BARRIERS.get(name, Barrier.SPECIAL))

    def _is_right_in_template(self) -> bool:
        """Whether only `</template>` ends anything."""
        return self._open.structure[-1][0] == b"template" and self._template_modes[-1] in {
            b"colgroup",
            b"template",
        }

    def _end_template(self) -> None:
        place = self._open.find(b"template")
        if place is not None:
            self._open.pop_to(place)
            self._template_modes.pop()

    def _close_table_part(self, name: bytes) -> None:
        """Close a table or a part of it, if it is in table scope."""
        for part, place in reversed(self._open.structure):
            if part == name:
                self._open.pop_to(place)
                return
            if part in {b"table", b"template"}:
                return

    def _close_p(self) -> None:
        self._close(b"p", Barrier.BUTTON_SCOPE)

    def _close_form(self) -> None:
        """Take the form out of the stack, and nothing that is above it."""
        place = self._open.find(b"form", Barrier.SCOPE) if self._form_is_open else None
        self._form_is_open = False
        if place is not None:
            self._close_implied(elements.IMPLIED_ENDS)
            self._open.remove(place)

    def _close_implied(self, names: frozenset[bytes]) -> None:
        """Generate implied end tags of these names (13.2.6.3)."""
        while (current := self._open.current) and current.name in names:
            self._open.pop()

    def _close_heading(self) -> None:
        places = (self._open.find(name, Barrier.SCOPE) for name in elements.HEADINGS)
        place = max((place for place in places if place is not None), default=None)
        if place is not None:
            self._open.pop_to(place)

    def _close(self, name: bytes, barrier: Barrier) -> bool:
        """Close the last element of that name with all above it, if no barrier is between."""
        place = self._open.find(name, barrier)
        if place is None:
            return False
        self._open.pop_to(place)
        return True

    def _close_formatting(self, name: bytes) -> None:
        """What the adoption agency algorithm leaves of the stack."""
        place = self._open.find(name, Barrier.SCOPE)
        if place is None:
            return
        block = self._open.last(Barrier.SPECIAL)
        if block < place:
            self._open.pop_to(place)
            return
        self._open.pop_to(block + 1)
        self._open.remove(place)


_END_TAG_BARRIERS: Final = dict.fromkeys(
    elements.ENDS_WHAT_IS_ABOVE | {b"dd", b"dt", b"form"}, Barrier.SCOPE
) | {b"li": Barrier.LIST_ITEM_SCOPE, b"p": Barrier.BUTTON_SCOPE}
_OPTION: Final = frozenset({b"option"})
_IGNORED_IN_BODY: Final = frozenset({b"body", b"frameset", b"head", b"html"})
_IN_TABLE: Final = frozenset({b"colgroup", b"table", b"tr"}) | elements.SECTIONS
_TEMPLATE_MODES: Final = (
    dict.fromkeys([b"caption", b"colgroup", *elements.SECTIONS], b"table")
    | dict.fromkeys(elements.CELLS, b"tr")
    | {b"col": b"colgroup", b"tr": b"tbody"}
)
"""The mode that a start tag right in a template begins, by the element that has the mode."""

_TEMPLATE_PARTS: Final = {
    b"body": frozenset[bytes](),
    b"table": elements.TABLE_PARTS,
    b"tbody": elements.CELLS | {b"tr"},
    b"tr": elements.CELLS,
}
"""Parts of tables that each mode of a template does not ignore."""
