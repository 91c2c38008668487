"""Momentum's Lua, read as the Lua that runs here: a patched 5.1 against a plain 5.4.

Momentum lets policies write `a != b` and `!a`. Lines stay where they are, so errors name them.
"""

import re
from typing import Final

from msys_track.errors import PicklableError

_LEXEME: Final = re.compile(
    rb"--\[(?P<comment>=*)\[.*?(?:\](?P=comment)\]|\Z)"
    rb"|--[^\n]*"
    rb"|\[(?P<text>=*)\[.*?(?:\](?P=text)\]|\Z)"
    rb"|\"(?:[^\"\\\n]|\\.)*\""
    rb"|'(?:[^'\\\n]|\\.)*'"
    rb"|(?P<unequal>!=)"
    rb"|(?P<inverted>!)"
    rb"|(?P<closing><\s*close\s*>)",
    re.DOTALL,
)


class NotAllowed(PicklableError, ValueError):  # noqa: N818 - what the source asks for
    """The source uses what a sandbox can't stop; `line` counts from 1."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line


def translated(source: bytes, *, is_sandboxed: bool) -> bytes:
    """Return the source for Lua 5.4, with every line where it was.

    Raises:
        NotAllowed: in a sandbox, a variable with `<close>`; its handler runs while limits unwind.
    """
    source = source.removeprefix(b"\xef\xbb\xbf")
    if source.startswith(b"#"):
        source = b"--" + source

    def replaced(lexeme: re.Match[bytes]) -> bytes:
        if lexeme["unequal"]:
            return b"~="
        if lexeme["inverted"]:
            return b" not "
        if lexeme["closing"] and is_sandboxed:
            line = source.count(b"\n", 0, lexeme.start()) + 1
            raise NotAllowed(line, "variables with <close> are not available in the sandbox")
        return lexeme[0]

    return _LEXEME.sub(replaced, source)
