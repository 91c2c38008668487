"""Engagement data of a call: what is taken, what is refused, and in which words."""

from typing import Any

import pytest

from msys_track.errors import SettingsError
from msys_track.options.arguments import Arguments, check_arguments


def test_a_call_without_engagement_data_has_no_arguments() -> None:
    assert check_arguments() is None
    assert check_arguments(campaign_id=None, metadata=None, tags=None, subaccount_id=None) is None


def test_what_is_given_is_written_as_a_token_has_it() -> None:
    arguments = check_arguments(
        campaign_id="frühling",
        metadata={"user": 7, "names": ["Jö", None], "ratio": 0.5},
        tags=["b", "a", "b", *map(str, range(20))],
        subaccount_id=0,
    )
    assert arguments == Arguments(
        campaign_id="frühling",
        metadata='{"user":7,"names":["Jö",null],"ratio":0.5}',
        tags=("b", "a", *map(str, range(8))),
        subaccount_id=0,
    )


def test_empty_data_is_data_that_overrides_the_header() -> None:
    assert check_arguments(campaign_id="", metadata={}, tags=[]) == Arguments("", "{}", ())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"campaign_id": 7}, "campaign_id: found 7; give a text"),
        ({"campaign_id": "ü" * 33}, "campaign_id: 66 bytes; a campaign has at most 64"),
        ({"campaign_id": "\ud800"}, "campaign_id: half of a surrogate pair, which no UTF-8 has"),
        ({"tags": "spring"}, 'tags: a text; give a list of texts, as in ["spring"]'),
        ({"tags": 7}, "tags: found 7; give a list of texts"),
        ({"tags": ["a", 7]}, "tags: found 7; give a text"),
        ({"metadata": "{}"}, "metadata: found '{}'; give a mapping"),
        ({"metadata": {"a": {1}}}, "metadata: JSON can't write it: "),
        ({"metadata": {"a": float("nan")}}, "metadata: JSON can't write it: "),
        ({"metadata": {"a": "\udfff"}}, "metadata: JSON can't write it: "),
        ({"metadata": {"a": 10**400}}, "metadata: JSON can't write it: number out of range"),
        ({"subaccount_id": True}, "subaccount_id: found True; give a whole number from 0 to"),
        ({"subaccount_id": -1}, "subaccount_id: found -1; give a whole number from 0 to"),
        ({"subaccount_id": 2**32}, "subaccount_id: found 4294967296; give a whole number"),
    ],
    ids=range(14),
)
def test_what_no_link_can_carry_is_refused(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingsError) as raised:
        check_arguments(**arguments)
    assert str(raised.value).startswith(text)


def test_metadata_that_holds_itself_is_refused() -> None:
    metadata: dict[str, Any] = {}
    metadata["self"] = metadata
    with pytest.raises(SettingsError, match="metadata: JSON can't write it: "):
        check_arguments(metadata=metadata)
