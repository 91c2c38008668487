"""Events: SparkPost's names and types, valid JSON whatever a sender or a reader put in."""

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msys_track.event_fields import EventType, parse_metadata
from msys_track.events import Event, LinkPosition
from msys_track.keys.ring import Claims, Engagement

CLICK = Event(
    type=EventType.CLICK,
    event_id="0191d7c8-3c00-7000-8000-000000000001",
    timestamp=1_460_989_507,
    message_id="000443ee14578172be22",
    raw_rcpt_to="Recipient@Example.com",
    customer_id=1,
    injection_time=1_460_989_500,
)


def fields_of(event: Event) -> dict[str, Any]:
    written: dict[str, Any] = json.loads(event.as_json().encode("utf-8"))
    return dict(written["msys"]["track_event"])


SCALARS = st.none() | st.booleans() | st.integers() | st.text()
JSON_VALUES = st.recursive(
    SCALARS | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)

EVENTS = st.builds(
    Event,
    type=st.sampled_from(EventType),
    event_id=st.uuids().map(str),
    timestamp=st.integers(0, 2**33),
    message_id=st.text("0123456789abcdef", max_size=20),
    raw_rcpt_to=st.text(),
    customer_id=st.integers(1, 2**32),
    injection_time=st.integers(0, 2**33),
    subaccount_id=st.none() | st.integers(1, 2**32),
    transmission_id=st.none() | st.integers(1, 2**64 - 1),
    campaign_id=st.none() | st.text(min_size=1),
    rcpt_type=st.none() | st.sampled_from(["cc", "bcc", "archive"]),
    rcpt_meta=st.dictionaries(st.text(), JSON_VALUES, max_size=4),
    rcpt_tags=st.lists(st.text(), max_size=10).map(tuple),
    open_tracking=st.booleans(),
    click_tracking=st.booleans(),
    initial_pixel=st.booleans(),
    amp_enabled=st.booleans(),
    transactional=st.booleans(),
    ip_address=st.none() | st.ip_addresses().map(str),
    user_agent=st.none() | st.text(min_size=1),
    target_link_url=st.none() | st.text(min_size=1),
    target_link_name=st.none() | st.text(min_size=1),
    target_link_position=st.none()
    | st.builds(
        LinkPosition,
        number=st.integers(1, 2**32 - 1),
        part=st.sampled_from(["html", "text", "amp"]),
    ),
    inferred=st.booleans(),
    reclassifies=st.none() | st.uuids().map(str),
    redirected_to=st.none() | st.text(min_size=1),
)


@given(event=EVENTS)
def test_reading_what_was_written_gives_the_event(event: Event) -> None:
    assert Event.from_json(event.as_json()) == event


@given(event=EVENTS)
def test_the_json_is_one_line_of_valid_utf8(event: Event) -> None:
    text = event.as_json()
    assert "\n" not in text
    assert json.loads(text.encode("utf-8")) == event.as_sparkpost()


@given(event=EVENTS)
def test_no_field_is_null_or_an_empty_list_or_an_empty_string(event: Event) -> None:
    (fields,) = event.as_sparkpost()["msys"].values()
    assert all(value not in (None, "", [], {}) for value in fields.values())


def test_every_id_is_a_string() -> None:
    event = dataclasses.replace(CLICK, subaccount_id=101, transmission_id=2**64 - 1)
    fields = fields_of(event)
    ids = {name: value for name, value in fields.items() if name.endswith("_id")}
    assert ids == {
        "event_id": "0191d7c8-3c00-7000-8000-000000000001",
        "message_id": "000443ee14578172be22",
        "customer_id": "1",
        "subaccount_id": "101",
        "transmission_id": "18446744073709551615",
    }


LAST_SECOND = 253_402_300_799  # of the year 9999


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({}, "timestamp", "1460989507"),
        ({}, "injection_time", "2016-04-18T14:25:00.000Z"),
        ({"injection_time": LAST_SECOND}, "injection_time", "9999-12-31T23:59:59.000Z"),
        ({}, "rcpt_to", "recipient@example.com"),
        ({}, "raw_rcpt_to", "Recipient@Example.com"),
        ({}, "recipient_domain", "example.com"),
        ({"raw_rcpt_to": '"a@b"@Example.com'}, "recipient_domain", "example.com"),
        ({"raw_rcpt_to": "postmaster"}, "recipient_domain", None),
        ({"click_tracking": True}, "click_tracking", True),
        ({}, "click_tracking", False),
        ({}, "open_tracking", False),
        ({}, "initial_pixel", False),
        ({}, "amp_enabled", False),
        ({}, "transactional", "0"),
        ({"transactional": True}, "transactional", "1"),
        ({"user_agent": 'a"b\t\x00\\\u2028[2]'}, "user_agent", 'a"b\t\x00\\\u2028[2]'),
    ],
)
def test_a_field_is_written_as_sparkpost_writes_it(
    changes: dict[str, Any], field: str, value: object
) -> None:
    written = fields_of(dataclasses.replace(CLICK, **changes)).get(field)
    assert (type(written), written) == (type(value), value)


@pytest.mark.parametrize("seconds", [LAST_SECOND + 1, 1_790_000_000_000, 2**64 - 1])
def test_an_injection_time_that_no_date_can_show_is_left_out(seconds: int) -> None:
    # Milliseconds instead of seconds lead beyond the year 9999.
    event = dataclasses.replace(CLICK, injection_time=seconds)
    assert "injection_time" not in fields_of(event)
    assert Event.from_json(event.as_json()).injection_time is None


