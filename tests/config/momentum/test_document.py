"""Momentum's stanzas in the shape of our own file: scopes, values, places, and what is said."""

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.shown import read_blocks

from msys_track.config.document import Document, Place
from msys_track.config.momentum import document as momentum
from msys_track.config.momentum.names import GLOBAL, OURS, TRACKING
from msys_track.config.problems import Problem
from msys_track.config.schema.tables import SCOPE

SAMPLES = Path(__file__).parent / "ecelerity"
SCOPES = "it belongs in ESMTP_Listener, Listen, Peer, pathway or pathway_group"
TLS = "not an option of msys-track, whose TLS is 1.2 or newer, with the system's ciphers"
RELAY = "msys-track relays for clients and users only"
USERS = "AUTH is not offered without auth_users or auth_passthrough in msys_track { }"
TO_NEXT_HOP = "for the next hop; write upstream_tls in msys_track { } for its upstream"
UNKNOWN = "not an option of msys-track"
TRUE = ("true", '"true"', "YES", "On", "enabled", "1", "'1'")
FALSE = ("false", '"False"', "no", "off", "disabled", "0")
NOT_OURS = "not a stanza of msys-track; nothing in it is read"
REST = "its tracking options are those of Momentum's REST injection; SMTP has its own"


def document(folder: Path, text: str) -> Document:
    path = folder / "ecelerity.conf"
    path.write_text(text, encoding="utf-8")
    return momentum.read_document(path, search_path=())


def members(folder: Path, text: str) -> dict[str, object]:
    read = document(folder, text)
    assert read.problems == ()
    return {name: value for name, value in read.members.items() if name != "smtpapi" or value}


def list_texts(found: Iterable[Problem]) -> list[tuple[int, str, str]]:
    return [(each.line, each.key, each.text) for each in found]


def problems(folder: Path, text: str) -> list[tuple[int, str, str]]:
    return list_texts(document(folder, text).problems)


def notices(folder: Path, text: str) -> list[tuple[int, str, str]]:
    return list_texts(document(folder, text).notices)


# Whole configurations


def test_a_platform_node_with_a_folder_of_includes_is_read_unchanged() -> None:
    read = momentum.read_document(SAMPLES / "platform" / "ecelerity.conf", search_path=())
    assert read.problems == ()
    head, text = momentum.write_toml(read, read.path.parent).split("\n\n", 1)
    assert head == f"# Made from {read.path} by msys-track config import."
    assert text == (SAMPLES / "platform.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text) == read.members
    # What it says beyond tracking is reported, once each.
    wording = "".join(f"{notice.format_line(Path('ecelerity.conf'))}\n" for notice in read.notices)
    wording = wording.replace(f"{SAMPLES / 'platform'}/", "")
    assert wording == (SAMPLES / "platform-notices.txt").read_text(encoding="utf-8")


def test_includes_are_looked_for_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "smtpapi.conf").write_text("smtpapi { }")
    (tmp_path / "ecelerity.conf").write_text('include "smtpapi.conf"')
    monkeypatch.setenv("EC_CONF_SEARCH_PATH", f"/nowhere:{tmp_path / 'path'}")
    assert momentum.read_document(tmp_path / "ecelerity.conf").members == {"smtpapi": True}


def test_the_example_of_the_page_is_read_as_the_page_says(tmp_path: Path) -> None:
    blocks = list(read_blocks("ecelerity.md"))
    (example,) = (each.text for each in blocks if each.role == "ecelerity.conf")
    (expected,) = (each.text for each in blocks if each.language == "toml")
    assert members(tmp_path, example) == tomllib.loads(expected)


# Scopes


def test_each_scope_has_its_table(tmp_path: Path) -> None:
    text = """
        ESMTP_Listener {
          tracking_domain = a
          Listen :25 { tracking_domain = b Peer 10.0.0.0/8 { tracking_domain = c pathway = p } }
          Peer "::1" { tracking_domain = d }
        }
        pathway p { tracking_domain = e }
        pathway_group g { tracking_domain = f pathway q { outlook_links = 0 } }
    """
    peer = {"tracking_domain": "c", "pathway": "p"}
    assert members(tmp_path, text) == {
        "listener": {"tracking_domain": "a"},
        "listen": {":25": {"tracking_domain": "b", "peer": {"10.0.0.0/8": peer}}},
        "peer": {"::1": {"tracking_domain": "d"}},
        "pathway": {"p": {"tracking_domain": "e"}},
        "pathway_group": {
            "g": {"tracking_domain": "f", "pathway": {"q": {"outlook_links": False}}}
        },
    }


