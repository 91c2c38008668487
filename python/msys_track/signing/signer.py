"""Signs what goes out, by the domain of its author; what can't be signed goes out unsigned."""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from msys_track.errors import SettingsError
from msys_track.logs import event_logger
from msys_track.signing.header import Field, HeaderError, find_from_domain, split_header
from msys_track.signing.private_key import PrivateKey, load_private_key
from msys_track.signing.settings import DkimSettings
from msys_track.signing.signature import write_signature
from msys_track.smtp import data

log = event_logger(__name__)


class _Domain(NamedTuple):
    name: str
    settings: DkimSettings
    key: PrivateKey


class Signer:
    """Signs for the domains that have a key."""

    def __init__(
        self,
        domains: Mapping[str, DkimSettings],
        count: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Load every key.

        Args:
            domains: The settings of each domain by its name.
            count: Counts `dkim.signed`, `dkim.unsigned` (no key for the author's domain) and
                `dkim.failed`.
            clock: Unix time.

        Raises:
            SettingsError: a key can't be used.
        """
        self._domains = {
            name.lower(): _Domain(name.lower(), settings, _load_key(name, settings))
            for name, settings in domains.items()
        }
        self._count = count
        self._clock = clock

    def sign(self, wire: bytes) -> bytes:
        """Return the header field that signs wire bytes, to stand above them; empty for none.

        It needs no dots stuffed. Mail goes on unsigned if it is malformed or signing fails:
        whether it is taken then is the reader's server's affair, and the log says why.
        """
        try:
            signature = self._make_signature(wire)
        except (HeaderError, data.BareNewlineError) as error:
            why = str(error) if isinstance(error, HeaderError) else "a CR or LF stands alone"
            self._count("dkim.failed")
            log.warning("dkim.failed", why=why)
            return b""
        except Exception:
            self._count("dkim.failed")
            log.exception("dkim.failed")
            return b""
        self._count("dkim.signed" if signature else "dkim.unsigned")
        return signature

    def _make_signature(self, wire: bytes) -> bytes:
        fields, start = split_header(wire)
        domain = self._find_domain(fields)
        if domain is None:
            return b""
        now = int(self._clock())
        hours = domain.settings.valid_hours
        return write_signature(
            fields,
            data.relax_body(wire, start),
            key=domain.key,
            domain=domain.name,
            selector=domain.settings.selector,
            time=now,
            expires=None if hours is None else now + hours * 3600,
        )

    def _find_domain(self, fields: list[Field]) -> _Domain | None:
        name = find_from_domain(fields)
        own = self._domains.get(name)
        while own is None and "." in name:
            name = name.partition(".")[2]
            above = self._domains.get(name)
            if above is not None:
                return above if above.settings.covers_subdomains else None
        return own


def _load_key(name: str, settings: DkimSettings) -> PrivateKey:
    try:
        return load_private_key(settings.private_key)
    except SettingsError as error:
        raise SettingsError(f'dkim."{name}".private_key: {error}') from error
