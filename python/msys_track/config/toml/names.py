"""Names and texts as TOML writes them, each on one line."""

import re
from typing import Final

_BARE_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES: Final = {
    "\b": r"\b", "\t": r"\t", "\n": r"\n", "\f": r"\f", "\r": r"\r", '"': r"\"", "\\": r"\\",
}  # fmt: skip
_ESCAPED: Final = re.compile(r'[\x00-\x1f\x7f"\\]')


def write_name(name: str) -> str:
    """Write the name of a key or a table, in quotes where it needs them."""
    return name if _BARE_NAME.fullmatch(name) else write_string(name)


def write_string(text: str) -> str:
    """Write a text in quotes."""
    escaped = _ESCAPED.sub(lambda it: _ESCAPES.get(it[0], f"\\u{ord(it[0]):04X}"), text)
    return f'"{escaped}"'
