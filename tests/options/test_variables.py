import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msys_track.errors import HeaderRefusedError
from msys_track.options.variables import (
    BYPASS,
    NOTHING,
    IgnoredVariable,
    Variables,
    is_bypassed,
    read_variables,
)
from msys_track.policy.context import Context, Contexts

GIVEN = {
    "smtpapi_open_tracking": "1",
    "smtpapi_click_tracking": "false",
    "smtpapi_open_tracking_scheme": "HTTPS",
    "smtpapi_click_tracking_scheme": "http",
    "smtpapi_tracking_domain": "click.example.com:8443",
    "smtpapi_tracking_link_expiry": "86400",
    "smtpapi_campaign_id": "spring",
    "smtpapi_metadata": '{ "a": [1, "ü"] }',
    "smtpapi_tags": '["x", "y", "x"]',
    "mo_customer_id": "1005",
    "subaccount_id": "7",
}


def contexts(**message: str) -> Contexts:
    return Contexts(connection=Context(), message=Context(message))


def test_without_variables_policy_decides_nothing() -> None:
    assert read_variables(contexts()) is NOTHING
    assert read_variables(contexts(something_else="1")) is NOTHING


def test_the_documented_values_are_read() -> None:
    assert read_variables(contexts(**GIVEN)) == Variables(
        open_tracking=True,
        click_tracking=False,
        open_tracking_scheme="https",
        click_tracking_scheme="http",
        tracking_domain="click.example.com:8443",
        tracking_link_expiry_seconds=86_400,
        campaign_id="spring",
        metadata='{"a":[1,"ü"]}',
        tags=("x", "y"),
        customer_id=1005,
        subaccount_id=7,
    )


ALLOWED = {
    "smtpapi_open_tracking": '"1", "0", "true" or "false"',
    "smtpapi_click_tracking": '"1", "0", "true" or "false"',
    "smtpapi_open_tracking_scheme": '"http" or "https", in any case',
    "smtpapi_click_tracking_scheme": '"http", "https" or "same", in any case',
    "smtpapi_tracking_domain": (
        "host or host:port in ASCII, without scheme or path, as click.example.com"
    ),
    "smtpapi_tracking_link_expiry": "seconds, a whole number from 1 to 4294967295",
    "smtpapi_campaign_id": "a campaign's name; delete the variable to have none",
    "smtpapi_metadata": "a JSON object; column 1: expecting value",
    "smtpapi_tags": "a JSON array of strings",
    "mo_customer_id": "a whole number from 0 to 4294967295",
    "subaccount_id": "a whole number from 0 to 4294967295",
}


@pytest.mark.parametrize("name", GIVEN)
def test_an_empty_variable_is_set_and_can_not_be_parsed(name: str) -> None:
    (ignored,) = read_variables(contexts(**{name: ""})).ignored
    assert ignored == IgnoredVariable(name, "", ALLOWED[name])


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("smtpapi_open_tracking_scheme", "HTTP", {"open_tracking_scheme": "http"}),
        ("smtpapi_tracking_link_expiry", "1", {"tracking_link_expiry_seconds": 1}),
        (
            "smtpapi_tracking_link_expiry",
            "4294967295",
            {"tracking_link_expiry_seconds": 4_294_967_295},
        ),
        ("smtpapi_campaign_id", "ü" * 32, {"campaign_id": "ü" * 32}),
        ("smtpapi_tags", "[]", {"tags": ()}),
        ("mo_customer_id", "0", {"customer_id": 0}),
        ("mo_customer_id", "4294967295", {"customer_id": 4_294_967_295}),
    ],
)
def test_the_first_and_the_last_value_that_is_allowed_is_read(
    name: str, value: str, read: dict[str, Any]
) -> None:
    assert read_variables(contexts(**{name: value})) == NOTHING._replace(**read)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("smtpapi_open_tracking", "yes"),
        ("smtpapi_open_tracking", " 1"),
        ("smtpapi_open_tracking_scheme", "ftp"),
        ("smtpapi_tracking_domain", "https://click.example.com"),
        ("smtpapi_tracking_domain", "click.example.com/f"),
        ("smtpapi_tracking_link_expiry", "0"),
        ("smtpapi_tracking_link_expiry", "-1"),
        ("smtpapi_tracking_link_expiry", "1d"),
        ("smtpapi_tracking_link_expiry", "١٢"),
        ("smtpapi_tracking_link_expiry", "9" * 30),
        ("smtpapi_metadata", "[1]"),
        ("smtpapi_metadata", '{"a":1'),
        ("smtpapi_metadata", '{"a":NaN}'),
        ("smtpapi_tags", '"a"'),
        ("smtpapi_tags", '["a", null]'),
        ("smtpapi_tags", '["a"], "b": 1'),
        ("smtpapi_tags", '["a"], "tags": ["b"]'),
        ("smtpapi_tags", '["a"]}'),
        ("mo_customer_id", "-1"),
        ("subaccount_id", "shop"),
        ("mo_customer_id", "4294967296"),
        ("mo_customer_id", "acme"),
    ],
)
def test_a_value_that_can_not_be_parsed_is_reported_and_left_out(name: str, value: str) -> None:
    read = read_variables(contexts(**{name: value}))
    assert [(each.name, each.value) for each in read.ignored] == [(name, value)]
    assert read._replace(ignored=()) == NOTHING


def test_more_than_ten_tags_are_cut() -> None:
    tags = [str(number) for number in range(12)]
    assert read_variables(contexts(smtpapi_tags=json.dumps(tags))).tags == tuple(tags[:10])


@given(
    st.sampled_from(sorted(GIVEN)), st.text(max_size=80).filter(lambda text: text.isprintable())
)
def test_no_value_stops_the_reading(name: str, value: str) -> None:
    if name == "smtpapi_campaign_id" and len(value.encode()) > 64:
        with pytest.raises(HeaderRefusedError):
            read_variables(contexts(**{name: value}))
        return
    read = read_variables(contexts(**{name: value}))
    is_used = any(member is not None for member in read[:-1])
    assert is_used != bool(read.ignored)


@pytest.mark.parametrize("value", ["true", "1", "TRUE", "false", "0", ""])
def test_the_module_is_bypassed_by_true_and_1_alone(value: str) -> None:
    assert is_bypassed(contexts(**{BYPASS: value})) is (value.lower() in ("true", "1"))
    assert not is_bypassed(contexts())
    assert not is_bypassed(None)
