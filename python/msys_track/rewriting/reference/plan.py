"""Plans: a message, where it changes, and what is known of it before its first copy is made."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from msys_track.rewriting.reference.body import Body
from msys_track.rewriting.reference.lines import NO_LINES, Around

LinkKind: TypeAlias = Literal["click", "amp_click", "link_unsubscribe"]
LinkWhere: TypeAlias = Literal["html", "outlook", "text", "amp"]
PixelKind: TypeAlias = Literal["open", "initial_open", "amp_open", "amp_initial_open"]


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
    around: Around = NO_LINES
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
