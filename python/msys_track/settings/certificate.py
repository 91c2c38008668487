"""The certificate of a server of HTTPS, which is read again while connections come in."""

import ssl
from functools import partial
from pathlib import Path
from typing import Final

from msys_track.errors import SettingsError
from msys_track.logs import event_logger
from msys_track.settings.watched import Watched
from msys_track.smtp.tls import make_server_context

log = event_logger(__name__)

_ALPN: Final = ["http/1.1"]


class Certificate:
    """A context for listeners that gives each handshake the certificate of its moment.

    Attributes:
        context: What listeners use, for ever.
    """

    def __init__(self, certificate: Path, key: Path | None) -> None:
        """Read the files.

        Raises:
            SettingsError: they can't be used.
        """
        files = tuple(filter(None, (certificate, key)))
        self._watched = Watched(files, partial(_make_context, certificate, key))
        self._is_bad = False
        self.context = _make_context(certificate, key)
        self.context.sni_callback = self._choose

    def look(self) -> None:
        """Read the files again if they have changed; what can't be used is logged once."""
        try:
            if self._watched.reload_if_changed():
                log.info("tls.reloaded")
        except SettingsError as error:
            if not self._is_bad:
                log.error("tls.not_reloaded", why=str(error))  # noqa: TRY400 - the file's fault
            self._is_bad = True
        else:
            self._is_bad = False

    def _choose(
        self,
        connection: ssl.SSLSocket | ssl.SSLObject,
        name: str | None,  # noqa: ARG002 - the standard library's
        context: ssl.SSLContext,  # noqa: ARG002
    ) -> None:
        # OpenSSL calls this for a client without SNI, too.
        connection.context = self._watched.value


def _make_context(certificate: Path, key: Path | None) -> ssl.SSLContext:
    context = make_server_context(certificate, key)
    context.set_alpn_protocols(_ALPN)
    return context
