"""A message's header as a policy sees it.

The header is read when a policy first asks for it, because most policies ask for no field. Like
Momentum's `msg:header`, values are unfolded and RFC 2047 encoded-words are decoded. A value that
can't be decoded is returned as it stands, so that a policy can also decide about bad mail.

What a policy changes is seen by all that read later. The message's bytes stay.
"""

import re
from typing import Final, Self

from msys_track.policy.changes import Changes, HeaderChange
from msys_track.smtpapi.json import JsonError
from msys_track.smtpapi.unfold import decode_words, unfold_value

_END: Final = re.compile(rb"\r?\n\r?\n")
_LINES: Final = re.compile(
    rb"^(?:([!-9;-~]+)[ \t]*:|(?=[ \t]))(.*(?:\n[ \t].*)*)", re.MULTILINE
)  # RFC 5322 section 2.2; white space before the colon is section 4.5's


class _Section:
    """The header section of one message as it was received, read when first asked for."""

    __slots__ = ("_names", "_values", "message")

    def __init__(self, message: bytes) -> None:
        self.message = message
        self._names: tuple[str, ...] | None = None
        self._values: dict[str, list[list[bytes]]] = {}

    def get(self, name: str) -> list[str]:
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


class Headers:
    """A message's header section with the changes that policy has made so far.

    `append` adds a field after the others of its name, `prepend` one at the top, and a `set` with
    an empty value leaves an empty field, where Momentum's Lua function removes it.

    Attributes:
        message: the bytes as received; None before there is a message.
        changes: what policy wants changed.
    """

    __slots__ = ("_section", "changes", "message")

    def __init__(
        self,
        message: bytes | None = None,
        changes: Changes | None = None,
    ) -> None:
        self.message = message
        self.changes = Changes() if changes is None else changes
        self._section = _Section(message or b"")

    def view(self, message: bytes | None, changes: Changes) -> Self:
        """Return headers with other changes; those of the same message are not read again."""
        headers = type(self)(message, changes)
        if message is self.message:
            headers._section = self._section  # noqa: SLF001 - of its own class
        return headers

    def get(self, name: str) -> list[str]:
        """Return the values of a field from top to bottom; an empty list if it is absent.

        Upper and lower case are the same in `name`.
        """
        values = self._section.get(name)
        for change in self.changes.headers:
            if change.name.lower() != name.lower():
                continue
            if change.value is None:
                values = []
            elif change.how == "replace":
                values = [change.value]
            elif change.how == "append":
                values.append(change.value)
            else:
                values.insert(0, change.value)
        return values

    def names(self) -> tuple[str, ...]:
        """Return the names of all fields as written, in order, repetitions included."""
        names = self._section.names()
        for change in self.changes.headers:
            names = _change_names(names, change)
        return names

    def set(self, name: str, value: str) -> None:
        """Leave one field of that name, with this value.

        Raises:
            TypeError: name or value is not a string.
            ValueError: it can't be such a field, or there is no message yet.
        """
        self.change(HeaderChange(name, value))

    def append(self, name: str, value: str) -> None:
        """Add a field after those of its name, or at the end; raises as `set` does."""
        self.change(HeaderChange(name, value, "append"))

    def prepend(self, name: str, value: str) -> None:
        """Add a field at the top; raises as `set` does."""
        self.change(HeaderChange(name, value, "prepend"))

    def remove(self, name: str) -> None:
        """Remove all fields of that name; raises as `set` does."""
        self.change(HeaderChange(name, None))

    def change(self, change: HeaderChange) -> None:
        """Make any change; raises as `set` does."""
        if self.message is None:
            raise ValueError(f"{change.name}: a header can be changed from validate_data_spool on")
        self.changes.change_header(change)

    def __repr__(self) -> str:
        return f"Headers({', '.join(self.names())})"


def _change_names(names: tuple[str, ...], change: HeaderChange) -> tuple[str, ...]:
    folded = change.name.lower()
    places = [at for at, name in enumerate(names) if name.lower() == folded]
    if change.value is None:
        return tuple(name for name in names if name.lower() != folded)
    if change.how == "prepend":
        return (change.name, *names)
    if change.how == "append" or not places:
        end = places[-1] + 1 if places else len(names)
        return (*names[:end], change.name, *names[end:])
    kept = (name for name in names[places[0] :] if name.lower() != folded)
    return (*names[: places[0]], change.name, *kept)
