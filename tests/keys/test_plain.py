"""Tokens in pure Python are the page's, and so are the core's: each reads what the other seals."""

import re
import sys
import tomllib
from math import log2
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.thoroughness import examples
from tests.tokens import KEYS, OPENS, REFUSED, TOKENS, claims, claims_of, list_fields, ring, what

from msys_track.errors import InvalidTokenError, MissingExtraError
from msys_track.keys.file import create
from msys_track.keys.plain import encoding, packed, values
from msys_track.keys.plain import ring as plain
from msys_track.keys.plain.ring import Located, TokenError
from msys_track.keys.ring import Claims, KeyRing, TrackedUrls

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs" / "tokens.md").read_text(encoding="utf-8")
SEALS = 2
LINK = ("kind", "target", "link_name", "link_number", "link_part")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyRing:
    return ring(tmp_path_factory.mktemp("keys"), first=SEALS)


def plain_claims(claims: Claims) -> values.Claims:
    """The same claims as a value of pure Python."""
    fields = list_fields(claims)
    link = {name: fields.pop(name) for name in LINK}
    return values.Claims(engagement=values.Engagement(**fields), **link)


def list_plain(claims: values.Claims) -> dict[str, Any]:
    return list_fields(cast("Claims", claims))


def encode(claims: values.Claims) -> bytes:
    link = encoding.encode_link(claims.kind, claims.target, claims.link_name)
    return encode_engagement(claims) + link


def encode_engagement(claims: values.Claims, salt: int | None = None) -> bytes:
    number, part = claims.link_number, claims.link_part
    position = None if number is None or part is None else (number, part)
    block = encoding.encode_engagement(claims.engagement)
    return encoding.add_extensions(block, salt=salt, position=position)


def plain_ring(first: int = SEALS) -> plain.KeyRing:
    return plain.KeyRing(sorted(KEYS.items(), key=lambda key: key[0] != first))


def assert_both_read_the_same(keys: KeyRing, path: str) -> None:
    assert open_or_refuse(keys, path) == open_or_refuse(keys.plain, path)


def open_or_refuse(keys: Any, path: str) -> dict[str, Any] | str:
    """What a token says, or why it is refused."""
    try:
        return list_fields(keys.open(path))
    except (TokenError, InvalidTokenError) as error:
        return str(error).partition(", but not by msys-track")[0]


@given(claims=claims())
def test_both_seal_to_the_same_path_and_open_each_other_s(keys: KeyRing, claims: Claims) -> None:
    path = keys.plain.seal(plain_claims(claims))
    assert path == keys.seal(claims)
    assert list_plain(keys.plain.open(path)) == list_fields(keys.open(path))
    assert list_fields(keys.open(path)) == list_fields(claims)


@given(claims=claims(), salt=st.integers(0, 255))
def test_salt_makes_another_token_that_says_the_same(
    keys: KeyRing, claims: Claims, salt: int
) -> None:
    said = plain_claims(claims)
    link = encoding.encode_link(said.kind, said.target, said.link_name)
    block = encode_engagement(said, salt)
    letter = values.KINDS[said.kind]
    path = keys.plain.seal_bytes("f/a" if letter == "f" else letter, block + link)
    assert path != keys.seal(claims)
    assert list_fields(keys.open(path)) == list_fields(claims)


@given(claims=claims())
def test_a_path_is_measured_before_it_is_sealed(keys: KeyRing, claims: Claims) -> None:
    path = keys.seal(claims)
    prefix = path.rsplit("/", 1)[0]
    assert plain.measure_path(prefix, len(encode(plain_claims(claims)))) == len(path)


@st.composite
def damaged_claims(draw: st.DrawFn) -> bytes:
    """The bytes of some claims with a few of them replaced, taken out or put in."""
    whole = encode(plain_claims(draw(claims())))
    at = draw(st.integers(0, len(whole)))
    gone = draw(st.integers(0, 2))
    return whole[:at] + draw(st.binary(max_size=3)) + whole[at + gone :]


@settings(max_examples=examples(200))
@given(claims=damaged_claims(), prefix=st.sampled_from(["q", "u", "f/a", "f/a/b"]))
def test_both_read_the_same_out_of_any_sealed_bytes(
    keys: KeyRing, claims: bytes, prefix: str
) -> None:
    assert_both_read_the_same(keys, keys.plain.seal_bytes(prefix, claims))


def located(number: int, prefix: str) -> Located:
    """A token of a vector's claims, beside the prefix that it was sealed for."""
    path = plain_ring().seal_bytes(prefix, encode(plain_claims(claims_of(TOKENS[number]))))
    return Located(*path.rsplit("/", 1))


