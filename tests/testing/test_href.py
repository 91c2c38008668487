import pytest

from msys_track.testing.href import browser_target, follow_href


@pytest.mark.parametrize(
    ("href", "target"),
    [
        (b"https://a.example/?a=1&amp;b=2", "https://a.example/?a=1&b=2"),
        (b"https://a.example/?a=1&b=2", "https://a.example/?a=1&b=2"),
        (b"https://a.example/?a=1&copy=2", "https://a.example/?a=1&copy=2"),
        (b"https://a.example/?a=1&ampb=2", "https://a.example/?a=1&ampb=2"),
        (b"https://a.example/?q=a&lt&b", "https://a.example/?q=a<&b"),
        (b"https://a.example/&#x2F;&#47;&sol;", "https://a.example////"),
        (b"https://a.example/&unknown;", "https://a.example/&unknown;"),
        (b" \thttps://a.example/a\r\n  b ", "https://a.example/a%20%20b"),
        (b"https://a.example/%C3%BC%zz", "https://a.example/%C3%BC%zz"),
        (b"", ""),
    ],
)
def test_references_and_blanks_are_read_as_a_browser_reads_them(href: bytes, target: str) -> None:
    assert follow_href(href) == target


@pytest.mark.parametrize("href", ["https://ü.example/".encode(), b"http://&uuml;.example/", b"\0"])
def test_what_hangs_on_more_than_ascii_has_no_answer(href: bytes) -> None:
    assert follow_href(href) is None


def test_white_space_goes_as_the_url_standard_says() -> None:
    assert browser_target(" \t\0 ht\ntp://e. com/\r\n \x1f") == "http://e. com/"
