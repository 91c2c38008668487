"""The tables of `docs/configuration.md`, made from the keys."""

import re
import sys
from typing import Final

from msys_track.config.schema.tables import FAMILIES, TABLES, TOP
from msys_track.config.toml.writing import value_text

_TABLE: Final = re.compile(r"(?<=\| --- \| --- \| --- \| --- \|\n)(?:\|.*\n)*")


def write_page(page: str) -> str:
    """Write the page again, each section's table with a row for each of its keys."""
    sections = page.split("\n## ")
    tables = {
        "Top level": TOP,
        **{f"`[{name}]`": keys for name, keys in TABLES.items()},
        **{f"`[{name}.…]`": family.keys for name, family in FAMILIES.items()},
    }
    for at, section in enumerate(sections):
        keys = tables.get(section.partition("\n")[0], {})
        rows = ""
        for name, key in keys.items():
            unset = (
                "**needed**" if key.is_required else key.unset or f"`{value_text(key.default)}`"
            )
            rows += f"| `{name}` | {key.text} | {key.kind.allowed} | {unset} |\n"
        if rows and (table := _TABLE.search(section)):
            sections[at] = section[: table.start()] + rows + section[table.end() :]
    return "\n## ".join(sections)


if __name__ == "__main__":
    sys.stdout.write(write_page(sys.stdin.read()))
