"""AEAD_AES_256_GCM_SIV in plain Python, by RFC 8452 and FIPS 197: slow, and nobody's production.

The core has its cipher from a crate. This one shares no line with it, so that the two can prove
each other, and the token format with them, without a further dependency.
"""

from functools import lru_cache

BLOCK = 16

# RFC 8452 section 3: the field's polynomial is x^128 + x^127 + x^126 + x^121 + 1. As integers with
# the coefficient of x^i in bit i, which is a little-endian reading of POLYVAL's bytes.
_POLYNOMIAL = 1 << 128 | 1 << 127 | 1 << 126 | 1 << 121 | 1
_X_TO_MINUS_128 = 1 << 127 | 1 << 124 | 1 << 121 | 1 << 114 | 1


class AuthenticationError(Exception):
    """The tag is not that of the ciphertext."""


def seal(key: bytes, nonce: bytes, plaintext: bytes, associated: bytes) -> bytes:
    """Encrypt; the tag is behind the ciphertext (RFC 8452 section 4)."""
    authentication, encryption = _derived_keys(key, nonce)
    tag = _tag(authentication, encryption, nonce, plaintext, associated)
    return _counted(encryption, tag, plaintext) + tag


def open_sealed(key: bytes, nonce: bytes, sealed: bytes, associated: bytes) -> bytes:
    """Decrypt what `seal` made (RFC 8452 section 5).

    Raises:
        AuthenticationError: another key, nonce or associated data, or changed bytes.
    """
    authentication, encryption = _derived_keys(key, nonce)
    ciphertext, tag = sealed[:-BLOCK], sealed[-BLOCK:]
    plaintext = _counted(encryption, tag, ciphertext)
    if len(tag) < BLOCK or tag != _tag(authentication, encryption, nonce, plaintext, associated):
        raise AuthenticationError
    return plaintext


def polyval(key: bytes, *blocks: bytes) -> bytes:
    """RFC 8452 section 3: S_j = dot(S_(j-1) + X_j, H)."""
    h, s = int.from_bytes(key, "little"), 0
    for block in blocks:
        s = _times(_times(s ^ int.from_bytes(block, "little"), h), _X_TO_MINUS_128)
    return s.to_bytes(BLOCK, "little")


@lru_cache
def _derived_keys(key: bytes, nonce: bytes) -> tuple[bytes, "Aes256"]:
    generator = Aes256(key)
    halves = [generator.encrypted(i.to_bytes(4, "little") + nonce)[:8] for i in range(6)]
    return b"".join(halves[:2]), Aes256(b"".join(halves[2:]))


def _tag(
    authentication: bytes, encryption: "Aes256", nonce: bytes, plaintext: bytes, associated: bytes
) -> bytes:
    lengths = [8 * len(part) for part in (associated, plaintext)]
    last = b"".join(length.to_bytes(8, "little") for length in lengths)
    hashed = polyval(authentication, *_padded(associated), *_padded(plaintext), last)
    mixed = bytes(a ^ b for a, b in zip(hashed, nonce + bytes(4), strict=True))
    return encryption.encrypted(mixed[:-1] + bytes([mixed[-1] & 0x7F]))


def _counted(encryption: "Aes256", tag: bytes, text: bytes) -> bytes:
    """XOR with the key stream that begins at the tag with its top bit set."""
    counter, rest = int.from_bytes(tag[:4], "little"), tag[4:15] + bytes([tag[15] | 0x80])
    stream = b"".join(
        encryption.encrypted(((counter + i) % 2**32).to_bytes(4, "little") + rest)
        for i in range(-(-len(text) // BLOCK))
    )
    return bytes(a ^ b for a, b in zip(text, stream, strict=False))


def _padded(text: bytes) -> list[bytes]:
    return [text[at : at + BLOCK].ljust(BLOCK, b"\0") for at in range(0, len(text), BLOCK)]


def _times(a: int, b: int) -> int:
    product = 0
    while b:
        if b & 1:
            product ^= a
        a <<= 1
        if a >> 128:
            a ^= _POLYNOMIAL
        b >>= 1
    return product


class Aes256:
    """The block cipher of FIPS 197 with a key of 32 bytes; encryption alone, as SIV needs."""

    _ROUNDS = 14

    def __init__(self, key: bytes) -> None:
        words = [key[at : at + 4] for at in range(0, 32, 4)]
        constant = 1
        for i in range(8, 4 * (self._ROUNDS + 1)):
            word = words[i - 1]
            if i % 8 == 0:
                word = _added((word[1:] + word[:1]).translate(_SBOX), bytes([constant, 0, 0, 0]))
                constant = _doubled(constant)
            elif i % 8 == 4:
                word = word.translate(_SBOX)
            words.append(_added(words[i - 8], word))
        self._round_keys = [b"".join(words[at : at + 4]) for at in range(0, len(words), 4)]

    def encrypted(self, block: bytes) -> bytes:
        """One block, encrypted."""
        state = _added(block, self._round_keys[0])
        for round_key in self._round_keys[1:-1]:
            state = _added(_mixed(_substituted(state)), round_key)
        return _added(_substituted(state), self._round_keys[-1])


def _added(state: bytes, round_key: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(state, round_key, strict=True))


def _substituted(state: bytes) -> bytes:
    """SubBytes, then ShiftRows: column c's row r comes from column c + r."""
    return bytes(_SBOX[state[4 * ((c + r) % 4) + r]] for c in range(4) for r in range(4))


def _mixed(state: bytes) -> bytes:
    """MixColumns."""
    columns = [state[at : at + 4] for at in range(0, BLOCK, 4)]
    return bytes(
        _DOUBLED[c[r]]
        ^ _DOUBLED[c[(r + 1) % 4]]
        ^ c[(r + 1) % 4]
        ^ c[(r + 2) % 4]
        ^ c[(r + 3) % 4]
        for c in columns
        for r in range(4)
    )


def _doubled(byte: int) -> int:
    return (byte << 1 ^ (0x11B if byte & 0x80 else 0)) & 0xFF


def _substitutions() -> bytes:
    """The S-box: the inverse in GF(2^8), then the affine map (FIPS 197 section 5.1.1)."""
    powers, value = [], 1
    for _ in range(255):
        powers.append(value)
        value ^= _doubled(value)  # times 3, a generator
    inverses = {powers[i]: powers[-i % 255] for i in range(255)} | {0: 0}
    return bytes(_affine(inverses[byte]) for byte in range(256))


def _affine(byte: int) -> int:
    turned = [(byte << by | byte >> (8 - by)) & 0xFF for by in range(5)]
    return turned[0] ^ turned[1] ^ turned[2] ^ turned[3] ^ turned[4] ^ 0x63


_DOUBLED = bytes(_doubled(byte) for byte in range(256))
_SBOX = _substitutions()
