"""What guards a port in `ecelerity.conf` is not enforced: such a port must not be opened."""

from pathlib import Path

import pytest

from msys_track.config.checking import check_configuration
from msys_track.config.load import load
from msys_track.config.problems import ConfigurationError, Problem

LOOPBACK = ("127.0.0.1", "127.255.0.9", "[::1]", "localhost", "LocalHost")
TO_DO = (
    "by networks or auth_users in msys_track { }, listen on a loopback address, or write "
    "msys_track { open_relay = true } if something else, such as a firewall, protects it"
)


def faults(folder: Path, text: str) -> list[str]:
    path = folder / "ecelerity.conf"
    path.write_text(f'Gateway="127.0.0.1" smtpapi {{}}\n{text}\n', encoding="utf-8")
    problems = check_configuration(path).problems
    at_start: tuple[Problem, ...] = ()
    try:
        load(path)
    except ConfigurationError as error:
        at_start = error.problems
    assert at_start == problems
    return [problem.format_line(Path("x.conf")) for problem in problems]


def fault(line: int, listen: str, address: str, options: str) -> str:
    return (
        f'x.conf:{line}: listen "{listen}": msys-track does not enforce these options: '
        f"{options}; say who may send to {address} {TO_DO}"
    )


def name_options(folder: Path, text: str) -> list[str]:
    """Name the options of the fault, without their places; none where there is no fault."""
    (one,) = faults(folder, text) or [""]
    if "these options" not in one:
        return []
    options = one.split("options: ")[1].split("; ")[0]
    return [each.split(" (")[0] for each in options.split(", ")]


def test_a_port_that_others_reach_is_a_fault_with_every_option_that_guards_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "tls.conf").write_text('\nTLS_Certificate = "/etc/pki/x.crt"\n')
    text = """Relay_Hosts = ( "10.0.0.0/8" )
ESMTP_Listener {
  Open_Relay = "false"
  Listen ":587" {
    include "tls.conf"
    AuthLoginParameters = [ uri = "file:///etc/passwd" ]
  }
  Listen "[::]:25" { }
}"""
    everywhere = "Relay_Hosts (ecelerity.conf:2), esmtp_listener.Open_Relay (ecelerity.conf:4)"
    own = "listen.TLS_Certificate (tls.conf:2), listen.AuthLoginParameters (ecelerity.conf:7)"
    assert faults(tmp_path, text) == [
        fault(5, ":587", "0.0.0.0:587", f"{everywhere}, {own}"),
        fault(9, "[::]:25", "[::]:25", everywhere),
    ]


@pytest.mark.parametrize(
    "option",
    [
        "Relay_Hosts = ( )",
        "Relay_Domains = ( a.example )",
        "Relay_For_Sending_Domains = ( a.example )",
        "Relaying_Hosts = ( ::1 )",
        "Open_Relay = false",
        "open_relay = 'No'",
        "Open_Relay = perhaps",
        "TLS = required",
        "TLS_Verify = ifpresented",
        "STARTTLS_Injection_Policy = reject",
        "Use_SSL = yes",
        "SSL_Key = x",
        "Proxy_Protocol = true",
        "Require_AUTH = 1",
        "SMTP_Auth = enabled",
        "AuthCRAMMD5Parameters = [ uri = x ]",
        'SMTP_Extensions = ( XCLIENT "AUTH LOGIN" )',
        "SMTP_Extensions = ( starttls )",
        "AUTH_LOGIN { uri = x }",
    ],
)
@pytest.mark.parametrize(
    "scope",
    [
        "{}\nESMTP_Listener {{ Listen :25 {{ }} }}",
        "ESMTP_Listener {{ Listen :25 {{ }} }}\n{}",
        "ESMTP_Listener {{ {}\n Listen :25 {{ }} }}",
        "ESMTP_Listener {{ Listen :25 {{ {} }} }}",
        "ESMTP_Listener {{ Listen :25 {{ Peer 10.0.0.0/8 {{ {} }} }} }}",
        "ESMTP_Listener {{ Listen :25 {{ Peer_Group g {{ {} }} }} }}",
        "ESMTP_Listener {{ Peer 10.0.0.0/8 {{ {} }} Listen :25 {{ }} }}",
        "ESMTP_Listener {{ Listen :25 {{ }} }}\nPeer_Group g {{ Peers {{ {} }} }}",
        "ESMTP_Listener {{ Listen :25 {{ }} }}\nPeer 10.0.0.0/8 {{ {} }}",
        "ESMTP_Listener {{ Listen :25 {{ }} }}\npathway p {{ {} }}",
        "ESMTP_Listener {{ Listen :25 {{ }} }}\npathway_group g {{ pathway p {{ {} }} }}",
    ],
)
def test_whatever_guards_counts_wherever_it_holds_for_the_listener(
    tmp_path: Path, scope: str, option: str
) -> None:
    (name,) = name_options(tmp_path, scope.format(option))
    assert name.rpartition(".")[2] == option.split(" ", maxsplit=1)[0]


