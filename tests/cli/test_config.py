"""`msys-track config`: what a person sees, and what a script gets."""

import json
import re
import tomllib
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.config.mutations import combinations, good, mutate, write_named_files

from msys_track.cli import main
from msys_track.config.checking import check_configuration
from msys_track.config.configuration import Configuration
from msys_track.config.effective import ScopeSelector, find_options
from msys_track.config.schema.json_schema import json_schema
from msys_track.config.schema.starter import starter
from msys_track.keys import file as key_file

CONF = """\
smtpapi { }
ESMTP_Listener {
  TLS_Ciphers = "DEFAULT"
  open_tracking_enabled = true
  Listen ":25" { tracking_domain = "click.example.com" }
  Listen "*:25" { click_tracking_enabled = true }
}
scriptlet "scriptlet" { script "mine" { source = "policy" } }
Gateway = "mta.example.com"
msys_track { open_relay = true }
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_named_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in ("CONFIG", "KEYS", "UPSTREAM", "LISTEN", "PEER", "PATHWAY", "JSON"):
        monkeypatch.delenv(f"MSYS_TRACK_{name}", raising=False)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def write(folder: Path, text: str, name: str = "msys-track.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


# check


def test_a_good_file_is_said_to_be_one(folder: Path) -> None:
    write(folder, good("servers.toml"))
    result = run("config", "check")
    assert (result.exit_code, result.stdout, result.stderr) == (
        0,
        "msys-track.toml: no faults\n",
        "",
    )


@pytest.mark.parametrize("name", ["servers.toml", "scopes.toml", "ecelerity.conf"])
def test_faults_are_lines_of_standard_error_and_exit_code_2(folder: Path, name: str) -> None:
    for chosen in combinations(name, 25, seed=22):
        text, faults = mutate(good(name), chosen)
        write(folder, text, name)
        result = run("config", "check", name)
        assert (result.exit_code, result.stdout) == (2, "")
        lines = [line for line in result.stderr.splitlines() if not line.startswith("ignored: ")]
        matches = [re.match(rf"{re.escape(name)}:(\d+): ", line) for line in lines]
        assert {int(match[1]) for match in matches if match} == faults
        assert None not in matches


def test_what_is_passed_over_is_told_and_no_fault(folder: Path) -> None:
    write(folder, CONF, "ecelerity.conf")
    result = run("config", "check", "ecelerity.conf")
    assert (result.exit_code, result.stdout) == (0, "ecelerity.conf: no faults\n")
    assert result.stderr == (
        "ignored: ecelerity.conf:3: esmtp_listener.tls_ciphers: not an option of msys-track, "
        "whose TLS is 1.2 or newer, with the system's ciphers\n"
        "warning: default: click_tracking_scheme is http, so links to https become http; set it "
        "to https or same, or set allow_downgrade\n"
    )
    assert not (folder / "msys-track-keys.toml").exists()


@pytest.mark.parametrize("command", [("config", "check"), ("config", "import"), ("proxy",)])
def test_a_port_that_would_be_an_open_relay_is_a_fault(
    folder: Path, command: tuple[str, ...]
) -> None:
    relay = 'Open_Relay = false\n  Listen ":25"'
    text = CONF.replace("open_relay = true", "").replace('Listen ":25"', relay)
    write(folder, text, "ecelerity.conf")
    option = ("--config",) if command == ("proxy",) else ()
    result = run(*command, *option, "ecelerity.conf")
    assert (result.exit_code, result.stdout) == (2, "")
    assert (
        'ecelerity.conf:6: Listen ":25": esmtp_listener.Open_Relay (ecelerity.conf:5) asks for '
        'less relaying, but nothing says who may send: write Relay_Hosts = ( "10.0.0.0/8" ), or '
        "networks or auth_users in msys_track { }; or, if something else, such as a firewall, "
        "protects the port, msys_track { open_relay = true }\n"
    ) in result.stderr
    assert not (folder / "msys-track-keys.toml").exists()


@pytest.mark.usefixtures("folder")
def test_a_file_that_is_not_there_is_named() -> None:
    result = run("config", "check", "none.toml")
    assert (result.exit_code, result.stderr) == (
        2,
        "none.toml: there is no such file; `msys-track init` makes a folder with one\n",
    )


def test_the_file_of_the_whole_command_or_the_environment_is_checked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, "oops = 1\n", "other.toml")
    assert run("--config", "other.toml", "config", "check").stderr.startswith("other.toml:1: oops")
    monkeypatch.setenv("MSYS_TRACK_CONFIG", "other.toml")
    assert run("config", "check").stderr.startswith("other.toml:1: oops")


def test_an_upstream_of_the_command_line_is_one(folder: Path) -> None:
    write(folder, CONF.replace("Gateway", "Gate"), "ecelerity.conf")
    result = run("config", "check", "ecelerity.conf")
    assert result.exit_code == 2
    assert "ignored: ecelerity.conf:3: " in result.stderr  # beside the fault
    assert run("config", "check", "ecelerity.conf", "--upstream", "mta.test:25").exit_code == 0


# init


def test_a_starter_file_passes_the_check_once_there_are_keys(folder: Path) -> None:
    (folder / "keys.toml").unlink()
    result = run("config", "init")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "msys-track.toml: made; next: msys-track keys new keys.toml\n"
    assert run("keys", "new", "keys.toml").exit_code == 0
    assert run("config", "check").exit_code == 0


def test_a_starter_file_never_goes_over_another_file(folder: Path) -> None:
    path = write(folder, "mine = true\n")
    result = run("config", "init")
    assert result.exit_code == 1
    assert "msys-track.toml: there is a file already" in result.stderr
    assert path.read_text() == "mine = true\n"


def test_a_starter_file_can_go_to_standard_output(folder: Path) -> None:
    assert run("config", "init", "-").stdout == starter()
    assert not (folder / "msys-track.toml").exists()


# show


def test_each_value_is_shown_with_its_source(folder: Path) -> None:
    write(folder, good("scopes.toml"))
    result = run("config", "show")
    assert result.exit_code == 0
    shown = tomllib.loads(result.stdout)
    assert list(shown) == [
        "keys", "smtpapi", "listener", "listen", "engagement_tracker", "policy", "proxy", "spool",
        "metrics", "kept_mail",
    ]  # fmt: skip
    assert list(shown["listen"]) == ["0.0.0.0:2525", "[::1]:2526"]
    lines = result.stdout.splitlines()
    assert 'upstream = "mta.example.com:25"  # msys-track.toml:4' in lines
    assert "# upstream_ehlo_name is not set: our address" in lines
    assert "max_metadata_len = 1000  # default" in lines
    assert 'listen = "0.0.0.0:2525"  # listen ":2525" (msys-track.toml:9)' in lines
    why = 'context of pathway "receipts" (msys-track.toml:28)'
    assert f"open_tracking_enabled = true  # {why}" in lines
    assert 'pathway = "receipts"  # listen ":2525" (msys-track.toml:11)' in lines


def test_the_options_of_one_way_in_are_shown(folder: Path) -> None:
    write(folder, good("scopes.toml"))
    selector = ("--listen", "127.0.0.1:2525", "--peer", "10.1.2.3", "--pathway", "north")
    result = run("config", "show", *selector)
    assert "# for mail that comes in at 0.0.0.0:2525 from 10.1.2.3, on pathway north" in (
        result.stdout
    )
    assert "listen" not in tomllib.loads(result.stdout)
    shown = json.loads(run("config", "show", *selector, "--json").stdout)
    (one,) = shown["ways"]
    assert {name: one[name] for name in ("listen", "peer", "pathway")} == {
        "listen": "0.0.0.0:2525",
        "peer": "10.1.2.3",
        "pathway": "north",
    }
    assert one["options"]["initial_open_pixel_tracking"] == {
        "value": True,
        "source": 'pathway_group "partners" pathway "north" (msys-track.toml:42)',
    }
    assert shown["proxy"]["upstream"] == {
        "value": "mta.example.com:25",
        "source": "msys-track.toml:4",
    }


@pytest.mark.parametrize(
    ("option", "value", "wording"),
    [
        ("--pathway", "west", "no pathway 'west'; known: bulk, north, receipts"),
        ("--listen", "west", "'west' is not an address; give host:port such as 127.0.0.1:2525"),
        ("--peer", "west", "'west' is not an IP address"),
    ],
)
def test_a_way_in_that_can_not_be_is_refused(
    folder: Path, option: str, value: str, wording: str
) -> None:
    write(folder, good("scopes.toml"))
    result = run("config", "show", option, value)
    assert result.exit_code == 2
    assert wording in result.stderr


def test_of_a_faulty_file_nothing_is_shown_but_its_faults(folder: Path) -> None:
    write(folder, "[proxy]\n")
    result = run("config", "show")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("missing") == 2


# import


def parse_output(result: Result) -> dict[str, Any]:
    return tomllib.loads(result.stdout)


def test_momentums_form_is_converted_and_passes_the_check(folder: Path) -> None:
    write(folder, good("ecelerity.conf"), "ecelerity.conf")
    result = run("config", "import", "ecelerity.conf")
    assert (result.exit_code, result.stderr) == (0, "")
    write(folder, result.stdout)
    assert run("config", "check").exit_code == 0
    before = check_configuration(folder / "ecelerity.conf")
    after = check_configuration(folder / "msys-track.toml")
    assert before.configuration is not None
    assert after.configuration is not None
    for part in ("smtpapi", "policy", "keys", "proxy", "upstream", "tracker"):
        assert getattr(before.configuration, part) == getattr(after.configuration, part)
    for selector in (
        ScopeSelector(),
        ScopeSelector(listen="0.0.0.0:2525", peer=ip_address("10.1.1.1")),
    ):
        assert values(before.configuration, selector) == values(after.configuration, selector)


def values(read: Configuration, selector: ScopeSelector) -> dict[str, object]:
    return {name: each.value for name, each in find_options(read, selector).items()}


def test_what_is_ignored_is_told_while_converting(folder: Path) -> None:
    write(folder, CONF, "ecelerity.conf")
    result = run("config", "import", "ecelerity.conf")
    keys = folder / "msys-track-keys.toml"
    assert result.stderr.splitlines() == [
        (
            "ignored: ecelerity.conf:3: esmtp_listener.tls_ciphers: not an option of msys-track, "
            "whose TLS is 1.2 or newer, with the system's ciphers"
        ),
        f"{keys.name}: not there yet; next: msys-track keys new {keys.name}",
    ]
    assert parse_output(result) == {
        "keys": "msys-track-keys.toml",
        "smtpapi": True,
        "listener": {"open_tracking_enabled": True, "click_tracking_text": True},
        "listen": {
            ":25": {"tracking_domain": "click.example.com", "click_tracking_enabled": True}
        },
        "policy": {"files": ["policy.lua"]},
        "proxy": {"open_relay": True, "upstream": "mta.example.com:25"},
    }


def test_elsewhere_the_names_of_files_still_hold(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(folder, good("ecelerity.conf"), "ecelerity.conf")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    result = run("config", "import", str(source))
    assert parse_output(result)["policy"] == {"files": [str(folder / "policy.lua")]}
    write(elsewhere, result.stdout)
    assert run("config", "check").exit_code == 0


def test_a_faulty_file_is_not_converted(folder: Path) -> None:
    write(folder, CONF.replace("tracking_domain", "traking_domain"), "ecelerity.conf")
    result = run("config", "import", "ecelerity.conf")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        "ecelerity.conf:5: listen.traking_domain: unknown; did you mean tracking_domain?\n"
    )


def test_only_momentums_form_is_converted(folder: Path) -> None:
    write(folder, "")
    result = run("config", "import", "msys-track.toml")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "ends in .conf" in result.stderr


# schema


def test_the_schema_is_printed() -> None:
    result = run("config", "schema")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == json_schema()


@pytest.mark.parametrize("source", ["env:TRACKING_KEYS", "credential:tracking"])
def test_import_elsewhere_keeps_a_source_of_keys_that_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    key_file.create(tmp_path / "tracking")
    monkeypatch.setenv("TRACKING_KEYS", (tmp_path / "tracking").read_text(encoding="utf-8"))
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    text = f'msys_track {{ keys = "{source}" store = "events.sqlite" }}\n'
    (tmp_path / "ecelerity.conf").write_text(text, encoding="utf-8")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    result = run("config", "import", "../ecelerity.conf")
    assert result.exit_code == 0, result.stderr
    made = tomllib.loads(result.stdout)
    assert made["keys"] == source
    assert made["tracker"]["store"] == str(tmp_path / "events.sqlite")


def test_what_is_never_called_in_a_policy_is_told(folder: Path) -> None:
    (folder / "policy.py").write_text("def core_init(transaction):\n    pass\n")
    write(folder, good("servers.toml").replace('"policy.lua"', '"policy.py"'))
    result = run("config", "check")
    assert result.exit_code == 0, result.stderr
    assert "ignored: policy.py:1: core_init is never called here\n" in result.stderr


@pytest.mark.parametrize("server", ["proxy", "tracker", "report", "serve"])
def test_without_its_table_nothing_is_started(folder: Path, server: str) -> None:
    path = write(folder, 'keys = "keys.toml"\n')
    result = run(server, "--config", str(path))
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr
    assert (f"no [{server}]" if server != "serve" else "nothing to start") in result.stderr
