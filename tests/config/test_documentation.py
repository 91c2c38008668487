"""The page says of every key what the schema says of it, and its examples are good files."""

import re
import tomllib
from pathlib import Path

import pytest
from tests.config.mutations import write_named_files

from msys_track.config.checking import checked
from msys_track.config.schema.tables import NESTED, TABLES, TOP, Key
from msys_track.config.toml.writing import value_text

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
SECTION = re.compile(r"^## (?:`\[(\w+)\]`|Top level)\n(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)
ROW = re.compile(r"^\| `\w+` \|.*\|$", re.MULTILINE)
EXAMPLES = [each.split("```")[0] for each in PAGE.split("```toml\n")[1:]]


def row(name: str, key: Key) -> str:
    """Write what the page says of a key."""
    said = "**needed**" if key.is_required else key.unset or f"`{value_text(key.default)}`"
    return f"| `{name}` | {key.text} | {key.kind.allowed} | {said} |"


def test_the_page_has_a_row_for_every_key_of_every_table() -> None:
    documented = {name: ROW.findall(body) for name, body in SECTION.findall(PAGE)}
    assert documented == {
        table: [row(name, key) for name, key in keys.items()]
        for table, keys in {"": TOP, **TABLES}.items()
    }


def test_the_page_has_every_kind_of_scope() -> None:
    scopes = PAGE.split("## Scopes\n")[1].split("\n## ")[0]
    for name, inner in NESTED.items():
        assert f"`[{name}." in scopes
        assert all(re.search(rf"`\[{name}\..*\.{each}\.", scopes) for each in inner)


@pytest.mark.parametrize("example", EXAMPLES, ids=["the first", "scopes"])
def test_an_example_is_a_good_file(tmp_path: Path, example: str) -> None:
    write_named_files(tmp_path)
    path = tmp_path / "msys-track.toml"
    path.write_text(example, encoding="utf-8")
    assert [problem.told(path) for problem in checked(path).problems] == []


def test_the_first_example_has_what_both_servers_need() -> None:
    assert set(tomllib.loads(EXAMPLES[0])) == {"keys", "listener", "proxy", "tracker"}
