# ruff: noqa: FBT003 - the values are what the table is about
from collections.abc import Mapping
from itertools import product
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msys_track.errors import HeaderRefusedError
from msys_track.options.arguments import Arguments
from msys_track.options.resolve import Origin, Resolved, resolve
from msys_track.options.scopes import Scope
from msys_track.options.tracking import TrackingOptions
from msys_track.policy.context import Context, Contexts
from msys_track.smtpapi.header import ApiHeader


class Attribute(NamedTuple):
    """What each layer may set one attribute to; a layer that can't set it is empty."""

    name: str
    default: object
    configured: tuple[Any, ...] = ()
    header: tuple[Any, ...] = ()
    policy: Mapping[str, object] = MappingProxyType({})
    """From the variable's text to the value that it stands for."""


SWITCH, SCHEMES = (True, False), ("http", "https")
ATTRIBUTES = [
    Attribute("open_tracking", False, SWITCH, SWITCH, {"1": True, "0": False}),
    Attribute("click_tracking", False, SWITCH, SWITCH, {"TRUE": True, "false": False}),
    Attribute("open_tracking_scheme", "http", SCHEMES, (), {"HTTPS": "https", "http": "http"}),
    Attribute(
        "click_tracking_scheme",
        "http",
        (*SCHEMES, "same"),
        (),
        {"https": "https", "Same": "same"},
    ),
    Attribute(
        "tracking_domain", "localhost:8080", ("t.example:8443",), (), {"t.example": "t.example"}
    ),
    Attribute("tracking_link_expiry_seconds", 31_536_000, (1, 86_400), (), {"60": 60}),
    Attribute("campaign_id", None, (), ("spring", ""), {"autumn": "autumn"}),
    Attribute("metadata", None, (), ('{"a":1}',), {'{"b": 2}': '{"b":2}'}),
    Attribute("tags", (), (), (("a", "b"), ()), {'["c"]': ("c",), "[]": ()}),
    Attribute("customer_id", 1, (), (), {"42": 42}),
    Attribute("subaccount_id", None, policy={"7": 7}),
    Attribute("initial_open", False, SWITCH, SWITCH),
    Attribute("transactional", False, (), SWITCH),
    Attribute("click_tracking_include_metadata", True, SWITCH),
    Attribute("max_metadata_bytes", 1000, (0, 200)),
    Attribute("click_tracking_text", False, SWITCH),
    Attribute("outlook_links", True, SWITCH),
    Attribute("keep_link_attributes", True, SWITCH),
    Attribute("keep_x_msys_api", False, SWITCH),
    Attribute("signed_mail", "skip", ("skip", "strip", "track")),
    Attribute("never_wrap", (), (("https://e.test/*",), ())),
    Attribute("allow_downgrade", True, SWITCH),
    Attribute("fold_long_lines", True, SWITCH),
    Attribute("foreign_opt_outs", False, SWITCH),
    Attribute("spare_url_text", False, SWITCH),
    Attribute("strip_text_options", False, SWITCH),
    Attribute("unescape_curly_macros", False, SWITCH),
    Attribute("pixel_placeholder", "", ("<!-- pixel -->",)),
    Attribute("add_message_id", False, SWITCH),
    Attribute("keep_messages", False, SWITCH, SWITCH),
    Attribute("list_unsubscribe", "off", ("one-click", "off")),
    Attribute("list_unsubscribe_mailto", "", ("leave@example.com",)),
    Attribute("privacy", "full", ("truncated", "aggregate"), ("truncated", "full")),
]
VARIABLES = {
    "tracking_link_expiry_seconds": "smtpapi_tracking_link_expiry",
    "customer_id": "mo_customer_id",
    "subaccount_id": "subaccount_id",
}

ABSENT = object()
SCOPES = ("peer", "listen", "listener")


def contexts(**message: str) -> Contexts:
    return Contexts(connection=Context(), message=Context(message))


def scope(name: str, **options: Any) -> Scope:
    places = dict.fromkeys(options, f"{name}.toml:7")
    return Scope(name=name, options=TrackingOptions(**options), places=places)


def said(origin: Origin[Any]) -> list[tuple[object, str]]:
    """Every value that was set and its source, the one in force first."""
    return [(each.value, each.source) for each in origin.chain()]


def plain(resolved: Resolved) -> dict[str, object]:
    return {name: origin.value for name, origin in resolved.origins()}


@pytest.mark.parametrize("attribute", ATTRIBUTES, ids=lambda each: each.name)
def test_of_all_layers_the_documented_one_wins_and_no_other_attribute_moves(
    attribute: Attribute,
) -> None:
    name = attribute.name
    untouched = plain(resolve(()))
    configured = (ABSENT, *attribute.configured)
    for text, asked, *by_scope in product(
        (ABSENT, *attribute.policy), (ABSENT, *attribute.header), *[configured] * 3
    ):
        configured_here = dict(zip(SCOPES, by_scope, strict=True))
        scopes = [
            scope(layer, **({} if value is ABSENT else {name: value}))
            for layer, value in configured_here.items()
        ]
        header = ApiHeader() if asked is ABSENT else ApiHeader(**{name: asked})
        variable = VARIABLES.get(name, f"smtpapi_{name}")
        policy = contexts() if text is ABSENT else contexts(**{variable: str(text)})
        values = [
            (attribute.policy.get(str(text), ABSENT), "policy"),
            (asked, "header"),
            *((value, f"{layer} ({layer}.toml:7)") for layer, value in configured_here.items()),
            (attribute.default, "default"),
        ]
        resolved = resolve(scopes, header, policy)
        expected = next(each for each in values if each[0] is not ABSENT)
        assert getattr(resolved, name)[:2] == expected, values
        others = plain(resolved)
        assert {each for each in others if others[each] != untouched[each]} <= {name}, values


