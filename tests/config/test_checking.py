"""Every fault of a configuration in one go, each with its line, and nothing but faults."""

import os
import sys
from pathlib import Path

import pytest
from tests.config.mutations import Mutation, combinations, good, mutate, mutations

from msys_track.config.checking import check_configuration
from msys_track.config.effective import find_warnings
from msys_track.report.sparkpost.api_keys import Scope, make_api_key

NAMES = ("servers.toml", "scopes.toml", "ecelerity.conf")
SINGLE = [(name, (each,)) for name in NAMES for each in mutations(name)]
SEVERAL = [(name, each) for name in NAMES for each in combinations(name, 60, seed=20)]


def list_faults(folder: Path, name: str, text: str) -> list[str]:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return [problem.format_line(path) for problem in check_configuration(path).problems]


def lines(found: list[str], path: Path) -> set[int]:
    return {int(each.removeprefix(f"{path}:").partition(":")[0]) for each in found}


@pytest.mark.parametrize("name", NAMES)
def test_a_good_file_has_no_faults(folder: Path, name: str) -> None:
    assert list_faults(folder, name, good(name)) == []


@pytest.mark.parametrize(
    ("name", "chosen"),
    [*SINGLE, *SEVERAL],
    ids=lambda part: part if isinstance(part, str) else "; ".join(each.name for each in part),
)
def test_every_fault_is_told_on_its_line_and_nothing_else(
    folder: Path, name: str, chosen: tuple[Mutation, ...]
) -> None:
    text, faults = mutate(good(name), chosen)
    found = list_faults(folder, name, text)
    assert lines(found, folder / name) == faults
    assert all(any(each.words in one for one in found) for each in chosen)


def test_a_configurations_own_faults_come_before_those_of_its_files(folder: Path) -> None:
    text = 'keys = "keys.toml"\n[policy]\nfiles = ["broken.lua", "policy.lua", "bad.py"]\n[x]\n'
    (folder / "bad.py").write_text("def validate_helo(t): pass\ndef validate_conect(t): pass\n")
    path = folder / "msys-track.toml"
    found = list_faults(folder, path.name, text)
    assert found[0].startswith(f"{path}:4: x: unknown; allowed: keys, smtpapi")
    assert found[1].startswith(f"{path}:3: policy.files[0]: {folder}/broken.lua:3: ")
    bad = f"{path}:3: policy.files[2]: {folder}/bad.py"
    assert found[2:] == [
        f"{bad}:1: validate_helo is not a hook; did you mean validate_ehlo?",
        f"{bad}:2: validate_conect is not a hook; did you mean validate_connect?",
    ]


def test_a_policy_is_checked_although_another_file_is_not_there(folder: Path) -> None:
    text = '[policy]\nfiles = [\n  "none.lua",\n  "broken.lua",\n]\n'
    found = list_faults(folder, "msys-track.toml", text)
    assert [each.split(":")[1] for each in found] == ["3", "4"]


def test_a_policy_is_not_run_under_limits_that_were_not_meant(folder: Path) -> None:
    text = '[policy]\nfiles = ["open.lua"]\nlua_sandbox = "no"\n'
    (folder / "open.lua").write_text("os.getenv('HOME')\n")
    (one,) = list_faults(folder, "msys-track.toml", text)
    assert 'lua_sandbox: found "no"' in one


def test_keys_that_others_can_read_are_a_fault_of_the_line_of_their_name(folder: Path) -> None:
    open_keys = folder / "open.toml"
    open_keys.write_bytes((folder / "keys.toml").read_bytes())
    open_keys.chmod(0o644)
    folder.chmod(0o755)
    (one,) = list_faults(folder, "msys-track.toml", '\nkeys = "open.toml"\n')
    place = f"{folder / 'msys-track.toml'}:2: keys: {open_keys}"
    assert one.startswith(f"{place}: users other than its owner can use it")


def test_keys_that_momentums_form_lacks_are_no_fault_and_are_not_made(tmp_path: Path) -> None:
    path = tmp_path / "ecelerity.conf"
    path.write_text(
        'smtpapi {}\nESMTP_Listener { Listen "127.0.0.1:2525" {} }\nGateway = mta.test\n'
    )
    checked = check_configuration(path)
    assert checked.problems == ()
    assert checked.configuration is not None
    assert checked.configuration.keys == tmp_path / "msys-track-keys.toml"
    assert os.listdir(tmp_path) == ["ecelerity.conf"]  # noqa: PTH208 - all of it


