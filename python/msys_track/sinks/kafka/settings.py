"""Settings of one Kafka cluster; every default is stated here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias, get_args

from msys_track.keys.file import KeySource
from msys_track.settings.addresses import address
from msys_track.settings.key import ConflictError, Key, check_settings
from msys_track.settings.kinds import (
    FILE_NAME,
    NAME,
    SWITCH,
    Kind,
    NotAllowedError,
    array,
    choice,
    seconds,
    text,
    whole_number,
)
from msys_track.settings.secrets import SECRET
from msys_track.smtp.address import Address

Compression: TypeAlias = Literal["none", "gzip", "snappy", "lz4", "zstd"]
Sasl: TypeAlias = Literal["none", "plain", "scram-sha-256", "scram-sha-512"]

# What makes the promises of this sink true, and what has a key of its own.
_OWN_OPTIONS: Final = frozenset({
    "bootstrap.servers", "metadata.broker.list", "enable.idempotence", "acks",
    "request.required.acks", "transactional.id", "message.timeout.ms", "delivery.timeout.ms",
    "delivery.report.only.error", "on_delivery", "error_cb", "logger", "compression.type",
    "compression.codec", "security.protocol", "sasl.mechanism", "sasl.mechanisms",
    "sasl.username", "sasl.password", "ssl.ca.location", "ssl.certificate.location",
    "ssl.key.location", "group.id", "enable.auto.commit", "enable.auto.offset.store",
})  # fmt: skip
_OPTION_NAME: Final = r"[a-z_]+(\.[a-z_]+)*"
# The broker's own rule (org.apache.kafka.common.internals.Topic).
_TOPIC_NAME: Final = r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}"


def _read_options(value: object) -> dict[str, str | int | float | bool]:
    if not isinstance(value, dict):
        raise NotAllowedError(value, _OPTIONS_ALLOWED)
    # A value may be a secret, which must not be shown.
    errors = [
        (name, NotAllowedError(ValueError("another name or value"), _OPTIONS_ALLOWED))
        for name, each in value.items()
        if re.fullmatch(_OPTION_NAME, name) is None
        or name in _OWN_OPTIONS
        or not isinstance(each, str | int | float)
    ]
    if errors:
        raise NotAllowedError.of_items(value, errors)
    return dict(value)


_OPTIONS_ALLOWED: Final = (
    "properties of librdkafka that no other key sets, each with a text, a number, true, false, "
    "env:NAME or credential:NAME"
)
_OPTIONS_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "propertyNames": {"pattern": f"^{_OPTION_NAME}$"},
    "additionalProperties": {"type": ["string", "number", "boolean"]},
}
_OPTIONS: Final = Kind(read=_read_options, allowed=_OPTIONS_ALLOWED, json_schema=_OPTIONS_SCHEMA)
_TOPIC: Final = text(
    lambda name: re.fullmatch(_TOPIC_NAME, name) is not None,
    'the name of a topic: letters, digits, ".", "_" and "-", at most 249',
    {"pattern": f"^{_TOPIC_NAME}$"},
)
_TLS: Final = ("tls_ca", "tls_certificate", "tls_key")


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSettings:
    """A topic of a Kafka cluster, and how to get there.

    Raises:
        SettingsError: a value that no client could work with.
        ConflictError: values that do not go together.
    """

    servers: Annotated[
        tuple[Address, ...],
        Key(
            array(address(lowest_port=1), 'addresses as in ["kafka1:9092", "kafka2:9092"]'),
            "some brokers of the cluster; they name the others",
            example=["kafka1:9092", "kafka2:9092"],
            is_required=True,
        ),
    ]
    topic: Annotated[str, Key(_TOPIC, "the topic of the events")] = "msys-track-events"
    compression: Annotated[
        Compression, Key(choice(*get_args(Compression)), "how records are compressed")
    ] = "lz4"
    max_events: Annotated[
        int, Key(whole_number(highest=50_000), "events that are on their way at once, at most")
    ] = 20_000
    max_age_seconds: Annotated[
        float, Key(seconds(highest=3_600), "the longest that an event waits for others")
    ] = 0.2
    timeout_seconds: Annotated[
        float,
        Key(
            seconds(highest=3_600),
            "so long after events were sent the log tells that no broker has taken them; they "
            "are kept, and sent until one does",
        ),
    ] = 10.0
    group: Annotated[str, Key(NAME, "the consumer group of `msys-track events consume`")] = (
        "msys-track"
    )
    use_tls: Annotated[
        bool | None,
        Key(
            SWITCH,
            "whether the brokers are reached over TLS",
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
    sasl: Annotated[Sasl, Key(choice(*get_args(Sasl)), "how we log in")] = "none"
    sasl_user: Annotated[
        str | None,
        Key(
            NAME,
            "the user that logs in, unless `sasl` is `none`",
            example="msys-track",
            unset="none",
        ),
    ] = None
    sasl_password: Annotated[
        KeySource | None,
        Key(SECRET, "where the password is", example="env:KAFKA_PASSWORD", unset="none"),
    ] = None
    options: Annotated[
        Mapping[str, str | int | float | bool],
        Key(
            _OPTIONS,
            "more properties of the client, librdkafka, by its names",
            example={"linger.ms": 20},
            unset="none",
            hides_texts=True,
        ),
    ] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        check_settings(self, "kafka: ")
        if not self.servers:
            raise ConflictError("kafka: ", "servers", "names no broker; give one or more")
        if self.use_tls is False:
            for name in _TLS:
                if getattr(self, name) is not None:
                    raise ConflictError("kafka: ", name, "does nothing with use_tls = false")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ConflictError("kafka: ", "tls_key", "goes with tls_certificate; give both")
        for name in ("sasl_user", "sasl_password"):
            if getattr(self, name) is None and self.sasl != "none":
                raise ConflictError("kafka: ", "sasl", f'"{self.sasl}" needs {name}')
            if getattr(self, name) is not None and self.sasl == "none":
                text = 'does nothing without sasl, as in sasl = "scram-sha-512"'
                raise ConflictError("kafka: ", name, text)

    @property
    def has_tls(self) -> bool:
        """Whether to speak TLS."""
        if self.use_tls is not None:
            return self.use_tls
        return any(getattr(self, name) is not None for name in _TLS)
