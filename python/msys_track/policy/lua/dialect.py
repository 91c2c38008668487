"""Translates Momentum's Lua, a patched 5.1, to Lua 5.4.

In Momentum policies may write `a != b` and `!a`. Every line keeps its number, so that errors name
the right one.
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


class ForbiddenSourceError(PicklableError, ValueError):
    """The source uses a feature that a sandbox can't limit; `line` counts from 1."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line


def translate_source(source: bytes, *, is_sandboxed: bool) -> bytes:
    """Return the source for Lua 5.4, with the same lines.

    Raises:
        ForbiddenSourceError: a variable with `<close>` in a sandbox. Its handler would still
            run after a limit has ended the policy.
    """
    source = source.removeprefix(b"\xef\xbb\xbf")
    if source.startswith(b"#"):
        source = b"--" + source

    def replace_lexeme(lexeme: re.Match[bytes]) -> bytes:
        if lexeme["unequal"]:
            return b"~="
        if lexeme["inverted"]:
            return b" not "
        if lexeme["closing"] and is_sandboxed:
            line = source.count(b"\n", 0, lexeme.start()) + 1
            raise ForbiddenSourceError(
                line, "variables with <close> are not available in the sandbox"
            )
        return lexeme[0]

    return _LEXEME.sub(replace_lexeme, source)
