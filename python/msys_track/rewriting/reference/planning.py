"""Planning: everything that is found out about a message before its first copy is made."""

from collections.abc import Iterator, Sequence
from typing import Final

from msys_track.reasons import Reason
from msys_track.rewriting.reference.body import Body, read_body
from msys_track.rewriting.reference.entity import Leaf, list_parts
from msys_track.rewriting.reference.header import (
    SEALS,
    SIGNATURES,
    Section,
    read_section,
    skip_prelude,
)
from msys_track.rewriting.reference.html.scan import FoundHtml, Where, scan_html
from msys_track.rewriting.reference.left_alone import LeftAloneError
from msys_track.rewriting.reference.lines import find_line_break
from msys_track.rewriting.reference.links import fits_any
from msys_track.rewriting.reference.placing import PlacedChange, place_changes
from msys_track.rewriting.reference.plan import (
    Change,
    Edit,
    HeaderEdit,
    Href,
    Lack,
    LeftAlone,
    Link,
    LinkKind,
    Part,
    Pixel,
    PixelKind,
    PlannedMessage,
    PlannedPart,
    Removal,
)
from msys_track.rewriting.reference.reading import ReadLink, read_html_link, read_text
from msys_track.rewriting.rules import Rules

_FOLDED_ENCODINGS: Final = ("7bit", "8bit")


def plan_message(message: bytes, rules: Rules, drop_headers: Sequence[bytes]) -> PlannedMessage:
    """Find what can be tracked in a message."""
    section = read_section(message, skip_prelude(message), len(message))
    planner = _Planner(message, rules)
    planner.plan(section)
    return PlannedMessage(
        message=message,
        header_end=section.end,
        header_edits=tuple(_drop_fields(section, rules, {name.lower() for name in drop_headers})),
        planned=tuple(planner.planned),
        lacks=tuple(planner.lacks),
        links=tuple(planner.links),
        left_alone=tuple(sorted(planner.left_alone, key=lambda left: left.offset)),
        parts=tuple(planner.parts),
        pixel_offsets=tuple(planner.pixels),
        initial_pixel_offsets=tuple(planner.initial_pixels),
        strips_text_options=rules.strip_text_options,
        has_amp=planner.has_amp,
    )


def _drop_fields(section: Section, rules: Rules, dropped: set[bytes]) -> list[HeaderEdit]:
    strips = rules.signed_mail == "strip"
    edits = [
        HeaderEdit(start=start, end=end, is_signature=field.name not in dropped)
        for field in section.fields
        if field.name in dropped or (strips and field.name in SIGNATURES)
        for start, end in field.lines
    ]
    return sorted(edits, key=lambda edit: edit.start)


