from dataclasses import fields
from ipaddress import ip_network
from pathlib import Path

import pytest

from msys_track.config.load import load
from msys_track.config.problems import ConfigurationError
from msys_track.config.schema.tables import TABLES
from msys_track.errors import SettingsError
from msys_track.eventlog.settings import EventsSettings
from msys_track.injection.access.settings import AccessSettings
from msys_track.injection.metrics_settings import MetricsSettings
from msys_track.injection.settings import ProxySettings
from msys_track.kept_mail.settings import KeptMailSettings
from msys_track.options.scopes import Scope
from msys_track.options.tracking import TrackingOptions
from msys_track.policy.loading import PolicySettings
from msys_track.relay.settings import UpstreamSettings
from msys_track.report.settings import ReportSettings
from msys_track.sinks.store.settings import StoreSettings
from msys_track.spool.settings import SpoolSettings
from msys_track.tracking.classify.settings import ClassificationSettings
from msys_track.tracking.settings import TrackerSettings

GOOD = """\
keys = "keys.toml"

[listener]
open_tracking_enabled = true
click_tracking_enabled = false
open_tracking_scheme = "HTTPS"
click_tracking_scheme = "https"
tracking_domain = "click.example.com"
tracking_link_expiry = 86400

[engagement_tracker]
click_tracking_include_metadata = false
max_metadata_len = 200

[proxy]
listen = "127.0.0.1:2525"
hostname = "proxy.example.com"
upstream = "[::1]:25"
upstream_max_connections = 7
idle_timeout_seconds = 1.5

[tracker]
listen = "0.0.0.0:0"
store = "events.sqlite"
server_name = "msys-http"
trusted_proxies = [
  "10.0.0.0/8",
  "::1",
]
"""
GOOD_LINES = GOOD.splitlines()


def write(folder: Path, text: str) -> Path:
    (folder / "keys.toml").touch()
    path = folder / "msys-track.toml"
    path.write_text(text, encoding="utf-8")
    return path


