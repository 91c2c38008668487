"""Whose a tracked link is: no two may have one, but a button's twin may have one of its own."""

import pytest

from msys_track.demo.check import count_sole_owners


@pytest.mark.parametrize(
    ("claims", "owners"),
    [
        ([("u1", "button"), ("u1", "button"), ("u2", "footer")], 2),
        # In a comment a token that has `--` is sealed again, and is another one than its twin.
        ([("u1", "button"), ("u3", "button"), ("u2", "footer")], 2),
        ([("u1", "button"), ("u1", "footer")], 0),
        ([], 0),
    ],
)
def test_a_link_is_counted_where_it_is_no_others(
    claims: list[tuple[str, str]], owners: int
) -> None:
    assert count_sole_owners(claims) == owners
