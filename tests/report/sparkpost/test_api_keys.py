"""API keys: a file that opens nothing to whoever reads it, and what a request's header has."""

import base64
import re
from pathlib import Path

import pytest

from msys_track.errors import ApiKeysError
from msys_track.report.sparkpost.api_keys import (
    ApiKeys,
    Scope,
    make_api_key,
    read_api_keys,
    remove_api_key,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "api-keys.toml"


def test_a_key_is_256_bits_that_the_file_does_not_have(file: Path) -> None:
    secret = make_api_key(file, "billing", [Scope.EVENTS])
    assert re.fullmatch("[0-9a-f]{64}", secret)
    assert secret not in file.read_text(encoding="utf-8")
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_key_is_found_by_its_header(file: Path) -> None:
    make_api_key(file, "other", Scope)
    secret = make_api_key(file, "billing", [Scope.EVENTS])
    found = ApiKeys(file).find(secret)
    assert found is not None
    assert found.name == "billing"
    assert found.scopes == frozenset([Scope.EVENTS])


def test_a_key_is_found_as_the_user_of_http_basic(file: Path) -> None:
    secret = make_api_key(file, "billing", Scope)
    encoded = base64.b64encode(f"{secret}:".encode()).decode()
    assert ApiKeys(file).find(f"Basic {encoded}") is not None


@pytest.mark.parametrize(
    "header", [None, "", "Basic", "Basic ???", "Basic /w==", "Basic Og==", "00", "\udc80"]
)
def test_another_header_opens_nothing(file: Path, header: str | None) -> None:
    make_api_key(file, "billing", Scope)
    assert ApiKeys(file).find(header) is None


def test_without_a_file_nobody_has_a_key() -> None:
    assert ApiKeys(None).find("anything") is None


def test_a_hash_from_the_file_opens_nothing(file: Path) -> None:
    make_api_key(file, "billing", Scope)
    assert ApiKeys(file).find(read_api_keys(file)[0].digest) is None


def test_a_removed_key_opens_nothing_from_then_on(file: Path) -> None:
    secret = make_api_key(file, "billing", Scope)
    keys = ApiKeys(file)
    assert keys.find(secret) is not None
    remove_api_key(file, "billing")
    assert keys.find(secret) is None
    assert read_api_keys(file) == []


def test_a_new_key_opens_without_a_restart(file: Path) -> None:
    make_api_key(file, "billing", Scope)
    keys = ApiKeys(file)
    keys.find("")
    assert keys.find(make_api_key(file, "shop", Scope)) is not None


def test_a_file_that_can_not_be_used_any_more_opens_nothing(file: Path) -> None:
    secret = make_api_key(file, "billing", Scope)
    keys = ApiKeys(file)
    keys.find(secret)
    file.write_text("no keys")
    with pytest.raises(ApiKeysError, match="is not TOML"):
        keys.find(secret)
    file.unlink()
    with pytest.raises(ApiKeysError, match="api-keys new"):
        keys.find(secret)


def test_a_file_that_others_can_read_is_refused(file: Path) -> None:
    make_api_key(file, "billing", Scope)
    file.chmod(0o644)
    with pytest.raises(ApiKeysError, match=r"mode 0644.*chmod 600"):
        read_api_keys(file)


def test_a_name_is_taken_once(file: Path) -> None:
    make_api_key(file, "billing", Scope)
    with pytest.raises(ApiKeysError, match="there is a key billing already"):
        make_api_key(file, "billing", Scope)


@pytest.mark.parametrize("name", ["", " x", "a\nb", "é" * 200])
def test_a_name_is_short_and_printable(file: Path, name: str) -> None:
    with pytest.raises(ApiKeysError, match="can't be a key's name"):
        make_api_key(file, name, Scope)


def test_a_key_without_a_scope_is_not_made(file: Path) -> None:
    with pytest.raises(ApiKeysError, match="without a scope"):
        make_api_key(file, "billing", [])


def test_a_key_that_is_not_there_can_not_be_removed(file: Path) -> None:
    make_api_key(file, "billing", Scope)
    with pytest.raises(ApiKeysError, match="there is no key shop"):
        remove_api_key(file, "shop")


DIGEST = "0" * 64


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("key = 1", "something other than"),
        ("[[user]]", "something other than"),
        ("[[key]]\nname = 'a'", "no more and no less"),
        (f"[[key]]\nname = 1\nscopes = ['events']\nsha256 = '{DIGEST}'", "in quotes"),
        (f"[[key]]\nname = ''\nscopes = ['events']\nsha256 = '{DIGEST}'", "a key's name"),
        (f"[[key]]\nname = 'a'\nscopes = 'events'\nsha256 = '{DIGEST}'", "scopes is a list"),
        (f"[[key]]\nname = 'a'\nscopes = [1]\nsha256 = '{DIGEST}'", "scopes is a list"),
        ("[[key]]\nname = 'a'\nscopes = ['events']\nsha256 = 'A'", "64 hexadecimal"),
        (f"[[key]]\nname='a'\nscopes=['events']\nsha256='{DIGEST}'\n" * 2, "the same name"),
    ],
)
def test_what_no_such_file_has_is_named(file: Path, text: str, wrong: str) -> None:
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)
    with pytest.raises(ApiKeysError, match=wrong):
        read_api_keys(file)
