"""Pages that show what they claim: their fenced blocks, so that tests can run them."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

_PIECE = re.compile(
    r"^(?P<level>#{1,6}) (?P<heading>.*)$"
    r"|^(?P<indent> *)```(?P<info>.*)\n(?P<text>(?s:.*?))^(?P=indent)```$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block and where it stands.

    Attributes:
        section: The heading of the second level above it.
        heading: The nearest heading above it.
        line: The line of its fence.
        language: The first word behind the fence.
        role: The other words: the name of a file, or what the block is for.
        text: Its lines, each with its end.
    """

    section: str
    heading: str
    line: int
    language: str
    role: str
    text: str


def read_blocks(page: str | Path) -> Iterator[Block]:
    """Read the blocks of a page in `docs`, or of another one by its path, in their order."""
    section = heading = ""
    text = (DOCS / page).read_text(encoding="utf-8")
    for piece in _PIECE.finditer(text):
        if piece["heading"] is not None:
            heading = piece["heading"]
            section = heading if piece["level"] == "##" else section
            continue
        language, _, role = piece["info"].partition(" ")
        yield Block(
            section=section,
            heading=heading,
            line=text.count("\n", 0, piece.start()) + 1,
            language=language,
            role=role,
            text=textwrap.dedent(piece["text"]) if piece["indent"] else piece["text"],
        )


def fits(shown: str, found: str) -> bool:
    """Whether a text is as shown, where `…` stands for anything within a line."""
    pattern = ".*".join(map(re.escape, shown.split("…")))
    return re.fullmatch(pattern, found) is not None
