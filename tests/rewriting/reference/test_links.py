"""Where links lead and what is asked for them, as the reference reads it."""

import pytest

from msys_track.reasons import Reason
from msys_track.rewriting.reference import links


@pytest.mark.parametrize(
    ("href", "target"),
    [(" \x01http://e.com/\n", "http://e.com/"), ("ht\ttp://e.c\r\nom/ a", "http://e.com/ a")],
)
def test_a_target_is_what_a_browser_parses(href: str, target: str) -> None:
    assert links.read_target(href) == target


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("HTTPS://e.com", None),
        ("http:///\\e.com", None),
        ("http://", Reason.NO_HOST),
        ("http:///", Reason.NO_HOST),
        ("mailto:a@b.c", Reason.NOT_HTTP),
        ("http:e.com", Reason.NOT_HTTP),
    ],
)
def test_a_target_that_cannot_be_wrapped_says_why(target: str, reason: Reason | None) -> None:
    assert links.check_target(target) is reason


@pytest.mark.parametrize(
    ("target", "fits"),
    [
        ("http://a.test/x?y", True),
        ("HTTP://A.TEST/Xy", True),
        ("http://a.test/y", False),
        ("http://b.test/a.test/x", False),
    ],
)
def test_a_pattern_fits_whole_targets_without_case(target: str, *, fits: bool) -> None:
    assert links.fits_any(target, ("http://a.test/x*",)) is fits


def test_a_name_is_cut_at_a_character() -> None:
    options = links.LinkOptions({"data-msys-linkname": "x" * 62 + "é"})
    assert options.name == "x" * 62


@pytest.mark.parametrize(
    ("value", "sublink"),
    [(" a/b.c ", "a/b.c"), ("../a", None), ("a/..", None), ("", None), ("a b", None)],
)
def test_a_sublink_is_a_path_without_dots(value: str, sublink: str | None) -> None:
    assert links.LinkOptions({"data-msys-sublink": value}).sublink == sublink


@pytest.mark.parametrize(
    ("attributes", "is_out"),
    [
        ({"data-pm-no-track": ""}, True),
        ({"ses:no-track": ""}, True),
        ({"clicktracking": " OFF\n"}, True),
        ({"clicktracking": "on"}, False),
    ],
)
def test_other_products_ways_out_are_known(attributes: dict[str, str], *, is_out: bool) -> None:
    assert links.is_foreign_opt_out(attributes) is is_out


@pytest.mark.parametrize(
    ("target", "leads"),
    [
        ("https://T.test/f/a/b", True),
        ("http://t.test/q/b", True),
        ("http://t.test/other", False),
        ("http://t.test.evil/f/a/b", False),
    ],
)
def test_a_tracked_url_is_known_by_its_host_and_path(target: str, *, leads: bool) -> None:
    assert links.leads_to_tracker(target, "t.test") is leads
