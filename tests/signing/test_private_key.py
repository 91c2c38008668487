"""A key that can't be used is named before a mail comes, and no error shows what is in it."""

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from tests.signing.conftest import make_key_pair

from msys_track.errors import SettingsError
from msys_track.keys.file import key_source
from msys_track.signing import private_key
from msys_track.signing.private_key import load_private_key


def explain(pem: bytes, folder: Path, mode: int = 0o600) -> str:
    file = folder / "key.pem"
    file.write_bytes(pem)
    file.chmod(mode)
    with pytest.raises(SettingsError) as refused:
        load_private_key(file)
    assert str(refused.value).startswith(f"{file}: ")
    return str(refused.value)


def write_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, password: bytes = b"") -> bytes:
    locked = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked)


def test_a_key_that_dkim_does_not_take_is_refused(tmp_path: Path) -> None:
    curve = ec.generate_private_key(ec.SECP256R1())
    assert "RSA and Ed25519 keys only" in explain(write_pem(curve), tmp_path)
    locked = write_pem(rsa.generate_private_key(65537, 2048), b"secret")
    assert "without a password" in explain(locked, tmp_path)
    wrong = explain(b"c2VjcmV0IHRleHQ=", tmp_path)
    assert "not a private key in PEM" in wrong
    assert "c2VjcmV0" not in wrong


def test_a_small_rsa_key_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # No library makes a key as small as what verifiers refuse.
    monkeypatch.setattr(private_key, "_MIN_RSA_BITS", 4096)
    pem = write_pem(rsa.generate_private_key(65537, 2048))
    assert "2048 bits; verifiers refuse RSA below 4096" in explain(pem, tmp_path)


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    pair = make_key_pair("ed25519", tmp_path)
    assert "chmod 600" in explain(pair.file.read_bytes(), tmp_path, 0o644)


def test_a_missing_key_is_named_with_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"gone\.pem: there is no such private key; openssl"):
        load_private_key(tmp_path / "gone.pem")


def test_a_key_may_stand_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = make_key_pair("rsa", tmp_path)
    monkeypatch.setitem(os.environ, "DKIM_KEY", pair.file.read_text(encoding="ascii"))
    assert load_private_key(key_source("env:DKIM_KEY")).algorithm == "rsa-sha256"
