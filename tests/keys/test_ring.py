"""The ring: every claim comes back, and no link can be forged."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from tests.tokens import KEYS, OPENS, REFUSED, TOKENS, claims, claims_of, list_fields, ring, what

from msys_track.errors import InvalidTokenError
from msys_track.keys.ring import Claims, KeyRing

CLICK = claims_of(TOKENS[1])


@given(claims=claims())
def test_any_claims_come_back(claims: Claims) -> None:
    whole = KeyRing.temporary()
    path = whole.seal(claims)
    assert list_fields(whole.open(path)) == list_fields(claims)
    assert list_fields(whole.open("/" + path)) == list_fields(claims)


@pytest.mark.parametrize("vector", [*TOKENS, *OPENS], ids=what)
def test_the_paths_of_the_vectors_open(tmp_path: Path, vector: dict[str, Any]) -> None:
    assert list_fields(ring(tmp_path).open(vector["path"])) == list_fields(claims_of(vector))


@pytest.mark.parametrize("vector", TOKENS, ids=what)
def test_the_claims_of_the_vectors_seal_to_their_paths(
    tmp_path: Path, vector: dict[str, Any]
) -> None:
    assert ring(tmp_path, first=vector["key"]).seal(claims_of(vector)) == vector["path"]


@pytest.mark.parametrize("vector", REFUSED, ids=what)
def test_what_the_vectors_refuse_is_refused(tmp_path: Path, vector: dict[str, Any]) -> None:
    with pytest.raises(InvalidTokenError, match=f"^{re.escape(vector['error'])}$"):
        ring(tmp_path).open(vector["path"])


def single_bit_changes(path: str) -> Iterator[str]:
    for at in range(len(path)):
        for bit in range(8):
            yield path[:at] + chr(ord(path[at]) ^ 1 << bit) + path[at + 1 :]


def test_no_link_with_a_single_bit_changed_opens(tmp_path: Path) -> None:
    whole = ring(tmp_path)
    tried: Counter[str] = Counter()
    for vector in TOKENS:
        for changed in single_bit_changes(vector["path"]):
            with pytest.raises(InvalidTokenError):
                whole.open(changed)
            tried[vector["kind"]] += 1
    assert tried.total() > 10_000
    assert len(tried) == 8


@pytest.mark.parametrize("path", ["", "/", "\ud800", "f/a/\udfff", "\0", "q/" + "A" * 70_000])
def test_text_that_is_no_path_at_all_is_an_invalid_token(tmp_path: Path, path: str) -> None:
    with pytest.raises(InvalidTokenError):
        ring(tmp_path).open(path)


def test_claims_that_no_token_can_hold_are_a_value_error(tmp_path: Path) -> None:
    longer = Claims(kind="click", engagement=CLICK.engagement, target="\x01" * 16_385)
    with pytest.raises(ValueError, match="claims are too long for a token"):
        ring(tmp_path).seal(longer)


def test_equal_claims_have_equal_tokens_and_others_share_no_characters(tmp_path: Path) -> None:
    whole = ring(tmp_path)
    one, other = (
        whole.seal(claims_of(TOKENS[1] | {"message_id": message_id}))
        for message_id in ("00066d2bb36a0f10a4d3", "10066d2bb36a0f10a4d3")
    )
    assert one == whole.seal(claims_of(TOKENS[1]))
    start = len("f/a/AQE")
    runs = [{path[at : at + 6] for at in range(start, len(path) - 5)} for path in (one, other)]
    assert runs[0].isdisjoint(runs[1])


def test_taking_a_key_out_ends_its_links_and_no_others(tmp_path: Path) -> None:
    one, two = (ring(tmp_path, first=number).seal(CLICK) for number in (1, 2))
    without = ring(tmp_path, {number: KEYS[number] for number in (2, 255)})
    assert list_fields(without.open(two)) == list_fields(CLICK)
    with pytest.raises(InvalidTokenError, match="no key has id 1"):
        without.open(one)


def test_a_temporary_ring_is_different_each_time() -> None:
    one, other = KeyRing.temporary(), KeyRing.temporary()
    assert list_fields(one.open(one.seal(CLICK))) == list_fields(CLICK)
    with pytest.raises(InvalidTokenError):
        other.open(one.seal(CLICK))


def test_255_keys_are_read_and_all_open(tmp_path: Path) -> None:
    many = {number: bytes([number]) * 32 for number in range(1, 256)}
    whole = ring(tmp_path, many)
    assert whole.ids == tuple(range(1, 256))
    for number, key in many.items():
        assert whole.open(ring(tmp_path, {number: key}).seal(CLICK)).kind == "click"


def test_a_ring_shows_the_numbers_of_its_keys_and_no_secret(tmp_path: Path) -> None:
    whole = ring(tmp_path)
    assert repr(whole) == str(whole) == "KeyRing(ids=(1, 2, 255))"
    assert repr(whole.core).startswith("<")
