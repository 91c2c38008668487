"""Key pairs, and the verifier of other hands: dkimpy."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

Kind: TypeAlias = Literal["rsa", "ed25519"]
Verify: TypeAlias = Callable[[bytes], bool]


@dataclass(frozen=True)
class KeyPair:
    """A private key in a file, and the TXT record of its public key."""

    file: Path
    record: bytes

    def verifies(self, message: bytes, name: str = "mail._domainkey.example.com.") -> bool:
        """Whether dkimpy verifies the first signature; it must be for that domain."""

        def look_up(asked: bytes | str, **_: Any) -> bytes | None:
            text = asked.decode() if isinstance(asked, bytes) else asked
            return self.record if text == name else None

        return bool(dkim.verify(message, dnsfunc=look_up))


def make_key_pair(kind: Kind, folder: Path) -> KeyPair:
    if kind == "rsa":
        rsa = generate_private_key(65537, 2048)
        private = rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = rsa.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)
    else:
        edwards = Ed25519PrivateKey.generate()
        private = edwards.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = edwards.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        record = b"v=DKIM1; k=ed25519; p=" + base64.b64encode(public)
    file = folder / f"{kind}.pem"
    file.write_bytes(private)
    file.chmod(0o600)
    return KeyPair(file, record)


@pytest.fixture(scope="session", params=["rsa", "ed25519"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> KeyPair:
    return make_key_pair(request.param, tmp_path_factory.mktemp("dkim"))
