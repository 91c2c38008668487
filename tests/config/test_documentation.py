"""The page says of every key what the schema says of it, and its examples are good files."""

import io
import re
import runpy
import sys
import tomllib
from pathlib import Path

import pytest

from msys_track.config.checking import check_configuration
from msys_track.config.schema import page
from msys_track.config.schema.page import write_page
from msys_track.config.schema.tables import FAMILIES, NESTED, TABLES, TOP

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
EXAMPLES = [each.split("```")[0] for each in PAGE.split("```toml\n")[1:]]


def test_the_page_has_a_row_for_every_key_of_every_table() -> None:
    assert write_page(PAGE) == PAGE, "write it again: make pages"
    tables = {"Top level": TOP, **{f"`[{name}]`": keys for name, keys in TABLES.items()}}
    tables |= {f"`[{name}.…]`": family.keys for name, family in FAMILIES.items()}
    for name, keys in tables.items():
        section = PAGE.split(f"## {name}\n")[1]
        table = section.partition("\n## ")[0]
        assert [line.split("`")[1] for line in table.splitlines() if line.startswith("| `")] == [
            *keys
        ]


def test_the_command_that_writes_the_page_writes_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(PAGE))
    runpy.run_path(page.__file__, run_name="__main__")
    assert capsys.readouterr().out == PAGE


def test_the_page_has_every_kind_of_scope() -> None:
    scopes = PAGE.split("## Scopes\n")[1].split("\n## ")[0]
    for name, inner in NESTED.items():
        assert f"`[{name}." in scopes
        assert all(re.search(rf"`\[{name}\..*\.{each}\.", scopes) for each in inner)


@pytest.mark.parametrize("example", EXAMPLES, ids=["the first", "scopes"])
def test_an_example_is_a_good_file(folder: Path, example: str) -> None:
    path = folder / "msys-track.toml"
    path.write_text(example, encoding="utf-8")
    assert [problem.format_line(path) for problem in check_configuration(path).problems] == []


def test_the_first_example_has_what_both_servers_need() -> None:
    assert set(tomllib.loads(EXAMPLES[0])) == {"keys", "listener", "proxy", "tracker"}
