"""Every link with a single bit changed, over HTTP: no redirect, no event."""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from msys_track.tracking.replies import PIXEL

if TYPE_CHECKING:
    from tests.tracking.conftest import Harness

pytestmark = pytest.mark.anyio

ATONCE = 40


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": True}


def single_bit_changes(path: str) -> Iterator[bytes]:
    original = path.encode("ascii")
    for position, byte in enumerate(original):
        for bit in range(8):
            yield original[:position] + bytes([byte ^ 1 << bit]) + original[position + 1 :]


async def answers(harness: "Harness", paths: list[bytes]) -> list[bytes]:
    gate = asyncio.Semaphore(ATONCE)

    async def answer(path: bytes) -> bytes:
        async with gate:
            return await harness.exchange(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n")

    return await asyncio.gather(*map(answer, paths))


async def test_no_single_bit_change_of_a_click_redirects(
    harness: "Harness", click_path: str
) -> None:
    changed = list(single_bit_changes(click_path))
    assert len(changed) == 8 * len(click_path)
    for answer in await answers(harness, changed):
        assert answer[:12] in {b"HTTP/1.1 404", b"HTTP/1.1 400"}
        assert b"Location" not in answer
    assert await harness.events() == []
    assert (await harness.get(click_path)).startswith(b"HTTP/1.1 302 ")


async def test_no_single_bit_change_of_an_open_leaves_an_event(
    harness: "Harness", open_path: str
) -> None:
    changed = list(single_bit_changes(open_path))
    for path, answer in zip(changed, await answers(harness, changed), strict=True):
        assert b"Location" not in answer
        # Bytes that no URL may hold are no HTTP: the parser ends there.
        if path.startswith(b"/q/") and all(0x21 <= byte <= 0x7E for byte in path):
            assert answer.endswith(PIXEL)
    assert await harness.events() == []
    await harness.get(open_path)
    assert len(await harness.events()) == 1
