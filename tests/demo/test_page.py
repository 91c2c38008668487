import pytest

from msys_track.demo import page
from msys_track.demo.check import Ledger


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("https://a.example/", 20, "https://a.example/"),
        ("https://a.example/long", 20, "https://a.example..."),
        ("a\r\nb\x1b[0m\u202e", 40, "a\\x0d\\x0ab\\x1b[0m\\x202e"),
        ("é ü €", 20, "é ü €"),
    ],
)
def test_text_is_cut_to_what_a_terminal_shows(text: str, width: int, shown: str) -> None:
    assert page.cut_text(text, width) == shown


def test_what_failed_is_told_in_words_with_what_was_expected_and_found() -> None:
    ledger = Ledger()
    ledger.section("a.eml").expect("links in it", expected=3, found=3)
    ledger.section("b.eml").expect("links in it", expected=3, found="no link")
    assert list(page.show_verdict(ledger)) == [
        "",
        "FAILED  b.eml: links in it",
        "        expected  3",
        "        found     no link",
        "",
        "1 of 2 expectations failed",
    ]


def test_where_all_held_that_is_all_it_says() -> None:
    ledger = Ledger()
    ledger.section("a.eml").expect("links in it", expected=3, found=3)
    assert list(page.show_verdict(ledger)) == ["", "all 1 expectations held"]


def test_a_remark_stands_beside_its_text_or_below_it() -> None:
    lines = [
        page.show_pair("tel:+1", "in plain text"),
        page.show_pair("tel:+1", "not_http: " + "x" * 20),
    ]
    assert list(page.show_row("left alone", *lines)) == [
        f"   left alone   {'tel:+1':<46}  in plain text",
        "                tel:+1",
        f"                  not_http: {'x' * 20}",
    ]


def test_a_row_is_broken_at_spaces_and_a_long_word_is_cut() -> None:
    lines = list(page.show_row("went in", "word " * 20, "y" * 100))
    assert [line.split() for line in lines] == [
        ["went", "in", *["word"] * 13],
        ["word"] * 7,
        ["y" * 61 + "..."],
    ]
    assert max(map(len, lines)) <= page.WIDTH
