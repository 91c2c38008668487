"""What settings of a Kafka cluster go together."""

from pathlib import Path
from typing import Any

import pytest

from msys_track.errors import SettingsError
from msys_track.sinks.kafka.settings import KafkaSettings
from msys_track.smtp.address import Address

SERVERS = (Address("kafka1", 9092),)


@pytest.mark.parametrize(
    ("fields", "has_tls"),
    [
        ({}, False),
        ({"tls_ca": Path("ca.pem")}, True),
        ({"use_tls": True}, True),
        ({"use_tls": False}, False),
    ],
)
def test_tls_is_spoken_where_it_is_wanted_or_a_file_of_it_is_named(
    fields: dict[str, Any], *, has_tls: bool
) -> None:
    assert KafkaSettings(servers=SERVERS, **fields).has_tls is has_tls


@pytest.mark.parametrize("name", ["tls_ca", "tls_certificate", "tls_key"])
def test_files_of_tls_are_refused_without_tls(name: str) -> None:
    with pytest.raises(SettingsError, match=f"kafka: {name}: does nothing with use_tls = false"):
        KafkaSettings(servers=SERVERS, use_tls=False, **{name: Path("a.pem")})  # type: ignore[arg-type]


def test_options_that_are_no_table_are_named() -> None:
    with pytest.raises(SettingsError, match=r"options: found .*properties of librdkafka"):
        KafkaSettings(servers=SERVERS, options="linger.ms=20")  # type: ignore[arg-type]