def test_a_listener_of_momentums_form_needs_an_upstream(tmp_path: Path) -> None:
    text = 'smtpapi {}\nESMTP_Listener {\n Listen ":25" {}\n}\n'
    (found,) = list_faults(tmp_path, "ecelerity.conf", text)
    assert found.removeprefix(f"{tmp_path / 'ecelerity.conf'}:3: ") == (
        "msys_track.upstream: missing; an upstream is needed: "
        'write Gateway = "host" or msys_track { upstream = "host:port" }, '
        "or give --upstream host:port"
    )


def test_what_only_tracks_needs_no_upstream(folder: Path) -> None:
    text = 'msys_track { keys = "keys.toml" store = "events.sqlite" }\n'
    assert list_faults(folder, "ecelerity.conf", text) == []


def test_what_the_command_line_says_stands_in_place_of_the_files_words(folder: Path) -> None:
    path = folder / "ecelerity.conf"
    path.write_text('ESMTP_Listener { Listen "127.0.0.1:2525" {} }\n')
    keys = folder / "keys.toml"
    checked = check_configuration(path, keys=keys, upstream="mta.test:25")
    assert checked.problems == ()
    wrong = check_configuration(path, keys=folder / "none.toml", upstream="mta.test")
    assert [problem.format_line(path).partition(" found")[0] for problem in wrong.problems] == [
        "command line: keys:",
        "command line: proxy.upstream:",
    ]


@pytest.mark.parametrize(
    "table", ["[webhook.a]\nurl = [", "[kafka.a]\nservers = [", "[file.a]\npath = ["]
)
def test_a_line_that_can_not_be_read_is_the_only_fault_of_its_table(
    folder: Path, table: str
) -> None:
    (found,) = list_faults(folder, "msys-track.toml", table)
    assert "not TOML" in found


def test_all_that_does_not_go_together_is_told_at_once(folder: Path) -> None:
    text = (
        'keys = "keys.toml"\n[proxy]\nupstream = "127.0.0.1:25"\nupstream_user = "a"\n'
        '[kafka.a]\nservers = ["k:9092"]\nsasl_user = "a"\n[report]\ntls_key = "keys.toml"\n'
    )
    found = list_faults(folder, "msys-track.toml", text)
    assert lines(found, folder / "msys-track.toml") == {4, 7, 9}


def test_a_command_to_type_is_quoted_and_a_fault_is_one_line(folder: Path) -> None:
    (found,) = list_faults(folder, "msys-track.toml", 'keys = "our keys.toml"\n[report]\n')
    assert found.endswith(f"no such file: msys-track keys new '{folder}/our keys.toml'")
    (found,) = list_faults(folder, "msys-track.toml", '[report]\nusers = "a\\nb"\n')
    assert found.endswith(rf"msys-track users add '{folder}/a\nb' NAME")


@pytest.mark.parametrize("proxy", ["7", "[]", '"x"'])
def test_an_upstream_of_the_command_line_hides_no_fault_of_the_table_it_goes_to(
    folder: Path, proxy: str
) -> None:
    path = folder / "msys-track.toml"
    path.write_text(f'keys = "keys.toml"\nproxy = {proxy}\n')
    (found,) = check_configuration(path, upstream="mta.test:25").problems
    assert found.format_line(path) == (
        f"{path}:2: proxy: found {proxy}, allowed: a table, [proxy]"
    )