# A click's, and a pixel's.
PREFIXES = [(1, each) for each in ("f/a", "f/a/b.c", f"f/{'A' * 36}", f"f/{'s' * 64}/-")]
LOCATED = [located(number, prefix) for number, prefix in [*PREFIXES, (2, "q")]]
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


@settings(max_examples=examples(500))
@given(path=paths())
def test_both_find_the_same_token_in_any_path(keys: KeyRing, path: str) -> None:
    assert_both_read_the_same(keys, path)


@pytest.mark.parametrize("vector", [*TOKENS, *OPENS], ids=what)
def test_the_vectors_open(vector: dict[str, Any]) -> None:
    wanted = list_fields(claims_of(vector))
    assert list_plain(plain_ring().open(vector["path"])) == wanted
    assert list_plain(encoding.decode_claims(bytes.fromhex(vector["claims"]))) == wanted


@pytest.mark.parametrize("vector", TOKENS, ids=what)
def test_the_vectors_seal_to_their_paths(vector: dict[str, Any]) -> None:
    said = plain_claims(claims_of(vector))
    assert encode(said).hex() == vector["claims"]
    assert plain_ring(first=vector["key"]).seal(said) == vector["path"]


@pytest.mark.parametrize("vector", REFUSED, ids=what)
def test_what_the_vectors_refuse_is_refused(vector: dict[str, Any]) -> None:
    with pytest.raises(TokenError, match=f"^{re.escape(vector['error'])}$"):
        plain_ring().open(vector["path"])


def test_every_kind_and_every_type_of_recipient_has_a_vector() -> None:
    seen = [list_fields(claims_of(vector)) for vector in TOKENS]
    assert {one["kind"] for one in seen} == set(values.KINDS)
    assert {one["recipient_type"] for one in seen} == set(values.RECIPIENT_TYPES)


def test_keys_that_make_no_ring_are_refused() -> None:
    for secrets in ([], [(1, bytes(32)), (1, bytes(32))], [(1, bytes(31))]):
        with pytest.raises(ValueError, match="key"):
            plain.KeyRing(secrets)


def test_a_plain_ring_shows_no_secret() -> None:
    assert repr(plain_ring()) == "<KeyRing (2, 1, 255)>"


def test_without_cryptography_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'msys-track\[reference\]'"):
        plain_ring().seal(plain_claims(claims_of(TOKENS[1])))


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"expires_at": 0, "injected_at": 1}, ValueError),
        ({"recipient_type": "x"}, ValueError),
        ({"customer_id": 1 << 32}, OverflowError),
        ({"transmission_id": -1}, OverflowError),
    ],
)
def test_an_engagement_that_no_token_can_say_is_refused(
    changed: dict[str, Any], error: type[Exception]
) -> None:
    fields = list_fields(claims_of(TOKENS[1]))
    for name in LINK:
        del fields[name]
    with pytest.raises(error):
        values.Engagement(**fields | changed)
    with pytest.raises(error):
        type(claims_of(TOKENS[1]).engagement)(**fields | changed)


URLS: dict[str, Any] = {"click_scheme": "https", "open_scheme": "HTTP", "click_metadata": True}
DOMAINS = [
    "e.com", "e.com:8443", "[::1]:80", "[::1]", "a_b-c", "", "e.com:", "e.com:0", "e.com:65536",
    "e.com:x", "e.com/x", "e com", "[::1", "::1", "[e.com]", "é.com", "e.com:+1", "e.com:00080",
    "e.com:\u0661", "[fe80::1%eth0]", "[1.2.3.4]", "[::ffff:1.2.3.4]:1", "a:b:1",
]  # fmt: skip


@pytest.mark.parametrize("domain", DOMAINS)
def test_both_take_the_same_tracking_domains(domain: str) -> None:
    def takes(make: Any) -> bool:
        try:
            make(domain=domain, **URLS)
        except ValueError:
            return False
        return True

    assert takes(values.TrackedUrls) == takes(TrackedUrls)


def test_links_of_both_expire_at_the_same_second() -> None:
    said = claims_of(TOKENS[1])
    end = said.engagement.expires_at
    for each in said, plain_claims(said):
        assert (each.is_expired(end - 1), each.is_expired(end)) == (False, True)


@pytest.mark.parametrize("make", [values.TrackedUrls, TrackedUrls], ids=["Python", "core"])
def test_a_scheme_other_than_http_is_refused(make: Any) -> None:
    with pytest.raises(ValueError, match='scheme "ftp" is neither http nor https'):
        make(domain="e.com", **URLS | {"open_scheme": "ftp"})
    with pytest.raises(ValueError, match='scheme "ftp" of clicks is not http, https or same'):
        make(domain="e.com", **URLS | {"click_scheme": "ftp"})


