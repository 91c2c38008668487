"""Settings of one RabbitMQ broker; every default is stated here.

Names and defaults are those of Momentum's `event_hose` where it has them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from msys_track.keys.file import KeySource
from msys_track.settings.addresses import MAX_PORT
from msys_track.settings.key import ConflictError, Key, check_settings
from msys_track.settings.kinds import (
    FILE_NAME,
    HOSTNAME,
    NAME,
    SWITCH,
    seconds,
    text,
    whole_number,
)
from msys_track.settings.secrets import SECRET

_MAX_NAME_BYTES: Final = 255  # AMQP 0-9-1 section 4.2.5.3: a short string
_SHORT_TEXT: Final = text(
    lambda name: name.isprintable() and 0 < len(name.encode()) <= _MAX_NAME_BYTES,
    "a name of at most 255 bytes, in quotes",
    {"minLength": 1, "maxLength": _MAX_NAME_BYTES},
)
_PORT: Final = 5672
_TLS_PORT: Final = 5671
_TLS: Final = ("tls_ca", "tls_certificate", "tls_key")


@dataclass(frozen=True, slots=True, kw_only=True)
class RabbitmqSettings:
    """An exchange of a broker, and how to get there.

    Raises:
        SettingsError: a value that no client could work with.
        ConflictError: values that do not go together.
    """

    host: Annotated[str, Key(HOSTNAME, "the broker")] = "localhost"
    port: Annotated[
        int | None,
        Key(
            whole_number(highest=MAX_PORT),
            "its port",
            example=_TLS_PORT,
            unset=f"{_PORT}; {_TLS_PORT} over TLS",
        ),
    ] = None
    use_tls: Annotated[
        bool | None,
        Key(
            SWITCH,
            "whether it is reached over TLS",
            example=True,
            unset="with any of the next three",
        ),
    ] = None
    tls_ca: Annotated[
        Path | None,
        Key(
            FILE_NAME,
            "certificates of the authorities to trust, in PEM",
            example="ca.pem",
            unset="the system's",
        ),
    ] = None
    tls_certificate: Annotated[
        Path | None,
        Key(FILE_NAME, "our certificate, in PEM", example="fullchain.pem", unset="none"),
    ] = None
    tls_key: Annotated[
        Path | None, Key(FILE_NAME, "its key, in PEM", example="privkey.pem", unset="none")
    ] = None
    user: Annotated[str, Key(NAME, "the user that logs in")] = "guest"
    password: Annotated[
        KeySource | None,
        Key(
            SECRET,
            "where the password is",
            example="env:RABBITMQ_PASSWORD",
            unset="`guest`, which a broker takes from its own machine only",
        ),
    ] = None
    virtual_host: Annotated[str, Key(_SHORT_TEXT, "the virtual host")] = "/"
    exchange: Annotated[
        str,
        Key(
            _SHORT_TEXT,
            "the topic exchange that events are published to; made, durable, if it does not exist",
        ),
    ] = "momentum_metrics"
    mandatory: Annotated[
        bool,
        Key(
            SWITCH,
            "wait where no queue takes an event; else the broker drops it, as a hose does",
        ),
    ] = False
    max_events: Annotated[
        int, Key(whole_number(highest=50_000), "events that are on their way at once, at most")
    ] = 1_000
    max_age_seconds: Annotated[
        float, Key(seconds(highest=3_600), "the longest that an event waits for others")
    ] = 0.2
    timeout_seconds: Annotated[
        float, Key(seconds(highest=3_600), "for so long the broker's answer is waited for")
    ] = 30.0

    def __post_init__(self) -> None:
        check_settings(self, "rabbitmq: ")
        if self.use_tls is False:
            for name in _TLS:
                if getattr(self, name) is not None:
                    raise ConflictError("rabbitmq: ", name, "does nothing with use_tls = false")
        if self.tls_certificate is None and self.tls_key is not None:
            raise ConflictError("rabbitmq: ", "tls_key", "goes with tls_certificate; give both")

    @property
    def broker_port(self) -> int:
        """The port, that of the protocol unless it is set."""
        return self.port or (_TLS_PORT if self.has_tls else _PORT)

    @property
    def has_tls(self) -> bool:
        """Whether to speak TLS."""
        if self.use_tls is not None:
            return self.use_tls
        return any(getattr(self, name) is not None for name in _TLS)