def faults(folder: Path, text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(ConfigurationError) as caught:
        load(write(folder, text))
    return [(problem.line, problem.key, problem.text) for problem in caught.value.problems]


def replace_line(line: int, text: str) -> str:
    return "\n".join([*GOOD_LINES[: line - 1], text, *GOOD_LINES[line:]])


def test_every_table_is_read_into_its_rooms_settings(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    read = load(path)
    listener, module = read.scopes.layers(None, None)
    assert listener.options == TrackingOptions(
        open_tracking=True,
        click_tracking=False,
        open_tracking_scheme="https",
        click_tracking_scheme="https",
        tracking_domain="click.example.com",
        tracking_link_expiry_seconds=86_400,
    )
    assert module.options == TrackingOptions(
        click_tracking_include_metadata=False, max_metadata_bytes=200
    )
    assert listener.source("tracking_domain") == "listener (msys-track.toml:8)"
    assert module.source("max_metadata_bytes") == "engagement_tracker (msys-track.toml:13)"
    assert (read.keys, read.smtpapi) == (tmp_path / "keys.toml", True)
    assert read.policy == PolicySettings()
    assert read.proxy == ProxySettings(
        listen_host="127.0.0.1",
        listen_port=2525,
        hostname="proxy.example.com",
        idle_timeout_seconds=1.5,
    )
    assert read.upstream == UpstreamSettings(host="::1", port=25, max_connections=7)
    assert read.tracker == TrackerSettings(
        listen_host="0.0.0.0",  # noqa: S104 - read, not bound
        listen_port=0,
        store=tmp_path / "events.sqlite",
        trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("::1")),
    )


def test_an_empty_file_sets_nothing(tmp_path: Path) -> None:
    configuration = load(write(tmp_path, ""))
    assert [scope.options for scope in configuration.scopes.layers(None, None)] == [
        TrackingOptions()
    ]
    servers = (configuration.proxy, configuration.upstream, configuration.tracker)
    assert servers == (None, None, None)


def test_every_setting_of_every_room_can_be_set_from_the_file() -> None:
    settable = {
        (key.settings, name)
        for table in TABLES.values()
        for key in table.values()
        for name in key.fields
    }
    settable |= {(ProxySettings, "more_listens")}  # by tables [listen."host:port"]
    settable |= {(ProxySettings, "is_tls_only")}  # all of which are in listen_tls
    settable |= {(AccessSettings, "clients"), (AccessSettings, "users")}  # and by families
    settable |= {(ProxySettings, "access")}
    rooms = (
        TrackingOptions, ProxySettings, AccessSettings, UpstreamSettings, SpoolSettings,
        MetricsSettings,
        TrackerSettings, EventsSettings, ClassificationSettings, StoreSettings, PolicySettings,
        ReportSettings, KeptMailSettings,
    )  # fmt: skip
    named = {(room, field.name) for room in rooms for field in fields(room)}
    assert settable == named | {(Scope, "pathway"), (Scope, "context")}


WRONG = [
    (1, 'keys = ""', "keys", 'found ""'),
    (1, 'keys = "."', "keys", "a folder, allowed: a file"),
    (1, 'keys = "env:"', "keys", "env: not followed by a valid name, allowed: the name of"),
    (1, 'keys = [{ secret = "AAEC" }]', "keys", "found the keys themselves, allowed: the name"),
    (1, "keys = \"secret = 'AAEC'\"", "keys", "found the keys themselves, allowed: the name"),
    (5, "click-tracking-enabled = true", "listener.click-tracking-enabled", "click_tracking_en"),
    (9, "tracking_link_expiry = 1.5", "listener.tracking_link_expiry", "found 1.5"),
    (9, "tracking_link_expiry = 2024-01-01", "listener.tracking_link_expiry", "2024-01-01"),
    (16, 'listen = "2525"', "proxy.listen", "host:port"),
    (16, 'listen = ":2525"', "proxy.listen", "host:port"),
    (16, 'listen = "[::g]:25"', "proxy.listen", "host:port"),
    (19, "upstream_max_connections = 0", "proxy.upstream_max_connections", "from 1 to"),
    (20, "idle_timeout_seconds = 0", "proxy.idle_timeout_seconds", "above 0"),
    (20, "idle_timeout_seconds = nan", "proxy.idle_timeout_seconds", "above 0"),
    (20, 'idle_timeout_seconds = "5m"', "proxy.idle_timeout_seconds", "above 0"),
    (21, "sotre = 1", "proxy.sotre", "unknown; allowed: listen, hostname"),
    (24, 'store = "."', "tracker.store", "a folder, allowed: a file"),
    (25, 'server_name = "two\\nlines"', "tracker.server_name", "printable ASCII"),
]


@pytest.mark.parametrize(("line", "text", "key", "words"), WRONG)
def test_a_fault_is_told_with_its_line_its_key_and_what_is_allowed(
    tmp_path: Path, line: int, text: str, key: str, words: str
) -> None:
    found = faults(tmp_path, replace_line(line, text))
    assert (line, key) in [(number, name) for number, name, _ in found]
    assert words in next(
        wording for number, name, wording in found if (number, name) == (line, key)
    )
    # What is wrong or misspelt is not missing as well.
    assert {number for number, _, _ in found} == {line}


SEVERAL = """\
tracking_domain = "x.test"
[listener]
tracking_link_expiry = -5
never_wrap = [
  "a*",
  "",
  7,
]
open_tracking_scheme = gopher
[proxy]
listen = "127.0.0.1"
[tracker]
stor = 1
"""


def test_all_faults_of_a_file_are_told_in_the_order_of_its_lines(tmp_path: Path) -> None:
    assert [(line, key) for line, key, _ in faults(tmp_path, SEVERAL)] == [
        (1, "tracking_domain"),
        (1, "keys"),
        (3, "listener.tracking_link_expiry"),
        (6, "listener.never_wrap[1]"),
        (7, "listener.never_wrap[2]"),
        (9, "listener.open_tracking_scheme"),
        (10, "proxy.upstream"),
        (11, "proxy.listen"),
        (13, "tracker.stor"),
    ]


def test_every_variable_that_is_wrong_is_told_on_its_own_line(tmp_path: Path) -> None:
    long = "x" * 70_000
    text = (
        "[listener.context]\n"
        'class = "any text that policy understands"\n'
        "number = 7\n"
        'smtpapi_tracking_link_expiry = "soon"\n'
        'smtpapi_metadata = "{}"\n'
        f'much = "{long}"\n'
        f'"{"n" * 300}" = ""\n'
    )
    found = faults(tmp_path, text)
    assert [line for line, _, _ in found] == [3, 4, 6, 7]
    assert found[1][2].endswith("allowed: seconds, a whole number from 1 to 4294967295")
    assert found[2][2].endswith("allowed: much: 70000 bytes, at most 65536")


@pytest.mark.parametrize("text", ["proxy = 5", "[[proxy]]", 'proxy = "127.0.0.1:25"'])
def test_what_should_be_a_table_is_said_to_be_one(tmp_path: Path, text: str) -> None:
    (line, key, wording), *_ = faults(tmp_path, text)
    assert (line, key) == (1, "proxy")
    assert "allowed: a table, [proxy]" in wording


def test_each_line_of_the_error_starts_with_file_and_line(tmp_path: Path) -> None:
    path = write(tmp_path, replace_line(9, "tracking_link_expiry = 0"))
    with pytest.raises(SettingsError) as caught:
        load(path)
    assert str(caught.value) == (
        f"{path}:9: listener.tracking_link_expiry: found 0, "
        "allowed: seconds, a whole number from 1 to 4294967295"
    )


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        SettingsError, match=r"none\.toml: there is no such file; `msys-track init` makes"
    ):
        load(tmp_path / "none.toml")
    with pytest.raises(SettingsError, match=r"can't be read: Is a directory"):
        load(tmp_path)


