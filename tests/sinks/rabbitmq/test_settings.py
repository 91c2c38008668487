"""What settings of a RabbitMQ broker go together."""

from pathlib import Path
from typing import Any

import pytest

from msys_track.errors import SettingsError
from msys_track.sinks.rabbitmq.settings import RabbitmqSettings


@pytest.mark.parametrize(
    ("fields", "port"),
    [
        ({}, 5672),
        ({"use_tls": False}, 5672),
        ({"use_tls": True}, 5671),
        ({"tls_ca": Path("ca.pem")}, 5671),
        ({"tls_ca": Path("ca.pem"), "port": 7}, 7),
    ],
)
def test_the_port_is_that_of_the_protocol_unless_it_is_set(
    fields: dict[str, Any], port: int
) -> None:
    assert RabbitmqSettings(**fields).broker_port == port


@pytest.mark.parametrize("name", ["tls_ca", "tls_certificate", "tls_key"])
def test_files_of_tls_are_refused_without_tls(name: str) -> None:
    with pytest.raises(SettingsError, match=f"{name}: does nothing with use_tls = false"):
        RabbitmqSettings(use_tls=False, **{name: Path("a.pem")})  # type: ignore[arg-type]