@pytest.mark.parametrize(
    "option",
    [
        "Open_Relay = true",
        "Use_SSL = no",
        "TLS = false",
        "Proxy_Protocol = off",
        "Enable_Authentication = 'false'",
        "SMTP_Extensions = ( XCLIENT ENHANCEDSTATUSCODES )",
        "Outbound_SMTP_AUTH_User = x",
        "Prohibited_Hosts = ( 0.0.0.0 )",
        "Open_Relay = false Open_Relay = true",
        "x { }",
    ],
)
def test_what_asks_for_no_guard_is_no_fault(tmp_path: Path, option: str) -> None:
    text = f"{option} ESMTP_Listener {{ {option} Listen :25 {{ {option} }} }}"
    assert name_options(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "is_allowed"),
    [
        ("Open_Relay = true ESMTP_Listener { Listen :25 { } }", True),
        ("ESMTP_Listener { Listen :25 { Open_Relay = true } Listen 127.0.0.1:587 { } }", True),
        ("ESMTP_Listener { Listen :25 { Open_Relay = true } Listen :587 { } }", False),
        ("ESMTP_Listener { Listen :25 { } }", False),
        ("ESMTP_Listener { Listen 127.0.0.1:25 { } }", True),
    ],
)
def test_a_port_that_others_reach_needs_a_rule_or_momentums_open_relay(
    tmp_path: Path, text: str, *, is_allowed: bool
) -> None:
    assert bool(faults(tmp_path, text)) is not is_allowed


def test_a_port_without_a_rule_is_a_fault_that_says_what_to_write(tmp_path: Path) -> None:
    (found,) = faults(tmp_path, "ESMTP_Listener {\n Listen :25 { } }")
    assert found == (
        'x.conf:3: listen.":25": other machines reach 0.0.0.0:25, and nothing says who may send: '
        "set networks or auth_users; if something else, such as a firewall, protects the proxy, "
        "say so by msys_track { open_relay = true }"
    )


def test_rules_in_our_own_stanza_open_a_port_to_those_whom_they_name(tmp_path: Path) -> None:
    text = 'TLS = yes ESMTP_Listener { Listen :25 { } } msys_track { networks = ( "10.0.0.0/8" ) }'
    assert faults(tmp_path, text) == []
    proxy = load(tmp_path / "ecelerity.conf").proxy
    assert proxy is not None
    assert [str(each) for each in proxy.access.networks] == ["10.0.0.0/8"]


