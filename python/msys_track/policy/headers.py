"""A message's header as policy reads it: lazily, since most policies ask for one field or none.

Momentum's `msg:header` gives values without folding and RFC 2047 encoding; so does this. What
can't be decoded is given as it stands, because a policy must be able to decide about bad mail too.
"""

import re
from typing import Final

from msys_track.smtpapi.json import JsonFault
from msys_track.smtpapi.unfold import decoded, unfolded

_END: Final = re.compile(rb"\r?\n\r?\n")
_LINES: Final = re.compile(
    rb"^(?:([!-9;-~]+)[ \t]*:|(?=[ \t]))(.*(?:\n[ \t].*)*)", re.MULTILINE
)  # RFC 5322 section 2.2; white space before the colon is section 4.5's


class Headers:
    """Read-only view of a message's own header section; `message` is never changed or copied."""

    __slots__ = ("_names", "_values", "message")

    def __init__(self, message: bytes = b"") -> None:
        self.message = message
        self._names: tuple[str, ...] | None = None
        self._values: dict[str, list[list[bytes]]] = {}

    def get(self, name: str) -> list[str]:
        """Return the values of a field, top down, name compared without case; empty if absent."""
        self.names()
        return [_text(b"\n".join(lines)) for lines in self._values.get(name.lower(), ())]

    def names(self) -> tuple[str, ...]:
        """Return the fields' names as written, in the message's order, repetitions included."""
        if self._names is None:
            self._names = self._read()
        return self._names

    def __repr__(self) -> str:
        return f"Headers({', '.join(self.names())})"

    def _read(self) -> tuple[str, ...]:
        names: list[str] = []
        for lines in _LINES.finditer(self.message, 0, self._length()):
            if lines[1] is not None:
                names.append(lines[1].decode("ascii"))
                self._values.setdefault(names[-1].lower(), []).append([lines[2]])
            elif names:  # the last field goes on behind a line that is none
                self._values[names[-1].lower()][-1].append(lines[2])
        return tuple(names)

    def _length(self) -> int:
        if self.message.startswith((b"\r\n", b"\n")):
            return 0
        end = _END.search(self.message)
        return len(self.message) if end is None else end.start()


def _text(value: bytes) -> str:
    plain = unfolded(value)
    try:
        return decoded(plain)
    except JsonFault:
        return plain.decode("utf-8", errors="replace")
