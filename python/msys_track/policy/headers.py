"""A message's header as a policy sees it.

The header is read when a policy first asks for it, because most policies ask for no field. Like
Momentum's `msg:header`, values are unfolded and RFC 2047 encoded-words are decoded. A value that
can't be decoded is returned as it stands, so that a policy can also decide about bad mail.
"""

import re
from typing import Final

from msys_track.smtpapi.json import JsonError
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
        values: list[str] = []
        for lines in self._values.get(name.lower(), ()):
            value = unfold_value(b"\n".join(lines))
            try:
                values.append(decode_words(value))
            except JsonError:
                values.append(value.decode("utf-8", errors="replace"))
        return values

    def names(self) -> tuple[str, ...]:
        """Return the names of all fields as written, in order, repetitions included."""
        if self._names is not None:
            return self._names
        names: list[str] = []
        if not self.message.startswith((b"\r\n", b"\n")):
            end = _END.search(self.message)
            length = len(self.message) if end is None else end.start()
            for lines in _LINES.finditer(self.message, 0, length):
                if lines[1] is not None:
                    names.append(lines[1].decode("ascii"))
                    self._values.setdefault(names[-1].lower(), []).append([lines[2]])
                elif names:  # the last field continues after a line that is not a field
                    self._values[names[-1].lower()][-1].append(lines[2])
        self._names = tuple(names)
        return self._names

    def __repr__(self) -> str:
        return f"Headers({', '.join(self.names())})"
