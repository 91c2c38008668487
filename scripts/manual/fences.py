"""Fences as the pages write them, for Zensical: a word behind the language is the block's title.

Code hosts show a block whose fence says more than its language, and tests read what it says
(`toml msys-track.toml`, `eml arrives`). Python-Markdown would take such a fence for text, and then
everything up to the next fence for a block.
"""

import re
from typing import Final

from markdown import Extension, Markdown
from markdown.preprocessors import Preprocessor

_FENCE: Final = re.compile(r"^(?P<start> *```\w+) +(?P<label>[^`\"={}]+?) *$")
# Before blocks are cut out (25), and before white space is made even (30).
_PRIORITY: Final = 35


class _Titles(Preprocessor):
    def run(self, lines: list[str]) -> list[str]:
        return [_FENCE.sub(r'\g<start> title="\g<label>"', line) for line in lines]


class _Fences(Extension):
    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 - Python-Markdown's name
        md.preprocessors.register(_Titles(md), "fence_titles", _PRIORITY)


def makeExtension(**_settings: object) -> Extension:  # noqa: N802 - Python-Markdown's name
    """Make the extension; Python-Markdown looks for this name."""
    return _Fences()
