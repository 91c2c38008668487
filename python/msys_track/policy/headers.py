"""A message's header as a policy sees it.

The header is read when a policy first asks for it, because most policies ask for no field. Like
Momentum's `msg:header`, values are unfolded and RFC 2047 encoded-words are decoded. A value that
can't be decoded is returned as it stands, so that a policy can also decide about bad mail.
"""

import re
from typing import Final

from msys_track.smtpapi.json import JsonFault
from msys_track.smtpapi.unfold import decode_words, unfold_value

_END: Final = re.compile(rb"\r?\n\r?\n")
_LINES: Final = re.compile(
    rb"^(?:([!-9;-~]+)[ \t]*:|(?=[ \t]))(.*(?:\n[ \t].*)*)", re.MULTILINE
)  # RFC 5322 section 2.2; white space before the colon is section 4.5's


class Headers:
    """A read-only view of a message's header section.

    The message is neither changed nor copied.
    """

    __slots__ = ("_names", "_values", "message")

    def __init__(self, message: bytes = b"") -> None:
        self.message = message
        self._names: tuple[str, ...] | None = None
        self._values: dict[str, list[list[bytes]]] = {}

    def get(self, name: str) -> list[str]:
        """Return the values of a field from top to bottom; an empty list if it is absent.

        Upper and lower case are the same in `name`.
        """
        self.names()
        return [_decode_value(b"\n".join(lines)) for lines in self._values.get(name.lower(), ())]

    def names(self) -> tuple[str, ...]:
        """Return the names of all fields as written, in order, repetitions included."""
        if self._names is None:
            self._names = self._read_fields()
        return self._names

    def __repr__(self) -> str:
        return f"Headers({', '.join(self.names())})"

    def _read_fields(self) -> tuple[str, ...]:
        if self.message.startswith((b"\r\n", b"\n")):
            return ()
        end = _END.search(self.message)
        length = len(self.message) if end is None else end.start()
        names: list[str] = []
        for lines in _LINES.finditer(self.message, 0, length):
            if lines[1] is not None:
                names.append(lines[1].decode("ascii"))
                self._values.setdefault(names[-1].lower(), []).append([lines[2]])
            elif names:  # the last field continues after a line that is not a field
                self._values[names[-1].lower()][-1].append(lines[2])
        return tuple(names)


def _decode_value(value: bytes) -> str:
    plain = unfold_value(value)
    try:
        return decode_words(plain)
    except JsonFault:
        return plain.decode("utf-8", errors="replace")