def test_every_option_of_a_scope_in_our_file_can_be_set_in_momentums_form() -> None:
    listener = GLOBAL.inner["esmtp_listener"]
    for scope in (listener, *listener.inner.values()):
        assert set(scope.options) - {"enable", "enabled"} == set(SCOPE)
    assert set(TRACKING) | set(OURS) | {"context"} == set(GLOBAL.inner["pathway"].options)


def test_a_stanza_that_is_opened_again_is_merged_and_the_later_option_holds(
    tmp_path: Path,
) -> None:
    text = """
        ESMTP_Listener { Listen ":25" { tracking_domain = a context = [ x = "1" y = "2" ] } }
        esmtp_listener { listen ":25" {
          tracking_domain = b
          open_tracking_enabled = on
          context = [ z = 3 ]
        } }"""
    read = document(tmp_path, text)
    later = {"tracking_domain": "b", "open_tracking_enabled": True, "context": {"z": "3"}}
    assert read.members["listen"] == {":25": later}
    path = tmp_path / "ecelerity.conf"
    assert read.places["listen", ":25"] == (path, 2)
    assert read.places["listen", ":25", "tracking_domain"] == (path, 4)
    assert ("listen", ":25", "context", "x") not in read.places


def test_two_names_of_one_address_are_one_listener(tmp_path: Path) -> None:
    text = """
        ESMTP_Listener {
          Listen ":25" { tracking_domain = a Peer 10.0.0.1 { signed_mail = strip } }
          Listen "*:25" { tracking_domain = b Peer 10.0.0.1/32 { outlook_links = no } }
          Listen "0.0.0.0:25" { open_tracking_enabled = yes }
          Listen "127.0.0.1:25" { }
        }"""
    assert members(tmp_path, text)["listen"] == {
        ":25": {
            "tracking_domain": "b",
            "open_tracking_enabled": True,
            "peer": {"10.0.0.1": {"signed_mail": "strip", "outlook_links": False}},
        },
        "127.0.0.1:25": {},
    }


def test_a_misspelt_stanza_is_read_as_the_one_that_was_meant(tmp_path: Path) -> None:
    text = """ESMTP_Listner {
      Lisetn ":25" {
        open_traking_enabled = 1
      }
    }"""
    assert problems(tmp_path, text) == [
        (1, "esmtp_listner", "unknown stanza; did you mean esmtp_listener?"),
        (2, "esmtp_listener.lisetn", "unknown stanza; did you mean listen?"),
        (3, "listen.open_traking_enabled", "unknown; did you mean open_tracking_enabled?"),
    ]


def test_every_member_has_its_place(tmp_path: Path) -> None:
    (tmp_path / "more.conf").write_text('\nscriptlet "s" { script "a" {\n source = "a.lua" } }')
    text = """smtpapi {}
ESMTP_Listener {
  context = [
    a = "1"
  ]
  never_wrap = (
    "x"
  )
}
include "more.conf"
msys_track { store = "events.sqlite" }
gateway = relay.test
"""
    read = document(tmp_path, text)
    main, more = tmp_path / "ecelerity.conf", tmp_path / "more.conf"
    assert dict(read.places) == {
        ("smtpapi",): (main, 1),
        ("listener",): (main, 2),
        ("listener", "context"): (main, 3),
        ("listener", "context", "a"): (main, 4),
        ("listener", "never_wrap"): (main, 6),
        ("listener", "never_wrap", 0): (main, 7),
        ("policy",): (more, 3),
        ("policy", "files"): (more, 3),
        ("policy", "files", 0): (more, 3),
        ("tracker",): (main, 11),
        ("tracker", "store"): (main, 11),
        ("proxy",): (main, 12),
        ("proxy", "upstream"): (main, 12),
    }
    assert '"a.lua",  # from more.conf:3\n' in momentum.write_toml(read, tmp_path)
    assert read.place(("listener", "tracking_domain")) == Place(main, 2)


