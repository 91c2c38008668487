"""What the listeners of an `ecelerity.conf` say of who may send, and over what, is kept."""

from pathlib import Path

import pytest
from tests.certificates import make_certificate
from tests.users import write_users

from msys_track.config.checking import check_configuration
from msys_track.config.configuration import Configuration
from msys_track.config.effective import Table, find_tables
from msys_track.config.load import load
from msys_track.config.momentum.document import read_document, write_toml
from msys_track.config.problems import ConfigurationError, Problem
from msys_track.injection.settings import ProxySettings
from msys_track.keys.file import create

LOOPBACK = ("127.0.0.1", "127.255.0.9", "[::1]", "localhost", "LocalHost")
USERS = 'auth_users = "users.toml"'
NOBODY = (
    'nothing says who may send: write Relay_Hosts = ( "10.0.0.0/8" ), or networks or auth_users '
    "in msys_track { }; or, if something else, such as a firewall, protects the port, msys_track "
    "{ open_relay = true }"
)
NETWORKS = "say by networks in msys_track { } who may send without AUTH"
ONE_RULE = f"msys-track has one rule for all clients and mail of a port: {NETWORKS}"
DOOR = (
    "other machines reach 0.0.0.0:25, and nothing says who may send: write Relay_Hosts, or "
    "networks or auth_users in msys_track { }; if something else, such as a firewall, protects "
    "the proxy, say so by msys_track { open_relay = true }"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with the users and certificates that the configurations name."""
    write_users(tmp_path / "users.toml")
    for stem in "cert", "other":
        made = make_certificate(tmp_path, stem=stem)
        made.certificate.rename(tmp_path / f"{stem}.pem")
        made.key.rename(tmp_path / f"{stem}.key")
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "ecelerity.conf"
    path.write_text(f'Gateway="192.0.2.1" smtpapi {{}}\n{text}\n', encoding="utf-8")
    return path


def faults(folder: Path, text: str) -> list[str]:
    path = write(folder, text)
    problems = check_configuration(path).problems
    at_start: tuple[Problem, ...] = ()
    try:
        load(path)
    except ConfigurationError as error:
        at_start = error.problems
    assert at_start == problems
    return [problem.format_line(Path("x.conf")) for problem in problems]


def proxy(folder: Path, text: str) -> ProxySettings:
    settings = load(write(folder, text)).proxy
    assert settings is not None
    return settings


def networks(folder: Path, text: str) -> list[str]:
    return [str(each) for each in proxy(folder, text).access.networks]


# Whole configurations

SUBMISSION = """
ESMTP_Listener {
  SMTP_Extensions = ( "ENHANCEDSTATUSCODES" )
  Idle_Time = 300
}
relay_domains = ( "fbl.shop.example" )
Only_Use_Best_MX_For_Relay_Domains = false
ESMTP_Listener {
  # submission
  Listen ":587" {
    Enable = true
    TLS_Certificate = "cert.pem"
    TLS_Key = "cert.key"
    TLS_Client_CA = "cacert.pem"
    TLS_Ciphers = "DEFAULT"
    AuthLoginParameters = [
      uri = "file:///opt/msys/ecelerity/etc/unsafe_passwd"
      log_authentication = "true"
    ]
    SMTP_Extensions = ( "ENHANCEDSTATUSCODES" "STARTTLS" "AUTH LOGIN" )
    tracking_domain = "click.shop.example:81"
    click_tracking_enabled = true
  }
  # feedback loops; no relay
  Listen "*:25" { Open_Relay = false }
}
"""


def test_a_node_for_submission_has_faults_that_say_what_is_missing(folder: Path) -> None:
    auth, relay = faults(folder, SUBMISSION)
    assert auth == (
        'x.conf:11: Listen ":587": listen.SMTP_Extensions (ecelerity.conf:21), '
        "listen.AuthLoginParameters (ecelerity.conf:17) ask for AUTH, but Momentum's users are "
        'not read: write msys_track { auth_users = "users.toml" }, made by msys-track users add '
        "users.toml NAME, or auth_passthrough = true there, if the upstream knows them; or say by "
        "networks there who may send without AUTH"
    )
    assert relay == (
        'x.conf:26: Listen "*:25": listen.Open_Relay (ecelerity.conf:26) asks for less relaying, '
        f"but {NOBODY}"
    )


def test_with_users_it_lets_in_them_and_nobody_else(folder: Path) -> None:
    access = proxy(folder, f"{SUBMISSION} msys_track {{ {USERS} }}").access
    assert access.networks == ()
    assert not access.open_relay
    assert access.auth_users == folder / "users.toml"
    assert (access.tls_certificate, access.tls_key) == (folder / "cert.pem", folder / "cert.key")


def test_a_relay_of_the_data_centre_lets_in_its_hosts_and_trusted_peers(folder: Path) -> None:
    text = """
Relay_Hosts = ( "127.0.0.1/32" 10.10.0.0/16 ::1 )
ESMTP_Listener {
  Peer "192.0.2.0/24" { Open_Relay = true }
  Peer "198.51.100.7" { Open_Relay = "false" click_tracking_enabled = no }
  Listen ":25" { }
  Listen "[*]:25" { }
}"""
    allowed = ["127.0.0.1/32", "10.10.0.0/16", "::1/128", "192.0.2.0/24"]
    assert networks(folder, text) == allowed


def test_ports_for_tls_from_the_first_byte_have_their_options_too(folder: Path) -> None:
    text = f"""
TLS_Certificate = "cert.pem" TLS_Key = "cert.key"
ESMTP_Listener {{
  Use_SSL = "true"
  SMTP_Extensions = ( "AUTH PLAIN" )
  Listen ":465" {{ click_tracking_enabled = true }}
  Listen "127.0.0.1:2525" {{ Use_SSL = false Relay_Hosts = ( ) }}
}}
msys_track {{ {USERS} }}"""
    settings = proxy(folder, text)
    assert list(map(str, settings.listens)) == ["127.0.0.1:2525"]
    assert list(map(str, settings.access.listen_tls)) == ["0.0.0.0:465"]
    scopes = load(folder / "ecelerity.conf").scopes
    assert scopes.listens["0.0.0.0:465"].scope.options.click_tracking


def test_a_node_whose_every_port_begins_with_tls_opens_no_other(folder: Path) -> None:
    listener = 'Use_SSL = 1 TLS_Certificate = "cert.pem" TLS_Key = "cert.key" Listen ":465" { }'
    text = f"ESMTP_Listener {{ {listener} }} msys_track {{ {USERS} }}"
    assert list(map(str, proxy(folder, text).all_listens)) == ["0.0.0.0:465"]


@pytest.mark.parametrize("has_plain", [True, False])
def test_as_toml_the_ports_are_the_same_and_say_where_they_come_from(
    folder: Path, *, has_plain: bool
) -> None:
    plain = "Listen 127.0.0.1:25 { Use_SSL = no }" if has_plain else ""
    listener = f'Use_SSL = 1 {CERTIFICATE} Listen ":465" {{ }} {plain}'
    path = write(folder, f"ESMTP_Listener {{ {listener} }} msys_track {{ {USERS} }}")
    document = read_document(path)
    create(folder / "msys-track-keys.toml")
    toml = folder / "msys-track.toml"
    toml.write_text(f'keys = "msys-track-keys.toml"\n{write_toml(document, folder)}')
    (before, shown), (after, _) = (show(each) for each in (path, toml))
    assert before.proxy == after.proxy
    value, source = shown["listen"]
    expected = ("127.0.0.1:25", 'listen "127.0.0.1:25" (ecelerity.conf:2)') if has_plain else None
    assert (value, source) == (expected or (None, "every port begins with TLS"))


def show(path: Path) -> tuple[Configuration, Table]:
    checked = check_configuration(path)
    assert checked.configuration is not None
    return checked.configuration, find_tables(checked.document, checked.configuration)["proxy",]


# Who may send


@pytest.mark.parametrize("host", ["", *LOOPBACK])
def test_a_port_that_forbids_relaying_is_not_open_to_this_machine_either(
    folder: Path, host: str
) -> None:
    listen = f'Listen "{host}:2587" {{ Open_Relay = false }}'
    (found,) = faults(folder, f"ESMTP_Listener {{ {listen} }}")
    assert f"Open_Relay (ecelerity.conf:2) asks for less relaying, but {NOBODY}" in found
    rules = f"TLS_Certificate = cert.pem TLS_Key = cert.key {listen}"
    assert not networks(folder, f"ESMTP_Listener {{ {rules} }} msys_track {{ {USERS} }}")
    assert networks(folder, f"Relay_Hosts = ( ::1 ) ESMTP_Listener {{ {listen} }}") == ["::1/128"]


@pytest.mark.parametrize("host", ["", *LOOPBACK])
@pytest.mark.parametrize(
    "option",
    [
        'SMTP_Extensions = ( XCLIENT "AUTH LOGIN" )',
        "AuthCRAMMD5Parameters = [ uri = x ]",
        "AUTH_LOGIN { uri = x }",
        "Require_AUTH = 1",
        "Enable_Authentication = true",
        "Always_Deny = true",
    ],
)
def test_a_port_that_asks_for_auth_needs_users(folder: Path, option: str, host: str) -> None:
    listeners = (
        f'{{ {option} Listen "{host}:2587" {{ }} }}',
        f'{{ Listen "{host}:2587" {{ {option} }} }}',
        f'{{ Listen "{host}:2587" {{ Peer 10.0.0.0/8 {{ {option} }} }} }}',
        f'{{ Peer 10.0.0.0/8 {{ {option} }} Listen "{host}:2587" {{ }} }}',
    )
    for listener in listeners:
        (found,) = faults(folder, f"Relay_Hosts = ( ::1 ) ESMTP_Listener {listener}")
        assert " (ecelerity.conf:2) asks for AUTH, but Momentum's users are not read: " in found
    assert not faults(folder, f'ESMTP_Listener {listener} msys_track {{ networks = "::1" }}')


@pytest.mark.parametrize(
    "option",
    [
        "Relay_Hosts = ( 10.0.0.0/8 )",
        "Relaying_Hosts = ( ::1 )",
        "Open_Relay = false",
        "open_relay = 'No'",
        "Open_Relay = perhaps",
    ],
)
@pytest.mark.parametrize(
    "scope",
    [
        "ESMTP_Listener {{ Listen :25 {{ Peer_Group g {{ {} }} }} }}",
        "ESMTP_Listener {{ Listen :25 {{ }} }}\nPeer_Group g {{ Peers {{ {} }} }}",
        "ESMTP_Listener {{ Listen :25 {{ }} }}\npathway p {{ {} }}",
        "ESMTP_Listener {{ Listen :25 {{ }} }}\npathway_group g {{ pathway p {{ {} }} }}",
    ],
)
def test_a_rule_for_some_only_needs_a_rule_of_ours(folder: Path, scope: str, option: str) -> None:
    (found,) = faults(folder, f"Relay_Hosts = ( 10.0.0.0/8 ) {scope.format(option)}")
    assert f") asks for less relaying, but {ONE_RULE}" in found
    assert option.partition(" ")[0] in found
    ours = "msys_track { networks = 10.0.0.0/8 }"
    assert not faults(folder, f"Relay_Hosts = ( 10.0.0.0/8 ) {scope.format(option)} {ours}")


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        # A narrower scope overrides a wider one.
        (
            "Relay_Hosts = ( ::1 ) ESMTP_Listener { Listen :25 { Relay_Hosts = ( ::2 ) } }",
            "::2/128",
        ),
        (
            "ESMTP_Listener { Relay_Hosts = ( ::2 ) Listen :25 { } } Relay_Hosts = ( ::1 )",
            "::2/128",
        ),
        # One alone may stand without parentheses.
        ("Relay_Hosts = ::1 ESMTP_Listener { Listen :25 { } }", "::1/128"),
        # What another port says does not count.
        (
            (
                "ESMTP_Listener { Listen :25 { Relay_Hosts = ( ::1 ) } "
                "Listen :26 { Enable = no Relay_Hosts = ( ::2 ) } }"
            ),
            "::1/128",
        ),
        # Nor does a port that says nothing.
        (
            "ESMTP_Listener { Listen :25 { Relay_Hosts = ( ::1 ) } Listen 127.0.0.1:26 { } }",
            "::1/128",
        ),
        (
            (
                "Control_Listener { Peer ::1 { Relay_Hosts = ( ::9 ) } } "
                "domain x { Relay_Hosts = () } "
                "ESMTP_Listener { Listen :25 { Relay_Hosts = ( ::1 ) } }"
            ),
            "::1/128",
        ),
    ],
)
def test_the_hosts_of_a_port_are_those_of_the_nearest_scope(
    folder: Path, text: str, allowed: str
) -> None:
    assert networks(folder, text) == [allowed]


@pytest.mark.parametrize(
    "named",
    ["Relay_Hosts = ( 128.0.0.0/1 )", 'Peer "128.0.0.0/1" { Open_Relay = true }'],
    ids=["hosts", "peer"],
)
@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", ""])
def test_a_port_that_says_nothing_does_not_let_in_those_whom_another_names(
    folder: Path, named: str, host: str
) -> None:
    text = f'ESMTP_Listener {{ Listen "{host}:587" {{ {named} }} Listen ":25" {{ }} }}'
    fault = (
        'x.conf:2: Listen ":25": nothing says who may send here, and msys-track has one rule for '
        f'all ports, which would let in those whom Listen "{host}:587" names: write Relay_Hosts '
        "in ESMTP_Listener, or networks in msys_track { }"
    )

    assert faults(folder, text) == [fault]


def test_ports_with_different_hosts_have_no_rule_in_common(folder: Path) -> None:
    text = """ESMTP_Listener {
  Listen :25 { Relay_Hosts = ( 10.0.0.0/8 ) }
  Listen :587 { Relay_Hosts = ( 10.0.0.0/9 ) }
}"""
    assert faults(folder, text) == [
        (
            'x.conf:4: Listen ":587": others may send here than to Listen ":25", and msys-track '
            "has one rule for all ports: write msys_track { networks = ( … ) }, with all who may "
            "send to any"
        )
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Listen :25 { Open_Relay = true } Listen 127.0.0.1:587 { }", ""),
        ("Listen :25 { Open_Relay = true } Listen :587 { }", DOOR),
        ("Listen :25 { }", DOOR),
        ("Listen 127.0.0.1:25 { Open_Relay = true } Listen :25 { }", DOOR),
        ("Listen 127.0.0.1:25 { }", ""),
        ("Open_Relay = false Listen :25 { Open_Relay = true }", ""),
        ("Listen :25 { Open_Relay = false Open_Relay = true }", ""),
        (
            "Listen 127.0.0.1:25 { Open_Relay = true } Listen :26 { Relay_Hosts = ::1 }",
            (
                'Open_Relay = true lets in everybody, but Listen ":26" does not, and msys-track '
                f"has one rule for all ports: {NETWORKS}"
            ),
        ),
        (
            "Open_Relay = true Listen :25 { Peer 10.0.0.0/8 { Open_Relay = 0 } }",
            f"peer.Open_Relay (ecelerity.conf:2) asks for less relaying, but {ONE_RULE}",
        ),
        (
            "Relay_Hosts = 10.0.0.0/8 Peer 10.1.0.0/16 { Open_Relay = 0 } Listen :25 { }",
            f"peer.Open_Relay (ecelerity.conf:2) asks for less relaying, but {ONE_RULE}",
        ),
        ("Relay_Hosts = 0.0.0.0/0 Listen :25 { }", "0.0.0.0/0 lets in everybody; "),
        ("Relay_Hosts = 10.0.0.1/8 Listen :25 { }", "did you mean 10.0.0.0/8?"),
        # Domains let in strangers' mail, but not here.
        ("Relay_Domains = ( a.example ) Listen 127.0.0.1:25 { }", ""),
        ("Relay_Domains = ( a.example ) Listen :25 { }", DOOR),
    ],
)
def test_a_port_that_others_reach_needs_a_rule_or_momentums_open_relay(
    folder: Path, text: str, problem: str
) -> None:
    found = faults(folder, f"ESMTP_Listener {{ {text} }}")
    assert bool(found) == bool(problem)
    assert problem in "".join(found)


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
        *((f"{host}:2525", None) for host in LOOPBACK),
    ],
)
def test_every_address_but_loopback_is_one_that_others_reach(
    folder: Path, listen: str, address: str | None
) -> None:
    found = faults(folder, f'ESMTP_Listener {{ Listen "{listen}" {{ }} }}')
    assert len(found) == (address is not None)
    assert all(
        f"other machines reach {address}, and nothing says who may send" in x for x in found
    )


def test_rules_in_our_own_stanza_open_a_port_to_those_whom_they_name(folder: Path) -> None:
    text = "Open_Relay = false ESMTP_Listener { Auth = x Listen :25 { } }"
    assert networks(folder, f"{text} msys_track {{ networks = ( 10.0.0.0/8 ) }}") == ["10.0.0.0/8"]


@pytest.mark.parametrize(
    ("written", "count"),
    [("true", 0), ("on", 0), ("false", 1), ("true open_relay = false", 1), ("maybe", 2)],
)
def test_whoever_writes_that_something_else_guards_is_believed(
    folder: Path, written: str, count: int
) -> None:
    ours = f"msys_track {{ open_relay = {written} }}"
    relay = "Open_Relay (ecelerity.conf:2) asks for less relaying"
    refused = f'x.conf:2: Listen ":25": {relay}, but {NOBODY}'
    wrong = 'x.conf:3: msys_track.open_relay: found "maybe", allowed: true or false'
    found = faults(folder, f"Open_Relay = no ESMTP_Listener {{ Listen :25 {{ }} }}\n{ours}")
    assert found == [refused, wrong][:count]


# TLS

CERTIFICATE = "TLS_Certificate = cert.pem TLS_Key = cert.key"
OURS = "tls_certificate = cert.pem tls_key = cert.key"
LACKS = (
    'there is no certificate: write TLS_Certificate = "cert.pem" and TLS_Key = "key.pem" in '
    "ESMTP_Listener, or tls_certificate and tls_key in msys_track { }"
)


@pytest.mark.parametrize("host", ["", *LOOPBACK])
@pytest.mark.parametrize(
    "option",
    [
        "TLS = required",
        "TLS = ifavailable",
        "TLS_Required = true",
        "Use_SSL = yes",
        "StartTLS = on",
        "SSL_Key = x",
        "SMTP_Extensions = ( starttls )",
    ],
)
def test_a_port_that_asks_for_tls_needs_a_certificate(
    folder: Path, option: str, host: str
) -> None:
    rules = 'msys_track {{ networks = "::1" {} }}'
    text = f'ESMTP_Listener {{ Listen "{host}:2587" {{ {option} }} }}'
    (found,) = faults(folder, f"{text} {rules.format('')}")
    assert f"(ecelerity.conf:2) asks for TLS, but {LACKS}" in found
    for certificate in f"{CERTIFICATE} {rules.format('')}", rules.format(OURS):
        assert faults(folder, f"{text} {certificate}") == []
        access = proxy(folder, f"{text} {certificate}").access
        assert access.tls_certificate == folder / "cert.pem"
        is_required = "required" in option.lower()
        assert (access.tls_required, bool(access.listen_tls)) == (is_required, "Use" in option)


def test_a_certificate_of_none_is_none(folder: Path) -> None:
    text = f"{CERTIFICATE} ESMTP_Listener {{ TLS_Certificate = none Listen 127.0.0.1:26 {{ }} }}"
    assert proxy(folder, text).access.tls_certificate is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "Listen 127.0.0.1:26 { TLS_Required = 1 } Listen 127.0.0.1:27 { }",
            (
                "asks for TLS, but msys-track takes mail over TLS only at all ports or at "
                "none: write msys_track { tls_required = true }"
            ),
        ),
        ("Listen 127.0.0.1:26 { TLS_Required = 1 } Listen 127.0.0.1:27 { Use_SSL = 1 }", ""),
        ("TLS_Required = 1 Listen 127.0.0.1:26 { } Listen 127.0.0.1:27 { }", ""),
        (
            "Listen 127.0.0.1:26 { Peer ::1 { TLS_Required = 1 } }",
            "peer.TLS_Required (ecelerity.conf:2) asks for TLS, but msys-track takes mail over ",
        ),
        (
            "Listen 127.0.0.1:26 { Peer ::1 { Use_SSL = 1 } }",
            (
                "peer.Use_SSL (ecelerity.conf:2) asks for TLS, but msys-track begins with TLS for "
                "all clients of a port or for none: write Use_SSL in Listen"
            ),
        ),
        ("Use_SSL = 1", "Use_SSL has no Listen: write the port that begins with TLS"),
        (
            (
                "Listen 127.0.0.1:26 { } Listen 127.0.0.1:27 "
                "{ TLS_Certificate = other.pem TLS_Key = other.key }"
            ),
            (
                "TLS_Certificate or TLS_Key differs from TLS_Certificate, and msys-track has one "
                "for all ports: write tls_certificate and tls_key in msys_track { }"
            ),
        ),
        (
            "Listen 127.0.0.1:26 { TLS_Verify_Mode = require }",
            "asks for a client's certificate, but msys-track asks clients for none: ",
        ),
        ("Listen 127.0.0.1:26 { TLS_Verify_Mode = none TLS_Client_CA = ca.pem }", ""),
        ("Listen 127.0.0.1:26 { TLS = no Use_SSL = off Proxy_Protocol = false }", ""),
        ("Listen 127.0.0.1:26 { StartTLS_Injection_Policy = reject TLS_Protocols = x }", ""),
        (
            "Listen 127.0.0.1:26 { Proxy_Protocol = true }",
            (
                "asks for a PROXY header, but msys-track believes that of load balancers which "
                'you name, and no other: write msys_track { proxy_protocol_from = ( "10.0.0.5" ) }'
            ),
        ),
    ],
)
def test_what_ports_say_of_tls_holds_for_all_of_them_or_is_a_fault(
    folder: Path, text: str, problem: str
) -> None:
    found = faults(folder, f"{CERTIFICATE} ESMTP_Listener {{ {text} }}")
    assert len(found) == bool(problem)
    assert all(problem in each for each in found)


def test_our_own_word_makes_tls_the_rule_of_all_ports(folder: Path) -> None:
    text = "ESMTP_Listener { Listen 127.0.0.1:26 { TLS_Required = 1 } Listen 127.0.0.1:27 { } }"
    access = proxy(folder, f"{CERTIFICATE} {text} msys_track {{ tls_required = true }}").access
    assert access.tls_required
    assert access.listen_tls == ()


def test_load_balancers_that_we_name_are_believed(folder: Path) -> None:
    text = "Relay_Hosts = ::1 ESMTP_Listener { Listen :25 { Proxy_Protocol = 1 } }"
    ours = "msys_track { proxy_protocol_from = 10.0.0.5 }"
    assert list(map(str, proxy(folder, f"{text} {ours}").access.proxy_protocol_from)) == [
        "10.0.0.5/32"
    ]


def test_a_file_that_is_not_there_is_a_fault_of_the_option_that_names_it(folder: Path) -> None:
    text = (
        "ESMTP_Listener {\n TLS_Certificate = x.pem\n TLS_Key = cert.key\n Listen 127.1:26 { }\n}"
    )
    ours = 'msys_track { networks = "::1" }'
    assert faults(folder, f"{text}\n{ours}") == [
        'x.conf:3: TLS_Certificate: found "x.pem", but there is no such file'
    ]


# The next hop


@pytest.mark.parametrize(
    ("text", "tls", "verify"),
    [
        ("", "opportunistic", True),
        ("TLS = no", "none", False),
        ("TLS = IfAvailable", "opportunistic", False),
        ('TLS = "required"', "require", False),
        ("TLS = required TLS_Verify = host", "require", True),
        ("TLS = required msys_track { upstream_tls_verify = true }", "require", True),
        ("TLS = required msys_track { upstream_tls = none }", "none", False),
    ],
)
def test_what_is_said_of_delivery_holds_for_the_smart_host(
    folder: Path, text: str, tls: str, *, verify: bool
) -> None:
    read = load(write(folder, f"{text} ESMTP_Listener {{ Listen 127.0.0.1:26 {{ }} }}"))
    assert read.upstream is not None
    assert (read.upstream.tls, read.upstream.tls_verify) == (tls, verify)


def test_the_smart_host_is_known_by_the_authority_that_momentum_names(folder: Path) -> None:
    read = load(write(folder, "TLS_CA = cert.pem ESMTP_Listener { Listen 127.0.0.1:26 { } }"))
    assert read.upstream is not None
    assert read.upstream.tls_ca_file == folder / "cert.pem"


def test_hosts_that_are_no_list_let_in_nobody(folder: Path) -> None:
    text = "ESMTP_Listener { Relay_Hosts = [ a = b ] Listen :25 { } }"
    (found,) = faults(folder, text)
    assert f"Relay_Hosts (ecelerity.conf:2) asks for less relaying, but {NOBODY}" in found


def test_a_wrong_word_of_delivery_is_a_fault(folder: Path) -> None:
    assert faults(folder, "TLS = always ESMTP_Listener { Listen 127.0.0.1:26 { } }") == [
        'x.conf:2: tls: found "always", allowed: no, false, ifavailable, required'
    ]


# Our own words


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("unprotected = true", "unprotected"),
        ("ESMTP_Listener { Unprotected = true }", "esmtp_listener.Unprotected"),
        ("ESMTP_Listener { Listen 127.1:26 { unprotected = true } }", "listen.unprotected"),
    ],
)
def test_the_word_that_something_else_guards_has_one_place(
    folder: Path, text: str, key: str
) -> None:
    where = key.rpartition(".")[0] or "the global scope"
    found = f"x.conf:2: {key}: has no effect in {where}; it belongs in msys_track"
    assert found in faults(folder, f"{text} msys_track {{ networks = ::1 }}")


def test_the_word_that_something_else_guards_has_its_key_in_toml(tmp_path: Path) -> None:
    (tmp_path / "keys.toml").write_text("")
    path = tmp_path / "msys-track.toml"
    text = 'keys = "keys.toml"\n[listen.":25"]\n[proxy]\nupstream = "192.0.2.1:25"\n'
    path.write_text(text)
    with pytest.raises(
        ConfigurationError, match=r'listen\.":25": other machines reach 0\.0\.0\.0:25'
    ):
        load(path)
    path.write_text(f"{text}open_relay = true\n")
    settings = load(path).proxy
    assert settings is not None
    assert settings.access.open_relay
