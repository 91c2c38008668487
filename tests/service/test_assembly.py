"""What servers are put together from: keys, folders and tables that may be missing."""

from pathlib import Path

import pytest
from tests.captured_logs import capture_logs

from msys_track.config.configuration import Configuration
from msys_track.config.load import load
from msys_track.errors import SettingsError
from msys_track.keys.file import create
from msys_track.report.sparkpost.api_keys import Scope, make_api_key
from msys_track.service.assembly import load_keys, load_tenant_keys, load_tracker, reload_table
from msys_track.service.consumer import consume
from msys_track.service.file_limit import fit_clients
from msys_track.service.hits import WorkerHits, find_events_folder
from msys_track.service.report import load_report
from msys_track.service.share import count_workers

REPORT = '[report]\nstore = "events.sqlite"\n'
TRACKER = 'keys = "keys.toml"\n[tracker]\nstore = "events.sqlite"\n'
KAFKA = '[kafka.clicks]\nservers = ["127.0.0.1:9"]\ntopic = "events"\n'


def configure(folder: Path, text: str) -> Configuration:
    file = folder / "msys-track.toml"
    file.write_text(text, encoding="utf-8")
    return load(file)


def test_a_server_without_keys_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="keys: missing"):
        load_keys(configure(tmp_path, REPORT))


def test_keys_that_went_after_the_configuration_was_read_are_a_fault_of_it(
    tmp_path: Path,
) -> None:
    for name in ("keys.toml", "tenant.toml"):
        create(tmp_path / name)
    read = configure(tmp_path, TRACKER + '[tenant."click.shop.test"]\nkeys = "tenant.toml"\n')
    for name in ("keys.toml", "tenant.toml"):
        (tmp_path / name).unlink()
    with pytest.raises(SettingsError, match=r"msys-track\.toml:1: keys: .*keys\.toml: "):
        load_keys(read)
    with pytest.raises(SettingsError, match=r'tenant."click\.shop\.test"\.keys: .*tenant\.toml: '):
        load_tenant_keys(read)


def test_a_report_for_programs_alone_needs_no_users(tmp_path: Path) -> None:
    make_api_key(tmp_path / "api-keys.toml", "billing", [Scope.EVENTS])
    read = configure(tmp_path, REPORT + 'api_keys = "api-keys.toml"\n')
    loaded = load_report(read.path)
    assert loaded is not None
    assert loaded.users is None


def test_a_table_that_is_gone_does_not_take_the_place_of_what_is_in_force(tmp_path: Path) -> None:
    path = configure(tmp_path, REPORT).path
    with capture_logs() as logs:
        assert reload_table(lambda: load_tracker(path), "tracker") is None
    (line,) = logs
    assert line["event"] == "configuration.not_reloaded"
    assert line["faults"] == ["there is no [tracker] any more"]


def test_without_a_folder_there_is_no_log_of_events(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"events\.folder: missing"):
        find_events_folder(configure(tmp_path, REPORT))


def test_hits_that_time_did_not_allow_to_write_are_logged(tmp_path: Path) -> None:
    create(tmp_path / "keys.toml")
    hits = WorkerHits(configure(tmp_path, TRACKER))
    (tmp_path / "events.sqlite.d" / "hits" / "0").rename(tmp_path / "gone")
    (tmp_path / "events.sqlite.d" / "hits" / "0").write_text("in the way")
    assert hits.log.put_line(b"{}")
    with capture_logs() as logs:
        hits.close(0.05)
    assert [(each["event"], each["hits"]) for each in logs] == [("hits.lost", 1)]


@pytest.mark.parametrize(
    ("text", "name", "fault"),
    [
        (KAFKA, "opens", r"there is no \[kafka\.opens\]; there is: clicks"),
        (KAFKA, "clicks", r"no place for events: set `folder` of \[events\]"),
        (f'[events]\nfolder = "log"\n{KAFKA}', "clicks", "no sink for the events; give a store"),
    ],
)
def test_a_topic_with_nowhere_to_go_is_not_read(
    text: str, name: str, fault: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=fault):
        consume(configure(tmp_path, text), name, None, pytest.fail)


def test_a_tracker_has_no_clients_that_bring_mail(tmp_path: Path) -> None:
    create(tmp_path / "keys.toml")
    read = configure(tmp_path, TRACKER)
    assert fit_clients(read, 100) is read


def test_there_are_as_many_workers_as_processors_unless_their_number_is_given() -> None:
    assert count_workers(3) == 3
    assert count_workers("auto") >= 1
