# ruff: noqa: FBT003 - the values are what the table is about
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msys_track.errors import HeaderRefusedError
from msys_track.options.resolve import Resolved, resolve
from msys_track.options.scopes import Scope
from msys_track.options.tracking import TrackingOptions
from msys_track.policy.context import Context, Contexts
from msys_track.smtpapi.header import ApiHeader


class Attribute(NamedTuple):
    """What each layer may say about one attribute; a layer without a word on it is empty."""

    name: str
    default: object
    configured: tuple[object, ...] = ()
    header: tuple[object, ...] = ()
    policy: tuple[tuple[str, object], ...] = ()
    """The variable's text, and the value that it stands for."""
    variable: str = ""


ATTRIBUTES = [
    Attribute(
        "open_tracking",
        False,
        (True, False),
        (True, False),
        (("1", True), ("0", False)),
        "smtpapi_open_tracking",
    ),
    Attribute(
        "click_tracking",
        False,
        (True, False),
        (True, False),
        (("TRUE", True), ("false", False)),
        "smtpapi_click_tracking",
    ),
    Attribute(
        "open_tracking_scheme",
        "http",
        ("http", "https"),
        (),
        (("HTTPS", "https"), ("http", "http")),
        "smtpapi_open_tracking_scheme",
    ),
    Attribute(
        "click_tracking_scheme",
        "http",
        ("http", "https"),
        (),
        (("https", "https"),),
        "smtpapi_click_tracking_scheme",
    ),
    Attribute(
        "tracking_domain",
        "localhost:8080",
        ("click.example.com:8443",),
        (),
        (("t.example", "t.example"),),
        "smtpapi_tracking_domain",
    ),
    Attribute(
        "tracking_link_expiry_seconds",
        31_536_000,
        (1, 86_400),
        (),
        (("60", 60),),
        "smtpapi_tracking_link_expiry",
    ),
    Attribute(
        "campaign_id", None, (), ("spring", ""), (("autumn", "autumn"),), "smtpapi_campaign_id"
    ),
    Attribute("metadata", None, (), ('{"a":1}',), (('{"b": 2}', '{"b":2}'),), "smtpapi_metadata"),
    Attribute("tags", (), (), (("a", "b"), ()), (('["c"]', ("c",)), ("[]", ())), "smtpapi_tags"),
    Attribute("customer_id", 1, (), (), (("42", 42),), "mo_customer_id"),
    Attribute("initial_open", False, (True, False), (True, False)),
    Attribute("transactional", False, (), (True, False)),
    Attribute("click_tracking_include_metadata", True, (True, False)),
    Attribute("max_metadata_bytes", 1000, (0, 200)),
    Attribute("click_tracking_text", False, (True, False)),
    Attribute("outlook_links", True, (True, False)),
    Attribute("keep_link_attributes", True, (True, False)),
    Attribute("keep_x_msys_api", False, (True, False)),
    Attribute("signed_mail", "skip", ("skip", "strip", "track")),
    Attribute("never_wrap", (), (("https://e.test/*",), ())),
]

ABSENT = object()


def contexts(**message: str) -> Contexts:
    return Contexts(connection=Context(), message=Context(message))


def scope(name: str, **options: Any) -> Scope:
    places = dict.fromkeys(options, f"{name}.toml:7")
    return Scope(name=name, options=TrackingOptions(**options), places=places)


def plain(resolved: Resolved) -> dict[str, object]:
    return {name: origin.value for name, origin in resolved.origins()}


def combinations() -> Iterator[tuple[Attribute, Mapping[str, object]]]:
    for attribute in ATTRIBUTES:
        configured = (ABSENT, *attribute.configured)
        layers = {
            "policy": (ABSENT, *attribute.policy),
            "header": (ABSENT, *attribute.header),
            "peer": configured,
            "listen": configured,
            "listener": configured,
        }
        for chosen in product(*layers.values()):
            yield attribute, dict(zip(layers, chosen, strict=True))


@pytest.mark.parametrize("attribute", ATTRIBUTES, ids=lambda each: each.name)
def test_of_all_layers_the_documented_one_wins_and_no_other_attribute_moves(
    attribute: Attribute,
) -> None:
    untouched = plain(resolve(()))
    for each, said in combinations():
        if each is not attribute:
            continue
        resolved, expected = decided(attribute, said)
        origin = getattr(resolved, attribute.name)
        assert (origin.value, origin.source) == expected, said
        others = plain(resolved)
        moved = {name for name in others if others[name] != untouched[name]}
        assert moved <= {attribute.name}, said


