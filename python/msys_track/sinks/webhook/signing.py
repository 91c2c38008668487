"""Signatures of Standard Webhooks, version 1 of its scheme with a shared secret.

Source: https://www.standardwebhooks.com, "Signature scheme".
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final

from msys_track.errors import SettingsError

_PREFIX: Final = "whsec_"
_SHORTEST: Final = 24
_LONGEST: Final = 64


def parse_secrets(text: str, where: str) -> tuple[bytes, ...]:
    """Read secrets, a line each: `whsec_` and 24 to 64 bytes in base64.

    Raises:
        SettingsError: one is not that; the text begins with `where` and does not show it.
    """
    secrets = []
    for line in text.split():
        try:
            secret = base64.b64decode(line.removeprefix(_PREFIX), validate=True)
        except (binascii.Error, ValueError):  # not chained: it may show the secret
            secret = b""
        if not line.startswith(_PREFIX) or not _SHORTEST <= len(secret) <= _LONGEST:
            form = f"{_PREFIX} and {_SHORTEST} to {_LONGEST} random bytes in base64"
            hint = "make one: echo whsec_$(openssl rand -base64 32)"
            raise SettingsError(f"{where}: not a secret of this form: {form}; {hint}")
        secrets.append(secret)
    return tuple(secrets)


def sign(secrets: Sequence[bytes], batch_id: str, at: int, body: bytes) -> Mapping[str, str]:
    """Make the headers of a signed batch; empty without secrets.

    Args:
        secrets: Each makes a signature, so that a receiver can change from one to the next.
        batch_id: The same for every try of a batch.
        at: When this try is made, in Unix seconds.
        body: What is posted.
    """
    if not secrets:
        return {}
    signed = f"{batch_id}.{at}.".encode("ascii") + body
    digests = (hmac.digest(secret, signed, hashlib.sha256) for secret in secrets)
    return {
        "webhook-id": batch_id,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(each).decode()}" for each in digests),
    }
