"""Private keys: read from PEM, and what signs with them (OpenSSL, by `cryptography`)."""

import hashlib
from collections.abc import Callable
from typing import Final, NamedTuple

from msys_track.errors import KeyRingError, SettingsError
from msys_track.extras import needed_extra
from msys_track.keys.file import KeySource, read_source

_MIN_RSA_BITS: Final = 1024  # RFC 8301 section 3.2


class PrivateKey(NamedTuple):
    """A key that signs."""

    algorithm: str
    """As the tag `a=` has it."""
    sign: Callable[[bytes], bytes]
    """Signs the canonical header."""


def load_private_key(source: KeySource) -> PrivateKey:
    """Load a key; it must be as private as a key file.

    Raises:
        SettingsError: it can't be used; the text names it and what to do.
    """
    with needed_extra("dkim", "DKIM"):
        from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import (  # noqa: PLC0415
            ed25519,
            padding,
            rsa,
        )
    hint = "openssl genpkey -algorithm rsa -pkeyopt rsa_keygen_bits:2048 makes one"
    try:
        pem = read_source(source, what="private key", hint=hint)
    except KeyRingError as error:
        raise SettingsError(str(error)) from error
    # No error repeats anything of the file, and none is chained: it may be the secret.
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        raise SettingsError(
            f"{source}: not a private key in PEM without a password; {hint}"
        ) from None
    if isinstance(key, ed25519.Ed25519PrivateKey):
        edwards = key
        # RFC 8463 section 3: it is the hash that is signed.
        return PrivateKey(
            "ed25519-sha256", lambda header: edwards.sign(hashlib.sha256(header).digest())
        )
    if not isinstance(key, rsa.RSAPrivateKey):
        raise SettingsError(f"{source}: DKIM has RSA and Ed25519 keys only; {hint}")
    if key.key_size < _MIN_RSA_BITS:
        raise SettingsError(
            f"{source}: {key.key_size} bits; verifiers refuse RSA below {_MIN_RSA_BITS}; {hint}"
        )
    scheme, digest, numbers = padding.PKCS1v15(), hashes.SHA256(), key
    return PrivateKey("rsa-sha256", lambda header: numbers.sign(header, scheme, digest))
