"""The properties that make a client of librdkafka do as our settings say."""

import logging
from types import ModuleType
from typing import Any, Final

from msys_track.extras import needed_extra
from msys_track.sinks.kafka.settings import KafkaSettings
from msys_track.sinks.webhook.secrets import fill_in, read_secret

# What the library would write to standard error is told by errors, once.
_SILENCE: Final = logging.Logger("librdkafka")  # noqa: LOG001 - not to be found by its name
_SILENCE.addHandler(logging.NullHandler())


def load_library() -> ModuleType:
    """Import the client's library.

    Raises:
        MissingExtraError: it is not installed.
    """
    with needed_extra("kafka", "Kafka"):
        import confluent_kafka  # noqa: PLC0415
    return confluent_kafka


def make_properties(settings: KafkaSettings, where: str) -> dict[str, Any]:
    """Make the properties that producers and consumers have in common; read the secrets.

    Args:
        settings: Of the cluster.
        where: What an error's text begins with.

    Raises:
        SettingsError: a secret can't be read.
    """
    security = "sasl_" if settings.sasl != "none" else ""
    properties: dict[str, Any] = {
        "bootstrap.servers": ",".join(map(str, settings.servers)),
        "client.id": "msys-track",
        "security.protocol": security + ("ssl" if settings.has_tls else "plaintext"),
        "logger": _SILENCE,
    }
    for name, file in (
        ("ssl.ca.location", settings.tls_ca),
        ("ssl.certificate.location", settings.tls_certificate),
        ("ssl.key.location", settings.tls_key),
    ):
        if file is not None:
            properties[name] = str(file)
    if settings.sasl_user is not None and settings.sasl_password is not None:
        properties["sasl.mechanism"] = settings.sasl.upper()
        properties["sasl.username"] = settings.sasl_user
        properties["sasl.password"] = read_secret(settings.sasl_password, f"{where}.sasl_password")
    texts = {name: each for name, each in settings.options.items() if isinstance(each, str)}
    return {**properties, **settings.options, **fill_in(texts, f"{where}.options")}
