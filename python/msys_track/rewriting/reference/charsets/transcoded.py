"""Charsets in which a byte below 128 need not be ASCII: read as UTF-8, with the way back.

A place at which ASCII can't be put in, such as the middle of a shifted run, has no way back.
"""

from typing import Final, TypeAlias

from msys_track.reasons import Reason
from msys_track.rewriting.reference.charsets.charset import Order, TranscodedCharset, WideCharset
from msys_track.rewriting.reference.charsets.shifts import Scheme, read_shifted
from msys_track.rewriting.reference.left_alone import LeftAloneError

_UTF_16: Final = 2  # bytes of a unit
_ASCII: Final = 0x80
_HIGH: Final = range(0xD800, 0xDC00)
_LOW: Final = range(0xDC00, 0xE000)
_LAST: Final = 0x10FFFF
_MARK: Final = 0xFEFF


class WideText:
    """A text in UTF-16 or UTF-32."""

    __slots__ = ("_codec", "_places", "content")
    is_wide: Final = True
    has_unread: Final = False

    def __init__(self, source: bytes, charset: WideCharset) -> None:
        """Read a part.

        Raises:
            LeftAloneError: it is not in that charset.
        """
        unit = charset.unit
        order, start = _find_order(source, charset)
        self._codec = f"utf-{8 * unit}-{'le' if order == 'little' else 'be'}"
        body = source[start:]
        if start == 0 and body and _count_ascii(body, unit, order) == 0:
            raise LeftAloneError(Reason.UNSUPPORTED_CHARSET)
        is_whole = len(body) % unit == 0
        whole = body[: len(body) - len(body) % unit]
        units = [int.from_bytes(whole[at : at + unit], order) for at in range(0, len(whole), unit)]
        content = bytearray()
        # Where each byte of the text came from; those within a character have no place.
        self._places: dict[int, int] = {}
        at = 0
        while at < len(units):
            self._places[len(content)] = start + at * unit
            code_point, length = _read_character(units, at, unit)
            content += chr(code_point).encode("utf-8")
            at += length
        self._places[len(content)] = start + at * unit
        if not is_whole:  # nothing goes behind half a unit
            content += "\ufffd".encode()
        self.content = bytes(content)

    def find_range(self, start: int, end: int) -> tuple[int, int] | None:
        """Return the bytes of the part that a range of the text stands for."""
        first, last = self._places.get(start), self._places.get(end)
        return None if first is None or last is None else (first, last)

    def find_insertion(self, at: int) -> int | None:
        """Return where in the part something goes before a character of the text."""
        return self._places.get(at)

    def encode(self, text: bytes) -> bytes:
        """Write ASCII in the part's charset."""
        return text.decode("ascii").encode(self._codec)


class ShiftedText:
    """A text in which ASCII stands byte by byte, unless a shift makes something else of it."""

    __slots__ = ("_escape", "_places", "_within", "content", "has_unread")
    is_wide: Final = False

    def __init__(self, source: bytes, scheme: Scheme) -> None:
        content = bytearray()
        self._places: dict[int, int] = {}
        """Where characters of the text that are ASCII outside of shifts stand."""
        self._within: set[int] = set()
        """Those of them that end base64, which others in their place would go on with."""
        self.has_unread = False
        for shifted in read_shifted(source, scheme):
            if shifted.place is not None:
                self._places[len(content)] = shifted.place
            if shifted.ends_base64:
                self._within.add(len(content))
            self.has_unread |= shifted.is_unread
            content += shifted.text.encode("utf-8")
        self.content = bytes(content)
        self._escape = {"utf-7": (b"+", b"+-"), "hz": (b"~", b"~~")}.get(scheme)

    def find_range(self, start: int, end: int) -> tuple[int, int] | None:
        """Return the bytes of the part that a range of the text stands for."""
        first = self._places.get(start)
        if first is None or start in self._within:
            return None
        last = self._places.get(end - 1)
        # What ends a shift behind the range goes with it if the shift began inside.
        behind = self._places.get(end) if last is None else last + 1
        return None if behind is None else (first, max(first, behind))

    def find_insertion(self, at: int) -> int | None:
        """Return where in the part something goes before a character of the text."""
        return self._places.get(at)

    def encode(self, text: bytes) -> bytes:
        """Write ASCII in the part's charset."""
        return text if self._escape is None else text.replace(*self._escape)


Transcoded: TypeAlias = WideText | ShiftedText


def transcode(source: bytes, charset: TranscodedCharset) -> Transcoded:
    """Read a part.

    Raises:
        LeftAloneError: it is not in that charset.
    """
    if isinstance(charset, WideCharset):
        return WideText(source, charset)
    return ShiftedText(source, charset.scheme)


def _read_character(units: list[int], at: int, unit: int) -> tuple[int, int]:
    value = units[at]
    if unit == _UTF_16 and value in _HIGH:
        low = units[at + 1] if at + 1 < len(units) else 0
        if low in _LOW:
            return 0x10000 + ((value - _HIGH.start) << 10) + low - _LOW.start, 2
    if value in _HIGH or value in _LOW or value > _LAST:
        return 0xFFFD, 1
    return value, 1


def _find_order(source: bytes, charset: WideCharset) -> tuple[Order, int]:
    unit = charset.unit
    orders: tuple[Order, Order] = ("little", "big")
    for order in orders:
        if len(source) >= unit and int.from_bytes(source[:unit], order) == _MARK:
            return order, unit
    if charset.order is not None:
        return charset.order, 0
    little, big = (_count_ascii(source, unit, order) for order in orders)
    is_little = little >= big if unit == _UTF_16 else little > big
    return ("little" if is_little else "big"), 0


def _count_ascii(source: bytes, unit: int, order: Order) -> int:
    return sum(
        0 < int.from_bytes(source[at : at + unit], order) < _ASCII
        for at in range(0, len(source) - unit + 1, unit)
    )
