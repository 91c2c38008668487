"""Copies are made within the room that the budget has."""

import pytest
from tests.injection.conftest import TRACKING, Connect, Start
from tests.injection.copies import ALL_THREE, HTML_WIRE, LARGE, THREE

pytestmark = pytest.mark.anyio


async def test_copies_need_no_more_room_than_their_message_has(start: Start) -> None:
    """They are rendered one by one, as many at a time as there is room for."""
    tracked = await start(options=TRACKING, max_bytes_in_flight=50_000)
    many = [f"to{number}@example.com" for number in range(20)]
    client = await tracked.client()
    wire = HTML_WIRE + b"x" * 10_000 + b"\r\n"
    assert (await client.deliver(wire, *many)).startswith("250 2.0.0 Ok: 20 copies relayed")
    assert sorted(each.recipients for each in tracked.upstream.taken) == sorted(
        (to,) for to in many
    )
    assert tracked.proxy.in_flight_bytes == 0


async def test_copies_that_are_smaller_than_their_message_give_back_no_room(
    connect: Connect,
) -> None:
    harness, client = await connect(options=TRACKING)
    header = b'X-MSYS-API: {"metadata": {}' + b" " * 5_000 + b"}\r\n"
    assert await client.deliver(header + HTML_WIRE, *THREE) == ALL_THREE
    assert all(len(each.wire) < len(header) for each in harness.upstream.taken)
    assert harness.proxy.in_flight_bytes == 0


@pytest.mark.parametrize("room", [10_000_000, 850_000], ids=["for several", "for one at a time"])
async def test_copies_of_a_large_message_are_made_where_there_is_room(
    start: Start, room: int
) -> None:
    harness = await start(options=TRACKING, max_bytes_in_flight=room)
    client = await harness.client()
    many = [f"to{number}@example.com" for number in range(5)]
    assert (await client.deliver(LARGE, *many)).startswith("250 2.0.0 Ok: 5 copies relayed")
    served = sorted(each.recipients for each in harness.upstream.taken)
    assert served == [(to,) for to in many]