class _Planner:
    __slots__ = (
        "_message", "_opted_out", "_rules", "has_amp", "initial_pixels", "lacks", "left_alone",
        "links", "parts", "pixels", "planned",
    )  # fmt: skip

    def __init__(self, message: bytes, rules: Rules) -> None:
        self._message = message
        self._rules = rules
        self._opted_out: set[str] = set()
        self.planned: list[PlannedPart] = []
        self.lacks: list[Lack] = []
        self.links: list[Link] = []
        self.left_alone: list[LeftAlone] = []
        self.parts: list[Part] = []
        self.pixels: list[int] = []
        self.initial_pixels: list[int] = []
        self.has_amp = False

    def plan(self, section: Section) -> None:
        if section.is_malformed:
            self._leave(0, len(self._message), Reason.MALFORMED_MESSAGE)
            return
        leaves = list_parts(self._message, section)
        names = {field.name for field in section.fields}
        if self._rules.signed_mail == "skip" and not names.isdisjoint(SEALS):
            self._leave(0, len(self._message), Reason.SIGNED_MESSAGE)
            for leaf in leaves:
                if leaf.role is not None:
                    leaf.reason = Reason.SIGNED_MESSAGE
        else:
            self._plan_parts(leaves)
        self.parts = [_describe(leaf) for leaf in leaves]

    def _plan_parts(self, leaves: list[Leaf]) -> None:
        if not any(leaf.role == "html" for leaf in leaves):
            whole = LeftAlone(
                offset=0, length=len(self._message), reason=Reason.NO_HTML_PART.value
            )
            self.lacks.append(Lack(left=whole))
        bodies = [(leaf, self._read(leaf)) for leaf in leaves if leaf.role is not None]
        scans = self._scan_html(bodies)
        for leaf, body in bodies:
            if body is None:
                continue
            if leaf.role == "text":
                self._plan_text(body)
            else:
                self._plan_html(body, *scans[leaf.start])
        for leaf in leaves:
            if leaf.reason is not None and leaf.reason != Reason.OTHER_MEDIA_TYPE:
                self._leave(leaf.start, leaf.end, leaf.reason)
            if leaf.role == "text" and leaf.reason is None and not self._rules.text_links:
                leaf.reason = Reason.TEXT_LINKS_OFF

    def _scan_html(
        self, bodies: list[tuple[Leaf, Body | None]]
    ) -> dict[int, tuple[FoundHtml, list[ReadLink]]]:
        """Scan HTML and AMP before any text, in which the same targets are opted out."""
        scans = {}
        for leaf, body in bodies:
            if body is None or leaf.role == "text":
                continue
            is_html = leaf.role == "html"
            html = scan_html(
                body.text,
                decode=body.charset.decode,
                url_text=self._rules.spare_url_text,
            )
            found = [
                read_html_link(body, link, heeds_foreign=self._rules.foreign_opt_outs)
                for link in html.links
            ]
            found = [link for link in found if link.where != "outlook" or is_html]
            scans[leaf.start] = html, found
            if is_html:
                self._opted_out |= {
                    link.target for link in found if link.reason == Reason.OPTED_OUT
                }
        return scans

    def _read(self, leaf: Leaf) -> Body | None:
        try:
            return read_body(self._message, leaf)
        except LeftAloneError as error:
            leaf.reason = error.reason
            return None

    def _leave(self, start: int, end: int, reason: Reason, target: str | None = None) -> None:
        self.left_alone.append(
            LeftAlone(offset=start, length=end - start, reason=reason.value, target=target)
        )

    # HTML

    def _plan_html(self, body: Body, html: FoundHtml, found: list[ReadLink]) -> None:
        leaf = body.leaf
        is_amp = leaf.role == "amp"
        self.has_amp |= is_amp
        changes: list[PlacedChange] = []
        if not leaf.is_later_piece:
            changes += self._place_pixels(body, html)
        if not self._rules.keep_link_attributes:
            for start, end, where in html.attributes:
                place = body.locate_part(start, end)
                if place is not None and self._reaches(where, is_amp=is_amp):
                    changes.append((*place, Removal(of="amp" if is_amp else "html")))
        self._add_links(body, found, changes)
        self._add_part(body, changes, found)

    def _reaches(self, where: Where, *, is_amp: bool) -> bool:
        return where == "html" or (self._rules.outlook_links and not is_amp)

    def _place_pixels(self, body: Body, html: FoundHtml) -> Iterator[PlacedChange]:
        is_amp = body.leaf.role == "amp"
        kinds: tuple[PixelKind, PixelKind] = ("initial_open", "open")
        if is_amp:
            kinds = ("amp_initial_open", "amp_open")
        placeholder = None if is_amp else self._find_placeholder(body, html)
        for kind, at in zip(kinds, (html.initial_pixel, html.pixel), strict=True):
            is_initial = kind == kinds[0]
            if placeholder is not None and not is_initial:
                yield (*placeholder, Pixel(kind=kind, is_line=False))
                continue
            place = None if at is None else body.locate_insertion(at)
            if place is None:
                self._lack_pixel(body.leaf.start, is_initial=is_initial)
            else:
                yield place, place, Pixel(kind=kind, is_line=True)

    def _find_placeholder(self, body: Body, html: FoundHtml) -> tuple[int, int] | None:
        wanted = (self._rules.pixel_placeholder or "").encode("utf-8")
        spans = [(start, end) for start, end, _ in html.attributes]
        spans += [(link.start, link.end) for link in html.links]
        start = body.text.find(wanted) if wanted else -1
        while start >= 0:
            end = start + len(wanted)
            is_free = all(last <= start or first >= end for first, last in spans)
            holds_initial = html.initial_pixel is not None and start < html.initial_pixel < end
            place = body.locate_part(start, end)
            if is_free and not holds_initial and place is not None:
                return place
            start = body.text.find(wanted, end)
        return None

    def _lack_pixel(self, at: int, *, is_initial: bool) -> None:
        reason = Reason.NO_INITIAL_PIXEL_PLACE if is_initial else Reason.NO_PIXEL_PLACE
        left = LeftAlone(offset=at, length=0, reason=reason.value)
        self.lacks.append(Lack(left=left, is_initial=is_initial))

    # Text

    def _plan_text(self, body: Body) -> None:
        try:
            links, removable = read_text(body, self._opted_out)
        except LeftAloneError as error:
            body.leaf.reason = error.reason
            return
        changes: list[PlacedChange] = []
        for start, end in removable:
            place = body.locate_part(start, end)
            if place is not None:
                changes.append((*place, Removal(of="text")))
        self._add_links(body, links, changes)
        self._add_part(body, changes, links)

    # Both

    def _add_links(self, body: Body, found: list[ReadLink], changes: list[PlacedChange]) -> None:
        last = 0
        for link in found:
            reason = link.reason or self._refuse(link)
            place = link.place or (last, last)
            last = place[1]
            start, end = body.locate(*place)
            if reason is not None:
                self._leave(start, end, reason, link.target)
                continue
            number = len(self.links)
            changes.append((*place, Href(number=number, is_in_comment=link.is_in_comment)))
            kind: LinkKind = "amp_click" if link.where == "amp" else "click"
            self.links.append(
                Link(
                    offset=start,
                    length=end - start,
                    target=link.target,
                    name=None if link.where == "text" else link.options.name,
                    kind="link_unsubscribe" if link.options.is_unsubscribe else kind,
                    sublink=link.options.sublink,
                    where=link.where,
                )
            )

    def _refuse(self, link: ReadLink) -> Reason | None:
        rules = self._rules
        if link.where == "outlook" and not rules.outlook_links:
            return Reason.OUTLOOK_LINKS_OFF
        if link.where == "text" and not rules.text_links:
            return Reason.TEXT_LINKS_OFF
        is_spared = fits_any(link.target, rules.never_wrap)
        return Reason.NEVER_WRAP if is_spared else None

    def _add_part(self, body: Body, changes: list[PlacedChange], found: list[ReadLink]) -> None:
        leaf, message = body.leaf, self._message
        raw = message[leaf.start : leaf.end]
        lines_eol = find_line_break(raw if b"\n" in raw else message)
        changes.sort(key=lambda change: change[:2])
        if body.form == "base64":
            edits = [Edit(start=start, end=end, change=change) for start, end, change in changes]
            refused: list[tuple[int, Change]] = []
            eol = find_line_break(body.text if body.is_wide else body.content)
        else:
            edits, refused = place_changes(message, body, changes, self._find_folds(leaf, found))
            eol = find_line_break(body.text) if body.is_wide else lines_eol
        for start, end, change in changes:
            if not isinstance(change, Pixel):
                continue
            at = body.locate(start, end)[0]
            is_initial = change.kind.endswith("initial_open")
            if (at, change) in refused:
                self._lack_pixel(at, is_initial=is_initial)
            else:
                (self.initial_pixels if is_initial else self.pixels).append(at)
        self.planned.append(
            PlannedPart(body=body, edits=tuple(edits), eol=eol, encoded_eol=lines_eol)
        )

    def _find_folds(self, leaf: Leaf, links: list[ReadLink]) -> dict[int, int]:
        if not self._rules.fold_long_lines or leaf.transfer_encoding not in _FOLDED_ENCODINGS:
            return {}
        return {
            link.place[0]: link.fold
            for link in links
            if link.place is not None and link.fold is not None
        }


def _describe(leaf: Leaf) -> Part:
    return Part(
        offset=leaf.start,
        length=leaf.end - leaf.start,
        media_type=leaf.media_type.word,
        charset=leaf.media_type.find("charset"),
        transfer_encoding=leaf.transfer_encoding,
        reason=None if leaf.reason is None else leaf.reason.value,
    )