def decided(attribute: Attribute, said: Mapping[str, Any]) -> tuple[Resolved, tuple[object, str]]:
    scopes = [
        scope(layer, **{attribute.name: said[layer]})
        if said[layer] is not ABSENT
        else scope(layer)
        for layer in ("peer", "listen", "listener")
    ]
    header = ApiHeader()
    if said["header"] is not ABSENT:
        header = ApiHeader(**{attribute.name: said["header"]})
    variables = contexts()
    if said["policy"] is not ABSENT:
        variables = contexts(**{attribute.variable: said["policy"][0]})
    words = [
        (said["policy"][1], "policy") if said["policy"] is not ABSENT else None,
        (said["header"], "header") if said["header"] is not ABSENT else None,
        *((said[layer], f"{layer} ({layer}.toml:7)") for layer in ("peer", "listen", "listener")),
        (attribute.default, "default"),
    ]
    winner = next(word for word in words if word is not None and word[0] is not ABSENT)
    return resolve(scopes, header, variables), winner


def test_the_table_names_every_attribute() -> None:
    resolved = resolve(())
    assert {each.name for each in ATTRIBUTES} == {name for name, _ in resolved.origins()}


def test_a_value_tells_every_word_that_it_overrides() -> None:
    resolved = resolve(
        [scope("peer", open_tracking=True), scope("listener", open_tracking=False)],
        ApiHeader(open_tracking=False),
        contexts(smtpapi_open_tracking="1"),
    )
    chain = [(word.value, word.source) for word in resolved.open_tracking.chain()]
    assert chain == [
        (True, "policy"),
        (False, "header"),
        (True, "peer (peer.toml:7)"),
        (False, "listener (listener.toml:7)"),
        (False, "default"),
    ]


def test_a_message_s_variable_beats_the_connection_s() -> None:
    both = Contexts(
        connection=Context({"smtpapi_open_tracking": "1", "mo_customer_id": "7"}),
        message=Context({"smtpapi_open_tracking": "0"}),
    )
    resolved = resolve((), None, both)
    assert (resolved.open_tracking.value, resolved.customer_id.value) == (False, 7)


def test_a_variable_that_means_nothing_leaves_the_word_to_the_next_layer() -> None:
    resolved = resolve(
        [scope("listener", open_tracking=True)],
        ApiHeader(open_tracking=False),
        contexts(smtpapi_open_tracking="maybe", smtpapi_click_tracking="1"),
    )
    assert resolved.open_tracking[:2] == (False, "header")
    assert resolved.click_tracking[:2] == (True, "policy")
    assert [each.name for each in resolved.ignored_variables] == ["smtpapi_open_tracking"]


def test_policy_s_metadata_replaces_the_header_s_as_a_whole() -> None:
    resolved = resolve((), ApiHeader(metadata='{"a":1}'), contexts(smtpapi_metadata='{"b":2}'))
    assert resolved.metadata.value == '{"b":2}'
    chain = [(word.value, word.source) for word in resolved.metadata.chain()]
    assert chain == [('{"b":2}', "policy"), ('{"a":1}', "header"), (None, "default")]


def test_metadata_is_trimmed_to_the_configured_room_whoever_set_it() -> None:
    room = [scope("module", max_metadata_bytes=12)]
    header = ApiHeader(metadata='{"a":1,"b":2}')
    resolved = resolve(room, header)
    assert resolved.metadata[:2] == ('{"a":1}', "header")
    assert resolved.metadata_truncated
    assert not resolve((), header).metadata_truncated
    by_policy = resolve(room, header, contexts(smtpapi_metadata='{"c":1,"d":2}'))
    assert by_policy.metadata[:2] == ('{"c":1}', "policy")
    assert by_policy.metadata_truncated
    fits = resolve(room, header, contexts(smtpapi_metadata='{"c":1}'))
    assert not fits.metadata_truncated


def test_empty_metadata_is_no_metadata() -> None:
    resolved = resolve((), ApiHeader(metadata="{}"))
    assert resolved.metadata[:2] == (None, "header")
    assert not resolved.metadata_truncated


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
    texts = {None: None, True: "1", False: "0"}
    variables = {
        "smtpapi_open_tracking": texts[opens[0]],
        "smtpapi_click_tracking": texts[clicks[0]],
    }
    resolved = resolve(
        [
            scope("peer", open_tracking=opens[2], click_tracking=clicks[2]),
            scope("listener", open_tracking=opens[3], click_tracking=clicks[3]),
        ],
        ApiHeader(open_tracking=opens[1], click_tracking=clicks[1]),
        contexts(**{name: text for name, text in variables.items() if text is not None}),
    )
    assert resolved.open_tracking.value is next((o for o in opens if o is not None), False)
    assert resolved.click_tracking.value is next((c for c in clicks if c is not None), False)
