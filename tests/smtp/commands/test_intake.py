"""The bytes of a message, however they are cut."""

import tracemalloc
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from msys_track.injection.budget import Budget
from msys_track.smtp.commands.intake import Intake


def take_chunks(
    chunks: Sequence[bytes], max_bytes: int = 1_000, budget_bytes: int = 10_000
) -> tuple[Intake, bytes]:
    """What an intake makes of chunks that come one at a time, and what is left of the last."""
    intake = Intake(max_bytes, Budget(budget_bytes).hold())
    for chunk in chunks:
        if (end := intake.take_data(chunk)) is not None:
            return intake, chunk[end:]
    raise AssertionError("the end has not come")


def cut_at(whole: bytes, cuts: Sequence[int]) -> list[bytes]:
    places = sorted({0, *(cut for cut in cuts if cut < len(whole)), len(whole)})
    return [whole[start:end] for start, end in pairwise(places)]


PIECES = st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b".", b"a", b"\r\n."]), max_size=12)


@given(pieces=PIECES, cuts=st.lists(st.integers(0, 30), max_size=6))
@example(pieces=[], cuts=[1, 2])
@example(pieces=[b"a", b"\r\n", b"."], cuts=[1, 2, 3, 4, 5])
@example(pieces=[b"\n"], cuts=[1])
@example(pieces=[b"ab.", b"\r\n", b"c"], cuts=[6])  # a dot that begins no line
def test_any_chunking_gives_the_same_data(pieces: list[bytes], cuts: list[int]) -> None:
    whole = b"".join(pieces) + b"\r\n.\r\n"
    end = (b"\r\n" + whole).index(b"\r\n.\r\n")
    intake, rest = take_chunks(cut_at(whole, cuts))
    assert (intake.wire, intake.over) == (whole[:end], None)
    assert whole[end + 3 :].startswith(rest)


@given(length=st.integers(0, 40), cuts=st.lists(st.integers(1, 44), max_size=6))
@example(length=18, cuts=[22])
@example(length=19, cuts=[])
@example(length=19, cuts=[5])
@example(length=20, cuts=[23])
def test_the_limit_is_exact_however_the_data_comes(length: int, cuts: list[int]) -> None:
    wire = b"a" * length + b"\r\n"
    intake, _ = take_chunks(cut_at(wire + b".\r\n", cuts), max_bytes=20)
    assert intake.over == ("size" if len(wire) > 20 else None)
    assert intake.wire == (b"" if len(wire) > 20 else wire)


@given(before=st.integers(0, 40), after=st.integers(0, 40))
def test_over_the_budget_nothing_is_kept(before: int, after: int) -> None:
    chunks = [b"a" * before, b"b" * after, b"\r\n.\r\n"]
    intake, _ = take_chunks(
        [each for each in chunks if each], budget_bytes=60
    )  # each counts twice
    is_over = before + after + 2 > 30
    assert intake.over == ("budget" if is_over else None)
    assert bool(intake.wire) is not is_over


def test_the_end_is_found_in_pieces_though_nothing_is_kept_any_more() -> None:
    intake, rest = take_chunks([b"a" * 30, b"\r\n.", b"\r\nQUIT\r\n"], max_bytes=20)
    assert (intake.over, intake.wire, rest) == ("size", b"", b"QUIT\r\n")


def test_small_pieces_take_no_more_memory_than_they_are_counted_for() -> None:
    chunks = [b"xy"] * 10_000
    tracemalloc.start()
    take_chunks([*chunks, b"\r\n.\r\n"], max_bytes=30_000, budget_bytes=100_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 300_000


@pytest.mark.parametrize("size", [1, 7, 100])
def test_octets_of_chunks_are_kept_as_they_are(size: int) -> None:
    octets = b"\r\n.\r\n\n.\n\0" * 20
    intake = Intake(10_000, Budget(10_000).hold())
    for start in range(0, len(octets), size):
        intake.take_chunk(octets[start : start + size])
    assert intake.wire == octets


def test_a_message_in_chunks_may_be_as_long_as_the_limit() -> None:
    intake = Intake(10, Budget(100).hold())
    intake.take_chunk(b"12345")
    intake.take_chunk(b"67890")
    assert (intake.wire, intake.over) == (b"1234567890", None)
    intake.take_chunk(b"1")
    assert (intake.wire, intake.over) == (b"", "size")


def test_a_message_of_which_nothing_came_is_empty() -> None:
    assert Intake(10, Budget(100).hold()).wire == b""
