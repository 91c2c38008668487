"""Certificates made for a test: each an authority of its own, so that a client can verify it."""

import datetime as dt
import hashlib
import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A certificate and its key, in PEM."""

    certificate: Path
    key: Path

    @property
    def fingerprint(self) -> str:
        """SHA-256, as openssl prints it."""
        der = ssl.PEM_cert_to_DER_cert(self.certificate.read_text())
        return hashlib.sha256(der).digest().hex(":").upper()

    def trust(self) -> ssl.SSLContext:
        """Make the context of a client that trusts this certificate alone."""
        return ssl.create_default_context(cafile=str(self.certificate))


def make_certificate(
    folder: Path,
    *names: str,
    stem: str = "server",
    passphrase: bytes | None = None,
    is_expired: bool = False,
    key: rsa.RSAPrivateKey | None = None,
) -> Certificate:
    """Write a self-signed certificate for names and addresses; by default localhost's.

    Without `key` it has a new one on P-256.
    """
    own = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{stem} of a test")])
    now = dt.datetime.now(dt.UTC) - (60 * _DAY if is_expired else 0 * _DAY)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + 30 * _DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName(
                [_general_name(each) for each in names or ("localhost", "127.0.0.1")]
            ),
            critical=False,
        )
        .sign(own, hashes.SHA256())
    )
    made = Certificate(certificate=folder / f"{stem}.crt", key=folder / f"{stem}.key")
    made.certificate.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    cipher = (
        serialization.NoEncryption()
        if passphrase is None
        else serialization.BestAvailableEncryption(passphrase)
    )
    made.key.write_bytes(
        own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, cipher)
    )
    made.key.chmod(0o600)
    return made


def shake_hands(
    server: ssl.SSLContext, client: ssl.SSLContext, name: str | None = "localhost"
) -> ssl.SSLObject:
    """Finish a handshake in memory, and return the client's end."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=name)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    is_done = [False, False]
    for _ in range(10):
        for number, end in enumerate((ours, theirs)):
            try:
                end.do_handshake()
                is_done[number] = True
            except ssl.SSLWantReadError:
                continue
    assert all(is_done)
    return ours


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
