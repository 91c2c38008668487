"""TLS of both sides: real handshakes in memory, files that change, pinned certificates."""

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.certificates import make_certificate, shake_hands

from msys_track.errors import SettingsError
from msys_track.smtp.tls import (
    ClientTls,
    FingerprintError,
    check_fingerprint,
    make_client_tls,
    make_server_context,
    parse_fingerprint,
)


def test_a_client_that_verifies_takes_the_name_of_the_certificate(tmp_path: Path) -> None:
    made = make_certificate(tmp_path)
    client = make_client_tls(verify=True, ca_file=made.certificate)
    connected = shake_hands(make_server_context(made.certificate, made.key), client.context)
    assert connected.version() == "TLSv1.3"


def test_a_client_that_verifies_refuses_another_name(tmp_path: Path) -> None:
    made = make_certificate(tmp_path, "mail.example.com")
    client = make_client_tls(verify=True, ca_file=made.certificate)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake_hands(make_server_context(made.certificate, made.key), client.context)


def test_a_client_that_verifies_refuses_an_unknown_authority(tmp_path: Path) -> None:
    made = make_certificate(tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError, match="self-signed"):
        shake_hands(
            make_server_context(made.certificate, made.key), make_client_tls(verify=True).context
        )


def test_a_client_that_does_not_verify_takes_any_certificate(tmp_path: Path) -> None:
    made = make_certificate(tmp_path, "mail.example.com")
    client = make_client_tls(verify=False)
    connected = shake_hands(make_server_context(made.certificate, made.key), client.context)
    client.check_peer(connected)
    assert connected.cipher() is not None


def test_a_pinned_certificate_needs_no_authority_and_no_name(tmp_path: Path) -> None:
    made = make_certificate(tmp_path, "mail.example.com")
    client = make_client_tls(verify=True, fingerprints=[made.fingerprint])
    client.check_peer(shake_hands(make_server_context(made.certificate, made.key), client.context))


def test_a_certificate_that_is_not_pinned_is_refused_with_its_fingerprint(tmp_path: Path) -> None:
    made = make_certificate(tmp_path)
    client = make_client_tls(verify=True, fingerprints=["00" * 32])
    connected = shake_hands(make_server_context(made.certificate, made.key), client.context)
    with pytest.raises(FingerprintError, match=made.fingerprint):
        client.check_peer(connected)


def test_no_certificate_is_none_of_the_pinned() -> None:
    with pytest.raises(FingerprintError):
        check_fingerprint(None, [bytes(32)])


@pytest.mark.parametrize("text", ["", "00", "zz" * 32, "00" * 33, "00:" * 32, "00" * 31 + ":0"])
def test_what_is_not_a_fingerprint_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="openssl x509"):
        parse_fingerprint(text)


def test_a_fingerprint_is_read_with_and_without_colons() -> None:
    assert parse_fingerprint(":".join(["aB"] * 32)) == parse_fingerprint("AB" * 32) == b"\xab" * 32


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_versions_before_1_2_are_refused(tmp_path: Path, version: ssl.TLSVersion) -> None:
    made = make_certificate(tmp_path)
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.minimum_version = old.maximum_version = version
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        shake_hands(make_server_context(made.certificate, made.key), old)


def test_certificate_and_key_can_share_a_file(tmp_path: Path) -> None:
    made = make_certificate(tmp_path)
    both = tmp_path / "both.pem"
    both.write_text(made.key.read_text() + made.certificate.read_text())
    shake_hands(make_server_context(both), made.trust())


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    made = make_certificate(tmp_path)
    missing = tmp_path / "missing.key"
    with pytest.raises(SettingsError, match=r"missing\.key: can't be read: No such file"):
        make_server_context(made.certificate, missing)


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    made, other = make_certificate(tmp_path), make_certificate(tmp_path, stem="other")
    with pytest.raises(SettingsError, match="the key is not the certificate's"):
        make_server_context(made.certificate, other.key)


def test_a_key_that_is_too_weak_is_refused_with_what_would_do(tmp_path: Path) -> None:
    key = rsa.generate_private_key(65_537, 1_024)  # noqa: S505 - that it is refused is the point
    made = make_certificate(tmp_path, key=key)
    with pytest.raises(SettingsError, match="too weak; make one with RSA of 2048 bits"):
        make_server_context(made.certificate, made.key)


def test_a_key_with_a_passphrase_is_refused_without_asking_the_terminal(tmp_path: Path) -> None:
    made = make_certificate(tmp_path, passphrase=b"secret")
    with pytest.raises(SettingsError, match="has a passphrase"):
        make_server_context(made.certificate, made.key)


def test_what_is_not_pem_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "server.crt"
    file.write_text("hello")
    with pytest.raises(SettingsError, match=r"server\.crt: is not a certificate or key in PEM"):
        make_server_context(file)


def test_authorities_that_can_not_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"ca\.pem: can't be read"):
        make_client_tls(verify=True, ca_file=tmp_path / "ca.pem")


def test_a_client_may_ask_for_another_name_than_the_host(tmp_path: Path) -> None:
    made = make_certificate(tmp_path, "mail.example.com")
    client = make_client_tls(verify=True, ca_file=made.certificate, server_name="mail.example.com")
    assert isinstance(client, ClientTls)
    server = make_server_context(made.certificate, made.key)
    shake_hands(server, client.context, client.server_name)
