"""The token format's page is enough to write an implementation, and ours is the page's."""

import re
from math import log2
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import token_oracle
from tests.token_oracle import PAGE, UnreadableError
from tests.tokens import KEYS, OPENS, REFUSED, TOKENS, claims, fields_of, list_fields, ring, what

from msys_track.errors import InvalidTokenError
from msys_track.keys.ring import Claims, KeyRing

RUST = Path(__file__).parents[1] / "rust" / "token"
SEALS = 2


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyRing:
    return ring(tmp_path_factory.mktemp("keys"), first=SEALS)


def page_fields(claims: Claims) -> dict[str, Any]:
    """What claims say, in the page's names and forms."""
    fields = list_fields(claims)
    lifetime = fields.pop("expires_at") - fields["injected_at"]
    return fields | {"lifetime": lifetime, "tags": list(fields["tags"])}


def seal(fields: dict[str, Any], prefix: str | None = None) -> str:
    return token_oracle.seal(fields, SEALS, KEYS[SEALS], prefix)


def assert_both_read_the_same(keys: KeyRing, path: str) -> None:
    try:
        theirs = token_oracle.open_path(path, KEYS)
    except UnreadableError:
        with pytest.raises(InvalidTokenError):
            keys.open(path)
    else:
        assert page_fields(keys.open(path)) == theirs


@given(claims=claims())
def test_the_second_implementation_opens_what_ours_seals(keys: KeyRing, claims: Claims) -> None:
    assert token_oracle.open_path(keys.seal(claims), KEYS) == page_fields(claims)


@given(claims=claims())
def test_ours_opens_what_the_second_implementation_seals(keys: KeyRing, claims: Claims) -> None:
    path = seal(page_fields(claims))
    assert list_fields(keys.open(path)) == list_fields(claims)
    assert path == keys.seal(claims)


@st.composite
def damaged_claims(draw: st.DrawFn) -> bytes:
    """The bytes of some claims with a few of them replaced, taken out or put in."""
    whole = token_oracle.write_claims(page_fields(draw(claims())))
    at = draw(st.integers(0, len(whole)))
    gone = draw(st.integers(0, 2))
    return whole[:at] + draw(st.binary(max_size=3)) + whole[at + gone :]


@settings(max_examples=200)
@given(claims=damaged_claims(), prefix=st.sampled_from(["q", "u", "f/a", "f/a/b"]))
def test_both_read_the_same_out_of_any_sealed_bytes(
    keys: KeyRing, claims: bytes, prefix: str
) -> None:
    assert_both_read_the_same(keys, token_oracle.encrypt(claims, SEALS, KEYS[SEALS], prefix))


# Tokens beside the prefixes that they were sealed for: a click's, and a pixel's.
PREFIXES = [(1, each) for each in ("f/a", "f/a/b.c", f"f/{'A' * 36}", f"f/{'s' * 64}/-")]
LOCATED = [
    token_oracle.Located(*seal(fields_of(TOKENS[number]), prefix).rsplit("/", 1))
    for number, prefix in [*PREFIXES, (2, "q")]
]
PIECES = [
    "/", "f/", "q/", "u/", "a", "b.c", ".", "..", "A" * 36, "s" * 65, "-", "=", "%", "?", "ü",
]  # fmt: skip


@st.composite
def paths(draw: st.DrawFn) -> str:
    """A path with a token in it, and what may stand before, within and behind."""
    prefix, token = draw(st.sampled_from(LOCATED))
    other = draw(st.sampled_from([token, token, token, *(one.token for one in LOCATED)]))
    behind = draw(st.lists(st.sampled_from([*PIECES, f"/{token}"]), max_size=3))
    path = draw(st.sampled_from(["", "/", "//"])) + f"{prefix}/{other}" + "".join(behind)
    if draw(st.booleans()):
        return path
    at = draw(st.integers(0, len(prefix) + 2))
    return path[:at] + draw(st.sampled_from(PIECES)) + path[at + draw(st.integers(0, 1)) :]


@settings(max_examples=500)
@given(path=paths())
def test_both_find_the_same_token_in_any_path(keys: KeyRing, path: str) -> None:
    assert_both_read_the_same(keys, path)


