"""A text fits a pattern as the store finds it: `*` is any text, and nothing else is."""

import pytest

from msys_track.report.sparkpost.search.wanted import fits_pattern


@pytest.mark.parametrize(
    ("text", "pattern", "fits"),
    [
        ("abc", "abc", True), ("abc", "ab", False), ("abc", "a*", True), ("abc", "*c", True),
        ("abc", "*", True), ("", "*", True), ("abc", "a*c", True), ("aba", "ab*ba", False),
        ("abc", "*b*", True), ("abc", "*x*", False), ("a?c", "a?c", True), ("abc", "a?c", False),
    ],
)  # fmt: skip
def test_a_star_is_any_text(text: str, pattern: str, fits: bool) -> None:  # noqa: FBT001
    assert fits_pattern(text, pattern) is fits
