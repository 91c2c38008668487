import json
import re
import tomllib
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from msys_track.config.schema import TABLES, Key
from msys_track.config.toml import load
from msys_track.options.resolve import resolve
from msys_track.options.tracking import TrackingOptions

PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
SECTION = re.compile(r"^## `\[(\w+)\]`\n(.*?)(?=^## |\Z)", re.DOTALL | re.MULTILINE)
ROW = re.compile(r"^\| `(\w+)` \|.*\| (.*?) ?\|$", re.MULTILINE)

DOCUMENTED = {name: dict(ROW.findall(body)) for name, body in SECTION.findall(PAGE)}
KEYS = [(table, name, key) for table, keys in TABLES.items() for name, key in keys.items()]


def default(key: Key) -> object:
    if key.settings is TrackingOptions:
        return getattr(resolve(None, TrackingOptions()), key.fields[0]).value
    known = {field.name: field.default for field in fields(key.settings)}
    values = [known[name] for name in key.fields]
    if len(values) > 1:
        return ":".join(map(str, values))
    return list(values[0]) if isinstance(values[0], tuple) else values[0]


def test_the_page_has_every_table_and_every_key() -> None:
    assert {table: set(keys) for table, keys in DOCUMENTED.items()} == {
        table: set(keys) for table, keys in TABLES.items()
    }


@pytest.mark.parametrize(("table", "name", "key"), KEYS, ids=lambda part: str(part)[:40])
def test_the_page_has_the_default_that_holds(table: str, name: str, key: Key) -> None:
    said = DOCUMENTED[table][name].strip("`")
    if key.is_required:
        assert said == ""
    elif default(key) not in (None, MISSING):
        assert json.loads(said) == default(key)


def test_the_first_example_is_a_good_file(tmp_path: Path) -> None:
    example = PAGE.split("```toml\n")[1].split("```")[0]
    assert set(tomllib.loads(example)) == {"keys", "listener", "proxy", "tracker"}
    (tmp_path / "keys.toml").touch()
    (tmp_path / "msys-track.toml").write_text(example, encoding="utf-8")
    assert load(tmp_path / "msys-track.toml").tracker is not None