@pytest.mark.parametrize("key", ["store", "events", "file"])
def test_a_name_that_no_file_can_have_is_a_fault_of_its_line(folder: Path, key: str) -> None:
    name = "a" * 300
    text = {
        "store": f'keys = "keys.toml"\n[tracker]\nstore = "{name}"\n',
        "events": f'\n[events]\nfolder = "{name}"\n',
        "file": f'\n[file.a]\npath = "{name}"\n',
    }[key]
    (found,) = list_faults(folder, "msys-track.toml", text)
    assert found.startswith(f"{folder}/msys-track.toml:3: ")
    assert found.endswith("which can't be looked at: File name too long")


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ('[upstream.a]\nadress = "127.0.0.1:25"', "6: upstream.a.adress: unknown; did you mean "),
        ("[upstream.a]\nmax_connections = 3", "5: upstream.a.address: missing; write it as in "),
        ('[upstream]\na = "127.0.0.1:25"', "6: upstream.a: found "),
        ('[webhook]\nurl = "https://a.test"', "6: webhook.url: belongs in a table with a name"),
        ('[upstream.""]\naddress = "127.0.0.1:25"', '5: upstream."": found "", allowed: a name'),
        ('[upstreams.a]\naddress = "127.0.0.1:25"', "5: upstreams: unknown; did you mean up"),
        ('[client."10.0.0.1/8"]\nmax_messages = 1', '5: client."10.0.0.1/8": found "10.'),
        ('[client."::1"]\n[client."0:0::1"]', '6: client."0:0::1": the same as [client."::1"]; '),
        ("[user.Shop]\n[user.SHOP]", "6: user.SHOP: the same as [user.Shop]; keep one"),
        ("[usr.Shop]\n[usr.SHOP]", "6: usr.SHOP: the same as [user.Shop]; keep one"),
        (
            '[tenant."a.test"]\nkeys = "keys.toml"\n[tenant."A.test"]\nkeys = "keys.toml"',
            '7: tenant."A.test": the same as [tenant."a.test"]; keep one',
        ),
        (
            "[kafka.a]",
            '5: kafka.a.servers: missing; write it as in servers = ["kafka1:9092", "kafka2:9092"]',
        ),
        ("[user.shop]\nmax_messages = 0", "6: user.shop.max_messages: found 0, allowed: a whole"),
    ],
)
def test_a_fault_in_a_table_of_a_family_has_its_place(
    folder: Path, table: str, fault: str
) -> None:
    path = folder / "msys-track.toml"
    path.write_text(f'keys = "keys.toml"\n[proxy]\nhostname = "a"\n\n{table}\n', encoding="utf-8")
    lines = [problem.format_line(path) for problem in check_configuration(path).problems]
    assert any(line.partition(":")[2].startswith(fault) for line in lines), lines


PLAIN = "the password would travel in plain text unless tls is "
NOWHERE = (
    "no file has this name; allowed: the name of a file, env:NAME or credential:NAME, in quotes"
)


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (
            'upstream = "192.0.2.1:25"\nupstream_user = "a"\nupstream_password = "env:X"\n',
            f"4: proxy.upstream_user: {PLAIN}",
        ),
        (
            'upstream_password = "env:X"\n[upstream.a]\naddress = "192.0.2.1:25"\nuser = "a"\n',
            f"6: upstream.a.user: {PLAIN}",
        ),
        (
            'upstream = "192.0.2.9:25"\n[upstream.a]\naddress = "192.0.2.1:25"\n',
            "3: proxy.upstream: no mail would go there, beside [upstream.a]; leave it out, or ",
        ),
        (
            'upstream = "unix:/run/lmtp"\nupstream_tls = "require"\n',
            "4: proxy.upstream_tls: a Unix socket has no name to verify; give tls_name",
        ),
        (
            f'upstream = "127.0.0.1:25"\nupstream_tls_fingerprints = ["{"AB" * 32}"]\n',
            '4: proxy.upstream_tls_fingerprints: does nothing unless tls is "require" or ',
        ),
        (
            (
                'proxy_protocol_from = ["::1"]\nauth_passthrough = true\n[upstream.a]\n'
                'address = "192.0.2.1:25"\ntls = "none"\n'
            ),
            "7: upstream.a.tls: auth_passthrough would send passwords in plain text unless tls ",
        ),
        ('upstream = "127.0.0.1:25"\nupstream_user = "a"\n', "needs a password too"),
        ('upstream = "127.0.0.1:25"\nupstream_password = "env:X"\n', "needs a user too"),
        (
            'upstream = "127.0.0.1:25"\nupstream_tls_ca_file = "no.pem"\n',
            '4: proxy.upstream_tls_ca_file: found "no.pem", but there is no such file',
        ),
    ],
)
def test_what_an_upstream_could_not_work_with_is_found_before_it_is_used(
    folder: Path, lines: str, fault: str
) -> None:
    (found,) = list_faults(folder, "msys-track.toml", f'keys = "keys.toml"\n[proxy]\n{lines}')
    assert fault in found


def test_a_password_that_stands_in_the_place_of_its_file_is_not_shown(folder: Path) -> None:
    text = (
        'keys = "keys.toml"\n[proxy]\nupstream = "127.0.0.1:25"\nupstream_user = "a"\n'
        'upstream_password = "hunter2"\n'
    )
    (fault,) = list_faults(folder, "msys-track.toml", text)
    assert fault.endswith(f"5: proxy.upstream_password: {NOWHERE}")