def test_the_last_injection_time_that_a_date_can_show_is_kept() -> None:
    event = dataclasses.replace(CLICK, injection_time=LAST_SECOND)
    assert Event.from_json(event.as_json()) == event


def test_each_type_has_its_envelope() -> None:
    tracked = (
        *("open", "initial_open", "click", "amp_open", "amp_initial_open", "amp_click"),
        "reclassified",
    )
    unsubscribed = ("list_unsubscribe", "link_unsubscribe")
    expected = dict.fromkeys(tracked, "track_event")
    expected |= dict.fromkeys(unsubscribed, "unsubscribe_event")
    written = [dataclasses.replace(CLICK, type=each).as_sparkpost()["msys"] for each in EventType]
    assert {
        fields["type"]: envelope for [(envelope, fields)] in map(dict.items, written)
    } == expected


def test_half_a_surrogate_pair_becomes_a_replacement_character() -> None:
    event = dataclasses.replace(CLICK, rcpt_meta=parse_metadata(r'{"a": "\ud83d"}'))
    assert fields_of(event)["rcpt_meta"] == {"a": "\ufffd"}


@pytest.mark.parametrize(("opening", "closing"), [('{"a":', "}"), ('{"a":[', "]}")])
@pytest.mark.parametrize("times", [1, 20, 100, 300, 500, *range(970, 1_010), 2_000])
def test_metadata_of_any_depth_leaves_an_event_that_can_be_written_and_read(
    opening: str, closing: str, times: int
) -> None:
    def written_and_read() -> bool:
        read = parse_metadata(opening * times + "1" + closing * times)
        event = dataclasses.replace(CLICK, rcpt_meta=read)
        return Event.from_json(event.as_json()) == event

    # On a stack as short as a tracker's, where the parser gets as deep as it can.
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(written_and_read).result()


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", '{"msys": {}}', '{"msys": {"track_event": {}}}'),
        '{"msys": {"track_event": {"type": "reboot"}}}',
        '{"msys": {"track_event": 1}}',
        CLICK.as_json().replace("track_event", "message_event"),
    ],
)
def test_what_is_no_event_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="not an event"):
        Event.from_json(text)


def test_a_field_of_a_later_version_is_ignored() -> None:
    text = CLICK.as_json().replace('"type"', '"invented_later": 1, "type"', 1)
    assert Event.from_json(text) == CLICK


def test_a_position_stands_in_our_own_object() -> None:
    position = LinkPosition(number=3, part="text")
    fields = fields_of(dataclasses.replace(CLICK, target_link_position=position))
    assert fields["x_msys_track"] == {"target_link_position": {"number": 3, "part": "text"}}
    assert "x_msys_track" not in fields_of(CLICK)


@pytest.mark.parametrize(
    ("own", "position"),
    [
        ({}, None),
        ({"something": "later"}, None),
        ({"target_link_position": {"number": 1, "part": "watch"}}, None),
        (
            {"target_link_position": {"number": 1, "part": "amp", "later": True}},
            LinkPosition(number=1, part="amp"),
        ),
    ],
)
def test_what_a_later_release_adds_to_our_own_object_is_ignored(
    own: dict[str, Any], position: LinkPosition | None
) -> None:
    written = CLICK.as_sparkpost()
    written["msys"]["track_event"]["x_msys_track"] = own
    read = Event.from_json(json.dumps(written))
    assert read == dataclasses.replace(CLICK, target_link_position=position)


@pytest.mark.parametrize("own", [3, {"target_link_position": 3}, {"target_link_position": {}}])
def test_an_own_object_of_another_form_is_no_event(own: Any) -> None:
    written = CLICK.as_sparkpost()
    written["msys"]["track_event"]["x_msys_track"] = own
    with pytest.raises(ValueError, match="not an event"):
        Event.from_json(json.dumps(written))


def test_a_program_of_ones_own_makes_an_event_of_claims() -> None:
    engagement = Engagement(
        message_id="000443ee14578172be22",
        recipient="Jo@b.test",
        injected_at=1_460_989_500,
        expires_at=1_460_989_600,
        customer_id=7,
        metadata='{"user": 1}',
    )
    claims = Claims(
        kind="link_unsubscribe",
        engagement=engagement,
        target="https://shop.test/bye",
        link_number=2,
        link_part="html",
    )
    made = Event.from_claims(claims, at=1_460_989_507.75, user_agent="Mozilla/5.0")
    assert made.type is EventType.LINK_UNSUBSCRIBE
    assert (made.timestamp, made.raw_rcpt_to, made.customer_id) == (1_460_989_507, "Jo@b.test", 7)
    assert (made.rcpt_meta, made.user_agent_parsed) == ({"user": 1}, {})
    assert made.target_link_position == LinkPosition(number=2, part="html")
    click = Event.from_claims(claims, at=0, user_agent="Mozilla/5.0", as_type=EventType.CLICK)
    assert click.user_agent_parsed == {"is_prefetched": True, "is_proxy": False}
    assert click.event_id != made.event_id


@pytest.mark.parametrize(
    ("address", "domain"),
    [("Jo@Example.com", "example.com"), ('"a@b"@Example.com', "example.com"), ("postmaster", "")],
)
def test_the_domain_of_a_recipient_is_behind_the_last_at_sign(address: str, domain: str) -> None:
    assert dataclasses.replace(CLICK, raw_rcpt_to=address).recipient_domain == domain