@pytest.mark.parametrize(
    "place",
    [
        {"link_number": 1},
        {"link_part": "html"},
        {"link_number": 0, "link_part": "html"},
        {"link_number": 1, "link_part": "head"},
    ],
)
def test_a_link_has_a_number_from_1_on_in_a_part_or_neither(place: dict[str, Any]) -> None:
    said = claims_of(TOKENS[1])
    with pytest.raises(ValueError, match=r"link_number|none of"):
        Claims(kind="click", engagement=said.engagement, **place)
    with pytest.raises(ValueError, match=r"link_number|none of"):
        values.Claims(kind="click", engagement=plain_claims(said).engagement, **place)


# The page


def read_dictionary() -> dict[int, bytes]:
    """The strings of the page's dictionary by their codes."""
    (block,) = re.findall(r"^```dictionary\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    entries: dict[int, bytes] = {}
    for line in block.splitlines():
        first, *strings = line.split()
        codes = range(int(first, 16), 256)
        entries |= dict(zip(codes, (one.encode("ascii") for one in strings), strict=False))
    return entries


def test_the_dictionary_of_the_page_is_the_one_of_both() -> None:
    source = (PROJECT / "rust" / "token" / "dictionary.rs").read_text(encoding="utf-8")
    entries = source.partition("ENTRIES: [&str; 160] = [")[2].partition("\n];")[0]
    literals = re.findall(r'"((?:[^"\\]|\\.)*)"', entries)
    core = [literal.replace('\\"', '"').encode() for literal in literals]
    codes = [*range(0x01, 0x20), *range(0x7F, 0x100)]
    assert dict(zip(codes, core, strict=True)) == read_dictionary()
    assert tuple(core) == packed.STRINGS


def test_the_key_file_of_the_page_has_what_one_of_ours_has(tmp_path: Path) -> None:
    (shown,) = re.findall(r"^```toml keys.toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    create(tmp_path / "keys.toml")
    made = tomllib.loads((tmp_path / "keys.toml").read_text(encoding="utf-8"))
    kinds = [
        {name: type(value) for name, value in read["key"][0].items()}
        for read in (made, tomllib.loads(shown))
    ]
    assert kinds[0] == kinds[1]


def test_the_checksum_of_the_dictionary_is_the_one_on_the_page() -> None:
    checksum = 0xCBF2_9CE4_8422_2325
    for byte in b"".join(string + b"\0" for string in packed.STRINGS):
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
    engagement = values.Engagement(
        message_id="",
        recipient="",
        campaign_id="",
        customer_id=2**32 - 1,
        subaccount_id=2**32 - 1,
        transmission_id=2**64 - 1,
        injected_at=2**63,
        expires_at=2**64 - 1,
        metadata="\x01" * rest,
        tags=tags,
    )
    target = "\x01" * 16_384
    said = values.Claims(kind="click", engagement=engagement, target=target, link_name="")
    written = encode(said)
    assert 16 * 2_000 < len(written) <= 16 * 2_100
    assert keys.open(keys.plain.seal_bytes("f/a", written)).kind == "click"


def test_one_byte_more_of_text_is_refused_by_both(keys: KeyRing) -> None:
    said = claims_of(TOKENS[1] | {"target": "\x01" * 16_385})
    with pytest.raises(TokenError, match="claims are too long for a token"):
        keys.plain.seal(plain_claims(said))
    with pytest.raises(ValueError, match="claims are too long for a token"):
        keys.seal(said)


def test_one_byte_more_of_sealed_text_is_read_by_neither(keys: KeyRing) -> None:
    said = plain_claims(claims_of(TOKENS[1]))
    begin = encoding.encode_link("click", "x", None)[:1]
    number = bytes((0x82, 0x80, 0x02))  # 2 * 16,385: a text of so many bytes, not packed
    link = begin + number + b"\x01" * 16_385
    path = keys.plain.seal_bytes("f/a", encode_engagement(said) + link)
    with pytest.raises(TokenError, match="not by msys-track"):
        keys.plain.open(path)
    with pytest.raises(InvalidTokenError):
        keys.open(path)


def test_a_token_that_is_too_long_is_opened_by_neither(keys: KeyRing) -> None:
    path = f"f/a/{'A' * 65_537}"
    with pytest.raises(TokenError, match="token is too long"):
        keys.plain.open(path)
    with pytest.raises(InvalidTokenError, match="token is too long"):
        keys.open(path)
