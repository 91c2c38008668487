"""The key ring: with it, tracked links can be read and made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NoReturn, Self

from msys_track.errors import InvalidTokenError, KeyRingError
from msys_track.keys.file import (
    MAX_KEYS,
    SECRET_BYTES,
    KeySource,
    SecretKey,
    make_key,
    parse_keys,
    read_keys,
)
from msys_track.keys.plain.ring import KeyRing as PlainKeyRing

try:
    from msys_track._core import Claims, Engagement, TokenError, TrackedUrls
    from msys_track._core import KeyRing as _CoreKeyRing
except ModuleNotFoundError:  # a package without the compiled core
    from msys_track.keys.plain.ring import (  # type: ignore[assignment]
        KeyRing as _CoreKeyRing,
    )
    from msys_track.keys.plain.ring import TokenError  # type: ignore[assignment]
    from msys_track.keys.plain.values import (  # type: ignore[assignment]
        Claims,
        Engagement,
        TrackedUrls,
    )

__all__ = ["Claims", "Engagement", "KeyRing", "TrackedUrls"]


@dataclass(frozen=True, slots=True, eq=False)
class KeyRing:
    """Keys that seal and open tracked links; it never shows them.

    Attributes:
        core: The compiled ring, for the compiled engine; the plain one where nothing is compiled.
        plain: The same keys for the engine in pure Python.
        ids: The keys' numbers; the first one's key seals.
    """

    core: _CoreKeyRing = field(repr=False)
    plain: PlainKeyRing = field(repr=False)
    ids: tuple[int, ...]

    @classmethod
    def load(cls, source: KeySource | str) -> Self:
        """Read a key file, or its substitute; its first key seals, all of them open.

        Text is read by `key_source`, so that `env:NAME` and `credential:NAME` can be given too.

        Raises:
            KeyRingError: missing, readable by others, not TOML, or with something in it that no
                key file has; the text names the source and what to do.
        """
        return cls._from_keys(read_keys(source))

    @classmethod
    def from_bytes(cls, content: bytes | bytearray | memoryview | str) -> Self:
        """Read what a key file holds, from elsewhere: a secret store, a variable's value.

        ```python
        keys = KeyRing.from_bytes(os.environ["SHOP_KEYS"])
        ```

        Raises:
            KeyRingError: not TOML, or with something in it that no key file has; the text shows
                nothing of the content.
        """
        if isinstance(content, str):
            content = content.encode("utf-8", "surrogatepass")
        return cls._from_keys(parse_keys("keys from bytes", bytes(content)))

    @classmethod
    def from_secrets(cls, secrets: Mapping[int, bytes]) -> Self:
        """Make a ring of secrets by their numbers: the first seals, all of them open.

        Args:
            secrets: 32 random bytes each; numbers are from 1 to 255.

        Raises:
            KeyRingError: there is none, or one has another length or number.
        """
        for number, secret in secrets.items():
            if type(number) is not int or not 1 <= number <= MAX_KEYS:
                raise KeyRingError(f"key {number!r}: the number must be from 1 to {MAX_KEYS}")
            if len(secret) != SECRET_BYTES:
                what = f"the secret has {len(secret)} bytes; it must have {SECRET_BYTES}"
                raise KeyRingError(f"key {number}: {what}")
        if not secrets:
            raise KeyRingError("there is no secret; a key ring needs one to seal with")
        now = datetime.now(UTC)
        return cls._from_keys(
            [SecretKey(id=each, created=now, secret=bytes(secrets[each])) for each in secrets]
        )

    @classmethod
    def temporary(cls) -> Self:
        """Make a ring of one new key that is kept nowhere: its links die with it."""
        return cls._from_keys([make_key(1, datetime.now(UTC))])

    @classmethod
    def _from_keys(cls, keys: Sequence[SecretKey]) -> Self:
        secrets = [(key.id, key.secret) for key in keys]
        return cls(_CoreKeyRing(secrets), PlainKeyRing(secrets), tuple(key.id for key in keys))

    def __reduce__(self) -> NoReturn:
        """Refuse: a pickle would carry the keys to wherever it is kept or sent."""
        raise TypeError("a KeyRing can't be pickled or copied; load it where it is needed")

    def seal(self, claims: Claims) -> str:
        """Return the path of a tracked URL without its leading slash, such as `f/a/<token>`.

        Raises:
            ValueError: the claims are longer than a token can hold.
        """
        try:
            return self.core.seal(claims)
        except TokenError as error:
            raise ValueError(str(error)) from error

    def open(self, path: str) -> Claims:
        """Return the claims of the path of a tracked URL, with or without its leading slash.

        The path was percent-decoded once, by the HTTP server. What a mail client appended to
        the token is ignored. Claims may have expired: the caller checks that.

        Raises:
            InvalidTokenError: not ours, changed, or sealed by a key that is not on the ring.
        """
        try:
            return self.core.open(path)
        except TokenError as error:
            raise InvalidTokenError(str(error)) from error
        except UnicodeEncodeError as error:
            # Half of a surrogate pair: no URL has one, and the core can't read one.
            raise InvalidTokenError("path is not that of a tracked URL") from error
