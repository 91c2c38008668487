"""Entities: a message's parts, and which its readers see (RFC 2045, RFC 2046, RFC 2387)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from msys_track.reasons import Reason
from msys_track.rewriting.reference.header import (
    Section,
    Value,
    drop_comments,
    read_media_type,
    read_section,
    read_value,
)
from msys_track.rewriting.reference.links import lower_ascii

_MAX_DEPTH: Final = 32
_MAX_PARTS: Final = 1_000
_BLANK: Final = " \t\n\f\r"

Role: TypeAlias = Literal["html", "text", "amp"]

_ROLES: Final[dict[str, Role]] = {
    "text/html": "html",
    "text/plain": "text",
    "text/x-amp-html": "amp",
}
_NEVER_ENTERED: Final = {
    "multipart/signed": Reason.SIGNED_PART,
    "multipart/encrypted": Reason.ENCRYPTED_PART,
    "application/pkcs7-mime": Reason.ENCRYPTED_PART,
    "application/x-pkcs7-mime": Reason.ENCRYPTED_PART,
    "multipart/report": Reason.REPORT_PART,
}


@dataclass(slots=True, kw_only=True)
class Leaf:
    """The body of a part that holds no other, or that is not entered."""

    start: int
    end: int
    media_type: Value
    transfer_encoding: str
    boundaries: tuple[bytes, ...]
    """Those of the multiparts around it."""
    role: Role | None = None
    """What it is to its reader, if it may be changed."""
    reason: Reason | None = None
    is_named: bool = False
    is_later_piece: bool = False
    """Whether HTML that is shown with it stands before it, which has the pixels."""


@dataclass(slots=True)
class _Multipart:
    is_alternative: bool
    children: list["_Multipart | Leaf"] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where an entity stands."""

    end: int
    default: str = "text/plain"
    depth: int = 0
    boundaries: tuple[bytes, ...] = ()
    is_aside: bool = False
    """In a multipart/related, but not its start."""
    is_alternative: bool = False
    """It is one of several forms of the same."""


def list_parts(message: bytes, section: Section) -> list[Leaf]:
    """List the parts of a message whose header section was read."""
    walk = _Walk(message)
    root = walk.visit(section, _Place(end=len(message)))
    _name_files(walk.leaves)
    _find_amp(root)
    if isinstance(root, _Multipart):
        _mark_pieces(root, has_html=False)
    return walk.leaves


class _Walk:
    __slots__ = ("_message", "is_full", "leaves")

    def __init__(self, message: bytes) -> None:
        self._message = message
        self.leaves: list[Leaf] = []
        self.is_full = False

    def visit(self, section: Section, place: _Place) -> _Multipart | Leaf:
        types = section.find_values(b"content-type")
        media_type = read_media_type(types[0]) if types else Value(place.default)
        reason = _judge(section, types, media_type)
        if reason is None and media_type.word.startswith("multipart/"):
            boundary = (media_type.find("boundary") or "").rstrip(_BLANK)
            if place.depth >= _MAX_DEPTH:
                reason = Reason.NESTED_TOO_DEEP
            elif not media_type.find("boundary"):
                reason = Reason.MALFORMED_PART
            else:
                return self._enter(section, place, media_type, boundary.encode("utf-8"))
        return self._add_leaf(section, place, media_type, reason)

    def _enter(
        self, section: Section, place: _Place, media_type: Value, boundary: bytes
    ) -> _Multipart:
        subtype = media_type.word
        node = _Multipart(is_alternative=subtype == "multipart/alternative")
        parts: Iterator[tuple[int, int]] | list[tuple[int, int]]
        parts = _split_parts(self._message, section.body, place.end, boundary)
        start = None
        if subtype == "multipart/related":
            parts = list(parts)
            start = self._find_start(parts[:_MAX_PARTS], media_type.find("start"))
        for number, (first, last) in enumerate(parts):
            inner = read_section(self._message, first, last)
            is_body = start is None or number == start
            where = _Place(
                end=last,
                default="message/rfc822" if subtype == "multipart/digest" else "text/plain",
                depth=place.depth + 1,
                boundaries=(*place.boundaries, boundary),
                is_aside=place.is_aside or not is_body,
                is_alternative=node.is_alternative
                or (start is not None and is_body and place.is_alternative),
            )
            node.children.append(
                self._add_leaf(inner, where, Value(where.default), Reason.MALFORMED_PART)
                if inner.is_malformed
                else self.visit(inner, where)
            )
            if self.is_full:
                break
        return node

    def _find_start(self, parts: list[tuple[int, int]], wanted: str | None) -> int:
        if wanted is None:
            return 0
        for number, (first, last) in enumerate(parts):
            values = read_section(self._message, first, last).find_values(b"content-id")
            if values and _trim_id(values[0].decode("utf-8", "replace")) == _trim_id(wanted):
                return number
        return 0

    def _add_leaf(
        self, section: Section, place: _Place, media_type: Value, reason: Reason | None
    ) -> Leaf:
        self.is_full = len(self.leaves) >= _MAX_PARTS
        encodings = section.find_values(b"content-transfer-encoding")
        encoding = encodings[0].decode("utf-8", "replace") if encodings else ""
        leaf = Leaf(
            start=section.body,
            end=len(self._message) if self.is_full else place.end,
            media_type=media_type,
            transfer_encoding=lower_ascii(drop_comments(encoding).strip(_BLANK)) or "7bit",
            boundaries=place.boundaries,
            reason=Reason.TOO_MANY_PARTS if self.is_full else reason,
        )
        if leaf.reason is None:
            self._judge_text(leaf, section, place)
        self.leaves.append(leaf)
        return leaf

    def _judge_text(self, leaf: Leaf, section: Section, place: _Place) -> None:
        found = section.find_values(b"content-disposition")
        disposition = read_value(found[0]) if found else None
        if not section.is_ended:
            leaf.reason = Reason.MALFORMED_PART
        elif disposition is not None and disposition.word != "inline":
            # RFC 2183 section 2.8: a type that is not known is an attachment.
            leaf.reason = Reason.ATTACHED_PART
        elif place.is_aside:
            leaf.reason = Reason.NOT_TOP_PART
        else:
            leaf.role = _ROLES[leaf.media_type.word]
            names = [leaf.media_type.find("name")]
            names += [] if disposition is None else [disposition.find("filename")]
            is_named = any(name is not None and name.strip(_BLANK) for name in names)
            leaf.is_named = is_named and not place.is_alternative