# Values


@pytest.mark.parametrize(
    ("option", "written", "value"),
    [
        *(("open_tracking_enabled", text, True) for text in TRUE),
        *(("open_tracking_enabled", text, False) for text in FALSE),
        *(("open_tracking_enabled", text, text) for text in ("2", "maybe", "truee")),
        ("open_tracking_enabled", '""', ""),
        ("open_tracking_enabled", "( true )", ["true"]),
        ("open_tracking_enabled", "[ a = b ]", {"a": "b"}),
        ("tracking_link_expiry", "3600", 3600),
        ("tracking_link_expiry", '"3600"', 3600),
        ("tracking_link_expiry", "-1", -1),
        ("tracking_link_expiry", "1h", "1h"),
        ("tracking_link_expiry", "9" * 5000, "9" * 5000),
    ],
)
def test_booleans_and_whole_numbers_are_read_and_anything_else_stays_for_the_check(
    tmp_path: Path, option: str, written: str, value: object
) -> None:
    text = f"ESMTP_Listener {{ {option} = {written} }}"
    assert members(tmp_path, text)["listener"] == {option: value}


def test_case_means_nothing_in_ascii_alone(tmp_path: Path) -> None:
    assert members(tmp_path, "esmtp_LISTENER { Open_TracKing_Enabled = true }") == {
        "listener": {"open_tracking_enabled": True}
    }
    text = "ESMTP_Listener { open_trac\u212aing_enabled = true }"
    (problem,) = document(tmp_path, text).problems
    assert problem.text == "unknown; did you mean open_tracking_enabled?"


def test_context_variables_are_texts_in_their_own_case(tmp_path: Path) -> None:
    text = 'pathway p { Context = [ smtpapi_x = 1 Class = "TXN" ] }'
    context = {"smtpapi_x": "1", "Class": "TXN"}
    assert members(tmp_path, text) == {"pathway": {"p": {"context": context}}}


def test_the_engagement_tracker_has_an_option_with_two_names(tmp_path: Path) -> None:
    for name in ("click_tracking_include_metadata", "click_track_include_metadata"):
        text = f'engagement_tracker {{ debug_level = D {name} = "false" max_metadata_len = 9 }}'
        read = {"click_tracking_include_metadata": False, "max_metadata_len": 9}
        assert members(tmp_path, text) == {"engagement_tracker": read}


# Modules and listeners that are switched off


def test_without_the_module_nothing_is_tracked_and_that_is_said(tmp_path: Path) -> None:
    text = "ESMTP_Listener {\n open_tracking_enabled = true\n}"
    assert document(tmp_path, text).members["smtpapi"] is False
    assert notices(tmp_path, text) == [
        (2, "open_tracking_enabled", "nothing is tracked, because there is no smtpapi { }")
    ]
    assert document(tmp_path, text + "smtpapi {}").members["smtpapi"] is True
    assert notices(tmp_path, text + "smtpapi {}") == []
    assert document(tmp_path, "smtpapi { enabled = false }").members["smtpapi"] is False


def test_a_listener_that_is_switched_off_and_a_unix_socket_are_not_opened(tmp_path: Path) -> None:
    text = """ESMTP_Listener {
      Enable = false
      Listen ":25" { Enable = "false" }
      Listen ":26" { }
      Listen ":27" { Enable = true tracking_domain = x }
      Listen "/tmp/smtp" { Enable = true }
    }"""
    assert members(tmp_path, text) == {"listener": {}, "listen": {":27": {"tracking_domain": "x"}}}
    assert notices(tmp_path, text) == [
        (3, 'Listen ":25"', "switched off by Enable"),
        (4, 'Listen ":26"', "switched off by Enable"),
        (6, 'Listen "/tmp/smtp"', "a Unix socket; only TCP is listened on"),
    ]


