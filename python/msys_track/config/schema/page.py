"""The tables of `docs/configuration.md`, made from the keys."""

import re
import sys
from typing import Final

from msys_track.config.schema.tables import TABLES, TOP, Key
from msys_track.config.toml.writing import value_text

_TABLE: Final = re.compile(r"(?<=\| --- \| --- \| --- \| --- \|\n)(?:\|.*\n)*")


def write_page(page: str) -> str:
    """Write the page again, each section's table with a row for each of its keys."""
    sections = re.split(r"^(?=## )", page, flags=re.MULTILINE)
    return "".join(map(_write_section, sections))


def _write_section(section: str) -> str:
    title = section.partition("\n")[0].removeprefix("## ")
    keys = {"Top level": TOP, **{f"`[{name}]`": keys for name, keys in TABLES.items()}}.get(title)
    if keys is None:
        return section
    rows = "".join(_write_row(name, key) for name, key in keys.items())
    return _TABLE.sub(lambda _: rows, section, count=1)


def _write_row(name: str, key: Key) -> str:
    otherwise = "**needed**" if key.is_required else key.unset or f"`{value_text(key.default)}`"
    return f"| `{name}` | {key.text} | {key.kind.allowed} | {otherwise} |\n"


if __name__ == "__main__":
    sys.stdout.write(write_page(sys.stdin.read()))
