"""Hashes of passwords: scrypt (RFC 7914), written as PHC strings, which other programs know too.

`$scrypt$ln=15,r=8,p=3$SALT$HASH` has the cost beside the hash, so that a later default leaves the
hashes of today as they are.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import Final, Self

from msys_track.smtp.auth import prepare_password

MIN_PASSWORD_CHARACTERS: Final = 8  # NIST SP 800-63B section 5.1.1.2

_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 32
_PHC: Final = re.compile(
    r"\$scrypt\$ln=([0-9]{1,2}),r=([0-9]{1,2}),p=([0-9]{1,2})"
    r"\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{43,86})"
)
_MAX_MEMORY_BYTES: Final = 256 * 1024 * 1024
_LEAST_LOG_COST: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one hash takes: 128 x r x 2^ln bytes of memory, p times as long.

    The default is one of OWASP's ("Password Storage Cheat Sheet"): 32 MiB, about a quarter of a
    second.
    """

    log_n: int = 15
    block_size: int = 8
    parallelism: int = 3

    @property
    def memory_bytes(self) -> int:
        """The memory that OpenSSL asks for."""
        return 128 * self.block_size * ((1 << self.log_n) + self.parallelism + 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordHash:
    """A password as a file keeps it."""

    cost: Cost
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    @classmethod
    def make(cls, password: str, *, cost: Cost | None = None) -> Self:
        """Hash a password with a fresh salt."""
        cost, salt = cost or Cost(), secrets.token_bytes(_SALT_BYTES)
        return cls(cost=cost, salt=salt, digest=_derive(password, cost, salt, _HASH_BYTES))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a PHC string.

        Raises:
            ValueError: another form, or a cost that no server should pay.
        """
        found = _PHC.fullmatch(text)
        if found is None:
            raise ValueError("not $scrypt$ln=…,r=…,p=…$SALT$HASH")
        log_n, block_size, parallelism = map(int, found.groups()[:3])
        cost = Cost(log_n=log_n, block_size=block_size, parallelism=parallelism)
        if log_n < _LEAST_LOG_COST or not block_size or not parallelism:
            raise ValueError(f"a cost below ln={_LEAST_LOG_COST},r=1,p=1")
        if cost.memory_bytes > _MAX_MEMORY_BYTES:
            raise ValueError(f"a cost of more than {_MAX_MEMORY_BYTES} bytes of memory")
        try:
            salt, digest = (
                base64.b64decode(each + "=" * (-len(each) % 4)) for each in found.groups()[3:]
            )
        except binascii.Error:
            raise ValueError("salt or hash is not base64") from None
        return cls(cost=cost, salt=salt, digest=digest)

    def __str__(self) -> str:
        """Write it as a PHC string."""
        salt, digest = (
            base64.b64encode(each).decode().rstrip("=") for each in (self.salt, self.digest)
        )
        cost = self.cost
        return f"$scrypt$ln={cost.log_n},r={cost.block_size},p={cost.parallelism}${salt}${digest}"

    def verify(self, password: str) -> bool:
        """Whether a password has this hash; takes as long if it has not.

        OpenSSL lets other threads run meanwhile.
        """
        digest = _derive(password, self.cost, self.salt, len(self.digest))
        return hmac.compare_digest(digest, self.digest)


def _derive(password: str, cost: Cost, salt: bytes, length: int) -> bytes:
    return hashlib.scrypt(
        prepare_password(password).encode(),
        salt=salt,
        n=1 << cost.log_n,
        r=cost.block_size,
        p=cost.parallelism,
        maxmem=cost.memory_bytes + 1024 * 1024,
        dklen=length,
    )