def test_a_switch_that_is_neither_on_nor_off_is_a_problem(tmp_path: Path) -> None:
    text = 'ESMTP_Listener { Enable = perhaps\n Listen ":25" { enable = 2 }\n}'
    assert problems(tmp_path, text) == [
        (1, "enable", 'found "perhaps", allowed: true or false'),
        (2, "enable", 'found "2", allowed: true or false'),
    ]


# Policy, upstream, our own stanza


def test_scripts_are_policy_files_in_their_order(tmp_path: Path) -> None:
    text = """
        scriptlet "scriptlet" { script "boot" { source = "msys.boot" } }
        scriptlet "scriptlet" {
          script "one" { source = "myscripts.ehlo_phase" }
          script two { source = "lua/http-delivery" }
          script "three" { source = "../x/policy.lua" }
          script "four" { source = "policy.py" }
          script "five" { source = plain }
          script "one" { source = "/opt/policy.lua" }
        }"""
    files = [
        "/opt/policy.lua",
        "lua/http-delivery.lua",
        "../x/policy.lua",
        "policy.py",
        "plain.lua",
    ]
    assert members(tmp_path, text) == {"policy": {"files": files}}
    assert notices(tmp_path, text) == [(2, 'script "boot"', "msys.boot is a part of Momentum")]
    off = 'scriptlet "s" { enabled = false script "one" { source = "one" } }'
    assert members(tmp_path, off) == {}


@pytest.mark.parametrize(
    ("text", "upstream"),
    [
        ('Gateway = "10.0.0.1"', "10.0.0.1:25"),
        ("gateway = relay.test:26", "relay.test:26"),
        ("Remote_SMTP_Port = 2525 gateway = relay.test", "relay.test:2525"),
        ('gateway = relay.test remote_smtp_port = "2525"', "relay.test:2525"),
        ('gateway = "[fe80::a00]:1"', "[fe80::a00]:1"),
        ('gateway = "[fe80::a00]"', "[fe80::a00]:25"),
        ('gateway = "fe80::a00"', "[fe80::a00]:25"),
        ('gateway = "[192.0.2.1]"', "[192.0.2.1]"),
        ("msys_track { upstream = mta.test:25 } gateway = relay.test", "mta.test:25"),
        ("gateway = relay.test msys_track { upstream = mta.test:25 }", "mta.test:25"),
        ("gateway = ( a b )", ["a", "b"]),
        ('gateway = "what is this"', "what is this"),
        ('domain "x.test" { gateway = relay.test } gateway = a.test', "a.test:25"),
    ],
)
def test_the_smart_host_is_the_upstream_unless_our_stanza_names_one(
    tmp_path: Path, text: str, upstream: object
) -> None:
    assert members(tmp_path, text) == {"proxy": {"upstream": upstream}}


def test_our_own_stanza_says_what_momentum_can_not(tmp_path: Path) -> None:
    text = """msys_track {
        keys = "keys.toml" upstream = "127.0.0.1:25"
        store = "events.sqlite" tracker_listen = "127.0.0.1:8080" open_relay = yes
    }"""
    assert members(tmp_path, text) == {
        "keys": "keys.toml",
        "proxy": {"upstream": "127.0.0.1:25", "open_relay": True},
        "tracker": {"store": "events.sqlite", "listen": "127.0.0.1:8080"},
    }


# What is said


@pytest.mark.parametrize(
    ("stanza", "option", "wording"),
    [
        ("ESMTP_Listener", "Click_Tracking", "unknown; did you mean click_tracking_enabled?"),
        (
            "ESMTP_Listener",
            "click_tracking_schema",
            "unknown; did you mean click_tracking_scheme?",
        ),
        ("ESMTP_Listener", "pathways", "unknown; did you mean pathway?"),
        ("pathway p", "x_tracking_y", f"unknown; known: {', '.join(TRACKING)}"),
        (
            "msys_track",
            "zzz",
            (
                "unknown; allowed: keys, upstream, store, tracker_listen, open_relay, "
                "unknown_links, policy_on_failure, networks, auth_users, auth_passthrough, "
                "tls_certificate, tls_key, tls_required, proxy_protocol_from, xclient_from, "
                "received_header, upstream_tls, upstream_tls_verify, upstream_tls_ca_file"
            ),
        ),
    ],
)
def test_a_mistake_about_tracking_is_a_problem_that_says_what_was_meant(
    tmp_path: Path, stanza: str, option: str, wording: str
) -> None:
    key = f"{stanza.split(maxsplit=1)[0].lower()}.{option}"
    assert problems(tmp_path, f"\n{stanza} {{ {option} = 1 }}") == [(2, key, wording)]


