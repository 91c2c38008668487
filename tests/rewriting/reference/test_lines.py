"""Lines of a message around an edit."""

import pytest

from msys_track.rewriting.reference.lines import Around, find_line_break, is_boundary, look_around


def test_what_stands_around_a_range_ends_with_its_lines_and_its_part() -> None:
    message = b"A: b\r\n\r\none two\r\nthree\r\n--b"
    around = look_around(message, (8, 24), 12, 20)
    assert around == Around(before=b"one ", after=b"ee", is_too_long=False)
    assert look_around(message, (8, 15), 8, 15) == Around(b"", b"", is_too_long=False)


@pytest.mark.parametrize(("length", "is_too_long"), [(998, False), (999, True)])
def test_a_line_has_at_most_998_octets_without_its_break(
    length: int, *, is_too_long: bool
) -> None:
    message = b"x" * length + b"\r\nshort\r\n"
    assert look_around(message, (0, len(message)), 5, 5).is_too_long is is_too_long
    assert not look_around(message, (0, len(message)), length + 3, length + 3).is_too_long


@pytest.mark.parametrize(
    ("octets", "line_break"),
    [(b"", b"\r\n"), (b"a\r\nb\n", b"\r\n"), (b"a\nb\r\n", b"\n"), (b"\n", b"\n")],
)
def test_the_first_line_says_what_a_line_break_is(octets: bytes, line_break: bytes) -> None:
    assert find_line_break(octets) == line_break


def test_what_follows_a_boundary_does_not_matter() -> None:
    assert is_boundary(b"--b and more", [b"a", b"b"])
    assert not is_boundary(b" --b", [b"b"])
