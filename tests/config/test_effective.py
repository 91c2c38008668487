"""What is shown to hold is what a mail gets."""

import tomllib
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from tests.config.mutations import good

from msys_track.config.checking import Checked, check_configuration
from msys_track.config.configuration import Configuration
from msys_track.config.effective import (
    ScopeSelector,
    as_json,
    as_toml,
    find_listen,
    find_options,
    find_tables,
    find_warnings,
)
from msys_track.config.schema.scope_keys import ENGAGEMENT_TRACKER
from msys_track.config.schema.tables import SCOPE, TABLES, TOP
from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.dispatch.session import PolicySession
from msys_track.keys.ring import KeyRing
from msys_track.smtp.address import Address

SELECTORS = [
    ScopeSelector(),
    ScopeSelector(listen="0.0.0.0:2525"),
    ScopeSelector(listen="0.0.0.0:2525", peer=ip_address("10.1.2.3")),
    ScopeSelector(listen="[::1]:2526", peer=ip_address("2001:db8::1")),
    ScopeSelector(listen="[::1]:2526", peer=ip_address("192.0.2.9")),
    ScopeSelector(peer=ip_address("192.0.2.9")),
]


def check_text(folder: Path, text: str) -> tuple[Checked, Configuration]:
    path = folder / "msys-track.toml"
    path.write_text(text, encoding="utf-8")
    checked = check_configuration(path)
    assert checked.problems == ()
    assert checked.configuration is not None
    return checked, checked.configuration


@pytest.fixture
def configuration(folder: Path) -> Configuration:
    """Read the good file that has every kind of scope."""
    return check_text(folder, good("scopes.toml"))[1]


@pytest.mark.parametrize("selector", SELECTORS, ids=str)
def test_the_options_shown_are_those_of_a_mail_that_comes_in_that_way(
    configuration: Configuration, selector: ScopeSelector
) -> None:
    rewriter = Dispatcher(keys=KeyRing.temporary(), scopes=configuration.scopes)
    peer = f"[{selector.peer}]:5" if selector.peer else ""
    session = PolicySession(configuration.scopes, peer=peer, listen=selector.listen or "")
    session.add_recipient(None, "jo@example.com")
    decision = rewriter.decide(
        b"Subject: x\r\n\r\n", ["jo@example.com"], transaction=session.transaction()
    )
    resolved: Any = decision.options["jo@example.com"]
    shown = find_options(configuration, selector)
    for name, key in {**SCOPE, **ENGAGEMENT_TRACKER}.items():
        if name not in ("pathway", "context"):
            value = getattr(resolved, key.fields[0]).value
            assert shown[name].value == (list(value) if isinstance(value, tuple) else value), name


def test_a_source_is_a_scope_and_its_line(configuration: Configuration) -> None:
    inner = find_options(configuration, SELECTORS[2])
    peer = 'listen ":2525" peer "10.0.0.0/8" (msys-track.toml:14)'
    assert inner["click_tracking_enabled"] == (True, peer)
    assert inner["open_tracking_scheme"] == ("http", "default")
    context = {"smtpapi_campaign_id": "receipts", "smtpapi_open_tracking": "1"}
    assert inner["context"] == (context, 'pathway "receipts" (msys-track.toml:28)')
    assert find_options(configuration, ScopeSelector())["pathway"] == (None, "none")


def test_a_pathway_of_the_context_decides_as_policys_does(folder: Path) -> None:
    text = (
        '[listener]\ncontext = { pathway = "a", smtpapi_tracking_link_expiry = "7" }\n'
        "[pathway.a]\noutlook_links = false\n"
    )
    _, configuration = check_text(folder, text)
    shown = find_options(configuration, ScopeSelector())
    assert shown["outlook_links"] == (False, 'pathway "a" (msys-track.toml:4)')
    assert shown["pathway"] == ("a", "context of listener (msys-track.toml:2)")
    assert shown["tracking_link_expiry"] == (7, "context of listener (msys-track.toml:2)")


def test_every_key_of_every_table_is_shown(folder: Path) -> None:
    checked, configuration = check_text(folder, good("servers.toml"))
    shown = find_tables(checked.document, configuration)
    every: dict[Any, set[str]] = {
        (): set(TOP),
        **{
            (name,): set(TABLES[name])
            for name in (
                *("policy", "proxy", "spool", "metrics", "tracker", "events"),
                *("classification", "store", "kept_mail"),
            )
        },
    }
    assert {name: set(table) for name, table in shown.items()} == every
    assert shown["policy",]["files"] == ([str(folder / "policy.lua")], "msys-track.toml:21")
    proxies = ["10.0.0.0/8", "::1/128"]
    assert shown["tracker",]["trusted_proxies"] == (proxies, "msys-track.toml:40")
    assert shown["proxy",]["idle_timeout_seconds"] == (300, "msys-track.toml:30")


