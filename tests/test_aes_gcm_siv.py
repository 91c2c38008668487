"""The tests' own cipher, by the vectors of its standards."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.aes_gcm_siv import Aes256, AuthenticationError, open_sealed, polyval, seal

# RFC 8452 appendix C.2: key, nonce, plaintext, associated data, result.
ONE = "01" + 31 * "00"
THREE = "03" + 11 * "00"
APPENDIX_C_2 = [
    (ONE, THREE, "", "", "07f5f4169bbf55a8400cd47ea6fd400f"),
    (ONE, THREE, "0100000000000000", "", "c2ef328e5c71c83b843122130f7364b761e0b97427e3df28"),
    (
        ONE,
        THREE,
        "0100000000000000000000000000000002000000000000000000000000000000",
        "",
        (
            "4a6a9db4c8c6549201b9edb53006cba821ec9cf850948a7c86c68ac7539d027f"
            "e819e63abcd020b006a976397632eb5d"
        ),
    ),
    (ONE, THREE, "0200000000000000", "01", "1de22967237a813291213f267e3b452f02d01ae33e4ec854"),
    (
        ONE,
        THREE,
        "0300000000000000000000000000000004000000",
        "010000000000000000000000000000000200",
        "43dd0163cdb48f9fe3212bf61b201976067f342bb879ad976d8242acc188ab59cabfe307",
    ),
    (
        ONE,
        THREE,
        "030000000000000000000000000000000400",
        "0100000000000000000000000000000002000000",
        "462401724b5ce6588d5a54aae5375513a075cfcdf5042112aa29685c912fc2056543",
    ),
    (
        "e66021d5eb8e4f4066d4adb9c33560e4f46e44bb3da0015c94f7088736864200",
        "e0eaf5284d884a0e77d31646",
        "",
        "",
        "169fbb2fbf389a995f6390af22228a62",
    ),
    (
        "3c535de192eaed3822a2fbbe2ca9dfc88255e14a661b8aa82cc54236093bbc23",
        "688089e55540db1872504e1c",
        "ced532ce4159b035277d4dfbb7db62968b13cd4eec",
        "734320ccc9d9bbbb19cb81b2af4ecbc3e72834321f7aa0f70b7282b4f33df23f167541",
        "626660c26ea6612fb17ad91e8e767639edd6c9faee9d6c7029675b89eaf4ba1ded1a286594",
    ),
]

# RFC 8452 appendix C.3: the block counter wraps.
APPENDIX_C_3 = [
    (
        32 * "00",
        12 * "00",
        "000000000000000000000000000000004db923dc793ee6497c76dcc03a98e108",
        "",
        (
            "f3f80f2cf0cb2dd9c5984fcda908456cc537703b5ba70324a6793a7bf218d3ea"
            "ffffffff000000000000000000000000"
        ),
    ),
    (
        32 * "00",
        12 * "00",
        "eb3640277c7ffd1303c7a542d02d3e4c0000000000000000",
        "",
        "18ce4f0b8cb4d0cac65fea8f79257b20888e53e72299e56dffffffff000000000000000000000000",
    ),
]


@pytest.mark.parametrize(
    ("key", "nonce", "plaintext", "associated", "result"), [*APPENDIX_C_2, *APPENDIX_C_3]
)
def test_the_vectors_of_rfc_8452(
    key: str, nonce: str, plaintext: str, associated: str, result: str
) -> None:
    inputs = [bytes.fromhex(text) for text in (key, nonce, plaintext, associated)]
    sealed = seal(*inputs)
    assert sealed.hex() == result
    assert open_sealed(inputs[0], inputs[1], sealed, inputs[3]) == inputs[2]


def test_the_vector_of_fips_197() -> None:
    block = bytes.fromhex("00112233445566778899aabbccddeeff")
    assert Aes256(bytes(range(32))).encrypted(block).hex() == "8ea2b7ca516745bfeafc49904b496089"


def test_the_example_of_polyval() -> None:
    # RFC 8452 appendix A
    key, one, two = map(
        bytes.fromhex,
        (
            "25629347589242761d31f826ba4b757b",
            "4f4f95668c83dfb6401762bb2d01a262",
            "d1a24ddd2721d006bbe45f20d3c9f362",
        ),
    )
    assert polyval(key, one, two).hex() == "f7a3b47b846119fae5b7866cf5e5b77e"


@settings(deadline=None, max_examples=30)
@given(
    key=st.binary(min_size=32, max_size=32),
    nonce=st.binary(min_size=12, max_size=12),
    plaintext=st.binary(max_size=50),
    associated=st.binary(max_size=20),
    bit=st.integers(0),
)
def test_what_was_sealed_opens_and_a_changed_bit_does_not(
    key: bytes, nonce: bytes, plaintext: bytes, associated: bytes, bit: int
) -> None:
    sealed = seal(key, nonce, plaintext, associated)
    assert open_sealed(key, nonce, sealed, associated) == plaintext
    changed = int.from_bytes(sealed) ^ 1 << bit % (8 * len(sealed))
    with pytest.raises(AuthenticationError):
        open_sealed(key, nonce, changed.to_bytes(len(sealed)), associated)
