"""TLS of both sides: the contexts of servers and clients, and what a client may insist on.

TLS 1.2 is the oldest version (RFC 8996). Ciphers and curves are those of Python's own default
context, which follow OpenSSL's advice.
"""

import hashlib
import hmac
import os
import re
import ssl
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from msys_track.errors import SettingsError, describe_os_error

FINGERPRINT: Final = re.compile(r"(?:[0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}")
"""SHA-256 of a certificate, as `openssl x509 -fingerprint -sha256` prints it; colons may miss."""


class FingerprintError(ssl.SSLError):
    """The server's certificate is none of those that are pinned."""


def make_server_context(certificate: Path, key: Path | None = None) -> ssl.SSLContext:
    """Make the context of a listener.

    Args:
        certificate: PEM: the certificate, then those between it and its root.
        key: PEM, without a passphrase; None if it stands in the same file.

    Raises:
        SettingsError: a file can't be read, is not PEM, or the two don't belong together.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A client can't make us negotiate again and again.
    context.options |= ssl.OP_NO_RENEGOTIATION
    for file in filter(None, (certificate, key)):
        try:
            with file.open("rb"):
                pass
        except OSError as error:
            raise SettingsError(f"{file}: can't be read: {describe_os_error(error)}") from error

    def refuse_passphrase() -> str:  # without it OpenSSL would ask the terminal
        hint = "`openssl pkey -in FILE -out NEW` takes it off"
        raise SettingsError(f"{key or certificate}: the key has a passphrase; {hint}")

    try:
        context.load_cert_chain(certificate, key, password=refuse_passphrase)
    except (ssl.SSLError, OSError) as error:
        files = f"{certificate}" if key is None else f"{certificate} and {key}"
        raise SettingsError(f"{files}: {_explain(error)}") from error
    return context


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTls:
    """What we want of a server's TLS."""

    context: ssl.SSLContext
    server_name: str | None = None
    """The name that its certificate must have, in place of the name that we connect to."""
    fingerprints: frozenset[bytes] = frozenset()
    """SHA-256 of the certificates that it may have; empty: any that is verified otherwise."""

    def check_peer(self, connected: ssl.SSLObject | ssl.SSLSocket) -> None:
        """Check a connection after its handshake, before anything is sent.

        Raises:
            FingerprintError: fingerprints are pinned, and its certificate has another.
        """
        if self.fingerprints:
            check_fingerprint(connected.getpeercert(binary_form=True), self.fingerprints)


def make_client_tls(
    *,
    verify: bool,
    ca_file: Path | None = None,
    server_name: str | None = None,
    fingerprints: Collection[str] = (),
) -> ClientTls:
    """Make what a connection to an upstream needs for TLS.

    A pinned certificate needs no authority: it is known itself.

    Args:
        verify: Whether the certificate must be good for the name. Without, TLS keeps out those who
            only listen.
        ca_file: PEM of the authorities to trust, in place of the system's.
        server_name: The name that the certificate must have, in place of the host's.
        fingerprints: SHA-256 of the certificates to take, in hexadecimal.

    Raises:
        SettingsError: `ca_file` can't be read or is not PEM, or a fingerprint is malformed.
    """
    try:
        context = ssl.create_default_context(
            ssl.Purpose.SERVER_AUTH, cafile=None if ca_file is None else os.fspath(ca_file)
        )
    except (ssl.SSLError, OSError) as error:
        raise SettingsError(f"{ca_file}: {_explain(error)}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify or fingerprints:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return ClientTls(
        context=context,
        server_name=server_name,
        fingerprints=frozenset(map(parse_fingerprint, fingerprints)),
    )


def parse_fingerprint(text: str) -> bytes:
    """Read SHA-256 in hexadecimal, with or without colons.

    Raises:
        SettingsError: anything else.
    """
    if FINGERPRINT.fullmatch(text) is None:
        raise SettingsError(
            f"{text[:100]!r} is not the SHA-256 of a certificate; `openssl x509 -noout "
            "-fingerprint -sha256 -in FILE` prints it"
        )
    return bytes.fromhex(text.replace(":", ""))


def check_fingerprint(certificate: bytes | None, fingerprints: Collection[bytes]) -> None:
    """Compare a certificate, in DER, with those that are pinned.

    Raises:
        FingerprintError: it is none of them, or there is none.
    """
    found = hashlib.sha256(certificate or b"").digest()
    if certificate is None or not any(hmac.compare_digest(found, each) for each in fingerprints):
        raise FingerprintError(
            f"the certificate's SHA-256 is {found.hex(':').upper()}, which is not pinned"
        )


def _explain(error: OSError) -> str:
    if not isinstance(error, ssl.SSLError):
        return f"can't be read: {describe_os_error(error)}"
    match error.reason:
        case "KEY_VALUES_MISMATCH":
            return "the key is not the certificate's"
        case "EE_KEY_TOO_SMALL" | "CA_KEY_TOO_SMALL" | "CA_MD_TOO_WEAK":
            return "the certificate is too weak; make one with RSA of 2048 bits or with P-256"
    return f"is not a certificate or key in PEM ({error.reason or error})"
