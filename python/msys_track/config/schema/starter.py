"""A file to begin with: every table and key, with its meaning, what is allowed and the default.

Required keys are set; each other key is a comment that shows its default.
"""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Final

from msys_track.config.document import KeyPath
from msys_track.config.schema.tables import FAMILIES, NESTED, TABLES, TEXTS, TOP, Key
from msys_track.config.toml.names import write_name
from msys_track.config.toml.writing import header_text, value_text

_WIDTH: Final = 98
_HEAD: Final = (
    "The configuration of msys-track, explained in docs/configuration.md.",
    (
        "A line such as `#smtpapi = true` shows the default or an example; remove its # to set "
        "the key."
    ),
)
_SCOPES: Final = (
    "Scopes: options for some mail only. Each may have every key of [listener]; of two that "
    "set the same key the first of these counts: [listen.….peer.…], [peer.…], [listen.…], "
    "[listener]; in each of them its own key before its pathway's."
)
# A scope's table, and the keys that show what it is good for.
_EXAMPLES: Final[Mapping[KeyPath, Mapping[str, object]]] = {
    ("listen", "127.0.0.1:2525"): {"open_tracking_enabled": True},
    ("listen", "127.0.0.1:2525", "peer", "10.0.0.0/8"): {"pathway": "receipts"},
    ("peer", "192.0.2.0/24"): {"pathway": "newsletter"},
    ("pathway", "receipts"): {"click_tracking_enabled": False},
    ("pathway_group", "marketing"): {"tracking_link_expiry": 2_592_000},
    ("pathway_group", "marketing", "pathway", "newsletter"): {"open_tracking_enabled": True},
}


def starter() -> str:
    """Write the file; it names a key file `keys.toml` that must be made beside it."""
    return "".join(f"{line}\n" for line in _lines())


def _lines() -> Iterator[str]:
    for paragraph in _HEAD:
        yield from _comment(paragraph)
    yield ""
    yield from _keys(TOP)
    for name, keys in TABLES.items():
        yield from ("", *_comment(TEXTS[name]), header_text((name,)))
        yield from _keys(keys)
    for name, family in FAMILIES.items():
        yield from ("", *_comment(TEXTS[name]), f"#{header_text((name, family.example))}")
        yield from _keys(family.keys, mark="#")
    yield from ("", *_comment(_SCOPES))
    explained: set[str] = set()
    for path, example in _EXAMPLES.items():
        kind = str(path[-2])
        text = TEXTS[kind] if kind in NESTED and kind not in explained else ""
        explained.add(kind)
        yield from ("", *_comment(text), f"#{header_text(path)}")
        for name, value in example.items():
            yield f"#{write_name(name)} = {value_text(value)}"


def _keys(keys: Mapping[str, Key], mark: str = "") -> Iterator[str]:
    for name, key in keys.items():
        text = f"{key.text[0].upper()}{key.text[1:]}."
        unset = f" Not set: {key.unset}." if key.unset else ""
        yield from _comment(f"{text} Allowed: {key.kind.allowed}.{unset}")
        value = key.example if key.default is None else key.default
        yield f"{mark if key.is_required else '#'}{name} = {value_text(value)}"


def _comment(text: str) -> Iterator[str]:
    # "# " as prose has it; a key that is switched off has no space after its #.
    yield from textwrap.wrap(
        text,
        _WIDTH,
        initial_indent="# ",
        subsequent_indent="# ",
        break_long_words=False,
        break_on_hyphens=False,
    )
