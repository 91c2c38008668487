"""The ring: every claim comes back, and no link can be forged."""

import copy
import pickle
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from tests.tokens import (
    KEYS,
    OPENS,
    REFUSED,
    TOKENS,
    claims,
    claims_of,
    key_file,
    list_fields,
    ring,
    what,
)

from msys_track.errors import InvalidTokenError, KeyRingError
from msys_track.keys.ring import Claims, Engagement, KeyRing

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


def test_what_a_key_file_holds_is_read_from_bytes_and_text(tmp_path: Path) -> None:
    content = key_file(tmp_path, first=2).read_bytes()
    path = ring(tmp_path, first=2).seal(CLICK)
    for given_content in (content, content.decode(), bytearray(content), memoryview(content)):
        whole = KeyRing.from_bytes(given_content)
        assert whole.ids == (2, 1, 255)
        assert whole.seal(CLICK) == path


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            b"",
            "keys from bytes: has no [[key]]; `msys-track keys new FILE` makes what it must hold",
        ),
        (b"\xff", "keys from bytes: is not TOML: not UTF-8"),
        ("\udfff", "keys from bytes: is not TOML: not UTF-8"),
        (b"hunter2", "keys from bytes: is not TOML; look at end of document"),
        (b"[[key]]\nsecret = 'hunter2'", "keys from bytes: key 1: id is missing"),
    ],
    ids=["empty", "bytes", "text", "word", "half"],
)
def test_other_bytes_are_refused_and_not_shown(content: bytes | str, said: str) -> None:
    with pytest.raises(KeyRingError) as raised:
        KeyRing.from_bytes(content)
    assert str(raised.value).startswith(said)
    assert "hunter2" not in str(raised.value)


def test_secrets_by_their_numbers_are_the_ring_of_a_file_with_them(tmp_path: Path) -> None:
    whole = KeyRing.from_secrets({2: KEYS[2], 1: KEYS[1]})
    assert whole.ids == (2, 1)
    assert whole.seal(CLICK) == ring(tmp_path, first=2).seal(CLICK)


@pytest.mark.parametrize(
    ("secrets", "said"),
    [
        ({}, "there is no secret; a key ring needs one to seal with"),
        ({0: bytes(32)}, "key 0: the number must be from 1 to 255"),
        ({256: bytes(32)}, "key 256: the number must be from 1 to 255"),
        ({True: bytes(32)}, "key True: the number must be from 1 to 255"),
        ({1: b"hunter2"}, "key 1: the secret has 7 bytes; it must have 32"),
    ],
    ids=range(5),
)
def test_secrets_that_make_no_ring_are_refused_and_not_shown(
    secrets: dict[int, bytes], said: str
) -> None:
    with pytest.raises(KeyRingError) as raised:
        KeyRing.from_secrets(secrets)
    assert str(raised.value) == said


@pytest.mark.parametrize("carry", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_ring_is_not_carried_to_another_process(carry: Any) -> None:
    with pytest.raises(TypeError, match="a KeyRing can't be pickled or copied"):
        carry(KeyRing.temporary())


# Claims


@given(one=claims(), other=claims())
def test_claims_are_equal_where_all_their_fields_are(one: Claims, other: Claims) -> None:
    assert (one == other) == (list_fields(one) == list_fields(other))
    assert (one.engagement == other.engagement) or one != other
    again = KeyRing.temporary()
    same = again.open(again.seal(one))
    assert same == one
    assert hash(same) == hash(one)
    assert hash(same.engagement) == hash(one.engagement)
    assert one != list_fields(one)


@given(claims=claims())
def test_claims_survive_pickle_and_copy(claims: Claims) -> None:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(claims, protocol)) == claims  # noqa: S301 - our own
    assert copy.deepcopy(claims) == copy.copy(claims) == claims


def test_claims_show_which_link_it_is_and_nothing_of_its_reader() -> None:
    engagement = Engagement(
        message_id="000443ee14578172be22",
        recipient="jo@b.test",
        injected_at=1,
        expires_at=2,
        customer_id=3,
        transmission_id=4,
        metadata='{"name": "Jo"}',
    )
    copy_of = (
        "Engagement(message_id='000443ee14578172be22', transmission_id=4, customer_id=3, "
        "injected_at=1, expires_at=2)"
    )
    assert repr(engagement) == copy_of
    pixel = Claims(kind="open", engagement=engagement)
    assert repr(pixel) == f"Claims(kind='open', engagement={copy_of})"
    reset = Claims(
        kind="click",
        engagement=engagement,
        target="https://shop.test/reset?token=hunter2",
        link_number=5,
        link_part="html",
    )
    shown = f"Claims(kind='click', link_number=5, link_part='html', engagement={copy_of})"
    assert repr(reset) == shown


@pytest.mark.parametrize(
    ("now", "is_expired"),
    [(0, False), (1.99, False), (2, True), (2.0, True), (1e300, True), (2**80, True), (-1, False)],
)
def test_claims_expire_with_their_lifetime(now: float, is_expired: bool) -> None:  # noqa: FBT001
    engagement = Engagement(
        message_id="", recipient="", injected_at=1, expires_at=2, customer_id=1
    )
    assert Claims(kind="open", engagement=engagement).is_expired(now) is is_expired


@pytest.mark.parametrize(
    ("number", "part", "said"),
    [
        (1, None, "link_number and link_part are given together, or neither"),
        (None, "html", "link_number and link_part are given together, or neither"),
        (0, "html", "link_number is from 1 on"),
        (1, "watch", '"watch" is none of html, text, amp'),
    ],
)
def test_half_a_position_is_refused(number: int | None, part: Any, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}$"):
        Claims(kind="click", engagement=CLICK.engagement, link_number=number, link_part=part)
