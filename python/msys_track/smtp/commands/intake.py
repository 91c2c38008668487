"""The bytes of one message as they arrive, by DATA or by BDAT, within their limits.

The core looks for the end of data; Python takes no line in its hand.
"""

from typing import Final, Literal, Protocol, TypeAlias

from msys_track.smtp.data import find_end_of_data

Over: TypeAlias = Literal["size", "budget"]

# CRLF . CR: all of the end but its last byte may have been read before.
_OVERLAP_BYTES: Final = 4
_END_BYTES: Final = 3
_NOT_AT_START: Final = _END_BYTES  # `find_end_of_data` then takes no dot for the first line


class Room(Protocol):
    """The memory that one message may take."""

    def take(self, count: int) -> bool:
        """Take room for `count` bytes more; False: there is none."""
        ...

    def release(self) -> None:
        """Give all of it back."""
        ...


class Intake:
    """What has come of one message.

    Args:
        max_bytes: the largest message, as on the wire but for its end line.
        room: asked before bytes are kept; given back once a limit was passed.
    """

    __slots__ = ("_kept", "_max_bytes", "_room", "_tail", "length", "over")

    def __init__(self, max_bytes: int, room: Room) -> None:
        self.over: Over | None = None
        """The limit that was passed. From then on what comes is dropped."""
        self._max_bytes = max_bytes
        self._room = room
        self._kept: bytes | bytearray = b""
        self.length = 0
        """Bytes that have come, kept or dropped."""
        self._tail = b""

    @property
    def wire(self) -> bytes:
        """All bytes so far; nothing once a limit was passed."""
        return bytes(self._kept)

    def take_data(self, chunk: bytes) -> int | None:
        """Take what was read after 354; return where in it the next command begins.

        Nothing but CRLF.CRLF ends the data; None: its end is still to come.
        """
        if not self.length:
            dot = find_end_of_data(chunk, 0)
            if dot is None:
                self._keep(chunk, _OVERLAP_BYTES)
                self._tail = chunk[-_OVERLAP_BYTES:]
                return None
            self._keep(chunk[:dot], 0)
            return dot + _END_BYTES
        # The space: the window is not the first line, though it may begin with a dot.
        window = b"%b%b" % (self._tail, chunk)
        at_start = 0 if len(self._tail) == self.length else _NOT_AT_START
        dot = find_end_of_data(window, at_start)
        if dot is None:
            self._keep(chunk, _OVERLAP_BYTES)
            self._tail = window[-_OVERLAP_BYTES:]
            return None
        in_chunk = dot - len(self._tail)
        if in_chunk >= 0:
            self._keep(chunk[:in_chunk], 0)
        else:
            self._drop_last(-in_chunk)
        return in_chunk + _END_BYTES

    def take_chunk(self, octets: bytes) -> None:
        """Take octets of a BDAT chunk."""
        self._keep(octets, 0)

    def _keep(self, piece: bytes, slack: int) -> None:
        """Keep a piece, of which the last `slack` bytes may turn out to be the end line."""
        self.length += len(piece)
        if self.over is not None:
            return
        if self.length > self._max_bytes + slack:
            self.over = "size"
        elif not self._room.take(len(piece)):
            self.over = "budget"
        elif not self._kept:
            self._kept = piece
            return
        else:
            # Not a list of pieces: those could take far more than their bytes.
            if isinstance(self._kept, bytes):
                self._kept = bytearray(self._kept)
            self._kept += piece
            return
        self._kept = b""
        self._room.release()

    def _drop_last(self, count: int) -> None:
        """Drop bytes that turned out to be of the end line."""
        self.length -= count
        if self.over is None:
            self._kept = self._kept[:-count]
            if self.length > self._max_bytes:
                self.over, self._kept = "size", b""
                self._room.release()