WIDER = "Use_SSL = yes ESMTP_Listener {{ Open_Relay = false Listen :25 {{ {} }} }}"
NOT_OPENED = "Listen :25 { Enable = no } Listen /tmp/x { }"
OTHER_PORTS = """
Control_Listener { Enable_Authentication = true Peer ::1 { TLS = yes } }
domain x.example { TLS = required }
scriptlet s { auth = x }
ESMTP_Listener { Listen :25 { } Listen 127.0.0.1:587 { TLS = yes Peer ::1 { SSL = 1 } } }"""


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (OTHER_PORTS, []),
        # A narrower scope overrides a wider one.
        (WIDER.format("Open_Relay = true"), ["Use_SSL"]),
        (WIDER.format("Open_Relay = true Use_SSL = no"), []),
        # A guard of some clients counts though others have none.
        ("Listen :25 { Group g { A { SSL = 1 } B { SSL = 0 TLS { } } } }", ["A.SSL", "B.TLS"]),
        ("Listen :25 { Peer ::1 { SSL = 1 } Peer ::2 { SSL = 0 } }", ["peer.SSL"]),
        # A relay that is open to one network only is a guard.
        ("Listen :25 { } Peer 10.0.0.0/8 { Open_Relay = true }", ["peer.Open_Relay"]),
        # A listener on its default address, and ports that are not opened.
        ("Relay_Hosts = ( ::1 ) ESMTP_Listener { TLS = yes }", []),
        (f"Relay_Hosts = ( ::1 ) ESMTP_Listener {{ {NOT_OPENED} }}", []),
    ],
)
def test_a_port_has_the_guards_that_hold_for_it(
    tmp_path: Path, text: str, options: list[str]
) -> None:
    whole = text if "ESMTP_Listener" in text else f"ESMTP_Listener {{ {text} }}"
    assert name_options(tmp_path, whole) == options


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        (":25", "0.0.0.0:25"),
        ("*:25", "0.0.0.0:25"),
        ("0.0.0.0:25", "0.0.0.0:25"),
        ("[::]:25", "[::]:25"),
        ("[*]:25", "[::]:25"),
        ("10.0.0.1:25", "10.0.0.1:25"),
        ("128.0.0.1:25", "128.0.0.1:25"),
        ("[2001:db8::1]:25", "[2001:db8::1]:25"),
        ("mx.localhost:25", "mx.localhost:25"),
        ("localhost.example:25", "localhost.example:25"),
        ("127.1:25", "127.1:25"),
        ("localho\u017ft:25", "localho\u017ft:25"),
        *((f"{host}:25", None) for host in LOOPBACK),
    ],
)
def test_every_address_but_loopback_is_one_that_others_reach(
    tmp_path: Path, listen: str, address: str | None
) -> None:
    text = f'Relay_Hosts = ( ::1 ) ESMTP_Listener {{ Listen "{listen}" {{ }} }}'
    relay = "Relay_Hosts (ecelerity.conf:2)"
    expected = [] if address is None else [fault(2, listen, address, relay)]
    assert faults(tmp_path, text) == expected


@pytest.mark.parametrize(
    ("written", "count"),
    [("true", 0), ("on", 0), ("false", 1), ("true open_relay = false", 1), ("maybe", 2)],
)
def test_whoever_writes_that_something_else_guards_is_believed(
    tmp_path: Path, written: str, count: int
) -> None:
    ours = f"msys_track {{ open_relay = {written} }}"
    refused = fault(2, ":25", "0.0.0.0:25", "TLS (ecelerity.conf:2)")
    wrong = 'x.conf:3: proxy.open_relay: found "maybe", allowed: true or false, without quotes'
    found = faults(tmp_path, f"TLS = yes ESMTP_Listener {{ Listen :25 {{ }} }}\n{ours}")
    assert found == [refused, wrong][:count]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("unprotected = true", "unprotected"),
        ("ESMTP_Listener { Unprotected = true }", "esmtp_listener.Unprotected"),
        ("ESMTP_Listener { Listen :25 { unprotected = true } }", "listen.unprotected"),
    ],
)
def test_the_word_that_something_else_guards_has_one_place(
    tmp_path: Path, text: str, key: str
) -> None:
    where = key.rpartition(".")[0] or "the global scope"
    assert faults(tmp_path, text) == [
        f"x.conf:2: {key}: has no effect in {where}; it belongs in msys_track"
    ]


def test_the_word_that_something_else_guards_has_its_key_in_toml(folder: Path) -> None:
    path = folder / "msys-track.toml"
    text = 'keys = "keys.toml"\n[listen.":25"]\n[proxy]\nupstream = "127.0.0.1:25"\n'
    path.write_text(text)
    with pytest.raises(
        ConfigurationError, match=r'listen\.":25": other machines reach 0\.0\.0\.0:25'
    ):
        load(path)
    path.write_text(f"{text}open_relay = true\n")
    proxy = load(path).proxy
    assert proxy is not None
    assert proxy.access.open_relay