@pytest.mark.parametrize(
    ("text", "key", "wording"),
    [
        (
            "domain x { y { tracking_domain = z } }",
            "tracking_domain",
            f"has no effect in domain; {SCOPES}",
        ),
        ('pathway "a" b { }', "pathway", 'found "a" "b", allowed: one, pathway "name" { … }'),
    ],
)
def test_what_is_misplaced_or_missing_is_a_problem(
    tmp_path: Path, text: str, key: str, wording: str
) -> None:
    assert problems(tmp_path, f"\n{text}") == [(2, key, wording)]


@pytest.mark.parametrize(
    ("text", "key", "wording"),
    [
        ("x = 1 X = 2", "x", UNKNOWN),
        ("ESMTP_Listener { Listen :1 { Y = 1 } Listen :2 { y = 2 } }", "listen.y", UNKNOWN),
        ("a { } a b { c = 1 }", "a", NOT_OURS),
        ("ESMTP_Listener { TLS_Ciphers = x }", "esmtp_listener.tls_ciphers", TLS),
        ("pathway p { Relay_Domains = ( a ) }", "pathway.relay_domains", RELAY),
        (
            'ESMTP_Listener { Authx = y Listen ":1" { } } msys_track { networks = ( ::1 ) }',
            "esmtp_listener.authx",
            USERS,
        ),
        ("TLS = required", "tls", TO_NEXT_HOP),
        ("SMTP_Extensions = ( XCLIENT )", "smtp_extensions", UNKNOWN),
        ("SMTP_Extensions = ( \u017fTARTTLS )", "smtp_extensions", UNKNOWN),
        ("msg_gen { open_tracking_enabled = false }", "msg_gen", REST),
    ],
)
def test_what_means_nothing_here_is_told_once(
    tmp_path: Path, text: str, key: str, wording: str
) -> None:
    assert notices(tmp_path, f"\n{text}") == [(2, key, wording)]
    assert problems(tmp_path, text) == []


def test_what_momentum_loads_for_tracking_needs_no_word(tmp_path: Path) -> None:
    text = "cassandra_client { uri = ( x ) } substitution_engine {} httpsrv { } alerting {}"
    assert notices(tmp_path, text) == []


def test_faults_of_syntax_and_of_meaning_are_told_together(tmp_path: Path) -> None:
    text = "a = \nESMTP_Listener { open_tracking = 1 }\nb ="
    assert [line for line, _, _ in problems(tmp_path, text)] == [1, 3, 2]


words = st.sampled_from(
    [*GLOBAL.inner, *GLOBAL.inner["esmtp_listener"].options, *GLOBAL.inner["msys_track"].options,
     "listen", "peer", "script", "source", "gateway", "remote_smtp_port", "msg_gen", "domain",
     "relay_hosts", "open_relay", "use_ssl", "tls", "tls_certificate", "tls_key", "tls_required",
     "smtp_extensions", "authx", "proxy_protocol", "::1", "starttls", "pathway",
     "max_metadata_len", '":25"', '"/x"', "=", "=", "{", "{", "}", "}", "(", ")", "[", "]", "1",
     "false", '"x"', "\n"]
)  # fmt: skip


@given(st.lists(words, max_size=40))
def test_whatever_is_said_there_is_a_document_whose_places_are_members(
    tmp_path_factory: pytest.TempPathFactory, text: list[str]
) -> None:
    read = document(tmp_path_factory.getbasetemp(), " ".join(text))
    for path in read.places:
        found: Any = read.members
        for name in path:
            found = found[name]
    assert tomllib.loads(momentum.write_toml(read, read.path.parent)) == read.members
