"""Streams of a configuration: tables of their own, whose faults are named with their keys."""

import sys
from pathlib import Path

import pytest

from msys_track.config.checking import check_configuration
from msys_track.config.effective import ScopeSelector, as_toml, find_options, find_tables
from msys_track.config.load import load
from msys_track.errors import MissingExtraError
from msys_track.metrics import Counters
from msys_track.service.sinks import make_sinks

START = 'keys = "keys.toml"\n[tracker]\nstore = "events.sqlite"\n'
KAFKA = '[kafka.main]\nservers = ["kafka1:9092"]\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "msys-track.toml"
    path.write_text(START + text, encoding="utf-8")
    return path


def find_faults(path: Path) -> list[str]:
    return [
        each.format_line(path).partition(": ")[2] for each in check_configuration(path).problems
    ]


def test_tables_are_streams_with_defaults_of_their_own(folder: Path) -> None:
    read = load(write(folder, f'{KAFKA}[rabbitmq.hose]\nhost = "rabbit.example"\n'))
    assert (read.kafka["main"].topic, read.kafka["main"].has_tls) == ("msys-track-events", False)
    hose = read.rabbitmq["hose"]
    assert (hose.exchange, hose.broker_port, hose.has_tls) == ("momentum_metrics", 5672, False)


def test_files_of_tls_mean_tls(folder: Path) -> None:
    text = f'{KAFKA}tls_ca = "ca.pem"\n[rabbitmq.hose]\ntls_ca = "ca.pem"\n'
    (folder / "ca.pem").touch()
    read = load(write(folder, text))
    assert read.kafka["main"].has_tls
    assert (read.rabbitmq["hose"].has_tls, read.rabbitmq["hose"].broker_port) == (True, 5671)


@pytest.mark.parametrize(("text", "fault"), [
    (
        '[file.a]\npath = "out.ndjson"\n[file.b]\npath = "./out.ndjson"\n',
        "file.b.path: [file.a] writes it already; give each its own file",
    ),
    ("[kafka.main]\n", "kafka.main.servers: missing; write it as in servers = "),
    ("[kafka.main]\nservers = []\n", "kafka.main.servers: names no broker"),
    ('[kafka.main]\nservers = ["kafka1"]\n', 'kafka.main.servers[0]: found "kafka1", allowed'),
    ('[kafka."a/b"]\nservers = ["a:1"]\n', 'kafka."a/b": found "a/b", allowed: letters'),
    (f'{KAFKA}topic = "a b"\n', 'kafka.main.topic: found "a b", allowed: the name of a topic'),
    (f'{KAFKA}sasl = "plain"\nsasl_user = "me"\n', 'kafka.main.sasl: "plain" needs sasl_password'),
    (f"{KAFKA}options = {{ acks = 0 }}\n", "kafka.main.options.acks: found another name or value"),
    (
        f'{KAFKA}use_tls = false\ntls_ca = "keys.toml"\n',
        "kafka.main.tls_ca: does nothing with use_tls = false",
    ),
    (f'{KAFKA}tls_certificate = "keys.toml"\n', "kafka.main.tls_key: goes with tls_certificate"),
    ("[rabbitmq.hose]\nport = 0\n", "rabbitmq.hose.port: found 0, allowed: a whole number"),
    ('[rabbitmq.hose]\ntls_key = "keys.toml"\n', "rabbitmq.hose.tls_key: goes with tls_cert"),
    ('[rabbitmq.hose]\ntls_ca = "none.pem"\n', 'rabbitmq.hose.tls_ca: found "none.pem", but'),
])  # fmt: skip
def test_a_fault_is_named_with_its_key(folder: Path, text: str, fault: str) -> None:
    (found,) = find_faults(write(folder, text))
    assert found.startswith(fault)


def test_options_that_may_be_secrets_are_not_shown(folder: Path) -> None:
    text = f'{KAFKA}options = {{ "sasl.oauthbearer.client.secret" = "s3cret", "linger.ms" = 7 }}\n'
    read = load(write(folder, text))
    tables = find_tables(read.document, read)
    shown = as_toml(tables, {ScopeSelector(): find_options(read, ScopeSelector())})
    assert "s3cret" not in shown
    assert "s3cret" not in repr(read)
    assert '"linger.ms" = 7' in shown


@pytest.mark.parametrize(("text", "module", "extra"), [
    (KAFKA, "confluent_kafka", "kafka"),
    ("[rabbitmq.hose]\n", "aio_pika", "rabbitmq"),
])  # fmt: skip
def test_an_extra_that_is_missing_is_named(
    folder: Path, text: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = load(write(folder, text))
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delitem(sys.modules, "msys_track.sinks.rabbitmq.publisher", raising=False)
    line = rf"needs the extra \[{extra}\]: pip install 'msys-track\[{extra}\]'"
    with pytest.raises(MissingExtraError, match=line):
        make_sinks(read, folder, Counters())
