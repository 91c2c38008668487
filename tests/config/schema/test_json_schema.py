"""The schema and the check agree, wherever a schema can see what is wrong."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from tests.config.mutations import Mutation, combinations, good, mutate, mutations

from msys_track.config.schema.json_schema import json_schema
from msys_track.config.schema.tables import SCOPE, TABLES, TOP

NAMES = ("servers.toml", "scopes.toml")
VALIDATOR = Draft202012Validator(json_schema())
KEYS = {
    **{f"{table}.{name}": key for table, keys in TABLES.items() for name, key in keys.items()},
    **TOP,
}
SCHEMAS = {name: Draft202012Validator(dict(key.kind.json_schema)) for name, key in KEYS.items()}
REFUSED: tuple[object, ...] = (
    -1, 0, 1.5, 2**70, 10**9 + 0.5, "", " ", "\n", "x y", "ftp", "a.test:0", "a.test:70000", "::1",
    "[::1]", "http://x.test", "x" * 3_000, [], [7], [""], {}, {"a": 1}, [["x"]],
    "env:", "env:1", "env:a b", "credential:a/b",
)  # fmt: skip
ALLOWED: tuple[object, ...] = (
    True, False, 1, 2, 600, 2**31 - 1, 0.25, "http", "HTTPS", "skip", "continue", "a", "a.test",
    "a.test:80", "[::1]:65535", "127.0.0.1:00025", "x/y.toml", ["a*"], ["10.0.0.0/8", "::1"],
    {"a": "b"}, ["10.0.0.0/255.0.0.0", "fe80::/10"], "[192.0.2.1]",
    "env:A_1", "credential:a.b-c",
)  # fmt: skip


def is_valid(members: Any) -> bool:
    return bool(VALIDATOR.is_valid(members))


def test_the_schema_is_one() -> None:
    Draft202012Validator.check_schema(json_schema())


def test_the_committed_schema_is_up_to_date() -> None:
    page = Path(__file__).parents[3] / "docs" / "msys-track.schema.json"
    made = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    assert page.read_text(encoding="utf-8") == made, "write it again: make pages"


@pytest.mark.parametrize("name", NAMES)
def test_a_good_file_is_valid(name: str) -> None:
    assert is_valid(tomllib.loads(good(name)))


CHOSEN = [
    (name, chosen)
    for name in NAMES
    for chosen in [*((each,) for each in mutations(name)), *combinations(name, 60, seed=21)]
    if all(each.seen != "no TOML" for each in chosen)
]


def agree(name: str, chosen: tuple[Mutation, ...]) -> bool:
    text, _ = mutate(good(name), chosen)
    return is_valid(tomllib.loads(text)) is all(each.seen == "unseen" for each in chosen)


def test_schema_and_check_agree_on_what_a_schema_can_see() -> None:
    assert len(CHOSEN) > 100
    assert [
        (name, [each.name for each in chosen])
        for name, chosen in CHOSEN
        if not agree(name, chosen)
    ] == []


def test_an_upstream_of_its_own_table_is_one() -> None:
    proxy = {"keys": "keys.toml", "proxy": {}}
    assert is_valid({**proxy, "upstream": {"main": {"address": "127.0.0.1:25"}}})
    assert not is_valid(proxy)
    assert not is_valid({**proxy, "upstream": {}})


NO_TOML = [(name, each) for name in NAMES for each in mutations(name) if each.seen == "no TOML"]


@pytest.mark.parametrize(
    ("name", "mutation"), NO_TOML, ids=lambda part: part if isinstance(part, str) else part.name
)
def test_what_is_marked_as_no_toml_is_none(name: str, mutation: Mutation) -> None:
    text, _ = mutate(good(name), [mutation])
    with pytest.raises(tomllib.TOMLDecodeError):
        tomllib.loads(text)


def test_what_a_key_allows_its_schema_allows() -> None:
    assert [
        (name, value)
        for name, key in KEYS.items()
        for value in (*ALLOWED, *REFUSED)
        if key.kind.allows(value) and not SCHEMAS[name].is_valid(value)
    ] == []


@given(
    st.sampled_from(sorted(SCOPE)),
    st.booleans() | st.integers(-1, 2**33) | st.text("aA-_.:[]/0159 *", max_size=12),
)
def test_the_schema_of_a_scopes_key_refuses_nothing_that_is_allowed(
    name: str, value: object
) -> None:
    if SCOPE[name].kind.allows(value):
        assert is_valid({"listener": {name: value}})


def test_a_default_is_allowed_by_its_own_key() -> None:
    shown = {
        name: key.example if key.default is None else key.default for name, key in KEYS.items()
    }
    assert [name for name in KEYS if not KEYS[name].kind.allows(shown[name])] == []
    assert [name for name in KEYS if not SCHEMAS[name].is_valid(shown[name])] == []
