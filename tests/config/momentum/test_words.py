"""A fault of a `.conf` is told in its own words, when it is checked and when a server starts."""

from pathlib import Path

import pytest
from tests.config.mutations import write_named_files

from msys_track.cli import main
from msys_track.config.checking import check_configuration
from msys_track.config.effective import find_warnings
from msys_track.config.load import load
from msys_track.config.momentum.names import GLOBAL
from msys_track.config.momentum.words import write_key, write_text
from msys_track.config.problems import ConfigurationError

BODY = 'smtpapi { }\nESMTP_Listener {\n Listen "127.0.0.1:2525" {\n }\n}\nGateway = "192.0.2.1"\n'
NETWORK = 'allowed: a network as in Peer "10.0.0.0/8" { … }'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            'ESMTP_Listener { Peer "office" { } }',
            f'Peer "office": found "office", {NETWORK}',
        ),
        (
            'ESMTP_Listener { Peer "a\\"\\nb" { } }',
            rf'Peer "a\"\nb": found "a\"\nb", {NETWORK}',
        ),
        (
            'ESMTP_Listener { Listen "25" { } }',
            (
                'Listen "25": found "25", allowed: "host:port", or ":port" for every IPv4 '
                'address, as Listen "127.0.0.1:2525" { … }'
            ),
        ),
        (
            'ESMTP_Listener { Listen "[::1]:25" { Peer "10.0.0.0/8" { outlook_links = maybe } } }',
            (
                'Listen "[::1]:25".Peer "10.0.0.0/8".outlook_links: found "maybe", allowed: true '
                "or false"
            ),
        ),
        (
            'ESMTP_Listener { pathway = "p" }',
            'ESMTP_Listener.pathway: there is no pathway "p" { … }',
        ),
        (
            'pathway_group "g" { pathway "p" { } } pathway_group "h" { pathway "p" { } }',
            (
                'pathway_group "h".pathway "p": another group has a pathway of that name: '
                'pathway_group "g".pathway "p" { … } in line 7; rename one'
            ),
        ),
        (
            'pathway "p" { context = [ smtpapi_x = 1 ] }',
            'pathway "p".context.smtpapi_x: unknown variable; known: ',
        ),
        (
            "Relay_Hosts = ( ::1 10.0.0.1/8 )",
            (
                'Relay_Hosts, item 2: found "10.0.0.1/8", allowed: a network or address as in '
                '"10.0.0.0/8" or "::1"; did you mean 10.0.0.0/8?; or "loopback", or "interface"'
            ),
        ),
        (
            'scriptlet "s" { script "x" { source = "none" } }',
            'script "x".source: found "none.lua", but there is no such file',
        ),
        ("Gateway = mta:x", 'Gateway: found "mta:x", allowed: host:port as in "127.0.0.1:2525"'),
        (
            "msys_track { policy_on_failure = stop }",
            'msys_track.policy_on_failure: found "stop", allowed: "continue" or "refuse"',
        ),
        (
            'msys_track { tracker_listen = "x" store = "events.sqlite" }',
            'msys_track.tracker_listen: found "x", allowed: host:port',
        ),
        (
            "msys_track { auth_users = users.toml networks = ( ) }",
            (
                "msys_track.auth_users: AUTH is offered over TLS only: write TLS_Certificate in "
                "ESMTP_Listener, or tls_certificate in msys_track { }"
            ),
        ),
        (
            "TLS_Certificate = keys.toml",
            "TLS_Certificate: ",
        ),
    ],
)
def test_a_fault_is_told_in_the_words_of_the_file(tmp_path: Path, text: str, told: str) -> None:
    write_named_files(tmp_path)
    path = tmp_path / "ecelerity.conf"
    path.write_text(f"{BODY}{text}\n", encoding="utf-8")
    problems = check_configuration(path).problems
    (found,) = [each.format_line(Path("x")) for each in problems]
    assert found.startswith(f"x:7: {told}")
    if not told.startswith("TLS_Certificate"):  # which is read when the proxy starts
        with pytest.raises(ConfigurationError) as refused:
            load(path)
        assert refused.value.problems == problems


@pytest.mark.parametrize(
    ("ours", "told"),
    [
        ("keys = broken.toml", "msys_track.keys: broken.toml: "),
        (
            "auth_users = broken.toml tls_certificate = fullchain.pem tls_key = privkey.pem",
            "msys_track.auth_users: broken.toml: ",
        ),
        ("tls_certificate = broken.toml", "msys_track.tls_certificate: broken.toml: "),
    ],
)
def test_a_broken_file_is_told_at_the_start_where_it_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    ours: str,
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_named_files(tmp_path)
    (tmp_path / "broken.toml").write_text("?")
    (tmp_path / "broken.toml").chmod(0o600)
    (tmp_path / "ecelerity.conf").write_text(f"{BODY}msys_track {{ {ours} }}\n")
    lines = []
    for command in ("config", "check", "ecelerity.conf"), ("proxy", "--config", "ecelerity.conf"):
        with pytest.raises(SystemExit) as ended:
            main(command)
        assert ended.value.code == 2
        lines.append(capsys.readouterr().err)
    assert f"ecelerity.conf:7: {told}" in lines[0]
    assert f"ecelerity.conf:7: {told}" in lines[1]


def test_a_server_that_the_file_does_not_have_is_told_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_named_files(tmp_path)
    (tmp_path / "ecelerity.conf").write_text(f"{BODY}msys_track {{ keys = keys.toml }}\n")
    with pytest.raises(SystemExit):
        main(("tracker", "--config", "ecelerity.conf"))
    assert capsys.readouterr().err.endswith(
        'ecelerity.conf: nothing to start; write msys_track { store = "events.sqlite" }\n'
    )


def test_what_is_hardly_wanted_is_told_in_the_words_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "ecelerity.conf"
    ours = 'store = "events.sqlite" unknown_links = "http://a.example"'
    tracking = "ESMTP_Listener { tracking_domain = a.example click_tracking_scheme = https }"
    path.write_text(f"{BODY}{tracking} msys_track {{ {ours} }}\n")
    (warning,) = find_warnings(load(path))
    assert warning.startswith("msys_track.unknown_links: http://a.example is the tracking domain ")


def test_every_option_of_our_stanza_is_called_as_it_is_written() -> None:
    for name, (path, _) in GLOBAL.inner["msys_track"].options.items():
        assert write_key(path, {}) == f"msys_track.{name}"


def test_no_form_of_toml_is_left_in_what_is_said() -> None:
    assert write_text('as in ["a", "b"], or [], as [peer."::1"] or [proxy] has it') == (
        'as in ( "a" "b" ), or ( ), as Peer "::1" { … } or msys_track { … } has it'
    )


def test_what_becomes_of_mail_whose_policy_fails_can_be_said(tmp_path: Path) -> None:
    path = tmp_path / "ecelerity.conf"
    path.write_text(f'{BODY}msys_track {{ policy_on_failure = "refuse" }}\n')
    assert load(path).policy.on_failure == "refuse"
    path.write_text(BODY)
    assert load(path).policy.on_failure == "continue"