def test_a_key_of_dkim_that_can_not_be_used_is_a_fault_of_its_line(folder: Path) -> None:
    (folder / "dkim.pem").chmod(0o644)
    text = (
        good("servers.toml") + '[dkim."example.com"]\nselector = "a"\nprivate_key = "dkim.pem"\n'
    )
    [fault] = list_faults(folder, "msys-track.toml", text)
    line = text.count("\n")
    assert fault.startswith(f"{folder / 'msys-track.toml'}:{line}: ")
    assert 'dkim."example.com".private_key: ' in fault
    assert "chmod 600" in fault


@pytest.mark.parametrize("domain", ["example", "b\u00fccher.example", "a b.example", "-a.example"])
def test_the_name_of_a_dkim_table_is_a_domain(folder: Path, domain: str) -> None:
    text = good("servers.toml") + f'[dkim."{domain}"]\nselector = "a"\nprivate_key = "dkim.pem"\n'
    [fault] = list_faults(folder, "msys-track.toml", text)
    assert "allowed: a domain in ASCII" in fault


def test_what_has_no_effect_in_a_policy_is_a_notice(folder: Path) -> None:
    source = "local m = {}\nfunction m:validate_set_binding() end\nmsys.registerModule('m', m)\n"
    (folder / "route.lua").write_text(source)
    path = folder / "msys-track.toml"
    path.write_text('[policy]\nfiles = ["route.lua", "policy.lua"]\n')
    checked = check_configuration(path)
    assert checked.policy_notices == (
        f"{folder}/route.lua:2: validate_set_binding is never called here",
    )


def test_lines_of_a_trackers_lists_are_faults_of_their_keys(folder: Path) -> None:
    (folder / "redirects.txt").write_text("https://a.test\nhttp:// http://b.test\n")
    (folder / "withdrawn.txt").write_text("Ann <a@b.test>\n<a@b.test>\na@b.test,1\nsomebody\n")
    text = (
        'keys = "keys.toml"\n[tracker]\nstore = "e.sqlite"\nredirects = "redirects.txt"\n'
        'withdrawn = "withdrawn.txt"\n'
    )
    found = list_faults(folder, "msys-track.toml", text)
    places = [(line.split(": ")[1], line.partition(f": {folder}/")[2][:15]) for line in found]
    assert places == [
        *(("tracker.redirects", f"redirects.txt:{number}") for number in (1, 2)),
        *(("tracker.withdrawn", f"withdrawn.txt:{number}") for number in (1, 2, 3, 4)),
    ]
    assert not any("@" in line or "somebody" in line for line in found), "logs have no addresses"


def test_api_keys_that_can_not_be_used_are_a_fault_of_the_line_of_their_name(folder: Path) -> None:
    text = 'keys = "keys.toml"\n[report]\napi_keys = "api.toml"\nstore = "events.sqlite"\n'
    make_api_key(folder / "api.toml", "crm", Scope)
    assert list_faults(folder, "msys-track.toml", text) == []
    (folder / "api.toml").write_text("key = 1\n", encoding="utf-8")
    (one,) = list_faults(folder, "msys-track.toml", text)
    place = f"{folder / 'msys-track.toml'}:3: report.api_keys: {folder / 'api.toml'}"
    assert one == f"{place}: has something other than [[key]] tables; take it out"


TRACKS = 'keys = "keys.toml"\n[tracker]\nstore = "events.sqlite"\n'


def list_faults_of_start(folder: Path, text: str) -> list[str]:
    path = folder / "msys-track.toml"
    path.write_text(TRACKS + text, encoding="utf-8")
    checked = check_configuration(path, makes_sinks=True)
    return [each.format_line(path).removeprefix(f"{path}:") for each in checked.problems]


