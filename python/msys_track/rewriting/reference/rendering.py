"""Rendering: a plan's edits, filled in for one recipient."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from msys_track.keys.plain.ring import KeyRing
from msys_track.keys.ring import Engagement, TrackedUrls
from msys_track.reasons import Reason
from msys_track.rewriting.reference import base64
from msys_track.rewriting.reference.left_alone import LeftAloneError
from msys_track.rewriting.reference.lines import MAX_LINE, Around
from msys_track.rewriting.reference.plan import (
    Edit,
    Href,
    Kept,
    LeftAlone,
    Pixel,
    PlannedMessage,
    PlannedPart,
    Removal,
)
from msys_track.rewriting.reference.quoted_printable import Decoded, encode_line
from msys_track.rewriting.reference.sealing import Sealer

_MAX_SHOWN: Final = 102_400  # bytes of HTML that Gmail shows
_NO_LIMIT: Final = 1 << 62

_PIXEL: Final = (b'<img border="0" width="1" height="1" alt="" src="', b'">')
_INITIAL_PIXEL: Final = (
    (
        b'<div style="color:transparent;visibility:hidden;opacity:0;font-size:0px;border:0;'
        b"max-height:1px;width:1px;margin:0px;padding:0px;border-width:0px!important;"
        b'display:none!important;line-height:0px!important;">'
        b'<img border="0" width="1" height="1" src="'
    ),
    b'" alt=""/></div>',
)
_AMP_PIXEL: Final = (
    (
        b'<div style="color:transparent;opacity:0;font-size:0px;border:0;max-height:1px;'
        b'width:1px;margin:0px;padding:0px;border-width:0px;line-height:0px;">'
        b'<amp-img alt="" height="1" width="1" src="'
    ),
    b'"></amp-img></div>',
)
_MARKUP: Final = {
    "open": _PIXEL,
    "initial_open": _INITIAL_PIXEL,
    "amp_open": _AMP_PIXEL,
    "amp_initial_open": _AMP_PIXEL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A copy; see `msys_track.rewriting.engine.Rendered`."""

    message: bytes
    edits: tuple[tuple[int, int, bytes], ...]
    left_alone: tuple[LeftAlone, ...]
    wrapped_links: int
    pixels: int
    links_without_metadata: tuple[int, ...]
    pixels_without_metadata: tuple[str, ...]
    clips_html: bool


class _OffError(Exception):
    """Tracking is off for a change, of which nothing is said."""


def render(
    planned: PlannedMessage,
    keys: KeyRing,
    engagement: Engagement,
    urls: TrackedUrls,
    insertions: Sequence[tuple[int, bytes]],
) -> Rendered:
    """Make the copy for one recipient.

    Raises:
        ValueError: an insertion is behind the header section or inside lines that go.
    """
    for offset, _ in insertions:
        if offset > planned.header_end:
            raise ValueError(
                f"offset {offset} is behind the header section, which ends at {planned.header_end}"
            )
        if any(edit.start < offset < edit.end for edit in planned.header_edits):
            raise ValueError(f"offset {offset} is inside header lines that are removed")
    copying = _Copying(planned, keys, engagement, urls)
    is_tracked = engagement.click_tracking or engagement.open_tracking
    copying.copy(insertions, removes_signatures=is_tracked)
    has_signatures = any(edit.is_signature for edit in planned.header_edits)
    if has_signatures and not copying.is_changed:
        # A signature over an unchanged body holds.
        copying = _Copying(planned, keys, engagement, urls)
        copying.copy(insertions, removes_signatures=False)
    return copying.finish()


class _Splice:
    """Replaces ranges of some bytes, front to back."""

    __slots__ = ("_copied", "_source", "edits", "out")

    def __init__(self, source: bytes) -> None:
        self._source = source
        self._copied = 0
        self.out = bytearray()
        self.edits: list[tuple[int, int, bytes]] = []

    def replace(self, start: int, end: int, new: bytes) -> None:
        self.out += self._source[self._copied : start]
        self.out += new
        self._copied = end
        self.edits.append((start, end - start, new))

    def measure_column(self, at: int) -> int:
        """Return how many bytes will stand before an offset of the source on its line."""
        newline = self._source.rfind(b"\n", self._copied, at)
        if newline >= 0:
            return at - newline - 1
        return at - self._copied + len(self.out) - (self.out.rfind(b"\n") + 1)

    def measure(self, at: int) -> int:
        """Return how many bytes will stand before an offset of the source."""
        return len(self.out) + at - self._copied

    def cut(self, start: int, end: int) -> bytes:
        """Return what will stand from an offset of the copy to one of the source."""
        behind = self._source[self._copied : end]
        if start > len(self.out):
            return behind[start - len(self.out) :]
        return bytes(self.out[start:]) + behind

    def finish(self) -> bytes:
        self.out += self._source[self._copied :]
        self._copied = len(self._source)
        return bytes(self.out)


