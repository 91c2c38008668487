"""The tables of `docs/configuration.md`, made from the keys."""

import re
import sys
from typing import Final

from msys_track.config.schema.tables import TABLES, TOP, Key
from msys_track.config.toml.writing import value_text

_TABLE: Final = re.compile(r"(?<=\| --- \| --- \| --- \| --- \|\n)(?:\|.*\n)*")


def write_page(page: str) -> str:
    """Write the page again, each section's table with a row for each of its keys."""
    sections = page.split("\n## ")
    tables = {"Top level": TOP, **{f"`[{name}]`": keys for name, keys in TABLES.items()}}
    for at, section in enumerate(sections):
        keys = tables.get(section.partition("\n")[0], {})
        rows = "".join(_write_row(name, key) for name, key in keys.items())
        if table := _TABLE.search(section) if rows else None:
            sections[at] = section[: table.start()] + rows + section[table.end() :]
    return "\n## ".join(sections)


def _write_row(name: str, key: Key) -> str:
    otherwise = "**needed**" if key.is_required else key.unset or f"`{value_text(key.default)}`"
    return f"| `{name}` | {key.text} | {key.kind.allowed} | {otherwise} |\n"


if __name__ == "__main__":
    sys.stdout.write(write_page(sys.stdin.read()))