def test_a_secret_that_a_webhook_of_momentums_lacks_is_a_fault_of_the_line_of_its_file(
    folder: Path,
) -> None:
    (folder / "webhooks.json").write_text(
        '[{"name": "a", "events": ["click"], "target": "https://example.com/", '
        '"custom_headers": {"x": "env:NOT_SET_HERE"}}]'
    )
    [fault] = list_faults_of_start(folder, '[events]\nwebhooks_json = "webhooks.json"\n')
    assert fault.startswith("5: events.webhooks_json: a: custom_headers: x: env:NOT_SET_HERE: ")


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        (
            '[webhook.a]\nurl = "https://example.com"\nauth_token = "env:NOT_SET_HERE"\n',
            "6: webhook.a.auth_token: env:NOT_SET_HERE: ",
        ),
        (
            '[webhook.a]\nurl = "https://example.com"\ncustom_headers.x = "env:NOT_SET_HERE"\n',
            "6: webhook.a.custom_headers: x: env:NOT_SET_HERE: ",
        ),
        (
            '[kafka.a]\nservers = ["k:9092"]\noptions = {"linger.msec" = 20}\n',
            '4: kafka.a: No such configuration property: "linger.msec"',
        ),
        (
            (
                '[kafka.a]\nservers = ["k:9092"]\nsasl = "plain"\nsasl_user = "a"\n'
                'sasl_password = "env:NOT_SET_HERE"\n'
            ),
            "8: kafka.a.sasl_password: env:NOT_SET_HERE: ",
        ),
        (
            '[rabbitmq.a]\npassword = "env:NOT_SET_HERE"\n',
            "5: rabbitmq.a.password: env:NOT_SET_HERE: ",
        ),
    ],
)
def test_what_a_sink_could_not_start_with_is_found(folder: Path, table: str, fault: str) -> None:
    if "kafka" in table:
        pytest.importorskip("confluent_kafka")
    (found,) = list_faults_of_start(folder, table)
    assert found.startswith(fault)


def test_a_package_that_a_sink_lacks_is_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    (found,) = list_faults_of_start(folder, '[kafka.a]\nservers = ["k:9092"]\n')
    assert found.startswith("4: kafka.a: Kafka needs the extra [kafka]: pip install ")


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        (
            '[webhook.a]\nurl = "https://example.com"\nuser = "a"\n',
            '6: webhook.a.user: does nothing without auth = "basic"',
        ),
        (
            '[kafka.a]\nservers = ["k:9092"]\nsasl_user = "a"\n',
            "6: kafka.a.sasl_user: does nothing without sasl, ",
        ),
        ("[events]\nsegment_bytes = 1\n", "5: events.segment_bytes: found 1, allowed: bytes, "),
        (
            '[tenant.click.example.com]\nkeys = "keys.toml"\n',
            (
                "4: tenant.click.example.com: a name with dots needs quotes: "
                '[tenant."click.example.com"]'
            ),
        ),
        ("[tenant.click.example.com]\n", "4: tenant.click.example.com: a name with dots needs "),
        (
            '[tenant."click.example.com"]\nkyes = "keys.toml"\n',
            '5: tenant."click.example.com".kyes: unknown; did you mean keys?',
        ),
    ],
)
def test_one_mistake_is_one_fault(folder: Path, table: str, fault: str) -> None:
    (found,) = list_faults_of_start(folder, table)
    assert found.startswith(fault)


@pytest.mark.parametrize(
    ("lines", "is_warned"),
    [
        ('url = "http://example.com"\nauth_token = "keys.toml"\n', True),
        ('url = "http://example.com"\ncustom_headers = {x = "env:A"}\n', True),
        ('url = "http://127.0.0.1"\nallow_private = true\nauth_token = "keys.toml"\n', False),
        ('url = "http://example.com"\n', False),
        ('url = "https://example.com"\nauth_token = "keys.toml"\n', False),
    ],
)
def test_credentials_of_a_webhook_without_tls_are_warned_of(
    folder: Path, lines: str, *, is_warned: bool
) -> None:
    path = folder / "msys-track.toml"
    path.write_text(f"{TRACKS}[webhook.a]\n{lines}", encoding="utf-8")
    configuration = check_configuration(path).configuration
    assert configuration is not None
    warnings = find_warnings(configuration)
    assert [each.startswith("webhook.a.url: credentials go") for each in warnings] == (
        [True] if is_warned else []
    )


@pytest.mark.parametrize(
    ("stanza", "hint"),
    [
        ("tracker", "; [tracker] is a table of msys-track.toml, which msys-track config import "),
        ("mtrack", "; did you mean msys_track?"),
        ("snmp", ""),
    ],
)
def test_an_unknown_stanza_is_ignored_with_a_hint(folder: Path, stanza: str, hint: str) -> None:
    path = folder / "ecelerity.conf"
    path.write_text(f'{stanza} {{ a = "b" }}\n', encoding="utf-8")
    (notice,) = check_configuration(path).document.notices
    assert notice.text.startswith(f"not a stanza of msys-track; nothing in it is read{hint}")