def _judge(section: Section, types: list[bytes], media_type: Value) -> Reason | None:
    """Return why an entity is not looked at, from its header section alone."""
    # A boundary's case counts.
    if _differ(types) or len({read_media_type(each).find("boundary") for each in types}) > 1:
        return Reason.AMBIGUOUS_HEADER
    kind = media_type.word
    if kind in _NEVER_ENTERED:
        return _NEVER_ENTERED[kind]
    if kind.startswith("message/"):
        return Reason.EMBEDDED_MESSAGE
    if kind not in _ROLES and not kind.startswith("multipart/"):
        return Reason.OTHER_MEDIA_TYPE
    others = (b"content-transfer-encoding", b"content-disposition")
    if (
        any(_differ(section.find_values(name)) for name in others)
        or media_type.is_ambiguous("boundary")
        or media_type.is_ambiguous("charset", fold=lower_ascii)
    ):
        return Reason.AMBIGUOUS_HEADER
    return None


def _differ(values: list[bytes]) -> bool:
    return len({value.strip(b" \t\n\f\r").lower() for value in values}) > 1


def _trim_id(text: str) -> str:
    text = text.strip(_BLANK)
    return text[1:-1] if text.startswith("<") and text.endswith(">") else text


def _name_files(leaves: list[Leaf]) -> None:
    """Take named parts for files, where a part without a name is the body."""
    bodies = [leaf for leaf in leaves if leaf.role in ("html", "text")]
    if all(leaf.is_named for leaf in bodies):
        return
    for leaf in bodies:
        if leaf.is_named:
            leaf.role, leaf.reason = None, Reason.NAMED_FILE


def _find_amp(node: _Multipart | Leaf, *, is_beside: bool = False) -> None:
    """Take the role from AMP parts that are not one form of a text beside others."""
    if isinstance(node, Leaf):
        if node.role == "amp" and not is_beside:
            node.role, node.reason = None, Reason.NOT_ALTERNATIVE
        return
    holders = [number for number, child in enumerate(node.children) if _holds_body(child)]
    for number, child in enumerate(node.children):
        others = any(each != number for each in holders)
        _find_amp(child, is_beside=is_beside or (node.is_alternative and others))


def _holds_body(node: _Multipart | Leaf) -> bool:
    if isinstance(node, Leaf):
        return node.role in ("html", "text")
    return any(map(_holds_body, node.children))


def _mark_pieces(node: _Multipart, *, has_html: bool) -> bool:
    """Mark HTML that goes on what stands before it; tell whether there is HTML by its end."""
    before = after = has_html
    for child in node.children:
        if isinstance(child, _Multipart):
            after |= _mark_pieces(child, has_html=before)
        elif child.role == "html":
            child.is_later_piece = before
            after = True
        if not node.is_alternative:
            before = after
    return after


def _split_parts(
    message: bytes, start: int, end: int, boundary: bytes
) -> Iterator[tuple[int, int]]:
    """Yield the ranges between the lines of a boundary (RFC 2046 section 5.1.1)."""
    delimiter = re.compile(rb"--" + re.escape(boundary) + rb"(--)?[ \t\r]*(?:\n|\Z)")
    first: int | None = None
    at = start
    while True:
        at = message.find(b"--" + boundary, at, end)
        if at < 0:
            break
        line = delimiter.match(message, at, end)
        if line is None or (at > 0 and message[at - 1 : at] != b"\n"):
            at += 2 + len(boundary)
            continue
        if first is not None:
            # The line break before a boundary is the boundary's.
            content = message[max(first, at - 2) : at]
            trimmed = content.removesuffix(b"\n").removesuffix(b"\r")
            yield first, at - len(content) + len(trimmed)
        first = at = line.end()
        if line[1]:
            return
    if first is not None:
        yield first, end
