"""Sealing and opening: AEAD_AES_256_GCM_SIV (RFC 8452), nonce of zeros (`docs/tokens.md`)."""

import base64
import importlib
import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from msys_track.extras import needed_extra
from msys_track.keys.plain.encoding import (
    ClaimsError,
    add_extensions,
    decode_claims,
    encode_engagement,
    encode_link,
)
from msys_track.keys.plain.values import KINDS, Claims

VERSION: Final = 1
MIN_TOKEN: Final = 36
MAX_TOKEN: Final = 65_536
_NONCE: Final = bytes(12)
_HEAD_BYTES: Final = 2
_TAG_BYTES: Final = 16
_SECRET_BYTES: Final = 32

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{36,}")
_SUBLINKS_AND_TOKEN: Final = re.compile(r"[A-Za-z0-9_./-]*")
_SUBLINK: Final = re.compile(r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9_.-]{1,64}")


class TokenError(Exception):
    """A token that no key of the ring sealed, or claims that no token can hold."""


class Located(NamedTuple):
    """A path in its parts: what stands before the token's slash, and the token."""

    prefix: str
    token: str


class KeyRing:
    """Keys by their numbers: the first seals, all of them open. It never shows them.

    Raises:
        ValueError: there is no key, or two have one number.
    """

    __slots__ = ("_keys", "_sealing_id")

    def __init__(self, keys: Sequence[tuple[int, bytes]], /) -> None:
        self._keys: dict[int, bytes] = {}
        for number, secret in keys:
            if number in self._keys:
                raise ValueError(f"two keys have id {number}")
            if len(secret) != _SECRET_BYTES:
                raise ValueError(f"the secret of key {number} has {len(secret)} bytes, not 32")
            self._keys[number] = bytes(secret)
        if not self._keys:
            raise ValueError("a key ring needs a key")
        self._sealing_id = keys[0][0]

    def __repr__(self) -> str:
        return f"<KeyRing {tuple(self._keys)}>"

    def seal(self, claims: Claims, /) -> str:
        """Return the path of a tracked URL without its leading slash, such as `f/a/<token>`.

        Raises:
            TokenError: the claims are longer than a token can hold.
            MissingExtraError: the package cryptography is missing.
        """
        try:
            number, part = claims.link_number, claims.link_part
            position = None if number is None or part is None else (number, part)
            engagement = encode_engagement(claims.engagement)
            engagement = add_extensions(engagement, position=position)
            link = encode_link(claims.kind, claims.target, claims.link_name)
        except ClaimsError as error:
            raise TokenError(str(error)) from error
        letter = KINDS[claims.kind]
        return self.seal_bytes("f/a" if letter == "f" else letter, engagement + link)

    def seal_bytes(self, prefix: str, plaintext: bytes) -> str:
        """Return the path whose token has these bytes for claims, whatever they say.

        Raises:
            MissingExtraError: the package cryptography is missing.
        """
        head = bytes((VERSION, self._sealing_id))
        cipher = _make_cipher(self._keys[self._sealing_id])
        body: bytes = cipher.encrypt(_NONCE, plaintext, head + prefix.encode("ascii"))
        return f"{prefix}/{_encode_base64url(head + body)}"

    def open(self, path: str, /) -> Claims:
        """Return the claims of the path of a tracked URL, with or without its leading slash.

        Raises:
            TokenError: not ours, changed, or sealed by a key that is not on the ring.
            MissingExtraError: the package cryptography is missing.
        """
        located = locate_token(path)
        if len(located.token) > MAX_TOKEN:
            raise TokenError("token is too long")
        try:
            claims = decode_claims(self._unseal(located))
        except ClaimsError as error:
            raise TokenError("token was sealed, but not by msys-track") from error
        if KINDS[claims.kind] != located.prefix[0]:
            raise TokenError("token does not belong to this path")
        return claims

    def _unseal(self, located: Located) -> bytes:
        token = located.token
        padded = token + "=" * (-len(token) % 4)
        sealed = b"" if len(token) % 4 == 1 else base64.urlsafe_b64decode(padded)
        # The bits of the last character that belong to no byte are zero.
        if _encode_base64url(sealed) != token:
            raise TokenError("token is not base64url")
        version, number = sealed[:_HEAD_BYTES]
        if version != VERSION:
            raise TokenError(f"token version {version} is unknown")
        if number not in self._keys:
            raise TokenError(f"no key has id {number}")
        associated = sealed[:_HEAD_BYTES] + located.prefix.encode("ascii")
        cipher = _make_cipher(self._keys[number])
        invalid_tag = importlib.import_module("cryptography.exceptions").InvalidTag
        try:
            plaintext: bytes = cipher.decrypt(_NONCE, sealed[_HEAD_BYTES:], associated)
        except invalid_tag as error:
            raise TokenError("token was not sealed by this key for this path") from error
        return plaintext


def measure_path(prefix: str, plaintext_bytes: int) -> int:
    """Return the length of a path before it is sealed."""
    sealed = _HEAD_BYTES + plaintext_bytes + _TAG_BYTES
    return len(prefix) + 1 + -(-sealed * 4 // 3)


def locate_token(path: str) -> Located:
    """Find prefix and token in a path; what follows the token is left off.

    Raises:
        TokenError: the path is not that of a tracked URL.
    """
    path = path.removeprefix("/")
    if path.startswith(("q/", "u/")):
        token = _TOKEN.match(path, 2)
        if token is not None:
            return Located(path[0], token[0])
    elif path.startswith("f/"):
        found = _SUBLINKS_AND_TOKEN.match(path, 2)
        end = 2 if found is None else found.end()
        # The last segment that is long enough for a token, and not the first of all.
        for slash in reversed([each.start() for each in re.finditer("/", path[:end])]):
            token = _TOKEN.match(path, slash + 1, end)
            if slash > 1 and token is not None:
                if not all(map(_SUBLINK.fullmatch, path[2:slash].split("/"))):
                    break
                return Located(path[:slash], token[0])
    raise TokenError("path is not that of a tracked URL")


def import_cipher() -> Any:
    """Return the cipher's class.

    Raises:
        MissingExtraError: the package cryptography is missing.
    """
    with needed_extra("reference", "sealing links without the compiled core"):
        return importlib.import_module("cryptography.hazmat.primitives.ciphers.aead").AESGCMSIV


def _make_cipher(secret: bytes) -> Any:
    return import_cipher()(secret)


def _encode_base64url(plain: bytes) -> str:
    return base64.urlsafe_b64encode(plain).decode("ascii").rstrip("=")