def test_the_table_names_every_attribute() -> None:
    resolved = resolve(())
    assert {each.name for each in ATTRIBUTES} == {name for name, _ in resolved.origins()}


def test_a_value_has_every_value_that_it_overrides_behind_it() -> None:
    resolved = resolve(
        [scope("peer", open_tracking=True), scope("listener", open_tracking=False)],
        ApiHeader(open_tracking=False),
        contexts(smtpapi_open_tracking="1"),
    )
    assert said(resolved.open_tracking) == [
        (True, "policy"),
        (False, "header"),
        (True, "peer (peer.toml:7)"),
        (False, "listener (listener.toml:7)"),
        (False, "default"),
    ]


def test_what_the_header_says_of_a_recipient_comes_before_the_rest_of_it() -> None:
    header, own = ApiHeader(campaign_id="all", tags=("a",)), ApiHeader(campaign_id="one")
    resolved = resolve((), header, own=own)
    assert said(resolved.campaign_id) == [
        ("one", "header (recipient)"),
        ("all", "header"),
        (None, "default"),
    ]
    assert said(resolved.tags) == [(("a",), "header"), ((), "default")]


def test_a_call_comes_before_the_header_and_policy_before_both() -> None:
    arguments = Arguments("call", '{"of":"call"}', subaccount_id=3)
    header = ApiHeader(campaign_id="all", tags=("a",))
    own = ApiHeader(campaign_id="one")
    policy = contexts(smtpapi_campaign_id="policy")
    resolved = resolve((), header, policy, arguments, own)
    assert said(resolved.campaign_id) == [
        ("policy", "policy"),
        ("call", "call"),
        ("one", "header (recipient)"),
        ("all", "header"),
        (None, "default"),
    ]
    assert said(resolved.tags) == [(("a",), "header"), ((), "default")]
    alone = resolve((), arguments=arguments)
    assert said(alone.metadata) == [('{"of":"call"}', "call"), (None, "default")]
    assert said(alone.subaccount_id) == [(3, "call"), (None, "default")]


def test_a_message_s_variable_beats_the_connection_s() -> None:
    both = Contexts(
        connection=Context({"smtpapi_open_tracking": "1", "mo_customer_id": "7"}),
        message=Context({"smtpapi_open_tracking": "0"}),
    )
    resolved = resolve((), None, both)
    assert (resolved.open_tracking.value, resolved.customer_id.value) == (False, 7)


def test_a_variable_that_can_not_be_parsed_leaves_the_decision_to_the_next_layer() -> None:
    resolved = resolve(
        [scope("listener", open_tracking=True)],
        ApiHeader(open_tracking=False),
        contexts(smtpapi_open_tracking="maybe", smtpapi_click_tracking="1"),
    )
    assert resolved.open_tracking[:2] == (False, "header")
    assert resolved.click_tracking[:2] == (True, "policy")
    assert [each.name for each in resolved.ignored_variables] == ["smtpapi_open_tracking"]


def test_metadata_is_trimmed_to_the_configured_room_whoever_set_it() -> None:
    room = [scope("module", max_metadata_bytes=12)]
    header = ApiHeader(metadata='{"a":1,"b":2}')
    resolved = resolve(room, header)
    assert said(resolved.metadata) == [('{"a":1}', "header"), (None, "default")]
    assert resolved.metadata_before_cut == header.metadata
    by_call = resolve(room, arguments=Arguments(metadata=header.metadata))
    assert by_call.metadata[:2] == ('{"a":1}', "call")
    assert resolve((), header).metadata_before_cut is None
    by_policy = resolve(room, header, contexts(smtpapi_metadata='{"c":1,"d":2}'))
    assert by_policy.metadata[:2] == ('{"c":1}', "policy")
    assert by_policy.metadata_before_cut == '{"c":1,"d":2}'
    fits = resolve(room, header, contexts(smtpapi_metadata='{"c":1}'))
    assert fits.metadata_before_cut is None


def test_empty_metadata_is_no_metadata() -> None:
    resolved = resolve((), ApiHeader(metadata="{}"))
    assert resolved.metadata[:2] == (None, "header")
    assert resolved.metadata_before_cut is None


def test_policy_s_campaign_has_the_header_s_limit() -> None:
    assert resolve((), None, contexts(smtpapi_campaign_id="ü" * 32)).campaign_id.value == "ü" * 32
    with pytest.raises(HeaderRefusedError) as refused:
        resolve((), None, contexts(smtpapi_campaign_id="ü" * 32 + "x"))
    assert refused.value.text == "5.6.0 smtpapi_campaign_id context is limited to 64 bytes"


tri_states = st.none() | st.booleans()


@given(opens=st.tuples(*[tri_states] * 4), clicks=st.tuples(*[tri_states] * 4))
def test_open_and_click_are_decided_apart(
    opens: tuple[bool | None, ...], clicks: tuple[bool | None, ...]
) -> None:
    variables = {"smtpapi_open_tracking": opens[0], "smtpapi_click_tracking": clicks[0]}
    resolved = resolve(
        [
            scope("peer", open_tracking=opens[2], click_tracking=clicks[2]),
            scope("listener", open_tracking=opens[3], click_tracking=clicks[3]),
        ],
        ApiHeader(open_tracking=opens[1], click_tracking=clicks[1]),
        contexts(**{name: str(int(on)) for name, on in variables.items() if on is not None}),
    )
    assert resolved.open_tracking.value is next((o for o in opens if o is not None), False)
    assert resolved.click_tracking.value is next((c for c in clicks if c is not None), False)