class _Copying:
    """One copy while it is made."""

    def __init__(
        self, planned: PlannedMessage, keys: KeyRing, engagement: Engagement, urls: TrackedUrls
    ) -> None:
        self._planned = planned
        self._engagement = engagement
        self._splice = _Splice(planned.message)
        self._sealer = Sealer(planned, keys, engagement, urls)
        self._left: list[LeftAlone] = []
        self._wrapped = 0
        self._pixels = 0
        self._must_fold = False
        self._clips_html = False
        self.is_changed = False

    def copy(self, insertions: Sequence[tuple[int, bytes]], *, removes_signatures: bool) -> None:
        header = [(edit.start, edit.end, b"") for edit in self._planned.header_edits
                  if removes_signatures or not edit.is_signature]  # fmt: skip
        header += [(offset, offset, lines) for offset, lines in insertions]
        # Before what begins where it goes, in the order of the insertions.
        for start, end, new in sorted(header, key=lambda edit: (edit[0], edit[1] > edit[0])):
            self._splice.replace(start, end, new)
        opens = self._engagement.open_tracking
        for lack in self._planned.lacks:
            if opens and (self._engagement.initial_pixel or not lack.is_initial):
                self._left.append(lack.left)
        for part in self._planned.planned:
            start = self._splice.measure(part.body.leaf.start)
            if part.body.form == "base64":
                self._copy_base64(part)
            else:
                for edit in part.edits:
                    self._edit(part, edit)
            self._clips_html |= self._outgrows(part, start)

    def finish(self) -> Rendered:
        message = self._splice.finish()
        return Rendered(
            message=message,
            edits=tuple(self._splice.edits),
            left_alone=tuple(sorted(self._left, key=lambda left: left.offset)),
            wrapped_links=self._wrapped,
            pixels=self._pixels,
            links_without_metadata=tuple(self._sealer.links_without_metadata),
            pixels_without_metadata=tuple(self._sealer.pixels_without_metadata),
            clips_html=self._clips_html,
        )

    def _outgrows(self, part: PlannedPart, start: int) -> bool:
        """Tell whether HTML that was shown whole is cut by Gmail in this copy."""
        body = part.body
        if body.leaf.role != "html" or len(body.content) > _MAX_SHOWN:
            return False
        encoded = self._splice.cut(start, body.leaf.end)
        if len(encoded) <= _MAX_SHOWN:
            return False
        if body.form == "base64":
            return len(base64.decode(encoded)) > _MAX_SHOWN
        if body.form == "quoted-printable":
            return len(Decoded(encoded, 0).content) > _MAX_SHOWN
        return True

    # Parts whose lines are edited

    def _edit(self, part: PlannedPart, edit: Edit) -> None:
        around = edit.around
        column = self._splice.measure_column(edit.start)
        try:
            if part.body.form != "verbatim":
                new = self._encode_line(part, edit, around, column)
            elif part.body.is_wide:
                new = part.body.encode(self._fill(edit, _NO_LIMIT))
            elif isinstance(edit.change, Href):
                new = self._wrap(part, edit, around, column)
            else:
                new = part.body.encode(self._fill_line(part, edit, around, column))
        except _OffError:
            return
        except LeftAloneError as error:
            self._leave(edit.start, edit.end, edit, error.reason)
            return
        self._splice.replace(edit.start, edit.end, new)
        self.is_changed = True

    def _fill_line(self, part: PlannedPart, edit: Edit, around: Around, column: int) -> bytes:
        kept = column + len(around.after)
        change = edit.change
        if isinstance(change, Removal):
            new = self._fill(edit, 0)
            joins = b"\n" in self._planned.message[edit.start : edit.end]
            is_long = joins and kept > MAX_LINE and not around.is_too_long
            return part.eol if is_long else new
        if isinstance(change, Pixel) and change.is_line:
            return part.eol + self._fill(edit, MAX_LINE) + part.eol
        return self._fill(edit, _NO_LIMIT if around.is_too_long else max(MAX_LINE - kept, 0))

    def _encode_line(self, part: PlannedPart, edit: Edit, around: Around, column: int) -> bytes:
        is_line = isinstance(edit.change, Pixel) and edit.change.is_line
        text = self._fill(edit, _NO_LIMIT)
        if is_line and part.body.is_wide:
            # A line break of the text is not one of the encoded lines.
            text = part.eol + text + part.eol
            is_line = False
        text = part.body.encode(text)
        return encode_line(
            text,
            column=column,
            tail=len(around.after),
            eol=part.encoded_eol,
            is_line=is_line,
            needs_soft_break=around.before[-1:] in (b" ", b"\t", b"="),
        )

    def _wrap(self, part: PlannedPart, edit: Edit, around: Around, column: int) -> bytes:
        """Return a wrapped link's URL; break the line before its `href` if it is too long else."""
        fold = edit.fold
        if self._must_fold and fold is not None:
            self._break_line(fold, part.eol)
            column = self._splice.measure_column(edit.start)
            fold = None
        tail, to_next = len(around.after), edit.to_next_fold
        folded = None if fold is None else edit.start - fold - 1
        # The one that changes least first: room, whether it folds, whether the next must.
        ways = [
            (MAX_LINE - at - rest, is_folded, folds_next)
            for rest, folds_next in ((tail, False), (to_next, True))
            for at, is_folded in ((column, False), (folded, True))
            if at is not None and rest is not None
        ]
        room = _NO_LIMIT if around.is_too_long else max(0, *(way[0] for way in ways))
        url = self._fill(edit, room)
        if not around.is_too_long:
            _, is_folded, folds_next = next(way for way in ways if len(url) <= way[0])
            if is_folded and fold is not None:
                self._break_line(fold, part.eol)
            self._must_fold |= folds_next
        return url

    def _break_line(self, fold: int, eol: bytes) -> None:
        self._splice.replace(fold, fold + 1, eol)
        self._must_fold = False
        self.is_changed = True

    # Parts in base64

    def _copy_base64(self, part: PlannedPart) -> None:
        if not part.edits:
            return
        body, message = part.body, self._planned.message
        group = part.edits[0].start // 3
        layout = base64.find_group(message[body.leaf.start : body.leaf.end], group)
        start = body.leaf.start + layout.start
        end = body.leaf.start + layout.end
        splice = _Splice(body.content)
        splice.replace(0, group * 3, b"")
        for edit in part.edits:
            try:
                new = self._fill(edit, _NO_LIMIT)
            except _OffError:
                continue
            except LeftAloneError as error:
                self._leave(start, end, edit, error.reason)
                continue
            if isinstance(edit.change, Pixel) and edit.change.is_line:
                new = part.eol + new + part.eol
            splice.replace(edit.start, edit.end, body.encode(new))
        if len(splice.edits) == 1:
            return
        encoded = base64.encode(splice.finish(), layout, part.encoded_eol)
        self._splice.replace(start, end, encoded)
        self.is_changed = True

    # All

    def _fill(self, edit: Edit, room: int) -> bytes:
        """Return what goes to a place, line breaks around a pixel excluded.

        Raises:
            LeftAloneError: why nothing does.
            _OffError: it is not tracked.
        """
        change, engagement = edit.change, self._engagement
        if isinstance(change, Kept):
            raise _OffError
        if isinstance(change, Removal):
            if not self._removes(change):
                raise _OffError
            return b""
        if isinstance(change, Href):
            if not engagement.click_tracking:
                raise _OffError
            url = self._sealer.make_link(change, room)
            self._wrapped += 1
            return url
        is_initial = change.kind.endswith("initial_open")
        if not engagement.open_tracking or (is_initial and not engagement.initial_pixel):
            raise _OffError
        before, after = _MARKUP[change.kind]
        url = self._sealer.make_pixel(change, max(room - len(before) - len(after), 0))
        self._pixels += 1
        return before + url + after

    def _removes(self, removal: Removal) -> bool:
        clicks, opens = self._engagement.click_tracking, self._engagement.open_tracking
        if removal.of == "text":
            return clicks or opens or self._planned.strips_text_options
        return clicks and (removal.of == "html" or self._sealer.wraps_amp)

    def _leave(self, start: int, end: int, edit: Edit, reason: Reason) -> None:
        change = edit.change
        target = self._planned.links[change.number].target if isinstance(change, Href) else None
        self._left.append(
            LeftAlone(offset=start, length=end - start, reason=reason.value, target=target)
        )
