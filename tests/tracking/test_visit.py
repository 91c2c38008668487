"""The event of each kind of link, as a consumer of SparkPost's webhooks reads it."""

import json
from typing import Any

import pytest
from tests.golden_events import GOLDEN

from msys_track.keys.ring import Claims, Engagement
from msys_track.tracking.client import Client
from msys_track.tracking.visit import Visit, make_event, make_events

# One mail with every datum a token can carry, read by one person in a browser.
ENGAGEMENT = Engagement(
    message_id="000443ee14578172be22",
    recipient="Recipient@Example.com",
    injected_at=1_460_989_507,
    expires_at=1_492_525_507,
    transmission_id=65_832_150_921_904_138,
    recipient_type="cc",
    campaign_id="Summer Sale",
    metadata='{"customKey":"customValue","nested":{"n":1.5}}',
    tags=["male", "US"],
    customer_id=1,
    subaccount_id=101,
    open_tracking=True,
    click_tracking=True,
    initial_pixel=True,
    amp_enabled=False,
    transactional=True,
)
READER = Client(
    ip_address="203.0.113.7",
    user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    accept_language="en",
)
AT = 1_460_989_600.25
POSITION = {"link_number": 3, "link_part": "html"}


def visit_of(kind: str, **link: Any) -> Visit:
    claims = Claims(kind=kind, engagement=ENGAGEMENT, **link)  # type: ignore[arg-type]
    return Visit(claims=claims, client=READER, at=AT)


def unjudge(event: dict[str, Any]) -> dict[str, Any]:
    """The same without what only the recorder adds: the verdict, and what databases know."""
    ((envelope, fields),) = event["msys"].items()
    given = fields.get("x_msys_track", {})
    own = {each: value for each, value in given.items() if each in _OWN}
    kept = {each: value for each, value in fields.items() if each not in _RECORDED}
    return {"msys": {envelope: kept | ({"x_msys_track": own} if own else {})}}


_OWN = {"target_link_position"}
_RECORDED = {"geo_ip", "user_agent_parsed", "x_msys_track"}


@pytest.mark.parametrize(
    ("kind", "link"),
    [
        ("click", {"target": "https://shop.test/?a=1&b=#c", "link_name": "banner", **POSITION}),
        ("open", {}),
        ("initial_open", {}),
        ("amp_click", {"target": "https://shop.test/", **POSITION}),
        ("amp_open", {}),
        ("amp_initial_open", {}),
        ("link_unsubscribe", {"target": "https://shop.test/bye", **POSITION}),
    ],
)
def test_the_event_of_each_kind_is_the_documented_one(kind: str, link: dict[str, Any]) -> None:
    made = make_event(visit_of(kind, **link), randomness=bytes(range(10)))
    assert unjudge(json.loads(made.as_json())) == unjudge(GOLDEN[kind])


def test_the_least_an_event_can_know() -> None:
    engagement = Engagement(
        message_id="000443ee14578172be22",
        recipient="a@b.test",
        injected_at=0,
        expires_at=1,
        customer_id=1,
    )
    claims = Claims(kind="open", engagement=engagement)
    visit = Visit(claims=claims, client=Client(ip_address=None), at=AT)
    made = make_event(visit, randomness=bytes(10))
    assert made.fields() == {
        "type": "open",
        "event_id": "015429c4-21fa-7000-8000-000000000000",
        "timestamp": "1460989600",
        "message_id": "000443ee14578172be22",
        "customer_id": "1",
        "rcpt_to": "a@b.test",
        "raw_rcpt_to": "a@b.test",
        "recipient_domain": "b.test",
        "injection_time": "1970-01-01T00:00:00.000Z",
        "open_tracking": False,
        "click_tracking": False,
        "initial_pixel": False,
        "amp_enabled": False,
        "transactional": "0",
        "delv_method": "esmtp",
    }


@pytest.mark.parametrize(
    ("kind", "also_click", "types"),
    [
        ("link_unsubscribe", False, ["link_unsubscribe"]),
        ("link_unsubscribe", True, ["link_unsubscribe", "click"]),
        ("click", True, ["click"]),
        ("open", True, ["open"]),
    ],
)
def test_a_link_that_unsubscribes_can_be_a_click_as_well(
    kind: str, types: list[str], *, also_click: bool
) -> None:
    target = {} if kind == "open" else {"target": "https://shop.test/u"}
    found = list(make_events(visit_of(kind, **target), also_click=also_click))
    assert [each.type for each in found] == types
    assert len({each.event_id for each in found}) == len(types)
