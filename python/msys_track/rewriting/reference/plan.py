"""Planning: everything that is found out about a message before its first copy is made."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from msys_track.reasons import Reason
from msys_track.rewriting.reference import links as link_rules
from msys_track.rewriting.reference.body import Body, read_body
from msys_track.rewriting.reference.charsets.query import encode_query
from msys_track.rewriting.reference.entity import Leaf, list_parts
from msys_track.rewriting.reference.header import Section, read_section, skip_prelude
from msys_track.rewriting.reference.html.references import decode_references
from msys_track.rewriting.reference.html.scan import FoundHtml, FoundLink, scan_html
from msys_track.rewriting.reference.left_alone import LeftAloneError
from msys_track.rewriting.reference.lines import Around, find_line_break, is_boundary, look_around
from msys_track.rewriting.reference.links import OWN_ATTRIBUTES, LinkOptions
from msys_track.rewriting.reference.text import scan_text
from msys_track.rewriting.rules import Rules

LinkKind: TypeAlias = Literal["click", "amp_click", "link_unsubscribe"]
LinkWhere: TypeAlias = Literal["html", "outlook", "text", "amp"]
PixelKind: TypeAlias = Literal["open", "initial_open", "amp_open", "amp_initial_open"]

_SIGNED: Final = (b"dkim-signature", b"arc-seal")
# A seal covers the other fields of its set (RFC 8617).
_SIGNATURES: Final = (*_SIGNED, b"arc-message-signature", b"arc-authentication-results")
_FOLDED_AT: Final = b" \t\f"
_FOLDED_ENCODINGS: Final = ("7bit", "8bit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link that copies may wrap; see `msys_track.rewriting.engine.Link`."""

    offset: int
    length: int
    target: str
    name: str | None
    kind: LinkKind
    sublink: str | None
    where: LinkWhere


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftAlone:
    """What stays as it is; see `msys_track.rewriting.engine.LeftAlone`."""

    offset: int
    length: int
    reason: str
    target: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part; see `msys_track.rewriting.engine.Part`."""

    offset: int
    length: int
    media_type: str
    charset: str | None
    transfer_encoding: str
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderEdit:
    """Header lines that go."""

    start: int
    end: int
    is_signature: bool
    """Whether they stay where the body is not changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Href:
    """A link's URL."""

    number: int
    """In the plan's links."""
    is_in_comment: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pixel:
    """A pixel, on a line of its own or in the place of the placeholder."""

    kind: PixelKind
    is_line: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What goes."""

    of: Literal["html", "amp", "text"]


@dataclass(frozen=True, slots=True)
class Kept:
    """A link that the program vetoed."""


Change: TypeAlias = Href | Pixel | Removal | Kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A change of a part."""

    start: int
    end: int
    """Bytes of the part's content; of the message unless the part is in base64."""
    change: Change
    around: Around | None = None
    """Its lines, unless the part is in base64."""
    fold: int | None = None
    """Where a line break may take the place of white space before it."""
    to_next_fold: int | None = None
    """How far the next such place is on the same line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPart:
    """A part that copies change."""

    body: Body
    edits: tuple[Edit, ...]
    eol: bytes
    """Of the lines that edits stand on."""
    encoded_eol: bytes
    """Of base64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """What a copy lacks whose opens are tracked."""

    left: LeftAlone
    is_initial: bool = False
    """Whether only copies lack it that have a pixel at the top."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedMessage:
    """A message and its edits."""

    message: bytes
    header_end: int
    header_edits: tuple[HeaderEdit, ...]
    planned: tuple[PlannedPart, ...]
    lacks: tuple[Lack, ...]
    links: tuple[Link, ...]
    left_alone: tuple[LeftAlone, ...]
    parts: tuple[Part, ...]
    pixel_offsets: tuple[int, ...]
    initial_pixel_offsets: tuple[int, ...]
    strips_text_options: bool
    has_amp: bool


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
        if field.name in dropped or (strips and field.name in _SIGNATURES)
        for start, end in field.lines
    ]
    return sorted(edits, key=lambda edit: edit.start)


@dataclass(frozen=True, slots=True, kw_only=True)
class _FoundLink:
    """A link before the rules, by its place in the content."""

    place: tuple[int, int] | None
    """None where it ends inside a shift."""
    target: str
    options: LinkOptions
    where: LinkWhere
    reason: Reason | None
    fold: int | None = None
    is_in_comment: bool = False


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
        if self._rules.signed_mail == "skip" and not names.isdisjoint(_SIGNED):
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
    ) -> dict[int, tuple[FoundHtml, list[_FoundLink]]]:
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
            found = [self._read_link(body, link) for link in html.links]
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

    def _plan_html(self, body: Body, html: FoundHtml, found: list[_FoundLink]) -> None:
        leaf = body.leaf
        is_amp = leaf.role == "amp"
        self.has_amp |= is_amp
        changes: list[tuple[int, int, Change]] = []
        if not leaf.is_later_piece:
            changes += self._place_pixels(body, html)
        if not self._rules.keep_link_attributes:
            for start, end, where in html.attributes:
                place = body.locate_part(start, end)
                if place is not None and self._reaches(where, is_amp=is_amp):
                    changes.append((*place, Removal(of="amp" if is_amp else "html")))
        self._add_links(body, found, changes)
        self._add_part(body, changes, found)

    def _reaches(self, where: str, *, is_amp: bool) -> bool:
        return where == "html" or (self._rules.outlook_links and not is_amp)

    def _place_pixels(self, body: Body, html: FoundHtml) -> Iterator[tuple[int, int, Change]]:
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

    def _read_link(self, body: Body, link: FoundLink) -> _FoundLink:
        charset = body.charset
        values = {
            name: decode_references(charset.decode(value))
            for name, value in link.attributes.items()
            if name in OWN_ATTRIBUTES
        }
        options = LinkOptions(values)
        target = link_rules.read_target(decode_references(charset.decode(link.raw)))
        encoder = charset.find_encoder(link.raw)
        if encoder is not None and not target.isascii():
            target = encode_query(target, encoder)
        is_amp = body.leaf.role == "amp"
        place = body.locate_part(link.start, link.end)
        is_foreign = self._rules.foreign_opt_outs and link_rules.is_foreign_opt_out(
            {
                name: decode_references(charset.decode(value))
                for name, value in link.attributes.items()
            }
        )
        reason: Reason | None
        if options.is_opted_out or is_foreign:
            reason = Reason.OPTED_OUT
        elif is_amp and "{{" in target:
            reason = Reason.AMP_TEMPLATE
        else:
            reason = link_rules.check_target(target)
        if reason is None and link.url_text:
            reason = Reason.URL_TEXT
        if reason is None and body.has_unread and "\ufffd" in target:
            reason = Reason.UNSUPPORTED_CHARSET
        return _FoundLink(
            place=place,
            target=target,
            options=options,
            where="amp" if is_amp and link.where == "html" else link.where,
            reason=reason or (Reason.UNSUPPORTED_CHARSET if place is None else None),
            fold=_locate_fold(body, link.fold),
            is_in_comment=link.is_in_comment,
        )

    # Text

    def _plan_text(self, body: Body) -> None:
        leaf = body.leaf
        delsp = leaf.media_type.find("delsp")
        joins = delsp is not None and link_rules.lower_ascii(delsp) == "yes"
        try:
            found, removable = scan_text(body.text, body.charset, joins_lines=joins)
        except LeftAloneError as error:
            leaf.reason = error.reason
            return
        links = []
        for each in found:
            target = body.charset.decode(body.text[each.start : each.end])
            place = body.locate_part(each.start, each.end)
            reason = link_rules.check_target(target)
            if each.goes_on:
                reason = Reason.SPLIT_LINK
            if each.options.is_opted_out or (reason is None and target in self._opted_out):
                reason = Reason.OPTED_OUT
            if reason is None and body.has_unread and "\ufffd" in target:
                reason = Reason.UNSUPPORTED_CHARSET
            links.append(
                _FoundLink(
                    place=place,
                    target=target,
                    options=LinkOptions(
                        {
                            name: value
                            for name, value in each.options.values.items()
                            if name != "data-msys-linkname"
                        }
                    ),
                    where="text",
                    reason=reason or (Reason.UNSUPPORTED_CHARSET if place is None else None),
                )
            )
        changes: list[tuple[int, int, Change]] = []
        for start, end in removable:
            place = body.locate_part(start, end)
            if place is not None:
                changes.append((*place, Removal(of="text")))
        self._add_links(body, links, changes)
        self._add_part(body, changes, links)

    # Both

    def _add_links(
        self, body: Body, found: list[_FoundLink], changes: list[tuple[int, int, Change]]
    ) -> None:
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
                    name=link.options.name,
                    kind="link_unsubscribe" if link.options.is_unsubscribe else kind,
                    sublink=link.options.sublink,
                    where=link.where,
                )
            )

    def _refuse(self, link: _FoundLink) -> Reason | None:
        rules = self._rules
        if link.where == "outlook" and not rules.outlook_links:
            return Reason.OUTLOOK_LINKS_OFF
        if link.where == "text" and not rules.text_links:
            return Reason.TEXT_LINKS_OFF
        is_spared = link_rules.fits_any(link.target, rules.never_wrap)
        return Reason.NEVER_WRAP if is_spared else None

    def _add_part(
        self, body: Body, changes: list[tuple[int, int, Change]], found: list[_FoundLink]
    ) -> None:
        leaf, message = body.leaf, self._message
        raw = message[leaf.start : leaf.end]
        lines_eol = find_line_break(raw if b"\n" in raw else message)
        changes.sort(key=lambda change: change[:2])
        if body.form == "base64":
            edits = [Edit(start=start, end=end, change=change) for start, end, change in changes]
            refused: list[tuple[int, Change]] = []
            eol = find_line_break(body.text if body.is_wide else body.content)
        else:
            edits, refused = self._place_edits(body, changes, found)
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

    def _place_edits(
        self, body: Body, changes: list[tuple[int, int, Change]], found: list[_FoundLink]
    ) -> tuple[list[Edit], list[tuple[int, Change]]]:
        leaf = body.leaf
        edits: list[Edit] = []
        refused: list[tuple[int, Change]] = []
        folds = {link.place[0]: link.fold for link in found if link.place is not None}
        can_fold = (
            self._rules.fold_long_lines
            and leaf.role == "html"
            and leaf.transfer_encoding in _FOLDED_ENCODINGS
        )
        last_end = leaf.start
        for first, last, change in changes:
            start, end = body.locate(first, last)
            around = look_around(self._message, (leaf.start, leaf.end), start, end)
            if not body.is_wide and _makes_boundary(change, around, leaf.boundaries):
                refused.append((start, change))
                continue
            fold = folds.get(first) if can_fold and isinstance(change, Href) else None
            if fold is not None:
                fold += leaf.start
                is_good = fold >= last_end and not around.is_too_long
                fold = fold if is_good and _can_fold(start, fold, around, leaf) else None
            edits.append(Edit(start=start, end=end, change=change, around=around, fold=fold))
            last_end = end
        return _find_next_folds(edits), refused


def _describe(leaf: Leaf) -> Part:
    return Part(
        offset=leaf.start,
        length=leaf.end - leaf.start,
        media_type=leaf.media_type.word,
        charset=leaf.media_type.find("charset"),
        transfer_encoding=leaf.transfer_encoding,
        reason=None if leaf.reason is None else leaf.reason.value,
    )


def _locate_fold(body: Body, fold: int | None) -> int | None:
    # In units of two or four bytes a white-space byte is no character.
    if fold is None or body.is_wide:
        return None
    place = body.locate_part(fold, fold + 1)
    return None if place is None else place[0]


def _makes_boundary(change: Change, around: Around, boundaries: tuple[bytes, ...]) -> bool:
    if isinstance(change, Href):
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
    ends_part = is_boundary(line, leaf.boundaries) or is_boundary(rest, leaf.boundaries)
    return around.before[before] in _FOLDED_AT and not ends_part


def _find_next_folds(edits: list[Edit]) -> list[Edit]:
    found: list[Edit] = []
    fold: int | None = None
    for edit in reversed(edits):
        between = -1 if fold is None else fold - edit.end
        around = edit.around
        if around is not None and not around.is_too_long and 0 <= between <= len(around.after):
            found.append(replace(edit, to_next_fold=between))
        else:
            found.append(edit)
        fold = fold if edit.fold is None else edit.fold
    return found[::-1]


def revise_links(
    planned: PlannedMessage, changes: Mapping[int, tuple[str, str | None] | None]
) -> PlannedMessage:
    """Give links, by their numbers, another target and name, or veto them.

    Raises:
        ValueError: there is no such link, or a target can't be wrapped.
    """
    count = len(planned.links)
    for number in changes:
        if not 0 <= number < count:
            raise ValueError(f"there is no link {number}: the plan has {count}")
    links: list[Link] = []
    left = list(planned.left_alone)
    numbers: dict[int, int] = {}
    for number, link in enumerate(planned.links):
        change = changes.get(number)
        if number in changes and change is None:
            vetoed = Reason.VETOED.value
            left.append(
                LeftAlone(
                    offset=link.offset, length=link.length, reason=vetoed, target=link.target
                )
            )
            continue
        numbers[number] = len(links)
        links.append(link if change is None else _revise_link(number, link, *change))
    parts = tuple(
        replace(
            part, edits=tuple(_find_next_folds([_renumber(edit, numbers) for edit in part.edits]))
        )
        for part in planned.planned
    )
    return replace(
        planned,
        links=tuple(links),
        left_alone=tuple(sorted(left, key=lambda each: each.offset)),
        planned=parts,
    )


def _revise_link(number: int, link: Link, wanted: str, name: str | None) -> Link:
    target = link_rules.read_target(wanted)
    if link_rules.check_target(target) is not None:
        raise ValueError(f'link {number}: "{wanted}" is not an http or https URL with a host')
    own_name = None if name is None else link_rules.cut_name(name) or None
    return replace(link, target=target, name=own_name)


def _renumber(edit: Edit, numbers: Mapping[int, int]) -> Edit:
    if not isinstance(edit.change, Href):
        return edit
    number = numbers.get(edit.change.number)
    if number is None:
        return replace(edit, change=Kept(), fold=None, to_next_fold=None)
    return replace(edit, change=replace(edit.change, number=number), to_next_fold=None)
