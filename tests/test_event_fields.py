"""Fields of an event: what is read from metadata and user agents, and the identifiers."""

import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msys_track.event_fields import make_event_id, parse_metadata, parse_user_agent


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1, "b": {"c": [true, null]}}', {"a": 1, "b": {"c": [True, None]}}),
        ('{"a": 1.5}', {"a": 1.5}),
        ('{"a": 1e999}', {"a": "1e999"}),
        ('{"a": 12345678901234567890}', {"a": 12345678901234567890}),
        ('{"a": NaN}', {"a": "NaN"}),
        (None, {}),
        ("", {}),
        ("[1]", {}),
        ("{", {}),
        ("[" * 100_000, {}),
    ],
)
def test_metadata_is_an_object_that_json_can_write(text: str | None, expected: object) -> None:
    read = parse_metadata(text)
    assert read == expected
    json.dumps(read, allow_nan=False)


def test_metadata_nests_as_deep_as_the_header_may() -> None:
    deepest = '{"a":' * 64 + "1" + "}" * 64
    assert parse_metadata(deepest) == json.loads(deepest)
    assert parse_metadata(f'{{"a":{deepest}}}') == {}


@given(milliseconds=st.integers(0, 2**48 - 1), randomness=st.binary(min_size=10, max_size=10))
def test_an_event_id_is_a_uuid_version_7_of_its_time(milliseconds: int, randomness: bytes) -> None:
    identifier = uuid.UUID(make_event_id(milliseconds, randomness))
    assert str(identifier) == make_event_id(milliseconds, randomness)
    assert identifier.version == 7
    assert identifier.variant == uuid.RFC_4122
    assert identifier.int >> 80 == milliseconds


@given(randomness=st.binary(min_size=10, max_size=10), bit=st.integers(0, 73))
def test_each_of_74_random_bits_changes_the_id(randomness: bytes, bit: int) -> None:
    other = (int.from_bytes(randomness) ^ 1 << bit).to_bytes(10)
    assert make_event_id(1, randomness) != make_event_id(1, other)


def test_too_little_randomness_is_refused() -> None:
    with pytest.raises(ValueError, match="9 random bytes instead of 10"):
        make_event_id(0, bytes(9))


@pytest.mark.parametrize(
    ("user_agent", "is_prefetched", "is_proxy"),
    [
        ("Mozilla/5.0", True, False),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15", False, False),
        (
            "Mozilla/5.0 (Windows NT 5.1) Firefox/11.0 (via ggpht.com GoogleImageProxy)",
            False,
            True,
        ),
        ("YahooMailProxy; https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html", False, True),
        ("mozilla/5.0", False, False),
    ],
)
def test_a_user_agent_tells_prefetchers_and_image_proxies(
    *, user_agent: str, is_prefetched: bool, is_proxy: bool
) -> None:
    known = {"is_prefetched": is_prefetched, "is_proxy": is_proxy}
    assert parse_user_agent(user_agent) == known
    assert parse_user_agent(None) == {}