def test_a_file_that_is_not_utf8_has_the_line_where_it_is_not(tmp_path: Path) -> None:
    path = tmp_path / "latin.toml"
    path.write_bytes(b"# fine\n# f\xfcr\n")
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    assert [problem.line for problem in caught.value.problems] == [2]


@pytest.mark.parametrize("garbage", ["?", "no = such", '"', "= 1", "]"])
def test_garbage_appended_to_any_line_is_found_on_that_line(tmp_path: Path, garbage: str) -> None:
    found_elsewhere = {}
    for number, line in enumerate(GOOD_LINES, 1):
        found = faults(tmp_path, replace_line(number, f"{line} {garbage}"))
        # An array's line may end in garbage that only its next lines make wrong.
        last = number + 3 if 26 <= number <= 28 else number
        if not any(number <= place <= last for place, _, _ in found):
            found_elsewhere[number] = found
    assert found_elsewhere == {}


def test_a_byte_order_mark_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    mark = (
        "begins with a byte order mark (the bytes EF BB BF), which TOML does not have; "
        "save the file as UTF-8 without it"
    )
    smtpapi = "found 1, allowed: true or false, without quotes"
    assert faults(tmp_path, "\ufeffsmtpapi = 1\n") == [(1, "", mark), (1, "smtpapi", smtpapi)]


def test_events_of_mail_need_a_place(tmp_path: Path) -> None:
    text = 'keys = "keys.toml"\n[proxy]\nupstream = "mta.test:25"\n[events]\ninjection = true\n'
    with pytest.raises(
        ConfigurationError, match=r"events\.injection: there is nowhere to write to"
    ):
        load(write(tmp_path, text))
    assert load(write(tmp_path, text + 'folder = "events.d"\n')).events.injection
