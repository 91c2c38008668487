from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msys_track.options.header import ApiHeader
from msys_track.options.resolve import Origin, Resolved, resolve
from msys_track.options.tracking import TrackingOptions

SOURCE = "listener of msys-track.toml"

# Attribute: values set by the header and by the configuration (absent where that layer has
# no word on it), and the documented default.
ATTRIBUTES: list[tuple[str, list[object], list[object], object]] = [
    ("open_tracking", [True, False], [True, False], False),
    ("click_tracking", [True, False], [True, False], False),
    ("open_tracking_scheme", [], ["http", "https"], "http"),
    ("click_tracking_scheme", [], ["http", "https"], "http"),
    ("tracking_domain", [], ["click.example.com:8443"], "localhost:8080"),
    ("tracking_link_expiry_seconds", [], [1, 86_400], 31_536_000),
    ("click_tracking_include_metadata", [], [True, False], True),
    ("max_metadata_bytes", [], [0, 200], 1000),
    ("transactional", [True, False], [], False),
    ("campaign_id", ["spring"], [], None),
    ("metadata", ['{"a":1}'], [], None),
    ("tags", [("a", "b"), ()], [], ()),
]
CASES = [
    (name, asked, configured, default)
    for name, header_values, configured_values, default in ATTRIBUTES
    for asked in [None, *header_values]
    for configured in [None, *configured_values]
]


def differing(one: Resolved, other: Resolved) -> set[str]:
    names = (field.name for field in fields(Resolved))
    return {name for name in names if getattr(one, name) != getattr(other, name)}


@pytest.mark.parametrize(("name", "asked", "configured", "default"), CASES)
def test_header_wins_over_configuration_over_default(
    name: str, asked: object, configured: object, default: object
) -> None:
    wishes: dict[str, Any] = {} if asked is None else {name: asked}
    settings: dict[str, Any] = {} if configured is None else {name: configured}
    resolved = resolve(ApiHeader(**wishes), TrackingOptions(**settings), SOURCE)
    if asked is not None:
        expected = Origin(value=asked, source="header")
    elif configured is not None:
        expected = Origin(value=configured, source=SOURCE)
    else:
        expected = Origin(value=default, source="default")
    assert getattr(resolved, name) == expected
    assert differing(resolved, resolve(None, TrackingOptions())) <= {name}


def test_the_table_names_every_attribute() -> None:
    named = {name for name, *_ in ATTRIBUTES}
    assert named == {field.name for field in fields(Resolved)} - {"metadata_truncated"}


def test_a_false_header_overrides_a_true_configuration() -> None:
    resolved = resolve(ApiHeader(open_tracking=False), TrackingOptions(open_tracking=True))
    assert resolved.open_tracking == Origin(value=False, source="header")


def test_open_and_click_are_decided_apart() -> None:
    resolved = resolve(ApiHeader(open_tracking=True), TrackingOptions(click_tracking=True), "x")
    assert resolved.open_tracking == Origin(value=True, source="header")
    assert resolved.click_tracking == Origin(value=True, source="x")


def test_metadata_is_trimmed_to_the_configured_room() -> None:
    header = ApiHeader(metadata='{"a":1,"b":2}')
    resolved = resolve(header, TrackingOptions(max_metadata_bytes=12))
    assert resolved.metadata == Origin(value='{"a":1}', source="header")
    assert resolved.metadata_truncated
    assert not resolve(header, TrackingOptions()).metadata_truncated


def test_empty_metadata_is_no_metadata() -> None:
    resolved = resolve(ApiHeader(metadata="{}"), TrackingOptions())
    assert resolved.metadata == Origin(value=None, source="header")
    assert not resolved.metadata_truncated


tri_states = st.none() | st.booleans()


@given(
    header_open=tri_states,
    header_click=tri_states,
    configured_open=tri_states,
    configured_click=tri_states,
)
def test_every_pair_of_layers_leaves_the_other_option_alone(
    *,
    header_open: bool | None,
    header_click: bool | None,
    configured_open: bool | None,
    configured_click: bool | None,
) -> None:
    resolved = resolve(
        ApiHeader(open_tracking=header_open, click_tracking=header_click),
        TrackingOptions(open_tracking=configured_open, click_tracking=configured_click),
    )
    opens = [value for value in (header_open, configured_open, False) if value is not None]
    clicks = [value for value in (header_click, configured_click, False) if value is not None]
    assert resolved.open_tracking.value is opens[0]
    assert resolved.click_tracking.value is clicks[0]