@pytest.mark.parametrize("vector", [*TOKENS, *OPENS], ids=what)
def test_the_second_implementation_opens_the_vectors(vector: dict[str, Any]) -> None:
    assert token_oracle.open_path(vector["path"], KEYS) == fields_of(vector)
    assert token_oracle.read_claims(bytes.fromhex(vector["claims"])) == fields_of(vector)


@pytest.mark.parametrize("vector", TOKENS, ids=what)
def test_the_second_implementation_seals_the_vectors(vector: dict[str, Any]) -> None:
    fields, number = fields_of(vector), vector["key"]
    assert token_oracle.write_claims(fields).hex() == vector["claims"]
    assert token_oracle.seal(fields, number, KEYS[number]) == vector["path"]


@pytest.mark.parametrize("vector", REFUSED, ids=what)
def test_the_second_implementation_refuses_what_the_vectors_refuse(
    vector: dict[str, Any],
) -> None:
    with pytest.raises(UnreadableError):
        token_oracle.open_path(vector["path"], KEYS)


def test_every_kind_and_every_type_of_recipient_has_a_vector() -> None:
    seen = [fields_of(vector) for vector in TOKENS]
    assert {one["kind"] for one in seen} == set(token_oracle.KINDS)
    assert {one["recipient_type"] for one in seen} == set(token_oracle.RECIPIENT_TYPES)


def test_the_dictionary_of_the_page_is_the_cores() -> None:
    source = (RUST / "dictionary.rs").read_text(encoding="utf-8")
    entries = source.partition("ENTRIES: [&str; 160] = [")[2].partition("\n];")[0]
    literals = re.findall(r'"((?:[^"\\]|\\.)*)"', entries)
    core = [literal.replace('\\"', '"').encode() for literal in literals]
    codes = [*range(0x01, 0x20), *range(0x7F, 0x100)]
    assert dict(zip(codes, core, strict=True)) == token_oracle.STRINGS


def test_the_checksum_of_the_dictionary_is_the_one_on_the_page() -> None:
    checksum = 0xCBF2_9CE4_8422_2325
    for byte in b"".join(string + b"\0" for string in token_oracle.STRINGS.values()):
        checksum = (checksum ^ byte) * 0x0100_0000_01B3 % 2**64
    assert f"`{checksum:016x}`" in PAGE


BOUNDS = re.findall(
    r"^\| 2\^(\d+) .*\| (-[\d.]+) \| (-[\d.]+) \| (-[\d.]+) \|$", PAGE, re.MULTILINE
)


@pytest.mark.parametrize("row", BOUNDS)
def test_the_bounds_on_the_page_follow_from_its_formula(row: tuple[str, ...]) -> None:
    q = 2 ** int(row[0])
    for written, m in zip(row[1:], (32, 192, 2_100), strict=True):
        p = q**2 * (3 * m + 2 + (m + 1) ** 2 / 2) / 2**128
        assert f"{log2(p):.1f}" == written


def test_the_page_has_bounds() -> None:
    assert len(BOUNDS) == 3


def test_no_claims_have_more_blocks_than_the_page_says(keys: KeyRing) -> None:
    # 16,384 bytes of text in each block, none of which packs, 255 of them tags.
    tags = ["\x01" * 64] * 254 + ["\x01"] * 1
    rest = 16_384 - sum(map(len, tags))
    fields = fields_of(TOKENS[-2]) | {
        **dict.fromkeys(["message_id", "recipient", "campaign_id", "link_name"], ""),
        **dict.fromkeys(["customer_id", "subaccount_id"], 2**32 - 1),
        "transmission_id": 2**64 - 1,
        "injected_at": 2**63,
        "lifetime": 2**63 - 1,
        "metadata": "\x01" * rest,
        "tags": tags,
        "kind": "click",
        "target": "\x01" * 16_384,
    }
    written = token_oracle.write_claims(fields)
    assert 16 * 2_000 < len(written) <= 16 * 2_100
    assert keys.open(token_oracle.encrypt(written, SEALS, KEYS[SEALS], "f/a")).kind == "click"