def test_an_upstream_of_several_shows_what_it_sets_and_what_it_has_from_the_proxys_table(
    folder: Path,
) -> None:
    text = (
        'keys = "keys.toml"\n[proxy]\nupstream_max_connections = 7\n'
        '[upstream.a]\naddress = "192.0.2.1:25"\n'
        '[upstream.b]\naddress = "192.0.2.2:25"\nmax_connections = 3\n'
    )
    checked, configuration = check_text(folder, text)
    shown = find_tables(checked.document, configuration)
    inherited = "`upstream_max_connections` of `[proxy]`"
    assert shown["upstream", "a"]["max_connections"] == (7, inherited)
    assert shown["upstream", "b"]["max_connections"] == (3, "msys-track.toml:8")
    assert shown["upstream", "b"]["address"] == ("192.0.2.2:25", "msys-track.toml:7")
    toml = as_toml(shown, {ScopeSelector(): find_options(configuration, ScopeSelector())})
    assert tomllib.loads(toml)["upstream"]["a"]["address"] == "192.0.2.1:25"
    as_data = as_json(shown, {})
    assert as_data["upstream"]["b"]["max_connections"]["value"] == 3


def test_every_table_can_be_shown(folder: Path) -> None:
    checked, configuration = check_text(folder, f"{good('servers.toml')}\n[report]\n")
    shown = find_tables(checked.document, configuration)
    scopes = {("listener",), ("engagement_tracker",)}  # shown for each way in which mail comes in
    assert {*shown, *scopes} == {(), *((name,) for name in TABLES)}


def test_a_server_that_is_not_configured_is_not_shown(folder: Path) -> None:
    checked, configuration = check_text(folder, "")
    shown = find_tables(checked.document, configuration)
    assert set(shown) == {(), ("policy",)}
    assert shown[()]["keys"] == (None, "none")


def test_an_address_of_any_host_is_known_by_each(configuration: Configuration) -> None:
    assert find_listen(configuration.scopes.listens, Address("127.0.0.1", 2525)) == "0.0.0.0:2525"
    assert find_listen(configuration.scopes.listens, Address("::1", 2526)) == "[::1]:2526"
    assert find_listen(configuration.scopes.listens, Address("::1", 2525)) is None


PROXY = """
[proxy]
upstream = "127.0.0.1:25"
"""


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("", ["default"]),
        ('[listener]\nclick_tracking_scheme = "http"\n', ["listener (msys-track.toml:3)"]),
        ('[listener]\nclick_tracking_scheme = "https"\n', []),
        ('[listener]\nclick_tracking_scheme = "Same"\n', []),
        ("[listener]\nallow_downgrade = true\n", []),
        ("[listener]\nallow_downgrade = false\n", []),
        ('[listener]\ncontext = { smtpapi_click_tracking_scheme = "https" }\n', []),
        (
            (
                '[listener]\nclick_tracking_scheme = "https"\n'
                '[pathway.bulk]\nclick_tracking_scheme = "http"\n'
                '[listen."127.0.0.1:2526"]\nclick_tracking_scheme = "http"\n'
            ),
            ['listen "127.0.0.1:2526" (msys-track.toml:7)', 'pathway "bulk" (msys-track.toml:5)'],
        ),
    ],
)
def test_a_scope_whose_links_lose_https_has_a_warning(
    folder: Path, text: str, places: list[str]
) -> None:
    _, configuration = check_text(folder, f"keys = 'keys.toml'\n{text}{PROXY}")
    warnings = find_warnings(configuration)
    assert [
        warning.split(": click_tracking_scheme is http, ")[0] for warning in warnings
    ] == places


@pytest.mark.parametrize(
    ("mode", "is_checked_upstream", "has_warning"),
    [
        ("partial", True, True),
        ("always", True, True),
        ("off", True, False),
        ("partial", False, False),
    ],
)
def test_a_spool_that_never_keeps_the_mail_of_users_has_a_warning(
    folder: Path, mode: str, *, is_checked_upstream: bool, has_warning: bool
) -> None:
    text = (
        f"keys = 'keys.toml'\nsmtpapi = false\n{PROXY}upstream_tls = 'require'\n"
        "proxy_protocol_from = ['::1']\n"
        f"auth_passthrough = {str(is_checked_upstream).lower()}\n[spool]\nmode = '{mode}'\n"
    )
    warnings = find_warnings(check_text(folder, text)[1])
    begins = [
        "proxy.auth_passthrough: the spool never keeps mail of users whom the upstream checks"
    ]
    assert [each.partition(",")[0] for each in warnings] == begins * has_warning


def test_where_no_mail_is_tracked_nothing_loses_https(folder: Path) -> None:
    assert find_warnings(check_text(folder, "")[1]) == ()
    assert (
        find_warnings(check_text(folder, f"keys = 'keys.toml'\nsmtpapi = false\n{PROXY}")[1]) == ()
    )


@pytest.mark.parametrize(
    ("origin", "is_circle"),
    [
        ("https://click.shop.example", True),
        ("http://CLICK.shop.example:8080", True),
        ("https://old.shop.example", False),
        ("refuse", False),
    ],
)
def test_foreign_links_that_are_handed_on_to_the_own_domain_have_a_warning(
    folder: Path, origin: str, *, is_circle: bool
) -> None:
    text = (
        "keys = 'keys.toml'\n[listener]\ntracking_domain = 'click.shop.example'\n"
        f"[tracker]\nstore = 'events.sqlite'\nunknown_links = '{origin}'\n"
    )
    warnings = find_warnings(check_text(folder, text)[1])
    begins = [f"tracker.unknown_links: {origin} is the tracking domain click.shop.example"]
    assert [each.partition(";")[0] for each in warnings] == begins * is_circle
